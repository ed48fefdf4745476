"""Numbers and axes of hand conventions, held to their own names and to real recordings."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from mivla.embodiments.conventions import (
    CONVENTIONS,
    POINTS,
    UnknownConvention,
    landmarks_from,
    landmarks_to,
    named,
    wrist_rotation_from,
    wrist_rotation_to,
)
from mivla.embodiments.hand import LANDMARK_NAMES, TIPS, template, wrist_pose
from mivla.embodiments.layout import SIDES
from mivla.geometry import so3
from mivla.sources import aria, egodex_skeleton, hot3d, vitra

HUMAN = Path(__file__).resolve().parents[2].parent / "shared" / "human"
recordings = pytest.mark.skipif(
    not HUMAN.is_dir(), reason="needs the recordings of people in shared/human"
)

FINGERS = ("thumb", "index", "middle", "ring", "little")


def fingers(*joints: str, of: tuple[str, ...] = FINGERS) -> list[str]:
    return [f"{finger}_{joint}" for finger in of for joint in joints]


# Each convention's points in its own order, as its specification names them, in our words.
OWN_NAMES = {
    # MediaPipe: WRIST, THUMB_CMC, THUMB_MCP, THUMB_IP, THUMB_TIP, INDEX_FINGER_MCP, ...
    "openpose": [
        "wrist",
        *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
        *fingers("mcp", "pip", "dip", "tip", of=FINGERS[1:]),
    ],
    # WebXR: wrist, thumb-metacarpal, -phalanx-proximal, -phalanx-distal, -tip,
    # index-finger-metacarpal, -phalanx-proximal, -intermediate, -distal, -tip, ...
    "arkit": [
        "wrist",
        *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
        *fingers("metacarpal", "mcp", "pip", "dip", "tip", of=FINGERS[1:]),
    ],
    # smplx's MANO: wrist, index1..3, middle1..3, pinky1..3, ring1..3, thumb1..3; then the vertices
    # that it calls thumb, index, middle, ring, pinky.
    "mano": [
        "wrist",
        *fingers("mcp", "pip", "dip", of=("index", "middle", "little", "ring")),
        *("thumb_cmc", "thumb_mcp", "thumb_ip"),
        *fingers("tip"),
    ],
    # Aria: five fingertips, wrist, thumb intermediate, thumb distal, index proximal, intermediate,
    # distal, middle ..., pinky distal, palm centre.
    "aria": [
        *fingers("tip"),
        "wrist",
        *("thumb_mcp", "thumb_ip"),
        *fingers("mcp", "pip", "dip", of=FINGERS[1:]),
        "palm",
    ],
    # OpenXR: palm, wrist, thumb metacarpal, proximal, distal, tip, index metacarpal, ...
    "openxr": [
        *("palm", "wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
        *fingers("metacarpal", "mcp", "pip", "dip", "tip", of=FINGERS[1:]),
    ],
}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("side", SIDES)
def test_points_are_found_by_their_names(convention, side):
    names = OWN_NAMES[convention]
    assert len(names) == POINTS[convention]
    theirs = np.arange(3.0 * len(names)).reshape(1, len(names), 3)
    ours = landmarks_from(theirs, convention, side)
    for i, name in enumerate(LANDMARK_NAMES):
        if name in names:
            assert_allclose(ours[0, i], theirs[0, names.index(name)])
        else:
            assert (convention, name) == ("aria", "thumb_cmc")
            assert np.isnan(ours[0, i]).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("side", SIDES)
def test_there_and_back_only_what_nobody_knows_is_missing(convention, side):
    ours = template(np.array([0.02, 0.07]), side).astype(np.float32)
    theirs = landmarks_to(ours, convention, side)
    assert theirs.dtype == np.float32
    missing = np.flatnonzero(np.isnan(theirs).any(axis=(0, 2)))
    unknown = ("palm", "metacarpal")
    assert [OWN_NAMES[convention][i] for i in missing] == [
        n for n in OWN_NAMES[convention] if n.endswith(unknown)
    ]
    back = landmarks_from(theirs, convention, side)
    known = np.isfinite(back)
    assert_allclose(back[known], ours[known])
    assert np.isfinite(wrist_pose(back, side)).all()
    assert known[:, list(TIPS)].all()


def test_a_wrong_number_of_points_and_a_wrong_name_say_what_there_is():
    with pytest.raises(UnknownConvention, match=r"left hand has 21 .*'arkit' has 25.*mano \(21"):
        landmarks_from(np.zeros((4, 21, 3)), "arkit", "left")
    with pytest.raises(UnknownConvention, match=r"no convention 'mediapipe21'.*openpose"):
        named("mediapipe21")
    assert named("aria") == "aria"


# x, y and z of each wrist: f to the fingers, d out of the back, r to the thumb.
AXES = {
    ("mano", "right"): "-f +d +r",
    ("mano", "left"): "+f +d +r",
    ("aria", "right"): "-f +d +r",
    ("aria", "left"): "+f +d +r",
    ("arkit", "right"): "-f +d +r",
    ("arkit", "left"): "+f -d -r",
    ("openxr", "right"): "-r +d -f",
    ("openxr", "left"): "+r +d -f",
    ("openpose", "right"): "-f +d +r",
    ("openpose", "left"): "+f +d +r",
}


@pytest.mark.parametrize(("convention", "side"), AXES)
def test_wrist_axes_point_where_each_convention_says(convention, side):
    hand = template(np.array(0.05), side)
    turned = Rotation.from_rotvec([0.3, -1.1, 0.6]).as_matrix()
    points = hand @ turned.T
    R = wrist_rotation_to(wrist_pose(points, side)[:3, :3], convention, side)
    assert np.linalg.det(R) == pytest.approx(1)
    # Directions of the hand itself: the fingers curl away from its back.
    towards = {
        "f": points[9] - points[0],
        "d": points[9] - points[12],
        "r": points[5] - points[17],
    }
    for column, said in zip(R.T, AXES[convention, side].split(), strict=True):
        direction = towards[said[1]] / np.linalg.norm(towards[said[1]])
        cosine = np.dot(column, direction) * (1 if said[0] == "+" else -1)
        # A curled finger points forwards too.
        assert cosine > (0.3 if said[1] == "d" else 0.9), (convention, side, said)
    assert_allclose(
        wrist_rotation_from(R, convention, side), wrist_pose(points, side)[:3, :3], atol=1e-12
    )


def test_conversions_are_those_of_the_published_columns():
    R = Rotation.from_rotvec(np.random.default_rng(3).normal(size=(5, 3))).as_matrix()
    X, Y, Z = np.moveaxis(R, -1, 0)
    right, left = (wrist_rotation_from(R, "openxr", side) for side in ("right", "left"))
    assert_allclose(right, np.stack([Z, Y, -X], axis=-1))
    assert_allclose(left, np.stack([-Z, Y, X], axis=-1))
    assert_allclose(wrist_rotation_from(R, "arkit", "right"), R)
    assert_allclose(wrist_rotation_from(R, "arkit", "left"), np.stack([X, -Y, -Z], axis=-1))
    for side in SIDES:
        assert_allclose(egodex_skeleton.R_ARKIT[side], wrist_rotation_to(np.eye(3), "arkit", side))


@pytest.mark.parametrize(
    ("convention", "local"),
    [("mano", [-1, 1, 1]), ("aria", [-1, 1, 1]), ("openxr", [-1, 1, 1]), ("arkit", [-1, -1, -1])],
)
def test_a_mirror_turns_one_hands_axes_into_the_others(convention, local):
    """R' = S R S_local for a mirror S in the world: ARKit's left is minus the mirror image."""
    mirror = np.diag([-1.0, 1.0, 1.0])
    points = template(np.array(0.05), "right") @ Rotation.from_rotvec([0.3, 1, 0.2]).as_matrix().T
    right = wrist_rotation_to(wrist_pose(points, "right")[:3, :3], convention, "right")
    left = wrist_rotation_to(wrist_pose(points @ mirror, "left")[:3, :3], convention, "left")
    assert_allclose(left, mirror @ right @ np.diag(local), atol=1e-12)


def spread_deg(R: np.ndarray) -> np.ndarray:
    """How far rotations are from their mean, degrees."""
    mean = Rotation.from_matrix(R).mean()
    return np.degrees((mean.inv() * Rotation.from_matrix(R)).magnitude())


@recordings
@pytest.mark.parametrize("side", SIDES)
def test_the_wrist_of_aria_gen2_differs_from_ours_by_a_constant_eight_degrees(side):
    hands = json.loads((HUMAN / "aria_gen2" / "sample.json").read_text())["hands"]
    points = np.array([h[f"{side}_hand"]["landmarks_device"] for h in hands])
    theirs = np.array([h[f"{side}_hand"]["T_device_wrist"] for h in hands])[:, :3, :3]
    ours = wrist_pose(landmarks_from(points, "aria", side), side)[:, :3, :3]
    relative = np.swapaxes(ours, 1, 2) @ wrist_rotation_from(theirs, "aria", side)
    angle = np.degrees(so3.angle_between(np.eye(3)[None].repeat(len(ours), 0), relative))
    assert_allclose(angle, 8.4, atol=0.6)
    assert spread_deg(relative).max() < 0.6
    # A roll about the long axis: their palm normal, not the direction of the fingers, differs.
    roll = np.degrees(Rotation.from_matrix(relative).as_rotvec())[:, 0]
    assert_allclose(roll, 8.2, atol=0.6)
    palm_normal = np.array([h[f"{side}_hand"]["palm_normal_device"] for h in hands])
    assert (np.sum(palm_normal * ours[:, :, 1], axis=-1) < -0.9).all()


@recordings
def test_the_wrist_of_aria_gen1_has_the_same_axes():
    path = HUMAN / "aria_mps" / "hand_tracking_results_v2.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    tracked = aria.hands(path)
    for number, side in enumerate(SIDES):
        seen = np.flatnonzero(tracked.confidence[:, number] > 0)
        quaternion = [[float(rows[i][f"q{a}_{side}_device_wrist"]) for a in "xyzw"] for i in seen]
        theirs = wrist_rotation_from(Rotation.from_quat(quaternion).as_matrix(), "aria", side)
        ours = wrist_pose(tracked.points_device[seen, number], side)[:, :3, :3]
        assert np.degrees(so3.angle_between(ours, theirs)).max() < 13


def hot3d_mano() -> dict[str, list[np.ndarray]]:
    """MANO's wrist rotations (xyzw) and translations in HOT3D, by side."""
    lines = (HUMAN / "hot3d_sample" / "mano_hand_pose_trajectory.jsonl").read_text().splitlines()
    poses = [json.loads(line)["hand_poses"] for line in lines]
    return {
        side: [
            np.roll([pose[str(number)]["wrist_xform"]["q_wxyz"] for pose in poses], -1, axis=-1),
            np.array([pose[str(number)]["wrist_xform"]["t_xyz"] for pose in poses]),
        ]
        for number, side in enumerate(SIDES)
    }


@recordings
@pytest.mark.parametrize("side", SIDES)
def test_mano_and_umetrack_agree_in_hot3d_up_to_a_constant(side):
    points = hot3d.hands(HUMAN / "hot3d_sample").points_world[:, SIDES.index(side)]
    quaternion, translation = hot3d_mano()[side]
    mano = wrist_rotation_from(Rotation.from_quat(quaternion).as_matrix(), "mano", side)
    umetrack = _umetrack_wrists(side)
    apart = np.degrees(so3.angle_between(umetrack, mano))
    assert_allclose(apart, 6.5, atol=1.2)
    ours = wrist_pose(points, side)[:, :3, :3]
    assert np.degrees(so3.angle_between(ours, mano)).max() < 16
    # `transl` is not the wrist: the wrist of the resting hand, J0, is 10 cm from the origin.
    apart = np.linalg.norm(translation - points[:, 0], axis=-1)
    assert (apart > 0.075).all()
    J0 = np.array([0.0957 if side == "right" else -0.0957, 0.0064, 0.0062])
    assert np.linalg.norm(translation + J0 - points[:, 0], axis=-1).max() < 0.016


def _umetrack_wrists(side: str) -> np.ndarray:
    lines = (HUMAN / "hot3d_sample" / hot3d.HANDS).read_text().splitlines()
    quaternions = [
        json.loads(line)["hand_poses"][str(SIDES.index(side))]["wrist_xform"]["q_wxyz"]
        for line in lines
    ]
    return Rotation.from_quat(np.roll(quaternions, -1, axis=-1)).as_matrix()


@recordings
def test_vitras_wrists_are_manos_and_lie_where_its_points_do():
    hand = vitra.record(next((HUMAN / "vitra_sample").glob("*.npy")))["right"]
    points = hand["joints_worldspace"]
    assert_allclose(hand["transl_worldspace"], points[:, 0], atol=1e-6)
    mano = wrist_rotation_from(hand["global_orient_worldspace"], "mano", "right")
    relative = np.swapaxes(wrist_pose(points, "right")[:, :3, :3], 1, 2) @ mano
    angle = np.degrees(Rotation.from_matrix(relative).magnitude())
    assert angle.max() < 15
    assert spread_deg(relative).max() < 2


@recordings
def test_thumb_side_and_palm_side_are_right_in_every_recording():
    aria1 = aria.hands(HUMAN / "aria_mps" / "hand_tracking_results_v2.csv").points_device
    capture = hot3d.hands(HUMAN / "hot3d_sample").points_world
    for points in (aria1, capture):
        for number, side in enumerate(SIDES):
            hand = points[:, number]
            hand = hand[np.isfinite(hand[:, 0]).all(axis=-1)]
            R = wrist_pose(hand, side)[:, :3, :3]
            assert_allclose(np.linalg.det(R), 1)
            assert (np.sum((hand[:, 5] - hand[:, 17]) * R[:, :, 2], axis=-1) > 0.02).all()
            assert (np.sum((hand[:, 4] - hand[:, 0]) * R[:, :, 1], axis=-1) < -0.02).all()
