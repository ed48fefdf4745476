"""The shipped models against the makers' own descriptions, and their frames, grippers and homes."""

# MuJoCo's bindings come without types.
# pyright: reportAttributeAccessIssue=false

import json
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import h5py
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mivla.embodiments import (
    ALOHA1,
    ALOHA2,
    ALOHA_AGILEX,
    EMBODIMENTS,
    LOCOMAN,
    PANDA,
    PIPER,
    PIPER_OLD_ZERO,
    UR5E,
    X5,
    X5A,
    Arm,
    Embodiment,
    FrameConvention,
    UnknownFrame,
)
from mivla.embodiments.layout import SIDES, Side
from mivla.embodiments.robots import ROBOTS
from mivla.geometry import se3, so3

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
LEFT = [body.arm("left") for body in ROBOTS]
BOTH = [(body, arm) for body in ROBOTS for arm in body.arms]
LEG: dict[Side, str] = {"left": "2_FL", "right": "1_FR"}


def names(item: object) -> str:
    if isinstance(item, Embodiment):
        return item.name
    if isinstance(item, Arm):
        return f"{item.model.removesuffix('.xml')}-{item.side}"
    return str(item)


def the_file(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"the reference {SHARED / path} is not here")
    return SHARED / path


def model_of(arm: Arm) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(arm.xml)


def set_joints(arm: Arm, model: mujoco.MjModel, data: mujoco.MjData, q, fingers=()) -> None:
    for name, value in zip(arm.joints, q, strict=True):
        data.qpos[model.joint(name).qposadr[0]] = value
    for name, value in zip(arm.gripper.joints, fingers, strict=False):
        data.qpos[model.joint(name).qposadr[0]] = value
    mujoco.mj_kinematics(model, data)


def ranges(arm: Arm, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([model.joint(name).range for name in arm.joints]).T
    return low, high


def random_joints(arm: Arm, count: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(*ranges(arm, model_of(arm)), (count, arm.dof))


def pose_of(thing) -> np.ndarray:
    return se3.pose(thing.xmat.reshape(3, 3), thing.xpos)


def in_mount(arm: Arm, q: np.ndarray, site: str) -> np.ndarray:
    """Poses of a site in the mount, by MuJoCo."""
    model = model_of(arm)
    data = mujoco.MjData(model)
    out = []
    for values in q:
        set_joints(arm, model, data, values)
        out.append(pose_of(data.site(site)))
    return np.array(out)


def T_base_mount(arm: Arm) -> np.ndarray:  # noqa: N802
    R = so3.matrix_from_rotvec(np.array([0.0, 0.0, arm.yaw_base_mount]))
    return se3.pose(R, np.array(arm.position_base_mount))


# ---- An independent forward kinematics of descriptions as text, without MuJoCo ----


def rotated(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula, as in a textbook."""
    x, y, z = axis / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    T = np.eye(4)
    T[:3, :3] += np.sin(angle) * K + (1 - np.cos(angle)) * K @ K
    return T


def moved(x: float, y: float, z: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


X, Y, Z = np.eye(3)


def from_rpy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    return rotated(Z, yaw) @ rotated(Y, pitch) @ rotated(X, roll)


def from_quaternion(w: float, x: float, y: float, z: float) -> np.ndarray:
    sine = np.linalg.norm([x, y, z])
    axis = np.array([x, y, z]) if sine else X
    return rotated(axis, 2 * np.arctan2(sine, w))


@cache
def urdf_joints(path: str) -> dict[str, ET.Element]:
    """Joint elements by the link that they carry."""
    root = ET.fromstring(the_file(path).read_text())
    joints = [joint for joint in root.iter("joint") if joint.find("child") is not None]
    return {str(child(joint, "child").get("link")): joint for joint in joints}


def child(element: ET.Element, tag: str) -> ET.Element:
    found = element.find(tag)
    assert found is not None
    return found


def numbers(text: str | None) -> list[float]:
    return [float(word) for word in (text or "0 0 0").split()]


def urdf_pose(path: str, link: str, start: str, q: dict[str, float], *, snap: bool) -> np.ndarray:
    """Pose of `link` in the link `start`; angles typed as 3.1416 are half turns where we `snap`."""
    T = np.eye(4)
    while link != start:
        joint = urdf_joints(path)[link]
        origin = child(joint, "origin")
        rpy = np.array(numbers(origin.get("rpy")))
        if snap:
            turns = np.round(rpy / (np.pi / 2)) * np.pi / 2
            rpy = np.where(np.abs(rpy - turns) < 1e-4, turns, rpy)
        here = moved(*numbers(origin.get("xyz"))) @ from_rpy(*rpy)
        if str(joint.get("name")) in q:
            axis = np.array(numbers(child(joint, "axis").get("xyz")))
            here = here @ rotated(axis, q[str(joint.get("name"))])
        T = here @ T
        link = str(child(joint, "parent").get("link"))
    return T


@cache
def description(path: str) -> dict:
    return json.loads(the_file(path).read_text())


def json_pose(path: str, site: str, start: str, q: dict[str, float]) -> np.ndarray:
    """Pose of a site in the body `start`."""
    found = description(path)
    bodies = {body["name"]: body for body in found["bodies"]}
    joints = {joint["body"]: joint for joint in found["joints"]}
    (at,) = (one for one in found["sites"] if one["name"] == site)
    T = moved(*at["pos"]) @ from_quaternion(*at["quat"])
    body = at["body"]
    while body != start:
        if body in joints and joints[body]["name"] in q:
            T = rotated(np.array(joints[body]["axis"], float), q[joints[body]["name"]]) @ T
        T = moved(*bodies[body]["pos"]) @ from_quaternion(*bodies[body]["quat"]) @ T
        body = bodies[body]["parent"]
    return T


# File, base body, and how theirs are named from side and our joint or site.
JSON = {
    X5: ("arx_x5/dual_x5", "{side}/base_link", "{side}/{name}"),
    X5A: ("arx_x5/dual_x5a", "{side}/base_link", "{side}/{name}"),
    PIPER: ("piper/dual_piper", "{side}/base_link", "{side}/{name}"),
    ALOHA_AGILEX: ("aloha_agilex/aloha_agilex", "{side}/base_link", "{side}/{name}"),
    ALOHA1: ("aloha_vx300s/aloha_vx300s", "{side}/base_link", "{side}/{name}"),
    ALOHA2: ("aloha_vx300s/aloha2", "{side}/base_link", "{side}/{name}"),
    LOCOMAN: ("locoman/locoman", "trunk", "{leg}_{name}"),
    PANDA: ("franka_panda/panda", "link0", "{name}"),
    UR5E: ("ur5e_2f85/ur5e_2f85", "base_link", "{name}"),
}


def theirs(body: Embodiment, side: Side, name: str) -> str:
    """Their name of one of our joints or sites."""
    if body is UR5E and name in body.arm(side).joints:
        name += "_joint"
    if body is LOCOMAN and name in ("hip", "thigh", "calf", "joint_1", "joint_2", "joint_3"):
        name = f"{name}_joint" if "joint" not in name else name
    return JSON[body][2].format(side=side, leg=LEG[side], name=name)


# Sites turn about the approach where our x points back and theirs elsewhere; each is said in the
# model. Everywhere else axes are the same.
TURNED = {(PANDA, "ee"): np.pi, (PANDA, "tip"): np.pi, (PANDA, "tcp"): np.pi}
TURNED |= {(UR5E, "ee"): -np.pi / 2, (UR5E, "tcp"): np.pi}


@pytest.mark.parametrize(
    ("body", "arm", "site"),
    [
        (body, arm, site)
        for body, arm in BOTH
        for site in ("ee", "tip", "tcp")
        # The reference gripper of a UR5e has no tip: its pads move along as they open.
        if body in JSON and (body, site) != (UR5E, "tip")
    ],
    ids=names,
)
def test_sites_agree_with_an_independent_description(body, arm, site):
    file, start, _ = JSON[body]
    path = f"robots/{file}.kinematics.json"
    q = random_joints(arm, 5)
    ours = in_mount(arm, q, site)
    if body is LOCOMAN:  # Their tree starts at the trunk, which is the robot base.
        ours = T_base_mount(arm) @ ours
    for values, T in zip(q, ours, strict=True):
        named = {
            theirs(body, arm.side, n): float(v) for n, v in zip(arm.joints, values, strict=True)
        }
        expected = json_pose(path, theirs(body, arm.side, site), start.format(side=arm.side), named)
        turn = rotated(Z, TURNED.get((body, site), 0.0))
        # Their quaternions are printed with nine digits, PiPer's angles with seven.
        assert_allclose(T @ turn, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("body", "arm"), [(b, a) for b, a in BOTH if b in JSON], ids=names)
def test_limits_are_those_of_the_reference(body, arm):
    found = {j["name"]: j for j in description(f"robots/{JSON[body][0]}.kinematics.json")["joints"]}
    low, high = ranges(arm, model_of(arm))
    expected = np.array([found[theirs(body, arm.side, name)]["range"] for name in arm.joints])
    assert_allclose(np.stack([low, high], axis=-1), expected, atol=1e-8)


# Of each robot: our convention, and file, first link, link and joints of the maker's (or the
# published data sets') own description.
ARX = [f"joint{i}" for i in range(1, 7)]
VX300S = "aloha_vx300s/vx300s.urdf"
VIPER = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
FRANKA = [f"panda_joint{i}" for i in range(1, 8)]
URDF = [
    (X5, "egoverse", "arx_x5/x5.urdf", "base_link", "link6", ARX),
    (X5, "arx5_sdk", "arx_x5/x5.urdf", "base_link", "eef_link", ARX),
    (X5A, "robotwin_ee", "arx_x5/x5a.urdf", "base_link", "link6", ARX),
    (PIPER, "piper_sdk", "piper/piper.urdf", "base_link", "link6", ARX),
    (PIPER_OLD_ZERO, "piper_sdk", "piper/piper_robotwin.urdf", "base_link", "link6", ARX),
    (
        ALOHA_AGILEX,
        "robotwin_ee",
        "aloha_agilex/aloha_agilex.urdf",
        "fl_base_link",
        "fl_link6",
        [f"fl_joint{i}" for i in range(1, 7)],
    ),
    *(
        (body, f"interbotix_{link}", VX300S, "vx300s/base_link", f"vx300s/{link}", VIPER)
        for body in (ALOHA1, ALOHA2)
        for link in ("gripper_link", "ee_gripper_link")
    ),
    (PANDA, "franka_hand", "franka_panda/panda.urdf", "panda_link0", "panda_hand", FRANKA),
    (PANDA, "franka_hand_tcp", "franka_panda/panda.urdf", "panda_link0", "panda_hand_tcp", FRANKA),
    (
        UR5E,
        "ur_tool0",
        "ur5e_2f85/ur5e.urdf",
        "base_link",
        "tool0",
        [f"{name}_joint" for name in UR5E.arms[0].joints],
    ),
]


@pytest.mark.parametrize("snap", [True, False])
@pytest.mark.parametrize(
    ("body", "name", "file", "start", "link", "joints"),
    URDF,
    ids=[f"{row[0].name}-{row[1]}" for row in URDF],
)
def test_frames_are_the_links_of_the_makers_description(
    body, name, file, start, link, joints, snap
):
    path = f"robots/{file}"
    arm = body.arm("left")
    q = random_joints(arm, 8)
    ours = in_mount(arm, q, arm.ee) @ body.frame(name).pose_in_ee
    expected = np.array(
        [
            urdf_pose(path, link, start, dict(zip(joints, map(float, row), strict=True)), snap=snap)
            for row in q
        ]
    )
    # With half turns typed as 3.1416 an arm is turned by 7e-6 rad: 2.5 micrometres at link 6.
    assert_allclose(ours[:, :3, 3], expected[:, :3, 3], rtol=0, atol=1e-6 if snap else 5e-6)
    assert_allclose(ours[:, :3, :3], expected[:, :3, :3], rtol=0, atol=1e-6 if snap else 5e-5)


@pytest.mark.parametrize("arm", LOCOMAN.arms, ids=names)
def test_locomans_frames_are_the_links_of_its_description(arm):
    leg = LEG[arm.side]
    joints = [theirs(LOCOMAN, arm.side, name) for name in arm.joints]
    q = random_joints(arm, 8)
    ours = T_base_mount(arm) @ in_mount(arm, q, arm.ee) @ LOCOMAN.frame("locoman_eef").pose_in_ee
    path = "robots/locoman/locoman.urdf"
    for values, T in zip(q, ours, strict=True):
        named = dict(zip(joints, map(float, values), strict=True))
        expected = urdf_pose(path, f"{leg}_eef", "trunk", named, snap=False)
        assert_allclose(T, expected, rtol=0, atol=1e-6)


def test_the_old_zero_has_its_tip_where_the_fingers_of_that_description_end():
    arm = PIPER_OLD_ZERO.arms[0]
    q = random_joints(arm, 3)
    for values, T in zip(q, in_mount(arm, q, "tip"), strict=True):
        named = dict(zip(ARX, map(float, values), strict=True))
        finger = urdf_pose(
            "robots/piper/piper_robotwin.urdf", "link7", "base_link", named, snap=True
        )
        assert_allclose(T[:3, 3], finger[:3, 3], atol=1e-6)


# ---- Denavit–Hartenberg tables, published apart from any description ----


def dh_modified(a, alpha, d, theta) -> np.ndarray:
    """Craig's: T = Rot(x, α) Trans(x, a) Rot(z, θ) Trans(z, d), row by row."""
    T = np.eye(4)
    for row in zip(a, alpha, d, theta, strict=True):
        T = T @ rotated(X, row[1]) @ moved(row[0], 0, 0) @ rotated(Z, row[3]) @ moved(0, 0, row[2])
    return T


def dh_standard(a, alpha, d, theta) -> np.ndarray:
    """The original: T = Rot(z, θ) Trans(z, d) Trans(x, a) Rot(x, α), row by row."""
    T = np.eye(4)
    for row in zip(a, alpha, d, theta, strict=True):
        T = T @ rotated(Z, row[3]) @ moved(row[0], 0, row[2]) @ rotated(X, row[1])
    return T


QUARTER = np.pi / 2


def panda_by_dh(q: np.ndarray) -> np.ndarray:
    T = dh_modified(
        (0, 0, 0, 0.0825, -0.0825, 0, 0.088),
        (0, -QUARTER, QUARTER, QUARTER, -QUARTER, QUARTER, QUARTER),
        (0.333, 0, 0.316, 0, 0.384, 0, 0),
        q,
    )
    return T @ moved(0, 0, 0.107) @ rotated(Z, -np.pi / 4)


def ur5e_by_dh(q: np.ndarray) -> np.ndarray:
    T = dh_standard(
        (0, -0.425, -0.3922, 0, 0, 0),
        (QUARTER, 0, 0, QUARTER, -QUARTER, 0),
        (0.1625, 0, 0, 0.1333, 0.0997, 0.0996),
        q,
    )
    return rotated(Z, np.pi) @ T  # The controller's base is turned against base_link.


def piper_by_dh(q: np.ndarray, shift_deg: float) -> np.ndarray:
    offset = np.deg2rad([0, -172.22 - shift_deg, -102.78 + shift_deg, 0, 0, 0])
    alpha = np.deg2rad([0, -90, 0, 90, -90, 90])
    return dh_modified(
        (0, 0, 0.28503, -0.02198, 0, 0), alpha, (0.123, 0, 0, 0.25075, 0, 0.091), q + offset
    )


@pytest.mark.parametrize(
    ("body", "frame", "table", "within_m"),
    [
        (PANDA, "franka_hand", panda_by_dh, 1e-9),
        (UR5E, "ur_tool0", ur5e_by_dh, 1e-9),
        # The maker's description has link 6 at 0.088 mm from where its DH table has it; the
        # earlier one at 1.44 mm.
        (PIPER, "piper_sdk", lambda q: piper_by_dh(q, 0), 0.09e-3),
        (PIPER_OLD_ZERO, "piper_sdk", lambda q: piper_by_dh(q, 2), 1.45e-3),
    ],
    ids=["panda", "ur5e", "piper", "piper_old_zero"],
)
def test_models_agree_with_published_dh_tables(body, frame, table, within_m):
    arm = body.arm("left")
    q = random_joints(arm, 25)
    ours = in_mount(arm, q, arm.ee) @ body.frame(frame).pose_in_ee
    expected = np.array([table(values) for values in q])
    apart = np.linalg.norm(ours[:, :3, 3] - expected[:, :3, 3], axis=-1)
    assert apart.max() < within_m
    if within_m < 1e-6:
        assert_allclose(ours, expected, atol=1e-9)


def test_the_zeros_of_a_piper_differ_by_two_degrees_in_joints_two_and_three():
    shift = np.deg2rad([0, 2, -2, 0, 0, 0])
    q = random_joints(PIPER.arms[0], 50)
    new = in_mount(PIPER.arms[0], q, "ee")[:, :3, 3]
    same, shifted = (
        in_mount(PIPER_OLD_ZERO.arms[0], values, "ee")[:, :3, 3] for values in (q, q + shift)
    )
    assert np.linalg.norm(same - new, axis=-1).max() > 10e-3
    assert np.linalg.norm(shifted - new, axis=-1).max() < 1.6e-3


# ---- Conventions of data sets ----


def test_what_robotwin_records_is_its_convention():
    path = the_file("robotwin/native_v1.0_stack_blocks_two_episode_0000000.hdf5")
    T_world_base = moved(0, -0.65, 0) @ rotated(Z, np.pi / 2)
    with h5py.File(path) as file:
        for arm in ALOHA_AGILEX.arms:
            q = np.asarray(file[f"state/{arm.side}_arm_joint_states"], float)[::20]
            recorded = np.asarray(file[f"state/{arm.side}_ee_poses"], float)[::20]
            T = T_world_base @ T_base_mount(arm) @ in_mount(arm, q, arm.ee)
            T = T @ ALOHA_AGILEX.frame("robotwin_ee").pose_in_ee
            found = se3.from_position_quaternion(recorded)
            # Joints are the targets of drives, which the arm lags.
            assert np.linalg.norm(T[:, :3, 3] - found[:, :3, 3], axis=-1).max() < 0.012
            assert np.median(so3.angle_between(T[:, :3, :3], found[:, :3, :3])) < 0.005


@pytest.mark.parametrize(
    ("body", "frame"),
    [(body, frame) for body in ROBOTS for frame in body.frames],
    ids=lambda item: names(item) if isinstance(item, Embodiment) else item.name,
)
def test_a_convention_leads_to_the_tool_and_back(body, frame):
    arm = body.arm("left")
    q = random_joints(arm, 5)
    T_ee, T_tcp = in_mount(arm, q, arm.ee), in_mount(arm, q, arm.tcp)
    T_frame = T_ee @ frame.pose_in_ee
    assert_allclose(frame.to_tool(T_frame, arm), T_tcp, atol=1e-12)
    assert_allclose(frame.from_tool(T_tcp, arm), T_frame, atol=1e-12)
    assert body.frame(frame.name) is frame
    assert frame.name.isidentifier()


@pytest.mark.parametrize(
    ("body", "name", "p_frame_tcp"),
    [
        (X5, "egoverse", (0.134574, 0, 0)),
        (X5, "arx5_sdk", (0.134574 - 0.145, 0, 0)),
        (X5A, "robotwin_tcp", (0.02757, 0, 0)),
        (ALOHA_AGILEX, "robotwin_ee", (0.14557, 0, 0)),
        (PIPER, "piper_sdk", (0, 0, 0.1258)),
        (PIPER_OLD_ZERO, "robotwin_ee", (0.12503, 0, 0)),
        (ALOHA1, "interbotix_ee_gripper_link", (0.0365, 0, 0)),
        (ALOHA2, "interbotix_gripper_link", (0.1361, 0, -0.0034)),
        (LOCOMAN, "locoman_eef", (0, 0, -0.0155)),
        (PANDA, "franka_hand", (0, 0, 0.1034)),
        (PANDA, "franka_hand_tcp", (0, 0, 0)),
        (UR5E, "ur_tool0", (0, 0, 0.1558)),
    ],
    ids=names,
)
def test_the_tool_is_where_a_ruler_finds_it_in_their_frame(body, name, p_frame_tcp):
    T_frame_tcp = body.frame(name).to_tool(np.eye(4), body.arm("right"))
    assert_allclose(T_frame_tcp[:3, 3], p_frame_tcp, atol=1e-9)


def test_a_frame_that_a_robot_lacks_is_named_with_those_it_has():
    with pytest.raises(
        UnknownFrame, match=r"x5 has no frame 'tool0'; there are egoverse, arx5_sdk"
    ):
        X5.frame("tool0")
    with pytest.raises(UnknownFrame, match="human has no frame 'wrist'; there are none"):
        EMBODIMENTS["human"].frame("wrist")


def test_a_frame_is_a_pose_in_the_ee_site():
    frame = FrameConvention("odd", (0.1, 0.2, 0.3), (0.0, 0.0, 0.0, 2.0))
    assert_allclose(frame.pose_in_ee, moved(0.1, 0.2, 0.3) @ rotated(Z, np.pi), atol=1e-12)


# ---- What every model promises ----


@pytest.mark.parametrize(("body", "arm"), BOTH, ids=names)
def test_names_and_parts_are_those_that_every_room_counts_on(body, arm):
    complaints = []
    mujoco.set_mju_user_warning(complaints.append)
    try:
        model = model_of(arm)
    finally:
        mujoco.set_mju_user_warning(None)
    assert complaints == []
    hinges = [model.joint(i) for i in range(model.njnt) if model.joint(i).name in arm.joints]
    assert tuple(joint.name for joint in hinges) == arm.joints
    assert arm.dof in (6, 7)
    assert model.njnt == arm.dof + len(arm.gripper.joints)
    assert all(joint.type == mujoco.mjtJoint.mjJNT_HINGE for joint in hinges)
    assert model.jnt_limited.all()
    actuators = [model.actuator(i).name for i in range(model.nu)]
    assert actuators == [*arm.joints, *arm.gripper.joints]
    assert [model.site(i).name for i in range(model.nsite)] == ["ee", "tip", "tcp"]
    assert (arm.ee, arm.tcp) == ("ee", "tcp")
    assert model.body(1).name == "mount"
    assert (model.body_gravcomp[1:] == 1).all()
    assert model.camera("wrist").bodyid == model.site("tcp").bodyid
    assert model.nmesh == 0
    everything = [model.body(i).name for i in range(model.nbody)] + actuators
    assert not any(side in name for name in everything for side in (*SIDES, "/"))
    assert_allclose(model.actuator_ctrlrange[: arm.dof], model.jnt_range[: arm.dof])


def test_robots_are_listed_by_name_with_the_left_arm_first():
    assert set(EMBODIMENTS) == {"human", *(body.name for body in ROBOTS)}
    for body in ROBOTS:
        assert EMBODIMENTS[body.name] is body
        assert body.name.isidentifier()
        assert tuple(arm.side for arm in body.arms) == SIDES
        left, right = body.arms
        assert left.position_base_mount[1] > right.position_base_mount[1]


def test_an_arm_that_is_not_shipped_carries_its_own_model():
    xml = "<mujoco/>"
    arm = Arm(
        side="left",
        model="mine",
        joints=(),
        position_base_mount=(0.0, 0.0, 0.0),
        yaw_base_mount=0.0,
        home=(),
        gripper=X5.arms[0].gripper,
        text=xml,
    )
    assert arm.xml == xml


@pytest.mark.parametrize("arm", LEFT, ids=names)
def test_tcp_points_along_the_fingers_and_closes_along_y(arm):
    model = model_of(arm)
    data = mujoco.MjData(model)
    set_joints(arm, model, data, arm.home, arm.gripper.shut)
    tcp, tip, ee = (data.site(site) for site in ("tcp", "tip", "ee"))
    R = tcp.xmat.reshape(3, 3)
    assert_allclose(tip.xmat, tcp.xmat, atol=1e-12)
    assert_allclose(ee.xmat, tcp.xmat, atol=1e-12)
    forward = R.T @ (tip.xpos - tcp.xpos)
    assert 0.008 <= forward[2] <= 0.018
    assert_allclose(forward[:2], 0, atol=1e-9)
    ahead = R.T @ (tcp.xpos - ee.xpos)
    assert ahead[2] > 0.015
    assert abs(ahead[0]) < 0.0035  # ALOHA 2's fingers are below the middle of its last link.
    if len(arm.gripper.joints) == 2:
        axis = {name: data.joint(name).xaxis for name in arm.gripper.joints}
        assert_allclose(axis["finger1"], R[:, 1], atol=1e-9)
        assert_allclose(axis["finger2"], -R[:, 1], atol=1e-9)


@pytest.mark.parametrize("opening", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize(("body", "arm"), BOTH, ids=names)
def test_pads_stand_as_far_apart_as_the_opening_says(body, arm, opening):
    model = model_of(arm)
    data = mujoco.MjData(model)
    shut, open_ = np.array(arm.gripper.shut), np.array(arm.gripper.open)
    fingers = (1 - opening) * shut + opening * open_
    for name, value in zip(arm.gripper.joints, fingers, strict=True):
        low, high = model.joint(name).range
        assert low <= value <= high
    set_joints(arm, model, data, arm.home, fingers)
    tcp = data.site("tcp")
    y = tcp.xmat.reshape(3, 3)[:, 1]
    faces = []
    for pad, inwards in (("pad1", -1.0), ("pad2", 1.0)):
        geom = data.geom(pad)
        normal = geom.xmat.reshape(3, 3)[:, 1]
        normal = normal * np.sign(normal @ y)
        faces.append(geom.xpos + inwards * model.geom(pad).size[1] * normal - tcp.xpos)
    gap = y @ (faces[0] - faces[1])
    slides = len(arm.gripper.joints) == 2
    assert abs(gap - opening * arm.gripper.stroke_m) < (1e-5 if slides else 1e-3)
    if slides:  # Centred on the tool; one jaw alone cannot be.
        assert_allclose(y @ (faces[0] + faces[1]), 0, atol=1e-5)


def test_two_slides_stand_for_the_linkage_of_a_2f85():
    path = the_file("robots/ur5e_2f85/ur5e_2f85_prim.xml")
    model = mujoco.MjModel.from_xml_path(str(path))
    model.opt.gravity[:] = 0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data = mujoco.MjData(model)
    stroke_m = UR5E.arms[0].gripper.stroke_m
    ends = []
    for command in (0, 64, 128, 192, 245):
        data.ctrl[model.actuator("gripper").id] = command
        mujoco.mj_step(model, data, 1000)
        flange = data.site("tool0")
        R = flange.xmat.reshape(3, 3)
        pads = [R.T @ (data.geom(name).xpos - flange.xpos) for name in ("right_pad1", "left_pad1")]
        thickness, length = model.geom("right_pad1").size[1:]
        gap = np.linalg.norm((pads[0] - pads[1])[:2]) - 2 * thickness
        # The driver turns from 0 (open) to 0.8 rad (shut), and the gap follows nearly in line.
        angle = data.joint("right_driver_joint").qpos[0]
        assert abs(gap - stroke_m * (1 - angle / 0.8)) < 2.2e-3
        ends.append(pads[0][2] + length)
    # Where the pads end when shut; they are drawn back as they open.
    tip = in_mount(UR5E.arms[0], np.zeros((1, 6)), "tip")[0, :3, 3]
    ee = in_mount(UR5E.arms[0], np.zeros((1, 6)), "ee")[0, :3, 3]
    assert_allclose(ends[-1], np.linalg.norm(tip - ee), atol=1e-3)
    assert_allclose(ends[-1] - ends[0], 0.013, atol=1e-3)


def test_a_viperx_gripper_counts_as_alohas_does():
    # The pads meet at these values; what is below presses them together.
    for body, shut, open_, stroke_m in (
        (ALOHA1, 0.0224, 0.057, 0.0692),
        (ALOHA2, 0.0083, 0.041, 0.0654),
    ):
        gripper = body.arms[0].gripper
        assert gripper.shut == (shut, shut)
        assert gripper.open == (open_, open_)
        assert_allclose(gripper.stroke_m, stroke_m)


# The least room that a joint has at home, and where the tool is then in its mount.
HOMES = {
    X5: (0.298, (0.32, 0, 0.12)),
    X5A: (0.237, (0.32, 0, 0.12)),
    PIPER: (0.070, (0.32, 0, 0.12)),
    PIPER_OLD_ZERO: (0.073, (0.32, 0, 0.12)),
    ALOHA_AGILEX: (0.254, (0.32, 0, 0.12)),
    ALOHA1: (0.994, (0.32, 0, 0.12)),
    ALOHA2: (1.019, (0.32, 0, 0.12)),
    LOCOMAN: (0.340, (0.214, 0, -0.379)),
    PANDA: (0.738, (0.50, 0, 0.25)),
    UR5E: (1.357, (0.50, 0, 0.25)),
}


@pytest.mark.parametrize(("body", "arm"), BOTH, ids=names)
def test_home_is_away_from_limits_with_the_gripper_down_and_closing_to_the_left(body, arm):
    margin, place = HOMES[body]
    low, high = ranges(arm, model_of(arm))
    home = np.array(arm.home)
    assert_allclose(np.minimum(home - low, high - home).min(), margin, atol=1e-3)
    T_mount_tcp = in_mount(arm, home[None], arm.tcp)[0]
    if body is LOCOMAN:  # Its tool is beside the hip.
        T_mount_tcp[1, 3] -= 0.113 * (1 if arm.side == "left" else -1)
    assert_allclose(T_mount_tcp[:3, 3], place, atol=4e-3 if body is ALOHA2 else 1e-3)
    # The same axes for every robot, in its base: x back, y left, z down.
    R = (T_base_mount(arm) @ T_mount_tcp)[:3, :3]
    assert np.degrees(so3.angle_between(R, np.diag([-1.0, 1.0, -1.0]))) < 5


@pytest.mark.parametrize("arm", LEFT, ids=names)
def test_wrist_cameras_have_one_pose_at_the_tool_and_look_at_it(arm):
    model = model_of(arm)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    camera, tcp = data.camera("wrist"), data.site(arm.tcp)
    R = tcp.xmat.reshape(3, 3).T @ camera.xmat.reshape(3, 3)
    p = tcp.xmat.reshape(3, 3).T @ (camera.xpos - tcp.xpos)
    assert_allclose(p, [-0.075, 0, -0.11], atol=1e-6)
    assert_allclose(-R[:, 2], -p / np.linalg.norm(p), atol=1e-4)  # MuJoCo looks along -z
    assert_allclose(R[:, 0], [0, -1, 0], atol=1e-9)


@pytest.mark.parametrize(("body", "arm"), BOTH, ids=names)
def test_actuators_hold_home_without_drooping_and_keep_their_names_in_a_scene(body, arm):
    scene = mujoco.MjSpec()  # Its default angle is the degree: the arm's own must survive.
    scene.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    frame = scene.worldbody.add_frame(pos=[0, 0.3, 0])
    scene.attach(mujoco.MjSpec.from_string(arm.xml), prefix="left/", frame=frame)
    model = scene.compile()
    data = mujoco.MjData(model)
    for name, value in zip(
        (*arm.joints, *arm.gripper.joints), (*arm.home, *arm.gripper.open), strict=True
    ):
        data.joint(f"left/{name}").qpos = value
        data.actuator(f"left/{name}").ctrl = value
    second = arm.joints[1]
    assert_allclose(model.joint(f"left/{second}").range, model_of(arm).joint(second).range)
    mujoco.mj_step(model, data, 500)
    assert data.ncon == 0
    assert not any(warning.number for warning in data.warning)
    for name, value in zip(arm.joints, arm.home, strict=True):
        assert abs(data.joint(f"left/{name}").qpos[0] - value) < 1e-3


@pytest.mark.parametrize(("body", "arm"), BOTH, ids=names)
def test_actuators_reach_a_command_and_shut_the_gripper(body, arm):
    model = model_of(arm)
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model.opt.timestep = 0.005  # As in the simulation's scenes.
    data = mujoco.MjData(model)
    set_joints(arm, model, data, arm.home, arm.gripper.open)
    low, high = ranges(arm, model)
    wanted = np.clip(np.array(arm.home) + 0.2, low, high)
    data.ctrl[:] = [*wanted, *arm.gripper.shut]
    mujoco.mj_step(model, data, 400)
    assert not any(warning.number for warning in data.warning)
    reached = [data.joint(name).qpos[0] for name in arm.joints]
    assert_allclose(reached, wanted, atol=2e-3)
    fingers = [data.joint(name).qpos[0] for name in arm.gripper.joints]
    assert_allclose(fingers, arm.gripper.shut, atol=2e-3)


# ---- Where arms stand ----


@pytest.mark.parametrize(
    ("body", "file", "p_world_base"),
    [(ALOHA1, "aloha_vx300s", (0, 0.5, 0)), (ALOHA2, "aloha2", (0, -0.019, 0.02))],
    ids=names,
)
def test_alohas_mounts_are_those_of_its_worlds_seen_from_the_table(body, file, p_world_base):
    bodies = description(f"robots/aloha_vx300s/{file}.kinematics.json")["bodies"]
    T_world_base = moved(*p_world_base) @ rotated(Z, np.pi / 2)
    for arm in body.arms:
        (theirs,) = (one for one in bodies if one["name"] == f"{arm.side}/base_link")
        expected = moved(*theirs["pos"]) @ from_quaternion(*theirs["quat"])
        assert_allclose(T_world_base @ T_base_mount(arm), expected, atol=1e-9)


def test_aloha_agilexs_mounts_are_those_of_its_description():
    for arm in ALOHA_AGILEX.arms:
        base = f"{'fl' if arm.side == 'left' else 'fr'}_base_link"
        found = urdf_pose(
            "robots/aloha_agilex/aloha_agilex.urdf", base, "footprint", {}, snap=False
        )
        assert_allclose(T_base_mount(arm), found, atol=1e-6)


def test_locomans_left_arm_is_the_mirror_of_its_right():
    mirror = np.array([-1, 1, 1, 1, -1, -1])
    left, right = LOCOMAN.arms
    low, high = ranges(right, model_of(right))
    left_low, left_high = ranges(left, model_of(left))
    assert_allclose(np.sort([left_low * mirror, left_high * mirror], axis=0), [low, high])
    q = random_joints(right, 10)
    T_right = T_base_mount(right) @ in_mount(right, q, "tcp")
    T_left = T_base_mount(left) @ in_mount(left, q * mirror, "tcp")
    for column in (2, 3):  # approach, position; the jaw opens to the left on both
        assert_allclose(T_left[:, :3, column], T_right[:, :3, column] * [1, -1, 1], atol=1e-12)


def test_the_page_on_robots_has_them_all_with_their_frames_openings_and_room():
    page = (Path(__file__).resolve().parents[2] / "docs" / "robots.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for body in ROBOTS:
        cells = [cell.strip() for cell in rows[body.name].strip("|").split("|")]
        gripper = body.arms[0].gripper
        assert int(cells[2]) == body.arms[0].dof
        about = cells[3].removeprefix("about ").removesuffix(" mm")
        assert abs(float(about) - 1000 * gripper.stroke_m) < (0.05 if "." in about else 0.5)
        margin, place = HOMES[body]
        forward, up = cells[4].removesuffix(" m").replace("−", "-").split(", ")
        assert_allclose([float(forward), float(up)], [place[0], place[2]], atol=5e-3)
        assert abs(float(cells[5].removesuffix(" rad")) - margin) < 0.006
        for frame in body.frames:
            assert frame.name in rows
