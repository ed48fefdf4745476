"""Frames of a hand that are measured anew at every step, as other systems take them.

They swing while fingers move, so nothing of them can be undone: a tool says where such a frame was,
and not how the hand was held.
"""

import numpy as np
from jaxtyping import Float

from mivla.embodiments import hand
from mivla.embodiments.layout import HAND, SIDES, Side
from mivla.episodes import Motion
from mivla.geometry import se3, so3
from mivla.retarget.rules import MEASURED_ANCHORS, Rules

_KNUCKLES = np.array(hand.PALM[1:])


def measured_frame(
    state: Motion, T_grip: Float[np.ndarray, "t 4 4"], side: Side, rules: Rules
) -> Float[np.ndarray, "t 4 4"]:
    """The pose that a tool follows by rules whose anchor is measured, in the heading frame.

    Its axes are a tool's: z approach, y closing. NaN where a landmark that it needs is missing, or
    the hand as a whole.
    """
    points = _points(state, T_grip, side)
    position = points[:, list(MEASURED_ANCHORS[rules.anchor])].mean(axis=1)
    R = tips_rotation(points) if rules.orientation == "tips" else T_grip[:, :3, :3]
    T = se3.pose(R, position)
    T[~np.isfinite(T_grip).all(axis=(1, 2))] = np.nan
    return T


def tips_rotation(points: Float[np.ndarray, "t 21 3"]) -> Float[np.ndarray, "t 3 3"]:
    """Axes of a gripper between the tips of thumb and index finger.

    y goes from the index tip to the thumb tip, z from the index knuckle to between the two, made
    upright to y. NaN where the tips touch or all three lie on one line (within a tenth of a
    millimetre, below which no direction is known).
    """
    thumb, index = points[:, hand.THUMB_TIP], points[:, hand.INDEX_TIP]
    y = _unit(thumb - index)
    reach = 0.5 * (thumb + index) - points[:, hand.INDEX_KNUCKLE]
    z = _unit(reach - np.sum(reach * y, axis=-1, keepdims=True) * y)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _unit(v: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 3"]:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return so3.normalise(np.where(length > 1e-4, v, np.nan))


def _points(
    state: Motion, T_grip: Float[np.ndarray, "t 4 4"], side: Side
) -> Float[np.ndarray, "t 21 3"]:
    """One hand's landmarks; of a hand vector alone wrist and tips, and a mean hand's knuckles.

    Knuckles hardly move against the wrist. What neither tells is NaN.
    """
    if "landmarks" in state:
        points = state["landmarks"].reshape(len(T_grip), 2, 21, 3)[:, SIDES.index(side)]
        return points.astype(float)
    points = np.full((len(T_grip), 21, 3), np.nan)
    part = state["hand"].astype(float)
    points[:, hand.WRIST] = part[:, HAND[f"hand/{side}/wrist/position"]]
    points[:, hand.TIPS] = part[:, HAND[f"hand/{side}/tip"]].reshape(-1, 5, 3)
    mean = hand.template(np.array(hand.D_SHUT), side)[_KNUCKLES]
    T_wrist = hand.wrist_from_grip(T_grip, side)
    points[:, _KNUCKLES] = se3.transform(T_wrist[:, None], mean)
    return points
