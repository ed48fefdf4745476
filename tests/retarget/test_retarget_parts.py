import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from mivla.embodiments import HUMAN, PIPER, X5
from mivla.geometry import se3, so3
from mivla.retarget import (
    PRESETS,
    InvalidRules,
    Reason,
    Registration,
    Rules,
    SideRegistration,
    mapping_hash,
    opening_filtered,
    preset,
)
from mivla.retarget.registration import HALF_TURN, choose_half_turns, runs
from mivla.retarget.validity import clean

seeds = st.integers(0, 2**32 - 1)


def poses(seed: int, steps: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.pose(rotations(rng, steps), rng.normal(size=(steps, 3)))


def rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    return Rotation.from_quat(rng.normal(size=(count, 4))).as_matrix()


def about_z(degrees: np.ndarray) -> np.ndarray:
    return Rotation.from_euler("z", degrees[:, None], degrees=True).as_matrix()


def registration(seed: int) -> SideRegistration:
    rng = np.random.default_rng(seed)
    return SideRegistration(
        scale=rng.uniform(0.5, 2),
        yaw=rng.uniform(-3, 3),
        translation=rng.normal(size=3),
        anchor=rng.normal(size=3) * 0.1,
        D=rotations(rng, 1)[0],
        half_turns=((2, 5), (7, 8)),
        filled=((1, 2),),
    )


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_tool_and_grip_are_inverse_to_a_millionth(seed):
    side = registration(seed)
    T = poses(seed, 10)
    turned = side.turned(10)
    assert_allclose(side.grip_from_tool(side.tool_from_grip(T, turned), turned), T, atol=1e-9)
    assert_allclose(side.tool_from_grip(side.grip_from_tool(T, turned), turned), T, atol=1e-9)


def test_the_anchor_is_what_the_tool_follows_and_bones_are_not_scaled():
    # Worked by hand: the person faces the robot's left, the workspace is doubled.
    side = SideRegistration(2.0, np.pi / 2, np.array([1.0, 0, 0]), np.array([0, 0, 0.1]), np.eye(3))
    T_tool = side.tool_from_grip(se3.pose(np.eye(3), np.array([[0.3, 0, 0.4]])), np.array([False]))
    assert_allclose(T_tool[0, :3, 3], [1.0, 0.6, 1.0], atol=1e-12)
    assert_allclose(T_tool[0, :3, 0], [0, 1, 0], atol=1e-12)


def test_half_a_turn_leaves_the_approach_and_reverses_the_closing_axis():
    side = SideRegistration(1.0, 0.0, np.zeros(3), np.zeros(3), np.eye(3), ((0, 1),))
    T_tool = side.tool_from_grip(np.eye(4)[None], side.turned(1))
    assert_allclose(T_tool[0, :3, :3], np.diag([-1.0, -1, 1]))


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_a_registration_comes_back_from_json_to_the_last_bit(seed):
    left = registration(seed)
    both = Registration(left, None)
    again = Registration.from_json(json.loads(json.dumps(both.to_json())))
    assert again.right is None
    assert again.left is not None
    for name in ("translation", "anchor", "D"):
        assert_array_equal(getattr(again.left, name), getattr(left, name))
    assert (again.left.scale, again.left.yaw) == (left.scale, left.yaw)
    assert again.left.half_turns == left.half_turns
    assert again.left.filled == left.filled


def test_each_run_of_valid_steps_is_turned_as_a_whole_to_what_is_nearer_home():
    home = rotations(np.random.default_rng(0), 1)[0]
    near = home @ about_z(np.linspace(0, 60, 5))
    far = home @ about_z(np.linspace(180, 110, 5))
    R = np.concatenate([near, np.full((1, 3, 3), np.nan), far])
    valid = np.asarray(np.isfinite(R).all(axis=(1, 2)))
    assert choose_half_turns(R, home, valid) == ((6, 11),)
    assert choose_half_turns(R @ HALF_TURN, home, valid) == ((0, 5),)


def test_runs_are_the_stretches_of_a_mask():
    assert runs(np.array([True, True, False, True])) == ((0, 2), (3, 4))
    assert runs(np.zeros(3, dtype=bool)) == ()
    assert runs(np.zeros(0, dtype=bool)) == ()


# ------------------------------------------------------------------------------ validity

CLOCK = np.arange(10) / 10


def still(steps: int = 10) -> tuple[np.ndarray, np.ndarray]:
    T = se3.pose(np.eye(3), np.stack([np.arange(steps) * 0.01] + [np.zeros(steps)] * 2, axis=-1))
    return T, np.full(steps, 0.05)


def test_a_short_gap_is_bridged_and_flagged_and_a_long_one_is_not():
    T, width = still()
    T[3] = np.nan
    T[6:9] = np.nan
    track = clean(T, width, None, CLOCK, Rules(max_gap_s=0.2))
    assert track.filled == ((3, 4),)
    assert_array_equal(track.reason, np.where(np.isin(np.arange(10), [6, 7, 8]), 1, 0))
    assert_allclose(track.T[3], still()[0][3], atol=1e-12)
    assert np.isnan(track.T[6:9]).all()


def test_many_gaps_are_bridged_as_each_alone_would_be():
    T, width = still()
    turn = np.linspace(0, 1, 10)[:, None] ** 2 * [0.0, 0.3, 0.4]
    T[:, :3, :3] = so3.matrix_from_rotvec(turn)
    width = 0.05 + 0.001 * np.arange(10.0) ** 2
    gaps = [slice(1, 2), slice(4, 6), slice(8, 9)]
    wanted_T, wanted_width = T.copy(), width.copy()
    for gap in gaps:
        ends = [gap.start - 1, gap.stop]
        wanted_T[gap] = se3.interpolate(T[ends], CLOCK[ends], CLOCK[gap])
        wanted_width[gap] = np.interp(CLOCK[gap], CLOCK[ends], width[ends])
    for gap in gaps:
        T[gap] = np.nan
    track = clean(T, width, None, CLOCK, Rules(max_gap_s=0.3))
    assert track.filled == tuple((gap.start, gap.stop) for gap in gaps)
    assert_allclose(track.T, wanted_T, atol=1e-12)
    assert_allclose(track.width, wanted_width, atol=1e-12)


def test_a_gap_at_the_ends_is_never_filled():
    T, width = still()
    T[0], T[-1] = np.nan, np.nan
    track = clean(T, width, None, CLOCK, Rules(max_gap_s=10.0))
    assert_array_equal(track.reason[[0, -1]], [Reason.UNTRACKED] * 2)


def test_a_rotation_is_bridged_on_the_shortest_arc():
    T, width = still(3)
    T[2, :3, :3] = Rotation.from_rotvec([0, 0, 0.8]).as_matrix()
    T[1] = np.nan
    track = clean(T, width, None, CLOCK[:3], Rules())
    assert_allclose(Rotation.from_matrix(track.T[1, :3, :3]).as_rotvec(), [0, 0, 0.4], atol=1e-9)


def test_a_hand_that_is_not_believed_says_so():
    T, width = still()
    confidence = np.full(10, 0.9)
    confidence[4:8] = 0.05
    track = clean(T, width, confidence, CLOCK, Rules(max_gap_s=0.0))
    assert_array_equal(track.reason[4:8], Reason.LOW_CONFIDENCE)
    assert (track.reason[[0, 1, 2, 3, 8, 9]] == 0).all()


def test_a_spike_is_a_jump_and_what_follows_it_is_not():
    T, width = still()
    T[5, 0, 3] += 2
    track = clean(T, width, None, CLOCK, Rules(max_gap_s=0.0))
    assert_array_equal(np.flatnonzero(track.reason), [5])
    assert track.reason[5] == Reason.JUMP


def test_after_a_lasting_change_of_place_the_hand_is_believed_again():
    T, width = still()
    T[3:, 0, 3] += 1.2
    track = clean(T, width, None, CLOCK, Rules(max_speed_m_s=5.0, max_gap_s=0.0))
    assert_array_equal(np.flatnonzero(track.reason == Reason.JUMP), [3, 4])


def test_a_flip_of_the_hand_is_a_jump():
    T, width = still()
    T[5, :3, :3] = np.diag([-1.0, -1, 1])
    track = clean(T, width, None, CLOCK, Rules(max_gap_s=0.0))
    assert track.reason[5] == Reason.JUMP


def test_nothing_valid_stays_nothing():
    track = clean(np.full((4, 4, 4), np.nan), np.full(4, np.nan), None, CLOCK[:4], Rules())
    assert_array_equal(track.reason, Reason.UNTRACKED)
    assert track.filled == ()


def test_one_step_is_enough():
    T, width = still(1)
    assert_array_equal(clean(T, width, np.ones(1), CLOCK[:1], Rules()).reason, [0])


# ------------------------------------------------------------------------------ opening


def test_the_filter_shuts_and_opens_with_hysteresis():
    opening = np.array([1, 0.9, 0.45, 0.4, 0.3, 0.45, 0.5, 0.6, 0.9, 1.2])
    filtered = opening_filtered(opening, np.arange(10.0), Rules(majority_s=0.0))
    assert_array_equal(filtered, [1, 1, 1, 1, 0, 0, 0, 1, 1, 1])


def test_the_filter_outvotes_a_single_step_and_keeps_gaps():
    opening = np.ones(20)
    opening[10] = 0.0
    opening[15] = np.nan
    filtered = opening_filtered(opening, np.arange(20) / 30, Rules())
    assert np.isnan(filtered[15])
    assert_array_equal(np.delete(filtered, 15), np.ones(19))


def test_the_filter_of_an_undecided_or_missing_signal():
    clock = np.arange(5) / 30
    assert_array_equal(opening_filtered(np.full(5, 0.5), clock, Rules()), np.ones(5))
    assert_array_equal(opening_filtered(np.full(5, 0.4), clock, Rules()), np.zeros(5))
    assert np.isnan(opening_filtered(np.full(5, np.nan), clock, Rules())).all()


@given(values=st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_filtering_twice_changes_nothing_more_than_the_vote(values):
    opening = np.array(values)
    clock = np.arange(len(values)) / 30
    once = opening_filtered(opening, clock, Rules(majority_s=0.0))
    assert set(np.unique(once)) <= {0.0, 1.0}
    assert_array_equal(opening_filtered(once, clock, Rules(majority_s=0.0)), once)


# ------------------------------------------------------------------------------ rules


@pytest.mark.parametrize("name", PRESETS)
def test_rules_come_back_from_json(name):
    assert Rules.from_json(json.loads(json.dumps(preset(name).to_json()))) == preset(name)


def test_the_papers_rules_are_displacements_of_the_thumb_knuckle():
    paper = preset("paper")
    assert (paper.anchor, paper.start_position, paper.positions_only) == (
        "thumb_knuckle",
        "home",
        True,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0.0},
        {"scale": np.inf},
        {"yaw": np.nan},
        {"translation": (0.0, np.nan, 0.0)},
        {"d_shut": 0.1, "d_open": 0.05},
        {"d_open": 0.3},
        {"shut_below": 0.9},
    ],
)
def test_rules_that_contradict_themselves_are_refused(wrong):
    with pytest.raises(InvalidRules, match=next(iter(wrong.values())).__str__()):
        Rules(**wrong)


def test_an_unknown_preset_names_those_that_there_are():
    with pytest.raises(InvalidRules, match="default, paper, video"):
        preset("papers")


def test_the_hash_changes_with_the_rules_and_the_robot_and_with_nothing_else():
    assert mapping_hash(HUMAN, PIPER, Rules()) == mapping_hash(HUMAN, PIPER, Rules())
    hashes = {
        mapping_hash(HUMAN, PIPER, Rules()),
        mapping_hash(HUMAN, X5, Rules()),
        mapping_hash(HUMAN, PIPER, replace(Rules(), yaw=0.1)),
        mapping_hash(HUMAN, PIPER, preset("paper")),
    }
    assert len(hashes) == 4


def test_hands_made_of_a_robot_have_another_hash_when_its_arms_are_others():
    moved = tuple(replace(arm, position_base_mount=(0.1, 0.0, 0.0)) for arm in X5.arms)
    hashes = {
        mapping_hash(X5, HUMAN, Rules()),
        mapping_hash(PIPER, HUMAN, Rules()),
        mapping_hash(replace(X5, arms=moved), HUMAN, Rules()),
    }
    assert len(hashes) == 3
