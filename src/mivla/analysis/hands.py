"""Hands to be drawn: their points, their bones, and where they lie over a robot."""

import numpy as np
from jaxtyping import Float, Int

from mivla.embodiments import hand
from mivla.embodiments.layout import HAND, SIDES, Side
from mivla.episodes import Camera, Episode, Labels, Motion
from mivla.geometry import se3
from mivla.retarget import Registration

COLOURS: dict[Side, tuple[int, int, int]] = {"left": (64, 160, 255), "right": (255, 140, 40)}

_CHAINS = np.array([(hand.WRIST, *range(first, first + 4)) for first in (1, 5, 9, 13, 17)])
"""The fingers from the wrist to the tip, by number of the landmark."""


def person(episode: Episode) -> Motion | None:
    """The motion of a person in this episode, the body's own or a label's; None if neither."""
    if episode.body == "human":
        return episode.state
    return episode.labels["human"].state if "human" in episode.labels else None


def keypoints(episode: Episode) -> Float[np.ndarray, "t 2 21 3"] | None:
    """The hands' landmarks in the heading frame, the person's own or a label's; None if neither.

    Where only the 48 numbers of `hand` are known, the wrist and the tips are, and the rest is NaN.
    """
    motion = person(episode)
    if motion is None:
        return None
    if "landmarks" in motion:
        return motion["landmarks"].astype(float).reshape(-1, 2, 21, 3)
    if "hand" not in motion:
        return None
    values = motion["hand"].astype(float)
    points = np.full((len(values), 2, 21, 3), np.nan)
    for i, side in enumerate(SIDES):
        points[:, i, hand.WRIST] = values[:, HAND[f"hand/{side}/wrist/position"]]
        points[:, i, hand.TIPS] = values[:, HAND[f"hand/{side}/tip"]].reshape(-1, 5, 3)
    return points


def bones(
    points: Float[np.ndarray, "t 21 d"],
) -> tuple[Float[np.ndarray, "n 2 d"], Int[np.ndarray, " t"]]:
    """Both ends of every bone of a hand, step after step, and how many there are at each step.

    A bone leads past a landmark that is not known (Aria knows no base of the thumb).
    """
    known = np.asarray(np.isfinite(points).all(axis=-1))
    before = np.maximum.accumulate(np.where(known[:, _CHAINS], np.arange(5), -1), axis=-1)[..., :-1]
    there = np.asarray(known[:, _CHAINS[:, 1:]] & (before >= 0))
    start = np.take_along_axis(np.broadcast_to(_CHAINS, (*before.shape[:2], 5)), before, axis=-1)
    step, finger, joint = np.nonzero(there)
    ends = points[step, start[step, finger, joint]], points[step, _CHAINS[finger, joint + 1]]
    return np.stack(ends, axis=1), there.sum(axis=(1, 2))


def in_picture(
    camera: Camera, points: Float[np.ndarray, "t 2 21 3"]
) -> Float[np.ndarray, "t 2 21 2"] | None:
    """Pixels of points of the base, in the camera's own size; None without a calibration."""
    if camera.intrinsics is None or camera.T_base_cam is None:
        return None
    T_cam_base = se3.inverse(camera.T_base_cam.astype(float))
    return camera.intrinsics.project(se3.transform(T_cam_base[:, None, None], points.astype(float)))


def laid_over(episode: Episode, labels: Labels) -> Float[np.ndarray, "t 2 21 3"] | None:
    """A person's hands in the robot's base, laid over its tools by a label's registration.

    The axes of a hand's grip frame lie along those of the tool, start rotation and half-turn
    included, and its anchor (of the default rules: the grip's origin) lies where the tool is. So
    what is drawn is what the arm was asked for, whether it got there or not. Bones keep their
    length whatever the scale. None where there are no hands, or no registration.
    """
    points, motion = keypoints(episode), person(episode)
    if points is None or motion is None or "hand" not in motion:
        return None
    if "registration" not in labels.mapping:
        return None
    registration = Registration.from_json(labels.mapping)
    laid = np.full_like(points, np.nan)
    for i, side in enumerate(SIDES):
        registered = getattr(registration, side)
        if registered is None:
            continue
        values = motion["hand"].astype(float)[:, HAND[f"hand/{side}/wrist"]]
        T_base_grip = hand.grip_from_wrist(se3.from_position_rot6d(values), side)
        T_tool = registered.tool_from_grip(T_base_grip, registered.turned(len(points)))
        p_grip = se3.transform(se3.inverse(T_base_grip)[:, None], points[:, i])
        laid[:, i] = se3.transform(T_tool[:, None], p_grip - registered.anchor)
    return laid
