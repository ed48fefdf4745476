"""Layouts: what stands where, by hand-counted numbers; and bodies' own vectors."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mivla.embodiments import (
    ALOHA_AGILEX,
    EMBODIMENTS,
    HUMAN,
    PIPER,
    X5,
    UnknownEmbodiment,
    embodiment,
)
from mivla.embodiments.layout import (
    EEF,
    HAND,
    JOINTS,
    LANDMARKS,
    MIVLA_ACTION,
    MIVLA_STATE,
    PARTS,
    Layout,
    UnknownPart,
    join,
)


def test_parts_have_the_sizes_of_the_papers():
    assert (HAND.dim, JOINTS.dim, EEF.dim, LANDMARKS.dim) == (48, 16, 20, 126)
    assert MIVLA_ACTION.dim == MIVLA_STATE.dim == 84


def test_the_hand_vector_is_in_the_order_of_mivla_and_hrdt():
    assert HAND["hand/left/wrist/position"] == slice(0, 3)
    assert HAND["hand/left/wrist/rot6d"] == slice(3, 9)
    assert HAND["hand/left/tip/thumb"] == slice(9, 12)
    assert HAND["hand/left/tip/little"] == slice(21, 24)
    assert HAND["hand/right/wrist/position"] == slice(24, 27)
    assert HAND["hand/right/tip/little"] == slice(45, 48)


def test_joints_and_tools_stand_left_before_right_with_the_opening_last():
    assert JOINTS["joints/left/joint7"] == slice(6, 7)
    assert JOINTS["joints/left/opening"] == slice(7, 8)
    assert JOINTS["joints/right"] == slice(8, 16)
    assert EEF["eef/left/rot6d"] == slice(3, 9)
    assert EEF["eef/left/opening"] == slice(9, 10)
    assert EEF["eef/right/position"] == slice(10, 13)


@pytest.mark.parametrize("layout", [*PARTS.values(), MIVLA_ACTION, MIVLA_STATE])
def test_parts_cover_the_vector_once_in_order_with_one_name_a_dimension(layout):
    covered = [i for path, _ in layout.parts for i in range(layout.dim)[layout[path]]]
    assert covered == list(range(layout.dim))
    assert len(set(layout.names)) == layout.dim
    for group in layout.groups:
        names = layout.names[layout[group]]
        assert all(name.startswith(group + "/") for name in names)


def test_groups_follow_one_another_in_a_joined_layout():
    layout = join("joints", "hand", references={"joints": "delta", "hand": "base"})
    assert layout.groups == ("joints", "hand")
    assert layout["hand"] == slice(16, 64)
    assert layout["hand/right/wrist/position"] == slice(40, 43)
    assert "hand/right" in layout
    assert "hand/rig" not in layout
    assert "eef" not in layout


@pytest.mark.parametrize("layout", [*PARTS.values(), MIVLA_ACTION, MIVLA_STATE])
def test_a_layout_returns_from_json(layout):
    again = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    assert again == layout
    assert again.names == layout.names


def test_a_part_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnknownPart, match=r"no part 'eef/left/grip'.*eef/left/opening"):
        EEF["eef/left/grip"]


@pytest.mark.parametrize("body", EMBODIMENTS.values(), ids=EMBODIMENTS)
def test_a_body_finds_its_own_numbers_in_its_part_and_puts_them_back(body):
    part = PARTS[body.own_part]
    own = np.random.default_rng(0).normal(size=(4, body.own_dim))
    values = body.part_from_own(own)
    assert values.shape == (4, part.dim)
    assert_array_equal(body.own_from_part(values), own)
    assert np.isnan(values).sum() == 4 * (part.dim - body.own_dim)
    assert len(set(body.own_names)) == body.own_dim
    assert embodiment(body.name) is body


def test_a_six_joint_robot_has_fourteen_numbers_and_no_seventh_joint():
    for body in (X5, PIPER, ALOHA_AGILEX):
        assert body.own_dim == 14
        assert body.own_names[5:8] == ("left/joint6", "left/opening", "right/joint1")
        assert np.isnan(body.part_from_own(np.zeros(14))[[6, 14]]).all()
    assert HUMAN.own_dim == 48


def test_an_unknown_robot_is_named_with_those_that_are_shipped():
    with pytest.raises(UnknownEmbodiment, match=r"no robot 'x6'.*aloha_agilex.*human.*piper.*x5"):
        embodiment("x6")
