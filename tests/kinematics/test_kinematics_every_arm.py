"""What is promised of inverse kinematics, for every arm that is shipped, of six joints or seven."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mivla.embodiments import ALOHA2, PANDA, PIPER, UR5E, X5, Arm
from mivla.embodiments.robots import ROBOTS
from mivla.kinematics import (
    BadTargets,
    Solution,
    chain,
    forward,
    jacobian,
    limits,
    solve,
    solve_cold,
    solve_stream,
)

ARMS = list({arm.model: arm for body in ROBOTS for arm in body.arms}.values())
HALF_DEGREE = np.deg2rad(0.5)


def swinging(arm: Arm, centre: np.ndarray, lanes: int, steps: int, swing_rad: float) -> np.ndarray:
    """Joints that swing about `centre` at 0.1 to 0.4 Hz, 30 Hz, clipped: "lane t dof"."""
    rng = np.random.default_rng(4)
    low, high = limits(chain(arm))
    t_s = np.arange(steps)[:, None] / 30
    turns = rng.uniform(0.1, 0.4, (lanes, 1, arm.dof)) * t_s + rng.uniform(
        0, 1, (lanes, 1, arm.dof)
    )
    return np.clip(centre + swing_rad * np.sin(2 * np.pi * turns), low, high)


def harsh(arm: Arm, lanes: int = 24, steps: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Tracks from anywhere that leave the workspace twice and come back, with a gap; starts."""
    rng = np.random.default_rng(9)
    low, high = limits(chain(arm))
    q = swinging(arm, rng.uniform(low, high, (lanes, 1, arm.dof)), lanes, steps, 0.8)
    T = forward(chain(arm), q)
    T[..., 0, 3] += 0.5 * np.maximum(np.sin(np.linspace(0, 4 * np.pi, steps)), 0)
    T[::3, 100:110] = np.nan
    return T, q[:, 0]


def leaps(found: Solution) -> np.ndarray:
    """Where a joint moved more than half a radian since the step before: "lane t-1"."""
    return np.abs(np.diff(found.q, axis=1)).max(axis=-1) > 0.5


def assert_equal(a: Solution, b: Solution) -> None:
    for name in ("q", "position_error_m", "rotation_error_rad", "converged", "jumped"):
        assert_array_equal(getattr(a, name), getattr(b, name))


def name_of(arm: Arm) -> str:
    return arm.model


@pytest.mark.parametrize("arm", ARMS, ids=name_of)
def test_smooth_tracks_are_followed_without_a_failure_or_a_jump(arm):
    q = swinging(arm, np.array(arm.home), 48, 150, 0.4)
    found = solve(chain(arm), forward(chain(arm), q), q[:, 0])
    assert found.converged.all()
    assert not found.jumped.any()
    assert not leaps(found).any()
    assert np.percentile(found.position_error_m, 99) < 5e-6


@pytest.mark.parametrize("arm", ARMS, ids=name_of)
def test_tracks_along_a_joint_limit_are_followed(arm):
    low, high = limits(chain(arm))
    centre = np.tile(np.array(arm.home, dtype=float), (32, 1, 1))
    centre[::2, :, -1], centre[1::2, :, -1] = low[-1], high[-1]
    q = swinging(arm, centre, 32, 150, 0.4)
    found = solve(chain(arm), forward(chain(arm), q), q[:, 0])
    assert found.converged.all()
    at_limit = (found.q <= low + 1e-6) | (found.q >= high - 1e-6)
    # A redundant arm turns the others and keeps off.
    assert at_limit.any(axis=-1).mean() > (0.05 if arm.dof == 6 else 0.0)


@pytest.mark.parametrize("restart_after", [0, 5])
@pytest.mark.parametrize("arm", ARMS, ids=name_of)
def test_no_joint_jumps_without_a_flag(arm, restart_after):
    T, q_start = harsh(arm)
    found = solve(chain(arm), T, q_start, restart_after=restart_after)
    assert np.isfinite(found.q).all()
    assert_array_equal(found.jumped[:, 1:], leaps(found))
    assert not found.jumped[:, 0].any()
    low, high = limits(chain(arm))
    assert (found.q >= low).all()
    assert (found.q <= high).all()


@pytest.mark.parametrize("arm", ARMS, ids=name_of)
def test_errors_are_those_of_forward_kinematics_also_after_a_restart(arm):
    T, q_start = harsh(arm)
    found = solve(chain(arm), T, q_start, restart_after=3)
    reached = forward(chain(arm), found.q)
    apart = np.linalg.norm(reached[..., :3, 3] - T[..., :3, 3], axis=-1)
    chord = np.linalg.norm(reached[..., :3, :3] - T[..., :3, :3], axis=(-2, -1))
    np.testing.assert_allclose(found.position_error_m, apart, atol=1e-9)
    np.testing.assert_allclose(
        found.rotation_error_rad, 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1)), atol=1e-7
    )
    missing = np.isnan(T).any(axis=(-2, -1))
    assert not found.converged[missing].any()
    assert_array_equal(
        found.converged[~missing],
        (found.position_error_m <= 1e-3)[~missing]
        & (found.rotation_error_rad <= HALF_DEGREE)[~missing],
    )


@pytest.mark.parametrize("body", [X5, ALOHA2, UR5E, PANDA], ids=lambda body: body.name)
def test_a_lane_that_looks_elsewhere_comes_back_sooner(body):
    arm = body.arms[0]
    T, q_start = harsh(arm, lanes=64)
    lost = solve(chain(arm), T, q_start)
    found = solve(chain(arm), T, q_start, restart_after=5)
    assert found.converged.sum() > lost.converged.sum()
    assert found.jumped.any()


@pytest.mark.parametrize("arm", ARMS, ids=name_of)
def test_a_cold_start_finds_joints_wherever_the_arm_reaches(arm):
    c, (low, high) = chain(arm), limits(chain(arm))
    rng = np.random.default_rng(17)
    T = forward(c, rng.uniform(low, high, (1500, arm.dof)))
    found = solve_cold(c, T, rng)
    assert found.converged.mean() >= 0.995
    assert (found.q >= low).all()
    assert (found.q <= high).all()


@pytest.mark.parametrize("body", [PIPER, PANDA], ids=lambda body: body.name)
def test_a_lane_has_the_same_bits_whoever_its_neighbours_are(body):
    arm = body.arms[0]
    T, q_start = harsh(arm, lanes=40)
    together = solve(chain(arm), T, q_start, restart_after=4)
    for lane in (0, 1, 17, 39):
        alone = solve(chain(arm), T[[lane]], q_start[[lane]], restart_after=4)
        assert_array_equal(alone.q[0], together.q[lane])
    spread = solve(chain(arm), T, q_start, restart_after=4, threads=2)
    assert_equal(spread, solve(chain(arm), T, q_start, restart_after=4, threads=1))


@pytest.mark.parametrize("body", [UR5E, PANDA], ids=lambda body: body.name)
@pytest.mark.parametrize("pieces", [(240,), (1, 7, 8, 224), (100, 0, 5, 135)])
def test_a_stream_has_the_bits_of_one_piece(body, pieces):
    arm = body.arms[0]
    T, q_start = harsh(arm, lanes=20)
    whole = solve(chain(arm), T, q_start, restart_after=4)
    chunks = np.split(T, np.cumsum(pieces)[:-1], axis=1)
    found = list(solve_stream(chain(arm), chunks, q_start, restart_after=4))
    assert [part.q.shape[1] for part in found] == list(pieces)
    joined = Solution(
        *(
            np.concatenate([getattr(part, name) for part in found], axis=1)
            for name in ("q", "position_error_m", "rotation_error_rad", "converged", "jumped")
        )
    )
    assert_equal(joined, whole)


def test_a_stream_holds_one_piece_at_a_time():
    arm = X5.arms[0]
    T = forward(chain(arm), swinging(arm, np.array(arm.home), 64, 50, 0.3))
    start = np.tile(np.array(arm.home, dtype=float), (64, 1))

    def peak(pieces: int) -> int:
        tracemalloc.start()
        for found in solve_stream(chain(arm), (T.copy() for _ in range(pieces)), start):
            assert found.converged.any()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(30) < 1.2 * peak(3)


@pytest.mark.parametrize(
    "wrong",
    [np.diag([1.1, 1, 1]), np.diag([1, 1, -1]), np.zeros((3, 3)), 0.001 * np.eye(3)],
    ids=["stretched", "mirrored", "zero", "scaled"],
)
def test_a_target_that_is_no_rigid_pose_is_refused(wrong):
    c = chain(PIPER.arms[0])
    T = np.tile(forward(c, np.array(PIPER.arms[0].home)), (2, 5, 1, 1))
    start = np.tile(PIPER.arms[0].home, (2, 1))
    T[1, 3, :3, :3] = wrong
    T[0, 0] = np.nan
    with pytest.raises(BadTargets, match="lane 1, step 3"):
        solve(c, T, start)
    with pytest.raises(BadTargets, match="rotation matrices"):
        solve_cold(c, T[1], np.random.default_rng(0))


def test_absurd_targets_are_not_reached_and_harm_nobody():
    arm = UR5E.arms[0]
    q = swinging(arm, np.array(arm.home), 3, 20, 0.2)
    T = forward(chain(arm), q)
    T[0, :, :3, 3] = 1e300
    T[1, :, :3, 3] *= 1000  # millimetres
    found = solve(chain(arm), T, q[:, 0], restart_after=2)
    assert np.isfinite(found.q).all()
    assert not found.converged[:2].any()
    assert found.converged[2].all()


def test_of_no_pose_there_is_no_answer_and_a_stream_of_other_lanes_is_refused():
    c = chain(PANDA.arms[0])
    assert solve_cold(c, np.zeros((0, 4, 4)), np.random.default_rng(0)).q.shape == (0, 7)
    start = np.tile(PANDA.arms[0].home, (2, 1))
    T = np.tile(forward(c, start)[:, None], (1, 3, 1, 1))
    stream = solve_stream(c, [T, T[:1]], start)
    assert next(stream).converged.all()
    with pytest.raises(BadTargets, match="the start"):
        next(stream)


def test_a_cold_start_is_the_same_for_the_same_chance():
    c, (low, high) = chain(UR5E.arms[0]), limits(chain(UR5E.arms[0]))
    T = forward(c, np.random.default_rng(2).uniform(low, high, (700, 6)))
    first, again = (solve_cold(c, T, np.random.default_rng(3)) for _ in range(2))
    assert_equal(first, again)
    assert_array_equal(solve_cold(c, T, np.random.default_rng(3), threads=1).q, first.q)


def test_a_joint_that_is_locked_stays_where_it_is():
    free = chain(PANDA.arms[0])
    low, high = free.low.copy(), free.high.copy()
    low[2] = high[2] = 0.0
    locked = replace(free, name="locked", low=low, high=high)
    q = np.clip(swinging(PANDA.arms[0], np.array(PANDA.arms[0].home), 8, 40, 0.2), low, high)
    found = solve(locked, forward(locked, q), q[:, 0])
    assert found.converged.all()
    assert (found.q[..., 2] == 0).all()


@pytest.mark.parametrize("body", [ALOHA2, UR5E], ids=lambda body: body.name)
def test_a_track_through_a_singular_wrist_is_followed_calmly(body):
    arm = body.arms[0]
    q = np.tile(np.array(arm.home, dtype=float), (8, 120, 1))
    sweep = np.linspace(-1, 1, 120)
    q[..., 3] += np.linspace(-0.4, 0.4, 8)[:, None] + 0.2 * sweep
    q[..., 4] = 0.5 * sweep  # at zero, two axes of the wrist line up
    found = solve(chain(arm), forward(chain(arm), q), q[:, 0])
    assert np.linalg.svd(jacobian(chain(arm), q), compute_uv=False)[..., -1].min() < 5e-3
    assert found.converged.all()
    assert np.abs(np.diff(found.q, axis=1)).max() < 0.05
