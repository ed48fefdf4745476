# pyright: basic, reportOptionalMemberAccess=false, reportOptionalSubscript=false
"""No real recording is refused, and each way to spoil one is named for what it is."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from mivla.embodiments.conventions import landmarks_from
from mivla.embodiments.hand import template
from mivla.embodiments.layout import SIDES
from mivla.geometry import se3
from mivla.sources import UnreadableRecording, aria, hot3d, plausible, vitra
from mivla.sources.person import looking_down

HUMAN = Path(__file__).resolve().parents[2].parent / "shared" / "human"
Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class People:
    """Hands in a world, the head camera's pose there, and up."""

    points: np.ndarray
    T_world_cam: np.ndarray | None
    up: np.ndarray | None


def motion_capture() -> People:
    """HOT3D: both hands hold something, the head is rolled by 25 degrees."""
    folder = HUMAN / "hot3d_sample"
    hands = hot3d.hands(folder)
    T = hot3d.headset_poses(folder / hot3d.HEADSET, hands.times_ns)
    return People(hands.points_world, T @ aria.USUAL_CAMERA[1], Z)


def mps(version: int = 2) -> People:
    """Aria's first generation: eight steps, each hand at three of them, open and shut."""
    hands = aria.hands(HUMAN / "aria_mps" / f"hand_tracking_results_v{version}.csv")
    T_base_device = looking_down(np.radians(35)) @ se3.inverse(aria.USUAL_CAMERA[1])
    T = np.repeat((T_base_device @ aria.USUAL_CAMERA[1])[None], len(hands.times_s), axis=0)
    return People(se3.transform(T_base_device, hands.points_device), T, Z)


def glasses() -> People:
    """Aria's second generation, in its odometry's world, during a fast turn of the head."""
    sample = json.loads((HUMAN / "aria_gen2" / "sample.json").read_text())
    times = np.array([hand["t"] for hand in sample["hands"]])
    T_device_cam = np.array(sample["T_device_camera"])
    points, poses = [], []
    for vio in sample["vio"]:
        hand = sample["hands"][int(np.argmin(np.abs(times - vio["t"])))]
        T = np.array(vio["T_odometry_device"])
        both = [np.array(hand[f"{side}_hand"]["landmarks_device"]) for side in SIDES]
        both = [landmarks_from(p, "aria", side) for p, side in zip(both, SIDES, strict=True)]
        points.append(se3.transform(T, np.stack(both)))
        poses.append(T @ T_device_cam)
    gravity = np.array(sample["vio"][0]["gravity"])
    return People(np.array(points), np.array(poses), -gravity / np.linalg.norm(gravity))


def clip() -> People:
    """VITRA: MANO fitted to a film of a right hand; its world has no gravity."""
    record = vitra.record(next((HUMAN / "vitra_sample").glob("*.npy")))
    right = record["right"]["joints_worldspace"]
    points = np.stack([np.full_like(right, np.nan), right], axis=1)
    return People(points, np.linalg.inv(record["extrinsics"]), None)


def simulated() -> People:
    """Template hands before a head that turns, both of every pinch, in ARKit's world."""
    steps = 20
    points = np.empty((steps, 2, 21, 3))
    for number, side in enumerate(SIDES):
        turn = Rotation.from_rotvec([0.4, -0.2, 0.9 - 0.3 * number]).as_matrix()
        at = [0.4, 0.15 - 0.3 * number, -0.35]
        points[:, number] = template(np.linspace(0, 0.1, steps), side) @ turn.T + at
    T = np.repeat(looking_down(np.radians(40))[None], steps, axis=0)
    # From z up to ARKit's y up.
    R = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    T_world_base = se3.pose(R, np.array([0.3, 1.2, -0.1]))
    return People(se3.transform(T_world_base, points), T_world_base @ T, np.array([0.0, 1.0, 0.0]))


def held_flat(wrong: slice) -> People:
    """Hands with straight fingers and the thumb in their plane, whose shape tells no side; in the
    `wrong` steps the tracker bends those of the right hand backwards."""
    steps = 100
    points = np.empty((steps, 2, 21, 3))
    for number, side in enumerate(SIDES):
        flat = template(np.full(steps, 0.1), side)
        # Onto the palm's plane, which is that of wrist, middle knuckle and the thumb's side.
        bent = 0.4 * flat[..., 1]
        flat[..., 1] = 0
        if side == "right":
            flat[wrong, :, 1] = -bent[wrong]
        points[:, number] = flat @ np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, 1, 0]]).T
        points[:, number] += [0.3, 0.15 - 0.3 * number, -0.35]
    T = np.repeat(looking_down(np.radians(40))[None], steps, axis=0)
    return People(points, T, Z)


REAL = (motion_capture, mps, glasses, clip)
recordings = pytest.mark.skipif(
    not HUMAN.is_dir(), reason="needs the recordings of people in shared/human"
)
EVERYBODY = (*(pytest.param(one, marks=recordings, id=one.__name__) for one in REAL), simulated)


def findings(people: People) -> list[plausible.Finding]:
    return plausible.findings(people.points, people.T_world_cam, people.up)


def sure(people: People) -> str:
    """What the recording is refused for."""
    with pytest.raises(UnreadableRecording) as error:
        plausible.notes(people.points, people.T_world_cam, people.up)
    return str(error.value)


def test_a_slip_of_the_tracker_among_flat_hands_is_no_reason_to_refuse_the_recording():
    assert [f for f in findings(held_flat(slice(0, 0))) if f.sure] == []
    assert [f for f in findings(held_flat(slice(50, 52))) if f.sure] == []
    assert "shaped like the other side's" in sure(held_flat(slice(10, 90)))


@pytest.mark.parametrize("people", EVERYBODY)
def test_no_recording_as_it_is_raises_an_alarm(people):
    expected = ["the left hand is never seen"] if people is clip else []
    assert [finding.text for finding in findings(people())] == expected


@recordings
def test_nor_does_the_older_table_of_aria():
    assert findings(mps(1)) == []


@pytest.mark.parametrize("people", EVERYBODY)
@pytest.mark.parametrize(
    ("times", "words"),
    [
        (1000.0, "looks like millimetres: divide by 1000"),
        (100.0, "looks like centimetres: divide by 100"),
        (39.37, "looks like inches"),
        (4.0, "no unit of length"),
        (0.1, "no unit of length"),
    ],
)
def test_another_unit_is_named_by_the_length_of_the_palm(people, times, words):
    one = people()
    assert words in sure(People(one.points * times, one.T_world_cam, one.up))


@pytest.mark.parametrize("people", EVERYBODY)
def test_hands_that_are_exchanged_are_told_by_their_shape(people):
    one = people()
    assert "left and right look exchanged" in sure(
        People(one.points[:, ::-1], one.T_world_cam, one.up)
    )


@pytest.mark.parametrize("people", EVERYBODY)
def test_so_are_left_handed_coordinates(people):
    one = people()
    said = sure(People(one.points * [1, 1, -1], None, None))
    assert "left-handed, as Unity's are" in said


@pytest.mark.parametrize("people", [*EVERYBODY[:3], simulated])
def test_one_hand_that_stands_for_both_is_refused(people):
    one = people()
    points = one.points.copy()
    points[:, 0] = points[:, 1] + [0.3, 0, 0]
    assert "one hand stood for both" in sure(People(points, None, None))
    points[:, 0] = points[:, 1]
    assert "there twice" in sure(People(points, None, None))


@recordings
def test_a_hand_that_changes_sides_now_and_then_is_odd():
    one = motion_capture()
    points = one.points.copy()
    wrist = points[::3, 0, :1]
    # Mirrored in a third of the steps, as a tracker that takes it for the other hand would.
    points[::3, 0] = wrist + (points[::3, 0] - wrist) * [1, 1, -1]
    (finding,) = findings(People(points, one.T_world_cam, one.up))
    assert not finding.sure
    assert "in 34% of its steps the left hand is shaped like the other" in finding.text


@recordings
def test_a_palm_that_breathes_is_odd():
    one = motion_capture()
    scale = np.linspace(0.7, 1.2, len(one.points))[:, None, None, None]
    texts = [f.text for f in findings(People(one.points * scale, None, None))]
    assert len(texts) == 2
    assert "palm of the left hand measures from 70 to 113 mm" in texts[0]


@pytest.mark.parametrize("people", [*EVERYBODY[:3], simulated])
@pytest.mark.parametrize("axis", ["another", "down"])
def test_another_up_is_told_by_the_head_camera(people, axis):
    one = people()
    assert one.up is not None
    top = -one.T_world_cam[:, :3, 1].mean(axis=0)
    if axis == "down":
        wrong = -one.up
    else:
        # Up as it would be if the camera lay on its side.
        wrong = np.cross(one.up, one.T_world_cam[0, :3, 2])
        wrong /= np.linalg.norm(wrong)
    said = sure(People(one.points, one.T_world_cam, wrong))
    assert "the head camera" in said
    named = int(np.argmax(np.abs(top)))
    assert f"points to {'+' if top[named] > 0 else '-'}{'xyz'[named]}" in said


def test_a_world_of_y_up_that_is_taken_for_z_up_is_refused():
    one = simulated()
    said = sure(People(one.points, one.T_world_cam, Z))
    assert "points to +y of its world" in said


def test_work_overhead_is_only_doubted():
    one = simulated()
    T = one.T_world_cam @ se3.pose(
        Rotation.from_rotvec([np.radians(90), 0, 0]).as_matrix(), np.zeros(3)
    )
    lifted = one.points + [0, 0.9, 0]
    (finding,) = findings(People(lifted, T, one.up))
    assert not finding.sure
    assert "steeply up" in finding.text


@pytest.mark.parametrize("people", EVERYBODY)
def test_camera_axes_of_opengl_are_recognised(people):
    one = people()
    T = one.T_world_cam @ np.diag([1.0, -1.0, -1.0, 1.0])
    assert "look like OpenGL's" in sure(People(one.points, T, None))


@recordings
@pytest.mark.parametrize("people", [glasses, clip])
def test_a_pose_that_is_the_wrong_way_round_is_recognised(people):
    one = people()
    T = se3.inverse(one.T_world_cam)
    assert "invert it" in sure(People(one.points, T, None))


def test_hands_one_above_the_other_without_a_camera_are_doubted():
    one = simulated()
    sideways = Rotation.from_rotvec([0, 0, np.pi / 2]).as_matrix()
    # The person was turned by a quarter about z, in a world whose y is taken for up.
    points = one.points @ sideways.T
    (finding,) = plausible.findings(points, None, np.array([0.0, 1.0, 0.0]))
    assert "one hand is above the other" in finding.text
    assert plausible.findings(one.points, None, one.up) == []


def test_a_hand_never_seen_and_a_single_step_are_told():
    one = simulated()
    nobody = np.full_like(one.points, np.nan)
    assert "no hand is tracked in any of its 20 steps" in sure(People(nobody, None, None))
    nobody[7, 1] = one.points[7, 1]
    assert "at one of its 20 steps only" in sure(People(nobody, None, None))
    nobody[8, 1] = one.points[8, 1]
    assert [f.text for f in plausible.findings(nobody)] == ["the left hand is never seen"]
    nobody[3, 0] = one.points[3, 0]
    assert [f.text for f in plausible.findings(nobody)] == [
        "the left hand is seen at one step only"
    ]


def test_landmarks_without_which_there_is_no_grip_are_named():
    points = simulated().points.copy()
    points[:, :, [4, 17]] = np.nan
    said = sure(People(points, None, None))
    assert "thumb_tip, little_mcp is missing" in said


def test_missing_fingertips_do_not_hide_an_exchange():
    points = simulated().points[:, ::-1].copy()
    points[:, :, [12, 16, 20]] = np.nan
    assert "exchanged" in sure(People(points, None, None))


@pytest.mark.parametrize(
    ("times_s", "words"),
    [
        ([0.0], "1 step: too short"),
        ([], "0 step"),
        ([0.0, 0.1, np.nan], "time of step 2 is not a number"),
        ([0.0, 0.1, 0.1, 0.2], r"stands still from step 1 to 2 \(0.1 to 0.1 s\)"),
        ([0.0, 0.1, 0.05], "goes back from step 1 to 2"),
        (np.arange(9) * 33.3, "looks like milliseconds"),
        (np.arange(9) * 33_333.0, "looks like microseconds"),
        (np.arange(9) * 33_333_333.0, "looks like nanoseconds"),
        (np.arange(9) * 3.33e-5, "which no tracker does"),
        (np.arange(9) * 1e5, "too far to be one motion"),
    ],
)
def test_clocks_that_cannot_be_are_refused(times_s, words):
    with pytest.raises(UnreadableRecording, match=words):
        plausible.clock(np.array(times_s, dtype=float))


def test_a_clock_may_begin_anywhere_and_have_gaps():
    clock_s = plausible.clock(np.array([-3.0, -2.9, -2.8, 60.0]))
    assert_allclose(clock_s, [0, 0.1, 0.2, 63.0])


def test_a_long_recording_is_judged_as_a_short_one_and_a_rare_hand_is_not_overlooked():
    one = simulated()
    steps = np.arange(20_000) % len(one.points)
    points = one.points[steps].copy()
    assert plausible.findings(points, one.T_world_cam[steps], one.up) == []
    # The left hand is there for a second in eleven minutes, and is a right one.
    left = points[:, 0].copy()
    points[:, 0] = np.nan
    points[7_001:7_031, 0] = left[7_001:7_031] * [-1, 1, 1] + [0.5, 0, 0]
    (finding,) = plausible.findings(points, None, None)
    assert "the left hand is shaped like the other side's" in finding.text
