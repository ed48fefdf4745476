from dataclasses import replace

import numpy as np
import pytest
from moving import STEPS, labelled, person, robot_episode
from scipy.spatial.transform import Rotation

from mivla.analysis.clip import NothingToShow, default_robot, followed, side_by_side
from mivla.analysis.figure import Figure, held, home
from mivla.analysis.hands import bones, keypoints, laid_over
from mivla.analysis.stage import Stage, clearest_elevation, framing
from mivla.analysis.strip import REASONS, Strip
from mivla.embodiments import EMBODIMENTS, HUMAN, X5, Embodiment, hand
from mivla.embodiments.hand import LANDMARK_NAMES, grip_from_wrist, wrist_pose
from mivla.embodiments.layout import EEF, JOINTS, SIDES
from mivla.episodes import Episode, Labels
from mivla.episodes.video import open_video
from mivla.geometry import se3, so3
from mivla.kinematics import chain, forward
from mivla.retarget import Reason, Registration, Rules, with_tool_poses

ROBOTS = [body for body in EMBODIMENTS.values() if not body.is_human]
NAMES = [body.name for body in ROBOTS]


def tool(eef: np.ndarray, side) -> np.ndarray:
    return se3.from_position_rot6d(eef[:, EEF[f"eef/{side}"]][:, :9])


def drawn_grip(laid: np.ndarray, side) -> np.ndarray:
    return grip_from_wrist(wrist_pose(laid[:, SIDES.index(side)], side), side)


# ------------------------------------------------------------------- the hand over the robot


@pytest.mark.parametrize(
    ("rules", "half_turned"),
    [
        (Rules(), ["left"]),
        (Rules(start_rotation="home"), []),
        (Rules(scale=0.5, start_rotation="home", yaw=0.5), []),
        (Rules(anchor="palm"), ["left"]),
    ],
    ids=["matched", "home", "scaled", "palm"],
)
def test_the_hand_over_the_robot_has_its_grip_frame_at_the_labels_tool(
    rules: Rules, half_turned: list[str]
):
    episode = labelled(person(), X5, rules)
    labels = episode.labels["x5"]
    laid = laid_over(episode, labels)
    assert laid is not None
    registration = Registration.from_json(labels.mapping)
    for i, side in enumerate(SIDES):
        valid = labels.reason[:, i] == Reason.VALID
        assert valid.sum() > 3
        T_tool, T_grip = tool(labels.state["eef"], side), drawn_grip(laid, side)
        np.testing.assert_allclose(T_grip[valid, :3, :3], T_tool[valid, :3, :3], atol=1e-6)
        assert rules.rigid_anchor is not None
        anchor = se3.transform(T_grip, hand.anchor_offset(rules.rigid_anchor, side))
        np.testing.assert_allclose(anchor[valid], T_tool[valid, :3, 3], atol=1e-6)
        if rules.anchor == "pinch":
            np.testing.assert_allclose(T_grip[valid], T_tool[valid], atol=1e-6)
        # The rules do what they are here for.
        registered = getattr(registration, side)
        turned = so3.angle_between(registered.D, np.eye(3)) > 0.05
        assert turned == (rules.start_rotation == "home")
        assert bool(registered.half_turns) == (side in half_turned)
        # Bones are never scaled.
        own = episode.state["landmarks"].reshape(STEPS, 2, 21, 3)[:, i]
        lengths = [np.linalg.norm(p[:, 8] - p[:, 5], axis=-1) for p in (laid[:, i], own)]
        np.testing.assert_allclose(*lengths, atol=1e-9)


def test_the_hands_of_a_robots_label_are_drawn_at_its_tools():
    episode = labelled(robot_episode(X5), HUMAN, Rules(start_rotation="home"))
    laid = laid_over(episode, episode.labels["human"])
    assert laid is not None
    eef = with_tool_poses(episode).state["eef"]
    for side in SIDES:
        np.testing.assert_allclose(drawn_grip(laid, side), tool(eef, side), atol=1e-6)


def test_hands_without_a_registration_are_not_laid_anywhere():
    episode = labelled(person(), X5, Rules())
    assert laid_over(episode, replace(episode.labels["x5"], mapping={})) is None
    assert laid_over(robot_episode(X5), episode.labels["x5"]) is None


# ------------------------------------------------------------------- bones


def test_a_bone_leads_past_a_landmark_that_is_not_known():
    points = np.random.default_rng(0).normal(size=(3, 21, 3))
    points[1, LANDMARK_NAMES.index("thumb_cmc")] = np.nan
    points[2] = np.nan
    ends, counts = bones(points)
    assert counts.tolist() == [20, 19, 0]
    second = ends[20:]
    np.testing.assert_array_equal(second[0], points[1, [0, 2]])
    np.testing.assert_array_equal(second[1], points[1, [2, 3]])
    assert np.isfinite(ends).all()


def test_of_the_48_numbers_wrist_and_tips_are_drawn():
    whole = person()
    episode = replace(whole, state={"hand": whole.state["hand"]})
    points, expected = keypoints(episode), keypoints(whole)
    assert points is not None
    assert expected is not None
    seen = [hand.WRIST, *hand.TIPS]
    np.testing.assert_allclose(points[:, :, seen], expected[:, :, seen])
    assert np.isnan(np.delete(points, seen, axis=2)).all()
    assert bones(points[:, 0])[1].tolist() == [5] * STEPS
    # It is laid over a robot as well.
    laid = laid_over(labelled(episode, X5, Rules()), labelled(episode, X5, Rules()).labels["x5"])
    assert laid is not None
    assert np.isfinite(laid[:, :, seen]).all()


# ------------------------------------------------------------------- the robot and its camera


@pytest.mark.parametrize("body", ROBOTS, ids=NAMES)
def test_the_figures_pads_meet_at_the_tool_that_kinematics_compute(body: Embodiment):
    figure = Figure(body)
    joints = home(body)
    for arm in body.arms:
        joints[JOINTS[f"joints/{arm.side}"]][-1] = 0.0
    T = dict(zip(figure.links, figure.link_poses(joints[None])[0], strict=True))
    for arm in body.arms:
        T_tool = forward(chain(arm), np.array(arm.home))
        nearest = min(
            np.linalg.norm(se3.transform(T[link], shape.T_link_shape[:3, 3]) - T_tool[:3, 3])
            for link, shapes in zip(figure.links, figure.shapes, strict=True)
            if link.startswith(arm.side)
            for shape in shapes
        )
        assert nearest < 0.05


def facing() -> Embodiment:
    """Two arms that face each other across a table, as an ALOHA's do."""
    left, right = X5.arms
    quarter = np.pi / 2
    return replace(
        X5,
        name="facing",
        arms=(
            replace(left, position_base_mount=(0.0, 0.6, 0.5), yaw_base_mount=-quarter),
            replace(right, position_base_mount=(0.0, -0.6, 0.5), yaw_base_mount=quarter),
        ),
    )


@pytest.mark.parametrize("body", [*ROBOTS, facing()], ids=[*NAMES, "facing"])
def test_every_robot_fills_its_picture_and_left_is_left(body: Embodiment):
    points = Figure(body).extent(home(body)[None])
    with Stage(points, width=120, height=120, elevation=0.8, robot=body) as stage:
        uv = stage.pixels(points)
        rgb = stage.draw(home(body), None)
    assert (uv > 0).all()
    assert (uv < 120).all()
    span = np.ptp(uv, axis=0)
    assert span[0] > 0.9 * 120 or span[1] > 0.75 * 120
    left, right = (stage.pixels(forward(chain(a), np.array(a.home))[:3, 3]) for a in body.arms)
    assert left[0] < right[0]
    assert rgb.std() > 8


@pytest.mark.parametrize("body", ROBOTS, ids=NAMES)
def test_the_camera_stands_where_it_sees_the_tools(body: Embodiment):
    joints = home(body)[None]
    figure = Figure(body)
    elevation = clearest_elevation(figure, joints)
    eye, _ = framing(figure.extent(joints), aspect=1.0, elevation=elevation)
    figure.move(joints[0])
    assert np.mean([figure.hidden(side, eye) for side in SIDES]) < 0.5


def test_an_eye_sees_past_a_gripper_and_not_through_a_wall():
    arm = X5.arms[1]
    figure = Figure(X5)
    tool = forward(chain(arm), np.array(arm.home))[:3, 3]
    # From ahead and below nothing is in the way; from the mount's side the arm's own base is.
    assert figure.hidden("right", tool + [0.5, -0.1, -0.1]) < 0.3
    base = np.array(arm.position_base_mount) + [0.0, 0.0, 0.02]
    behind = tool + (base - tool) * 1.5
    assert figure.hidden("right", behind) > 0.5


@pytest.mark.parametrize("elevation", [0.3, 0.8, 1.4])
@pytest.mark.parametrize("size", [0.1, 1.0, 20.0])
def test_the_camera_is_as_near_as_it_can_be(size: float, elevation: float):
    points = size * np.random.default_rng(1).normal(size=(50, 3)) + [5.0, -3.0, 1.0]
    eye, target = framing(points, aspect=1.5, elevation=elevation)
    forward_ = (target - eye) / np.linalg.norm(target - eye)
    np.testing.assert_allclose(forward_, [np.cos(elevation), 0, -np.sin(elevation)], atol=1e-9)
    half = np.tan(np.radians(45) / 2)
    depth = (points - eye) @ forward_
    across = (points - eye) @ [0, -1.0, 0] / depth / (1.5 * half)
    height = (points - eye) @ np.cross([0, -1.0, 0], forward_) / depth / half
    assert (depth > 0).all()
    assert np.abs(across).max() < 0.95
    assert height.max() < 0.73
    assert height.min() > -0.95
    # One pair of edges is touched.
    touched = min(across.max(), -across.min()) > 0.93
    assert touched or (height.max() > 0.71 and height.min() < -0.93)


def test_an_arm_that_does_not_follow_is_in_the_colour_of_the_reason():
    points = Figure(X5).extent(home(X5)[None])
    with Stage(points, width=160, height=160, elevation=0.8, robot=X5) as stage:
        plain = stage.draw(home(X5), None).astype(int)
        tinted = stage.draw(home(X5), None, (None, REASONS[Reason.JOINT_LIMIT])).astype(int)
        assert (stage.draw(home(X5), None) == plain).all()
    changed = np.asarray((np.abs(tinted - plain) > 30).any(axis=-1))
    assert changed[:, 80:].sum() > 100
    assert not changed[:, :60].any()
    assert (tinted - plain)[changed][:, 0].mean() > (tinted - plain)[changed][:, 2].mean() + 20


def test_joints_are_held_where_they_are_not_known_and_at_home_before():
    joints = robot_episode(X5).state["joints"].copy()
    left = JOINTS["joints/left"]
    joints[:3, left] = np.nan
    joints[6, left] = np.nan
    stands = held({"joints": joints}, X5)
    np.testing.assert_array_equal(stands[:3, left][:, :6], np.tile(X5.arms[0].home, (3, 1)))
    np.testing.assert_array_equal(stands[6, left], joints[5, left])
    np.testing.assert_array_equal(stands[7], joints[7])


def test_an_arm_goes_on_where_nothing_is_known_of_its_gripper():
    joints = robot_episode(X5).state["joints"].copy()
    opening = JOINTS["joints/left/opening"]
    joints[:, opening] = np.nan
    stands = held({"joints": joints}, X5)
    left = JOINTS["joints/left"]
    np.testing.assert_array_equal(stands[:, left][:, :6], joints[:, left][:, :6])
    assert (stands[:, opening] == 1).all()


# ------------------------------------------------------------------- the strip


def test_every_reason_has_a_colour_of_its_own():
    assert set(REASONS) == set(Reason)
    assert len(set(REASONS.values())) == len(Reason)


def test_the_strip_shows_each_sides_reason_at_its_time_and_a_cursor():
    clock_s = np.arange(100) / 10
    reason = np.zeros((100, 2), dtype=np.int64)
    reason[:50, 0] = Reason.UNTRACKED
    reason[50:, 1] = Reason.JUMP
    joints = np.full((100, JOINTS.dim), np.nan)
    strip = Strip(960, 160, clock_s, X5, {"joints": joints}, reason)

    def where(rgb: np.ndarray, colour) -> np.ndarray:
        near = (np.abs(rgb.astype(int) - colour) < 12).all(axis=-1)
        rows = np.flatnonzero(near[:, 120:].sum(axis=1) > 200)
        return np.flatnonzero(near[rows[len(rows) // 2]]) if len(rows) else rows

    start, middle, end = strip.draw(0), strip.draw(50), strip.draw(99)
    untracked, jump = (where(end, REASONS[r]) for r in (Reason.UNTRACKED, Reason.JUMP))
    assert untracked.max() <= jump.min() + 2
    # Half of ten seconds: the first side's bar ends where the second's begins, at the cursor.
    cursor = np.flatnonzero((middle != start).any(axis=(0, 2)))
    assert abs(int(cursor[cursor > 300][0]) - untracked.max()) <= 3


def test_a_strip_of_a_single_step_is_drawn():
    joints = robot_episode(X5).state["joints"][:1]
    rgb = Strip(640, 160, np.zeros(1), X5, {"joints": joints}, np.zeros((1, 2), np.int64)).draw(0)
    assert rgb.shape == (160, 640, 3)


# ------------------------------------------------------------------- films


def film(episode: Episode, body: Embodiment, tmp_path, height: int = 240):
    path = tmp_path / "clip.mp4"
    side_by_side(episode, body, path, height=height)
    assert not list(tmp_path.glob(".*"))
    return open_video(path)


def blue_and_orange(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the pixels in the left and in the right hand's colour."""
    values = rgb.astype(int)
    blue = np.nonzero(values[..., 2] - values[..., 0] > 80)[1]
    orange = np.nonzero(values[..., 0] - values[..., 2] > 80)[1]
    return blue, orange


def test_where_nobody_filmed_the_hands_themselves_are_shown_left_on_the_left(tmp_path):
    shown = film(labelled(person(camera=False), X5, Rules()), X5, tmp_path)
    assert len(shown) == STEPS
    assert (shown.height, shown.width) == (240 + 80, 480)
    # Below the captions, which are in the same colours.
    blue, orange = blue_and_orange(shown[0][100:240, :240])
    assert len(blue) > 60
    assert len(orange) > 60
    assert blue.max() < orange.min()


def test_a_robots_film_shows_the_hands_of_its_label_and_none_without(tmp_path):
    own = robot_episode(X5)
    alone = film(own, X5, tmp_path)
    assert (alone.height, alone.width) == (240 + 80, 240)
    assert sum(len(c) for c in blue_and_orange(alone[0][90:240])) == 0
    both = film(labelled(own, HUMAN, Rules()), X5, tmp_path)
    assert both.width == 480
    blue, orange = blue_and_orange(both[0][90:240, 240:])
    assert len(blue) > 20
    assert len(orange) > 20
    assert blue.max() < orange.min()


def test_a_side_that_is_never_valid_is_filmed_and_said(tmp_path):
    episode = labelled(person(), X5, Rules())
    labels = episode.labels["x5"]
    state = {name: values.copy() for name, values in labels.state.items()}
    state["joints"][:, JOINTS["joints/left"]] = np.nan
    reason = labels.reason.copy()
    reason[:, 0] = Reason.OUT_OF_REACH
    episode = replace(
        episode, labels={"x5": Labels(state, state, labels.reliability, reason, labels.mapping)}
    )
    assert not followed(episode, X5).valid[:, 0].any()
    first = film(episode, X5, tmp_path)[0].astype(int)
    # Purple, in the caption and in the arm.
    purple = first[:240, 320:]
    purple = (purple[..., 2] - purple[..., 1] > 30) & (purple[..., 0] - purple[..., 1] > 5)
    assert purple[60:].sum() > 100


def test_an_episode_of_nothing_that_can_be_filmed_says_so(tmp_path):
    with pytest.raises(NothingToShow, match="`mivla retarget` makes them"):
        default_robot(person())
    with pytest.raises(NothingToShow, match="no label for x5"):
        side_by_side(person(), X5, tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())
    assert default_robot(robot_episode(X5)) is X5


def test_a_film_of_one_step_is_a_film(tmp_path):
    whole = labelled(person(camera=False), X5, Rules())
    one = {name: values[:1] for name, values in whole.state.items()}
    labels = whole.labels["x5"]
    first = Labels(
        {name: values[:1] for name, values in labels.state.items()},
        {name: values[:1] for name, values in labels.action.items()},
        labels.reliability[:1],
        labels.reason[:1],
        labels.mapping,
    )
    episode = replace(
        whole,
        clock_s=np.zeros(1),
        state=one,
        action=one,
        labels={"x5": first},
        confidence=None,
    )
    assert len(film(episode, X5, tmp_path)) == 1


def test_turns_of_the_made_up_person_are_real():
    T = wrist_pose(person().state["landmarks"].reshape(STEPS, 2, 21, 3)[:, 0], "left")
    turned = Rotation.from_matrix(T[0, :3, :3].T @ T[-1, :3, :3]).magnitude()
    assert turned > 0.3
