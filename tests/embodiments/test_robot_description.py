"""A robot from a description and a model file: right ones work, wrong ones are told in words."""

# MuJoCo's bindings come without types.
# pyright: reportAttributeAccessIssue=false

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mivla import retarget
from mivla.embodiments import (
    EMBODIMENTS,
    Arm,
    Gripper,
    UnknownEmbodiment,
    embodiment,
    is_known,
    own_names,
)
from mivla.embodiments.description import Examined, InvalidDescription, examine, read_model
from mivla.embodiments.hand import hand_part, wrist_from_grip
from mivla.embodiments.hand import template as hand_template
from mivla.embodiments.layout import JOINTS, SIDES
from mivla.embodiments.template import template
from mivla.embodiments.tree import InvalidModel
from mivla.episodes import Episode
from mivla.geometry import se3, so3
from mivla.kinematics import chain, forward
from mivla.retarget import home_grip

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "robots"

# An arm with the dimensions of an X5, a pedestal below and a gripper: every number made up or
# exact, so that nothing is wrong with it.
_ORIGINS = {
    "j1": ("0 0 0.06", "0 0 0", "0 0 1", "-3 2.6"),
    "j2": ("0.02 0 0.04", "0 0 0", "0 1 0", "-0.05 3.5"),
    "j3": ("-0.264 0 0", "3.141592653589793 0 0", "0 1 0", "-0.1 3.2"),
    "j4": ("0.245 0 -0.056", "0 0 0", "0 1 0", "-1.6 1.55"),
    "j5": ("0.066 -0.001 -0.0825", "0 0 0", "0 0 1", "-1.57 1.57"),
    "j6": ("0.028 0 0.0825", "3.141592653589793 0 0", "1 0 0", "-2 2"),
}


def _joint(name: str, kind: str, parent: str, child: str, xyz: str, rpy="0 0 0", more="") -> str:
    return (
        f'<joint name="{name}" type="{kind}"><origin xyz="{xyz}" rpy="{rpy}"/>'
        f'<parent link="{parent}"/><child link="{child}"/>{more}</joint>'
    )


def urdf() -> str:
    parts = [
        '<link name="stand"/><link name="base"/>',
        _joint("foot", "fixed", "stand", "base", "0 0 0.1"),
    ]
    parent = "base"
    for i, (name, (xyz, rpy, axis, limit)) in enumerate(_ORIGINS.items(), start=1):
        low, high = limit.split()
        more = f'<axis xyz="{axis}"/><limit lower="{low}" upper="{high}" effort="1" velocity="1"/>'
        parts.append(
            f'<link name="l{i}"><visual><geometry><mesh filename="package://gone/l{i}.dae"/>'
        )
        parts.append("</geometry></visual></link>")
        parts.append(_joint(name, "revolute", parent, f"l{i}", xyz, rpy, more))
        parent = f"l{i}"
    for name, axis, more in (
        ("f1", "0 1 0", ""),
        ("f2", "0 -1 0", '<mimic joint="f1" multiplier="1"/>'),
    ):
        limit = '<limit lower="0" upper="0.04" effort="1" velocity="1"/>'
        parts.append(f'<link name="{name}_link"/>')
        parts.append(
            _joint(
                name,
                "prismatic",
                "l6",
                f"{name}_link",
                "0.08 0 0",
                "0 0 0",
                f'<axis xyz="{axis}"/>{limit}{more}',
            )
        )
    return f'<robot name="arm">{"".join(parts)}</robot>'


TOML = """
title = "two arms"
[arm]
model = "arm.urdf"
joints = ["j1", "j2", "j3", "j4", "j5", "j6"]
home = [0.0, 1.757, 1.488, -1.302, 0.0, 0.0]
ee = "l6"
[arm.tool]
link = "l6"
position = [0.13, 0.0, 0.0]
approach = "+x"
closing = "+y"
[arm.fingers]
joints = ["f1", "f2"]
shut = [0.0, 0.0]
open = [0.04, 0.04]
stroke_m = 0.08
[left]
mount.position = [0.0, 0.3, 0.0]
[right]
mount.position = [0.0, -0.3, 0.0]
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """What a test adds to the folders of robots is gone after it."""
    monkeypatch.setenv("MIVLA_ROBOTS", "")


def put(
    folder: Path, toml: dict[str, str] | None = None, model: dict[str, str] | None = None
) -> Path:
    """my_robot.toml and arm.urdf with some words exchanged."""
    texts = {"my_robot.toml": (TOML, toml), "arm.urdf": (urdf(), model)}
    for name, (text, exchanged) in texts.items():
        for old, new in (exchanged or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        (folder / name).write_text(text)
    return folder / "my_robot.toml"


def told(examined: Examined, level: str) -> str:
    return "\n".join(str(one) for one in examined.findings if one.level == level)


def test_a_robot_that_is_right_has_no_findings_and_its_tool_is_where_it_was_said(tmp_path):
    examined = examine(put(tmp_path))
    assert examined.findings == ()
    body = examined.usable()
    assert (body.name, body.title, body.own_dim) == ("my_robot", "two arms", 14)
    left = body.arm("left")
    T = forward(chain(left), np.zeros(6))
    # At zero the arm lies folded: by hand, the sum of the offsets, y and z turned over at j3, back
    # at j6.
    x = 0.02 - 0.264 + 0.245 + 0.066 + 0.028 + 0.13
    assert_allclose(T[:3, 3], [x, 0.3 + 0.001, 0.1 + 0.1 + 0.056 + 0.0825 - 0.0825], atol=1e-12)
    assert_allclose(T[:3, 2], [1, 0, 0], atol=1e-12)
    assert_allclose(T[:3, 1], [0, 1, 0], atol=1e-12)
    down = forward(chain(left), np.array(left.home))[:3, 2]
    assert_allclose(down, [0, 0, -1], atol=0.01)


def test_its_model_needs_no_file_holds_still_and_opens_its_gripper(tmp_path):
    arm = examine(put(tmp_path)).usable().arm("right")
    model = mujoco.MjModel.from_xml_string(arm.xml)
    assert model.nmesh == 0
    assert arm.gripper.joints == ("f1", "f2")
    data = mujoco.MjData(model)
    for name, at in zip((*arm.joints, *arm.gripper.joints), (*arm.home, 0.04, 0.04), strict=True):
        data.joint(name).qpos = at
        data.actuator(name).ctrl = at
    mujoco.mj_step(model, data, 500)
    assert_allclose([data.joint(name).qpos[0] for name in arm.joints], arm.home, atol=1e-3)
    tcp = data.site("tcp")
    pads = [tcp.xmat.reshape(3, 3).T @ (data.geom(f"pad{i}").xpos - tcp.xpos) for i in (1, 2)]
    # Each pad is 8 mm thick and its inner face half of the stroke from the middle.
    assert_allclose(pads, [[0, 0.044, -0.012], [0, -0.044, -0.012]], atol=2e-4)


def test_one_finger_named_brings_the_one_that_follows_it(tmp_path):
    one = {'joints = ["f1", "f2"]': 'joints = ["f1"]', "shut = [0.0, 0.0]": "shut = [0.0]"}
    examined = examine(put(tmp_path, {**one, "open = [0.04, 0.04]": "open = [0.04]"}))
    assert examined.findings == ()
    assert examined.usable().arm("left").gripper.joints == ("f1", "f2")
    alone = put(tmp_path, {**one, "open = [0.04, 0.04]": "open = [0.04]"}, {"<mimic": "<gone"})
    assert "the fingers move 0.04 m apart" in told(examine(alone), "warning")


def test_fingers_are_made_up_where_none_are_named(tmp_path):
    lines = 'joints = ["f1", "f2"]\nshut = [0.0, 0.0]\nopen = [0.04, 0.04]\n'
    gripper = examine(put(tmp_path, {lines: ""})).usable().arm("left").gripper
    assert gripper.open == (0.04, 0.04)


ERRORS = {
    "not TOML": ({"title =": "title"}, {}, "my_robot.toml is not TOML"),
    "a key nobody knows": (
        {"closing =": "closign ="},
        {},
        "tool has 'closign', which means nothing",
    ),
    "another name": (
        {"title": 'name = "yours"\ntitle'},
        {},
        "called 'yours', but its file my_robot",
    ),
    "nothing of something": (
        {"home = [0.0, 1.757, 1.488, -1.302, 0.0, 0.0]": ""},
        {},
        "home is missing",
    ),
    "text for numbers": ({"1.757": '"1.757"'}, {}, "It should be 6 numbers"),
    "too few numbers": ({"1.757, ": ""}, {}, "It should be 6 numbers"),
    "no model": ({"arm.urdf": "arms.urdf"}, {}, "there is no model file"),
    "no XML": ({}, {"</robot>": ""}, "arm.urdf is not XML"),
    "a xacro": (
        {},
        {
            '<robot name="arm">': '<robot name="arm" xmlns:xacro="http://ros.org/wiki/xacro"><xacro:include/>'
        },
        "xacro arm.urdf > arm.urdf",
    ),
    "no number": ({}, {"-0.264 0 0": "-0.264 0"}, "3 finite numbers should stand there"),
    "an unknown joint": (
        {'"j4"': '"joint4"'},
        {},
        "no joint 'joint4'. Joints that move are j1, j2",
    ),
    "an unknown link": (
        {'link = "l6"': 'link = "hand"'},
        {},
        "no such link. There are stand, base, l1",
    ),
    "an unknown ee": ({'ee = "l6"': 'ee = "flange"'}, {}, "ee is 'flange'"),
    "an ee that moves": ({'ee = "l6"': 'ee = "l5"'}, {}, "not fixed to 'l6'"),
    "another order": ({'"j1", "j2"': '"j2", "j1"'}, {}, "in another order than in the chain"),
    "a joint twice": ({'"j1", "j2"': '"j1", "j1"'}, {}, "names one twice"),
    "no chain": ({'"j6"]': '"f1"]'}, {}, "Joint 'f1' does not lie between 'stand' and 'l6'"),
    "a fixed joint": ({'"j6"]': '"foot"]'}, {}, "Joint 'foot' is fixed"),
    "a joint left out": ({'"j2", ': "", "1.757, ": ""}, {}, "held.j2 = 0.0"),
    "five joints": (
        {'"j2", ': "", "1.757, ": "", "[left]": "[arm.held]\nj2 = 1.0\n[left]"},
        {},
        "The arm has 5 joints",
    ),
    "a slide": ({}, {'"j2" type="revolute"': '"j2" type="prismatic"'}, "Joint 'j2' is prismatic"),
    "a continuous joint": (
        {},
        {'"j1" type="revolute"': '"j1" type="continuous"'},
        "Joint 'j1' has no limits",
    ),
    "a joint that follows": (
        {},
        {'<axis xyz="1 0 0"/>': '<axis xyz="1 0 0"/><mimic joint="j5"/>'},
        "Joint 'j6' follows 'j5'",
    ),
    "no axis": ({}, {'xyz="1 0 0"': 'xyz="0 0 0"'}, "The axis of joint 'j6' is zero"),
    "two parents": (
        {},
        {"</robot>": _joint("more", "fixed", "base", "l3", "0 0 0") + "</robot>"},
        "link 'l3' is carried by two joints, 'j3' and 'more'",
    ),
    "a ring": (
        {},
        {"</robot>": _joint("back", "fixed", "l6", "stand", "0 0 0") + "</robot>"},
        "go round from 'stand' to itself",
    ),
    "a link that is nowhere": (
        {},
        {'<parent link="l3"/>': '<parent link="l33"/>'},
        "the parent of joint 'j4' in arm.urdf is 'l33'",
    ),
    "placeholders": (
        {},
        {'lower="-3" upper="2.6"': 'lower="-10" upper="10"'},
        "placeholders, more than three turns: j1 -10 to 10",
    ),
    "limits in degrees": (
        {},
        {'lower="-3" upper="2.6"': 'lower="-180" upper="150"'},
        "look like degrees",
    ),
    "limits turned over": (
        {},
        {'lower="-3" upper="2.6"': 'lower="2.6" upper="-3"'},
        "are 2.6 to -3",
    ),
    "limits of nobody": ({"[left]": "[arm.limits]\nj9 = [0, 1]\n[left]"}, {}, "limits has 'j9'"),
    "home outside": (
        {"1.757": "3.757"},
        {},
        "home of joint 'j2' is 3.757, outside its limits -0.05 to 3.5",
    ),
    "home in degrees": ({"1.757": "100.0"}, {}, "It looks like degrees"),
    "millimetres": (
        {},
        {"-0.264 0 0": "-264 0 0"},
        "264 m to j3 from the joint before. That looks like millimetres",
    ),
    "tool in millimetres": ({"[0.13, 0.0, 0.0]": "[130, 0.0, 0.0]"}, {}, "130 m to the tool"),
    "stroke in millimetres": (
        {"stroke_m = 0.08": "stroke_m = 80"},
        {},
        "larger numbers look like millimetres",
    ),
    "slanted axes": ({'closing = "+y"': "closing = [0.5, 1, 0]"}, {}, "are 63.4 degrees"),
    "no such axis": ({'closing = "+y"': 'closing = "left"'}, {}, "one of +x, +y, +z, -x"),
    "a long quaternion": (
        {'approach = "+x"\nclosing = "+y"': "quaternion = [1, 1, 0, 0]"},
        {},
        "has length 1.414",
    ),
    "quaternion and axes": (
        {'approach = "+x"': "quaternion = [1, 0, 0, 0]"},
        {},
        "both a quaternion and axes",
    ),
    "no such finger": (
        {'["f1", "f2"]': '["f1", "f3"]'},
        {},
        "no finger joint 'f3'. Other joints that move are f1, f2",
    ),
    "a finger of the arm": (
        {'["f1", "f2"]': '["f1", "j6"]'},
        {},
        "Finger joint 'j6' is no slide or hinge that 'l6' carries",
    ),
    "a finger that stays": (
        {"open = [0.04, 0.04]": "open = [0.0, 0.04]"},
        {},
        "the same value shut and open",
    ),
    "two bases": ({"title": 'base_link = "base"\ntitle'}, {}, "both mount and base_link"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_wrong_is_said_and_keeps_the_robot_from_being_used(tmp_path, case):
    toml, model, says = ERRORS[case]
    examined = examine(put(tmp_path, toml, model))
    assert says in told(examined, "error")
    assert examined.body is None
    with pytest.raises(InvalidDescription, match="describes no robot that can be used"):
        examined.usable()
    with pytest.raises(InvalidDescription):
        embodiment(str(tmp_path / "my_robot.toml"))


WARNINGS = {
    "a rounded angle": (
        {},
        {"3.141592653589793 0 0": "3.1416 0 0"},
        "j3 3.1416 (exactly 3.141592653589793); j6 3.1416",
    ),
    "two digits": ({}, {"3.141592653589793 0 0": "3.14 0 0"}, "j3 3.14 (exactly"),
    "an axis of another length": (
        {},
        {'xyz="1 0 0"': 'xyz="2 0 0"'},
        "The axis of joint 'j6' has length 2, not 1",
    ),
    "another stroke": (
        {"stroke_m = 0.08": "stroke_m = 0.1"},
        {},
        "stroke_m is 0.1, but from shut to open the fingers move 0.08 m apart",
    ),
    "fingers across": (
        {'closing = "+y"': 'closing = "+z"'},
        {},
        "of which 0.0 mm along the tool's closing axis",
    ),
    "fingers side by side": ({}, {'xyz="0 -1 0"': 'xyz="0 1 0"'}, "Both fingers move the same way"),
    "a finger beyond its limits": (
        {"open = [0.04, 0.04]": "open = [0.05, 0.05]"},
        {},
        "0.05 when open, outside its limits 0 to 0.04",
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_looks_wrong_is_said_and_the_robot_can_be_used(tmp_path, case):
    toml, model, says = WARNINGS[case]
    examined = examine(put(tmp_path, toml, model))
    assert says in told(examined, "warning")
    assert told(examined, "error") == ""
    assert examined.usable()


def test_the_same_limits_everywhere_are_suspected_and_whole_turns_too(tmp_path):
    for ends, says in (
        ("[-3.1, 3.1]", "Every joint has the same limits"),
        ("[-6.283185307, 6.283185307]", "Every joint may turn by whole turns"),
    ):
        lines = "".join(f"{name} = {ends}\n" for name in _ORIGINS)
        path = put(tmp_path, {"[left]": f"[arm.limits]\n{lines}[left]"})
        assert says in told(examine(path), "warning")


def test_limits_of_the_description_take_the_place_of_placeholders_and_of_none(tmp_path):
    limits = {"[left]": "[arm.limits]\nj1 = [-2.0, 2.5]\n[left]"}
    wide = {'lower="-3" upper="2.6"': 'lower="-10" upper="10"'}
    for model in (wide, {'"j1" type="revolute"': '"j1" type="continuous"'}):
        examined = examine(put(tmp_path, limits, model))
        assert examined.findings == ()
        one = chain(examined.usable().arm("left"))
        assert (one.low[0], one.high[0]) == (-2.0, 2.5)


def test_rounded_angles_stay_as_written_unless_they_are_to_be_snapped(tmp_path):
    rounded = {"3.141592653589793 0 0": "3.1416 0 0"}
    snap = {"title": "snap_angles = true\ntitle"}
    q = np.random.default_rng(0).uniform(-0.04, 1.5, (50, 6))
    p = {}
    for name, toml, model in (
        ("exact", {}, {}),
        ("written", {}, rounded),
        ("snapped", snap, rounded),
    ):
        folder = tmp_path / name
        folder.mkdir()
        examined = examine(put(folder, toml, model))
        assert (examined.findings == ()) == (name != "written")
        p[name] = forward(chain(examined.usable().arm("left")), q)[:, :3, 3]
    assert_allclose(p["snapped"], p["exact"], atol=1e-12)
    moved = np.abs(p["written"] - p["exact"]).max()
    assert 1e-7 < moved < 1e-5


def test_an_arm_is_found_in_a_file_that_holds_the_whole_robot(tmp_path):
    """Two arms on a torso that lifts and leans: where they are is read, what moves is held."""
    arm = urdf().removeprefix('<robot name="arm">').removesuffix("</robot>")
    arms = [re.sub(r'\b(name|link|joint)="', rf'\1="{s}_', arm) for s in "lr"]
    limit = '<axis xyz="0 0 1"/><limit lower="0" upper="1" effort="1" velocity="1"/>'
    torso = '<link name="floor"/><link name="torso"/><link name="torso2"/>'
    torso += _joint("lift", "prismatic", "floor", "torso", "0.1 0 0.5", more=limit)
    torso += _joint("lean", "fixed", "torso", "torso2", "0 0 0", "0 0.5 0.3")
    torso += _joint("l_on", "fixed", "torso2", "l_stand", "0 0.2 0", "0.4 0 0")
    torso += _joint("r_on", "fixed", "torso2", "r_stand", "0 -0.2 0", "-0.4 0 0")
    (tmp_path / "whole.urdf").write_text(f'<robot name="whole">{torso}{"".join(arms)}</robot>')
    shared = TOML.split("[left]")[0].split("[arm]")[1]
    sides = []
    for side in SIDES:
        table = shared.replace("[arm.", f"[{side}.").replace("arm.urdf", "whole.urdf")
        for name in (*_ORIGINS, "f1", "f2", "l6"):
            table = table.replace(f'"{name}"', f'"{side[0]}_{name}"')
        sides.append(f"[{side}]{table}")
    toml = "\n".join(sides)
    path = tmp_path / "my_robot.toml"
    path.write_text(toml)
    assert "Joint 'lift' lies on the way to the tool" in told(examine(path), "error")
    held = toml.replace('ee = "l_l6"', 'ee = "l_l6"\nheld.lift = 0.25')
    path.write_text(held.replace('ee = "r_l6"', 'ee = "r_l6"\nheld.lift = 0.25'))
    body = examine(path).usable()
    q = np.random.default_rng(1).uniform(0, 1, (20, 6))
    for arm_ in body.arms:
        s = arm_.side[0]
        values = dict(zip(arm_.joints, q.T, strict=True)) | {"lift": np.full(20, 0.25)}
        reference = mujoco_poses(tmp_path / "whole.urdf", f"{s}_l6", values)
        assert_allclose(forward(chain(arm_, "ee"), q), reference, atol=1e-12)
    # From the torso's top, the lift is none of the arm's business.
    path.write_text('base_link = "torso2"\n' + toml)
    left = examine(path).usable().arm("left")
    # The mount is where the first joint's parent is: 0.1 m up the arm's slanted axis.
    assert_allclose(
        left.position_base_mount, [0, 0.2 - 0.1 * np.sin(0.4), 0.1 * np.cos(0.4)], atol=1e-12
    )
    assert "does not hang on base_link 'r_stand'" in told(_with(path, "torso2", "r_stand"), "error")

    rounded = (tmp_path / "whole.urdf").read_text().replace('rpy="0 0.5 0.3"', 'rpy="0 1.57 0.3"')
    (tmp_path / "whole.urdf").write_text(rounded)
    path.write_text(path.read_text().replace("r_stand", "torso"))
    assert "whole.urdf look rounded: lean 1.57 (exactly 1.5707963" in told(examine(path), "warning")


def _with(path: Path, old: str, new: str) -> Examined:
    path.write_text(path.read_text().replace(f'base_link = "{old}"', f'base_link = "{new}"'))
    return examine(path)


# ---------------------------------------------------------------------------------------- MJCF

MJCF = """
<mujoco model="arm">
  <compiler angle="degree" eulerseq="XYZ"/>
  <asset><mesh name="gone" file="not/there.stl"/></asset>
  <default>
    <default class="arm"><joint axis="0 1 0" range="-100 100" limited="true"/></default>
  </default>
  <worldbody>
    <light pos="0 0 2"/>
    <body name="base" pos="0.1 0 0" euler="0 0 30" childclass="arm">
      <geom type="mesh" mesh="gone"/>
      <body name="one" pos="0 0 0.1">
        <joint name="j1" axis="0 0 1" range="-170 170"/>
        <joint name="j2" pos="0.02 0 0.03" ref="10"/>
        <body name="two" pos="0.3 0 0" euler="0 20 0">
          <joint name="j3" pos="0 0 -0.05"/>
          <geom type="mesh" mesh="gone" name="skin"/>
          <frame pos="0.2 0.01 0" euler="5 0 0">
            <body name="three">
              <joint name="j4" axis="1 0 0"/>
              <body name="four" pos="0.1 0 0">
                <joint name="j5"/>
                <body name="five" pos="0.05 0 0">
                  <joint name="j6" axis="1 0 0"/>
                  <site name="grasp" pos="0.1 0 0.01" euler="0 0 15"/>
                </body>
              </body>
            </body>
          </frame>
        </body>
      </body>
    </body>
  </worldbody>
  <contact><exclude body1="one" body2="two"/></contact>
  <sensor><framepos objtype="geom" objname="skin"/></sensor>
  <actuator><motor joint="j1"/></actuator>
  <keyframe><key qpos="0 0 0 0 0 0"/></keyframe>
</mujoco>
"""
MJCF_TOML = """
[arm]
model = "arm.xml"
joints = ["j1", "j2", "j3", "j4", "j5", "j6"]
home = [0.0, 0.1, 0.1, 0.0, 0.1, 0.0]
tool = { link = "grasp", approach = "x", closing = [0, 2, 0] }
fingers = { stroke_m = 0.05 }
[left]
mount = { position = [0.0, 0.4, 0.2], rpy = [1.5707963267948966, 0.0, 0.7] }
[right]
mount = { link = "base", position = [0.0, -0.4, 0.0], yaw = -0.5 }
"""


def rpy_pose(rpy: tuple, p: tuple) -> np.ndarray:
    R = so3.matrix_from_rpy(np.array(rpy, dtype=float))
    return se3.pose(R, np.array(p, dtype=float))


def test_an_mjcf_with_anchors_defaults_frames_and_missing_meshes_is_read_as_mujoco_reads_it(
    tmp_path,
):
    (tmp_path / "arm.xml").write_text(MJCF)
    (tmp_path / "my_robot.toml").write_text(MJCF_TOML)
    examined = examine(tmp_path / "my_robot.toml")
    assert examined.findings == ()
    body = examined.usable()
    lines = [
        line for line in MJCF.splitlines() if not any(word in line for word in ("mesh", "<sensor"))
    ]
    model = mujoco.MjModel.from_xml_string(
        "\n".join(lines)
        .replace('name="five" pos', 'name="five" gravcomp="0" pos')
        .replace('angle="degree"', 'angle="degree" boundmass="1" boundinertia="1"')
    )
    data = mujoco.MjData(model)
    T_base_world = {
        "left": rpy_pose((np.pi / 2, 0, 0.7), (0, 0.4, 0.2)),
        "right": rpy_pose((0, 0, -0.5), (0, -0.4, 0))
        @ se3.inverse(rpy_pose((0, 0, np.pi / 6), (0.1, 0, 0))),
    }
    site_axes = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # z along x, y along y
    for q in np.random.default_rng(0).uniform(-1.5, 1.5, (20, 6)):
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        site = data.site("grasp")
        T_world = se3.pose(site.xmat.reshape(3, 3) @ site_axes, site.xpos)
        for arm in body.arms:
            assert_allclose(forward(chain(arm), q), T_base_world[arm.side] @ T_world, atol=1e-12)
    assert_allclose(chain(body.arm("left")).high[:2], np.radians([170, 100]))


def test_an_mjcf_that_mujoco_cannot_read_is_said_to_be_so(tmp_path):
    (tmp_path / "arm.xml").write_text(MJCF.replace('name="j2"', 'name="j1"'))
    with pytest.raises(InvalidModel, match=r"MuJoCo does not read arm\.xml"):
        read_model(tmp_path / "arm.xml")


# -------------------------------------------------------------------------------------- by name


def test_a_robot_has_the_name_of_its_file_wherever_its_folder_is_known(tmp_path, monkeypatch):
    path = put(tmp_path)
    assert not is_known("my_robot")
    with pytest.raises(UnknownEmbodiment, match="no robot 'my_robot'; there are .* MIVLA_ROBOTS"):
        embodiment("my_robot")
    body = embodiment(str(path))
    assert embodiment("my_robot") is body
    assert is_known("my_robot")
    assert own_names() == ("my_robot",)
    assert chain(embodiment("my_robot").arms[0]) is chain(body.arms[0])
    # Processes that are started find it, too.
    code = "from mivla.embodiments import embodiment; print(embodiment('my_robot').title)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "two arms\n"
    assert pickle.loads(pickle.dumps(body)) == body
    monkeypatch.setenv("MIVLA_ROBOTS", os.pathsep.join(["/nowhere", str(tmp_path)]))
    assert embodiment("my_robot") is body


def test_a_changed_file_is_read_again(tmp_path):
    path = put(tmp_path)
    before = embodiment(str(path))
    put(tmp_path, {"two arms": "two other arms"})
    assert embodiment(str(path)).title == "two other arms"
    put(tmp_path, {"two arms": "two other arms"}, {"0.02 0 0.04": "0.03 0 0.04"})
    assert embodiment(str(path)).arms[0].xml != before.arms[0].xml


@pytest.mark.parametrize(
    ("name", "says"),
    [("my-robot", "cannot be a name"), ("x5", "is a robot that is shipped")],
)
def test_a_name_that_cannot_be_is_refused(tmp_path, name, says):
    put(tmp_path)
    path = (tmp_path / "my_robot.toml").rename(tmp_path / f"{name}.toml")
    assert says in told(examine(path), "error")


def test_a_data_set_cannot_name_a_path(tmp_path):
    put(tmp_path)
    assert not is_known(str(tmp_path / "my_robot.toml"))
    assert not is_known("../my_robot")


def test_a_description_that_is_not_there_is_an_unknown_robot(tmp_path):
    with pytest.raises(UnknownEmbodiment, match="MIVLA_ROBOTS"):
        embodiment(str(tmp_path / "gone.toml"))


# ------------------------------------------------------------------------------ used as a robot


def test_a_persons_hands_are_mapped_to_it(tmp_path):
    steps = 6
    points = {
        side: se3.transform(
            wrist_from_grip(home_grip(side), side), hand_template(np.full(steps, 0.06), side)
        )
        + np.linspace(0, 0.02, steps)[:, None, None] * [1.0, 0, 0]
        for side in SIDES
    }
    hands = hand_part(points["left"], points["right"])
    action = np.concatenate([hands[1:], np.full_like(hands[:1], np.nan)])
    episode = Episode("human", "reach", np.arange(steps) / 30, {"hand": hands}, {"hand": action})
    body = embodiment(str(put(tmp_path)))
    labels = retarget.retarget(episode, to=body, rules=retarget.preset("default"))
    assert (labels.reason[:-1] == retarget.Reason.VALID).all()
    joints = labels.state["joints"]
    for arm in body.arms:
        q = joints[:, JOINTS[f"joints/{arm.side}"]][:, : arm.dof]
        p = forward(chain(arm), q.astype(np.float64))[:, :3, 3]
        assert_allclose(p[0], forward(chain(arm), np.array(arm.home))[:3, 3], atol=1e-3)
        assert_allclose(p[-1] - p[0], [0.02, 0, 0], atol=2e-3)


# ------------------------------------------------------------------------------- makers' files


def described(
    folder: Path, file: str, arms: dict[str, tuple[str, str, str]], more: str = ""
) -> Path:
    """A description of arms in a maker's file: side -> (joints, tool link, whose limits)."""
    tree = read_model(SHARED / file)
    lines = [more]
    for side, (joints, ee, limits) in arms.items():
        names = joints.split()
        ranges = {name: (tree.joint[name].low, tree.joint[name].high) for name in names}
        if limits == "own":
            ranges = {name: (-3.0, 3.0) for name in names}
        home = [float(np.clip(0.0, a + 0.1, b - 0.1)) for a, b in np.array([*ranges.values()])]
        lines += [
            f"[{side}]",
            f"model = {str(SHARED / file)!r}",
            f"joints = {names!r}",
            f"home = {home!r}",
            f"ee = {ee!r}",
            "fingers = { stroke_m = 0.08 }",
            f"tool = {{ link = {ee!r}, approach = '+z', closing = '+y' }}",
        ]
        if limits == "own":
            lines += [f"[{side}.limits]", *(f"{name} = [-3.0, 3.0]" for name in names)]
    path = folder / "my_robot.toml"
    path.write_text("\n".join(lines))
    return path


def twice(joints: str, ee: str, limits: str = "") -> dict[str, tuple[str, str, str]]:
    return {side: (joints, ee, limits) for side in SIDES}


_X5_JOINTS = "joint1 joint2 joint3 joint4 joint5 joint6"
_UR_JOINTS = (
    "shoulder_pan_joint shoulder_lift_joint elbow_joint wrist_1_joint wrist_2_joint wrist_3_joint"
)
_VX_JOINTS = "waist shoulder elbow forearm_roll wrist_angle wrist_rotate"
_LEG = "hip_joint thigh_joint calf_joint joint_1 joint_2 joint_3"
MAKERS = {
    "arx_x5/x5.urdf": twice(_X5_JOINTS, "link6", "own"),
    "piper/piper.urdf": twice(_X5_JOINTS, "link6"),
    "franka_panda/panda.urdf": twice(
        " ".join(f"panda_joint{i}" for i in range(1, 8)), "panda_hand"
    ),
    "aloha_vx300s/vx300s.urdf": twice(_VX_JOINTS, "vx300s/gripper_link"),
    "ur5e_2f85/ur5e.urdf": twice(_UR_JOINTS, "tool0"),
    "locoman/locoman.urdf": {
        side: (" ".join(f"{leg}_{name}" for name in _LEG.split()), f"{leg}_eef", "")
        for side, leg in zip(SIDES, ("2_FL", "1_FR"), strict=True)
    },
    "aloha_agilex/aloha_agilex.urdf": {
        side: (" ".join(f"{s}_joint{i}" for i in range(1, 7)), f"{s}_link6", "own")
        for side, s in zip(SIDES, ("fl", "fr"), strict=True)
    },
}
needs_models = pytest.mark.skipif(not SHARED.is_dir(), reason="the makers' models are not here")


def mujoco_poses(file: Path, link: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """Poses of a link in the root, as MuJoCo reads the same URDF without its shapes."""
    root = ElementTree.parse(file).getroot()
    for element in root.findall("link"):
        for shape in [*element.findall("visual"), *element.findall("collision")]:
            element.remove(shape)
    for element in root.findall("mujoco"):
        root.remove(element)
    options = {"fusestatic": "false", "boundmass": "1", "boundinertia": "1"}
    ElementTree.SubElement(ElementTree.SubElement(root, "mujoco"), "compiler", options)
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
    data = mujoco.MjData(model)
    poses = []
    for i in range(len(next(iter(values.values())))):
        for name, value in values.items():
            data.joint(name).qpos = value[i]
        mujoco.mj_kinematics(model, data)
        body = data.body(link)
        poses.append(se3.pose(body.xmat.reshape(3, 3), body.xpos))
    return np.array(poses)


def drawn(arm: Arm, count: int = 50) -> np.ndarray:
    one = chain(arm, "ee")
    return np.random.default_rng(3).uniform(one.low, one.high, (count, arm.dof))


@needs_models
@pytest.mark.parametrize("file", MAKERS)
def test_a_makers_urdf_has_the_kinematics_that_mujoco_reads_in_it(tmp_path, file):
    body = examine(described(tmp_path, file, MAKERS[file])).usable()
    for arm in body.arms:
        q = drawn(arm)
        ee = MAKERS[file][arm.side][1]
        reference = mujoco_poses(SHARED / file, ee, dict(zip(arm.joints, q.T, strict=True)))
        assert_allclose(forward(chain(arm, "ee"), q), reference, rtol=0, atol=1e-9)


@needs_models
@pytest.mark.parametrize("file", MAKERS)
def test_a_makers_urdf_has_the_kinematics_that_pinocchio_reads_in_it(tmp_path, file):
    pin = pytest.importorskip("pinocchio", reason="pinocchio (the wheel pin) is not installed")
    body = examine(described(tmp_path, file, MAKERS[file])).usable()
    model = pin.buildModelFromUrdf(str(SHARED / file))
    data = model.createData()
    for arm in body.arms:
        q = drawn(arm, 20)
        frame = model.getFrameId(MAKERS[file][arm.side][1])
        for i, T in enumerate(forward(chain(arm, "ee"), q)):
            whole = pin.neutral(model)
            for name, value in zip(arm.joints, q[i], strict=True):
                whole[model.joints[model.getJointId(name)].idx_q] = value
            pin.framesForwardKinematics(model, data, whole)
            assert_allclose(T, data.oMf[frame].homogeneous, rtol=0, atol=1e-9)


SHIPPED = {
    "arx_x5/x5.urdf": ("x5", 1e-9),
    "piper/piper.urdf": ("piper", 1e-6),  # angles with seven digits
    "franka_panda/panda.urdf": ("panda", 1e-9),
    "aloha_vx300s/vx300s.urdf": ("aloha1", 1e-9),
    "ur5e_2f85/ur5e.urdf": ("ur5e", 1e-8),  # angles with nine digits
    "locoman/locoman.urdf": ("locoman", 1e-9),
    "aloha_agilex/aloha_agilex.urdf": ("aloha_agilex", 1e-9),
}


@needs_models
@pytest.mark.parametrize("file", SHIPPED)
def test_a_makers_urdf_is_the_arm_that_is_shipped(tmp_path, file):
    name, within = SHIPPED[file]
    if name not in EMBODIMENTS:
        pytest.skip(f"{name} is not shipped yet")
    body = examine(described(tmp_path, file, MAKERS[file], "snap_angles = true")).usable()
    for arm in body.arms:
        shipped = chain(EMBODIMENTS[name].arm(arm.side), "ee")
        one = chain(arm, "ee")
        q = np.random.default_rng(3).uniform(shipped.low, shipped.high, (50, arm.dof))
        p = [forward(c, q)[:, :3, 3] for c in (one, shipped)]
        # Each from its first joint: where the arms stand is another matter.
        p = [
            se3.transform(se3.inverse(c.T_base_mount @ c.T_fixed[0]), points)
            for c, points in zip((one, shipped), p, strict=True)
        ]
        assert_allclose(p[0], p[1], rtol=0, atol=within)


@needs_models
def test_placeholders_and_cut_off_angles_of_a_makers_urdf_are_found(tmp_path):
    path = described(tmp_path, "arx_x5/x5.urdf", twice(_X5_JOINTS, "link6"))
    examined = examine(path)
    assert "placeholders, more than three turns: joint1 -10 to 10" in told(examined, "error")
    warned = told(examined, "warning")
    assert (
        "both arms: Angles of x5.urdf look rounded: joint3 -3.1416 (exactly -3.14159265" in warned
    )
    assert "joint6 -3.1416" in warned
    assert "by 0.0025 mm at most" in warned


# ------------------------------------------------------------------------------------ templates


def test_a_description_is_begun_from_a_model_and_the_guess_is_right(tmp_path):
    put(tmp_path)
    (tmp_path / "my_robot.toml").write_text(template(read_model(tmp_path / "arm.urdf")))
    examined = examine(tmp_path / "my_robot.toml")
    assert examined.findings == ()
    left = examined.usable().arm("left")
    assert left.gripper == Gripper(("f1", "f2"), (0.0, 0.0), (0.04, 0.04), 0.08)
    assert forward(chain(left), np.array(left.home))[2, 2] < -0.99


def test_a_model_without_an_arm_has_no_description(tmp_path):
    put(tmp_path, model={'"j1" type="revolute"': '"j1" type="fixed"'})
    with pytest.raises(InvalidModel, match="hangs on 6 hinges or more"):
        template(read_model(tmp_path / "arm.urdf"))


@needs_models
@pytest.mark.parametrize(
    "file", [name for name in MAKERS if "x5" not in name and "agilex" not in name]
)
def test_what_is_begun_from_a_makers_urdf_can_be_used_as_it_is(tmp_path, file):
    tree = read_model(SHARED / file)
    text = template(tree).replace(f'model = "{tree.file}"', f"model = {str(SHARED / file)!r}")
    (tmp_path / "my_robot.toml").write_text(text)
    assert told(examine(tmp_path / "my_robot.toml"), "error") == ""


def test_the_description_that_is_shown_has_nothing_wrong_with_it(tmp_path):
    page = Path(__file__).resolve().parents[2] / "docs" / "add-a-robot.md"
    shown = page.read_text().split("```toml\n")[1].split("```")[0]
    (tmp_path / "my_robot.toml").write_text(shown)
    names = {"j": "joint", "l": "link", "f": "finger"}
    model = re.sub(r'"([jlf])(\d)', lambda found: f'"{names[found[1]]}{found[2]}', urdf())
    (tmp_path / "my_arm.urdf").write_text(model)
    examined = examine(tmp_path / "my_robot.toml")
    assert examined.findings == ()
    body = examined.usable()
    assert chain(body.arm("left")).low[0] == -3.1
    T_tcp = forward(chain(body.arm("left")), np.zeros(6))
    T_ee = forward(chain(body.arm("left"), "ee"), np.zeros(6))
    assert_allclose(body.frame("model").to_tool(T_ee, body.arm("left")), T_tcp, atol=1e-12)
