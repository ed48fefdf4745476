import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mivla.embodiments import PANDA, PIPER, X5, Arm
from mivla.kinematics import chain, forward, limits, solve, solve_trajectory
from mivla.kinematics.trajectory import WORTH_CUTTING


def track(arm: Arm, steps: int, swing: float, seed: int = 0) -> np.ndarray:
    """Joints that swing about home at 30 Hz, within their limits: "t dof"."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(steps)[:, None] / 30
    rate, phase = rng.uniform(0.05, 0.3, arm.dof), rng.uniform(0, 1, arm.dof)
    q = np.array(arm.home) + swing * np.sin(2 * np.pi * (rate * t_s + phase))
    return np.clip(q, *limits(chain(arm)))


@pytest.mark.parametrize("body", [X5, PIPER, PANDA], ids=lambda body: body.name)
def test_a_trajectory_in_pieces_has_the_joints_of_one_pass(body):
    arm = chain(body.arms[0])
    q = track(body.arms[0], 3 * WORTH_CUTTING, 0.8)
    T = forward(arm, q)
    T[700:710] = np.nan
    whole, pieces = solve(arm, T[None], q[:1]), solve_trajectory(arm, T, q[0])
    assert_allclose(pieces.q, whole.q[0], atol=2e-3)
    assert_array_equal(pieces.converged, whole.converged[0])
    assert_array_equal(np.isnan(pieces.position_error_m), np.isnan(whole.position_error_m[0]))


def test_a_trajectory_that_loses_its_way_is_still_one_trajectory():
    arm = chain(X5.arms[0])
    q = track(X5.arms[0], 4 * WORTH_CUTTING, 0.3)
    T = forward(arm, q)
    # Out of reach for a tenth of the time, in four places.
    for start in range(300, len(T), len(T) // 4):
        T[start : start + len(T) // 40, :3, 3] += [0.9, 0, 0]
    found = solve_trajectory(arm, T, q[0])
    step = np.abs(np.diff(found.q, axis=0)).max(axis=1)
    # Wherever both neighbours are reached, no piece begins elsewhere than the last one ended.
    steady = found.converged[1:] & found.converged[:-1]
    assert steady.sum() > len(T) / 2
    assert step[steady].max() < 0.5


def test_a_trajectory_may_be_missing_nearly_everywhere():
    arm = chain(X5.arms[0])
    q = track(X5.arms[0], 5 * WORTH_CUTTING, 0.3)
    T = np.full((len(q), 4, 4), np.nan)
    places = np.arange(1000, 1000 + 2 * WORTH_CUTTING)
    T[places] = forward(arm, q[places])
    found = solve_trajectory(arm, T, q[1000])
    assert_array_equal(np.flatnonzero(found.converged), places)
    assert_allclose(found.q[places], q[places], atol=1e-3)
    assert solve_trajectory(arm, T[:500], q[0]).converged.sum() == 0
    assert len(solve_trajectory(arm, T[:0], q[0]).q) == 0
