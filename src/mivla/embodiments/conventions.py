"""How others number the keypoints of a hand, and how they turn its wrist frame; in and out.

Inside there is one order of keypoints, OpenPose's (`hand.LANDMARK_NAMES`), and one wrist frame,
MANO's. In words: f points to the fingers, d out of the back of the hand, r to the thumb; the
canonical axes are (−f, d, r) for a right hand and (f, d, r) for a left one.

| convention | keypoints | whose |
|---|---|---|
| `openpose` | 21 | MediaPipe, OpenPose, VITRA, FreiHAND; ours |
| `arkit` | 25, with the fingers' metacarpals | ARKit, visionOS, EgoDex; WebXR numbers them so |
| `mano` | 21: wrist, index, middle, little, ring, thumb, then tips from thumb on | smplx |
| `aria` | 21, without the thumb's base, with the palm's centre | Project Aria, UmeTrack, HOT3D |
| `openxr` | 26, with palm and metacarpals | OpenXR, HoloLens, HoloAssist |

Wrist axes of `openpose` are the canonical ones: it has none of its own.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from mivla import MivlaError
from mivla.embodiments.layout import Side

Convention = Literal["openpose", "arkit", "mano", "aria", "openxr"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


class UnknownConvention(MivlaError):
    """Keypoints of a convention that is not known, or not as many as it has."""


POINTS: dict[Convention, int] = {"openpose": 21, "arkit": 25, "mano": 21, "aria": 21, "openxr": 26}
"""How many keypoints each convention has."""

_FINGERS: dict[Convention, tuple[tuple[int | None, ...], ...]] = {
    "openpose": (
        (0,),
        (1, 2, 3, 4),
        (5, 6, 7, 8),
        (9, 10, 11, 12),
        (13, 14, 15, 16),
        (17, 18, 19, 20),
    ),
    "arkit": (
        (0,),
        (1, 2, 3, 4),
        (6, 7, 8, 9),
        (11, 12, 13, 14),
        (16, 17, 18, 19),
        (21, 22, 23, 24),
    ),
    "mano": ((0,), (13, 14, 15, 16), (1, 2, 3, 17), (4, 5, 6, 18), (10, 11, 12, 19), (7, 8, 9, 20)),
    "aria": (
        (5,),
        (None, 6, 7, 0),
        (8, 9, 10, 1),
        (11, 12, 13, 2),
        (14, 15, 16, 3),
        (17, 18, 19, 4),
    ),
    "openxr": (
        (1,),
        (2, 3, 4, 5),
        (7, 8, 9, 10),
        (12, 13, 14, 15),
        (17, 18, 19, 20),
        (22, 23, 24, 25),
    ),
}
"""Where each convention keeps the wrist, then thumb to little finger from base to tip."""

_ORDER = {name: tuple(i for part in parts for i in part) for name, parts in _FINGERS.items()}

_AXES: dict[Convention, dict[Side, tuple[str, str, str]]] = {
    "openpose": {"left": ("+f", "+d", "+r"), "right": ("-f", "+d", "+r")},
    "mano": {"left": ("+f", "+d", "+r"), "right": ("-f", "+d", "+r")},
    "aria": {"left": ("+f", "+d", "+r"), "right": ("-f", "+d", "+r")},
    "arkit": {"left": ("+f", "-d", "-r"), "right": ("-f", "+d", "+r")},
    "openxr": {"left": ("+r", "+d", "-f"), "right": ("-r", "+d", "-f")},
}
"""What the x, y and z axes of a wrist point to."""


def named(name: str) -> Convention:
    """The convention of that name.

    Raises:
        UnknownConvention: there is none.
    """
    if name not in CONVENTIONS:
        raise UnknownConvention(
            f"no convention {name!r} of hand keypoints; there are {_by_number()}"
        )
    return name


def landmarks_from(
    points: Float[np.ndarray, "*b n 3"], convention: Convention, side: Side
) -> Float[np.ndarray, "*b 21 3"]:
    """Keypoints of a convention in OpenPose's order; NaN where the convention has none.

    No convention numbers its two hands differently, so `side` only tells whose hand it was.

    Raises:
        UnknownConvention: the convention has another number of keypoints.
    """
    theirs = _ORDER[convention]
    if points.shape[-2] != POINTS[convention]:
        raise UnknownConvention(
            f"the {side} hand has {points.shape[-2]} keypoints, but the convention {convention!r} "
            f"has {POINTS[convention]}; there are {_by_number()}"
        )
    found = points[..., [0 if i is None else i for i in theirs], :]
    lacking = [ours for ours, i in enumerate(theirs) if i is None]
    found[..., lacking, :] = np.nan
    return found


def landmarks_to(
    points: Float[np.ndarray, "*b 21 3"], convention: Convention, side: Side
) -> Float[np.ndarray, "*b n 3"]:
    """The inverse of `landmarks_from`; NaN for palms and metacarpals, which nobody measured."""
    theirs = _ORDER[convention]
    given = np.full((*points.shape[:-2], POINTS[convention], 3), np.nan, dtype=points.dtype)
    for ours, i in enumerate(theirs):
        if i is not None:
            given[..., i, :] = points[..., ours, :]
    return given


def wrist_rotation_from(
    R: Float[np.ndarray, "*b 3 3"], convention: Convention, side: Side
) -> Float[np.ndarray, "*b 3 3"]:
    """The rotation of a wrist with canonical axes, from one with the convention's axes.

    Axes only: a tracker's wrist and the one that `hand.wrist_pose` builds from keypoints differ by
    some degrees more (8 for Aria's), so the two are never to be mixed.
    """
    return R @ _turn(convention, side).T.astype(R.dtype)


def wrist_rotation_to(
    R: Float[np.ndarray, "*b 3 3"], convention: Convention, side: Side
) -> Float[np.ndarray, "*b 3 3"]:
    """The inverse of `wrist_rotation_from`."""
    return R @ _turn(convention, side).astype(R.dtype)


def _by_number() -> str:
    return ", ".join(f"{name} ({count} points)" for name, count in POINTS.items())


def _turn(convention: Convention, side: Side) -> np.ndarray:
    """The convention's axes in the canonical frame."""
    return _in_hand(_AXES["mano"][side]).T @ _in_hand(_AXES[convention][side])


def _in_hand(axes: tuple[str, str, str]) -> np.ndarray:
    """Axes as columns in the basis (f, d, r)."""
    columns = [(1.0 if axis[0] == "+" else -1.0) * np.eye(3)["fdr".index(axis[1])] for axis in axes]
    return np.stack(columns, axis=-1)
