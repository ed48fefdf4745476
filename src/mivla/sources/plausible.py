"""Whether a person's recording can be what it is said to be: in seconds and metres, upright, each
hand on its own side. What cannot be is refused with what it looks like; what is odd is noted.

Thresholds come from the recordings of five trackers: palms of 86 to 99 mm; thumb and fingers on the
palm's side in every step of headsets and motion capture, and in two thirds of those of the worst
film.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float
from numba import njit

from mivla.embodiments.hand import (
    LANDMARK_NAMES,
    MIDDLE_KNUCKLE,
    TIPS,
    WRIST,
    wrist_pose,
)
from mivla.embodiments.layout import SIDES, Side
from mivla.geometry import se3
from mivla.sources.source import UnreadableRecording

GRIP_LANDMARKS = (0, 4, 5, 8, 9, 17)
"""Wrist, thumb tip, index tip, and the three knuckles that orient the wrist frame: the least that
makes a grip."""

PALM_M = (0.05, 0.14)
"""From wrist to middle knuckle, of a child and of a very large hand."""
USUAL_PALM_M = 0.0955

UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37}
"""How many of each a metre has."""

CLEAR = 0.1
"""How far from its own side, in palms, a hand's shape counts as a sign."""
CLEAR_STEPS = 0.1
"""So large a share of a hand's steps has to be clear for anything to be said of its side."""
WRONG_SIDE = 0.8
ODD_SIDE = 0.2
"""Shares of a hand's clear steps that look like the other hand: not this hand, or odd."""

PALM_CHANGE = 1.4
"""Between the 5 % shortest and the 5 % longest palms of a recording, where bones are rigid."""

VIEW = np.cos(np.radians(75))
REACH_M = 1.5
"""Hands that a head camera can see: so far off its axis, so far from it."""

ON_ITS_SIDE = 0.65
UPSIDE_DOWN = -0.3
"""Sines of the roll and of the elevation of a picture's top, on average, that no head has."""

SLOWEST_S, FASTEST_S = 2.0, 1 / 2000
"""Between two steps, on average."""
TIME_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


LOOKED_AT = 120
"""Steps of each hand that are judged: enough for shares, and as quick for an hour as a minute."""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit."""

    text: str
    sure: bool
    """Whether the recording cannot be right; else it is only odd."""


def clock(times_s: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """The times of the steps, from 0.

    Raises:
        UnreadableRecording: fewer than two steps; times that are not finite, go back, repeat, or
            are not in seconds.
    """
    if len(times_s) < 2:
        raise UnreadableRecording(f"it holds {len(times_s)} step: too short for an action")
    if not np.isfinite(times_s).all():
        step = int(np.argmin(np.isfinite(times_s)))
        raise UnreadableRecording(f"the time of step {step} is not a number")
    between = np.diff(times_s)
    if (between <= 0).any():
        step = int(np.argmax(between <= 0))
        what = "stands still" if between[step] == 0 else "goes back"
        raise UnreadableRecording(
            f"time {what} from step {step} to {step + 1} ({times_s[step]:.6g} to "
            f"{times_s[step + 1]:.6g} s); every step needs a time later than the one before"
        )
    usual = float(np.median(between))
    if usual > SLOWEST_S:
        like = [unit for unit, n in TIME_UNITS.items() if FASTEST_S <= usual / n <= SLOWEST_S / 4]
        said = f": the clock looks like {like[0]}" if like else ""
        raise UnreadableRecording(
            f"its steps lie {usual:.6g} s apart, too far to be one motion{said}; give it in seconds"
        )
    if usual < FASTEST_S:
        raise UnreadableRecording(
            f"its steps lie {usual:.3g} s apart, which no tracker does; give the clock in seconds"
        )
    return times_s - times_s[0]


def notes(
    points: Float[np.ndarray, "t 2 21 3"],
    T_world_cam: Float[np.ndarray, "t 4 4"] | None = None,
    up: Float[np.ndarray, "3"] | None = None,
    R_own_world: Float[np.ndarray, "3 3"] | None = None,
) -> tuple[str, ...]:
    """What is odd about a person's hands, left and right, in a world of metres.

    `T_world_cam` is the pose of their head camera in OpenCV's axes, `up` points against gravity;
    what is not known is not judged. `R_own_world` turns that world to the recording's own, where
    it is another, so that axes are called by their names there.

    Raises:
        UnreadableRecording: it cannot be right; the message says what it looks like.
    """
    found = findings(points, T_world_cam, up, R_own_world)
    sure = [finding.text for finding in found if finding.sure]
    if sure:
        raise UnreadableRecording("; ".join(sure))
    return tuple(finding.text for finding in found)


def findings(
    points: Float[np.ndarray, "t 2 21 3"],
    T_world_cam: Float[np.ndarray, "t 4 4"] | None = None,
    up: Float[np.ndarray, "3"] | None = None,
    R_own_world: Float[np.ndarray, "3 3"] | None = None,
) -> list[Finding]:
    """Everything that does not fit, as `notes` judges it, the worst first."""
    seen = graspable(points)
    absent = _absent(points, seen)
    if absent and absent[0].sure:
        return absent
    steps = _sample(seen)
    points, seen = points[steps], seen[steps]
    T_world_cam = None if T_world_cam is None else T_world_cam[steps]
    size = _size(points, seen)
    if any(finding.sure for finding in size):
        # In another unit the rest of the yardsticks are wrong.
        return size
    found = [*size, *_sides(points, seen), *_twice(points, seen), *absent]
    if T_world_cam is not None:
        view = _view(points, seen, T_world_cam)
        found += view
        # A pose that is none of the camera says nothing about up.
        if up is not None and not any(finding.sure for finding in view):
            found += _upright(points, seen, T_world_cam, up, R_own_world)
    elif up is not None:
        found += _level(points, seen, up)
    return sorted(found, key=lambda finding: not finding.sure)


def graspable(points: Float[np.ndarray, "t 2 21 3"]) -> Bool[np.ndarray, "t 2"]:
    """At which steps each hand has all that makes a grip."""
    seen = np.empty(points.shape[:2], dtype=np.bool_)
    _find_graspable(points, seen)
    return seen


@njit(cache=True, error_model="numpy")
@no_type_check
def _find_graspable(points, seen):
    for t in range(points.shape[0]):
        for side in range(points.shape[1]):
            total = 0.0
            for i in GRIP_LANDMARKS:
                total += points[t, side, i, 0] + points[t, side, i, 1] + points[t, side, i, 2]
            seen[t, side] = np.isfinite(total)


def _sample(seen: np.ndarray) -> np.ndarray:
    """Steps at which each hand is seen, or an even choice of `LOOKED_AT` of those."""
    chosen = [
        steps[np.linspace(0, len(steps) - 1, min(len(steps), LOOKED_AT)).astype(int)]
        for steps in (np.flatnonzero(of_side) for of_side in seen.T)
    ]
    return np.unique(np.concatenate(chosen))


def _absent(points: np.ndarray, seen: np.ndarray) -> list[Finding]:
    steps, counts = len(seen), seen.sum(axis=0)
    if not seen.any():
        if not np.isfinite(points).any():
            return [Finding(f"no hand is tracked in any of its {steps} steps", sure=True)]
        lacking = [
            LANDMARK_NAMES[i]
            for i in GRIP_LANDMARKS
            if not np.isfinite(points[:, :, i]).all(axis=-1).any()
        ]
        what = ", ".join(lacking) if lacking else "one or another of them"
        needed = ", ".join(LANDMARK_NAMES[i] for i in GRIP_LANDMARKS)
        return [
            Finding(
                f"no step has all of {needed} of a hand, which a grip needs: {what} is missing",
                sure=True,
            )
        ]
    if counts.sum() == 1 or seen.any(axis=1).sum() == 1:
        return [
            Finding(
                f"hands are tracked at one of its {steps} steps only: too short for an action",
                sure=True,
            )
        ]
    found = []
    for number, side in enumerate(SIDES):
        if counts[number] == 0:
            found.append(Finding(f"the {side} hand is never seen", sure=False))
        elif counts[number] == 1:
            found.append(Finding(f"the {side} hand is seen at one step only", sure=False))
    return found


def _size(points: np.ndarray, seen: np.ndarray) -> list[Finding]:
    palm = np.linalg.norm(points[:, :, MIDDLE_KNUCKLE] - points[:, :, WRIST], axis=-1)
    usual = float(np.median(palm[seen]))
    if not PALM_M[0] <= usual <= PALM_M[1]:
        like = [
            (abs(np.log(usual / n / USUAL_PALM_M)), unit, n)
            for unit, n in UNITS.items()
            if PALM_M[0] <= usual / n <= PALM_M[1]
        ]
        if like:
            _, unit, n = min(like)
            advice = f"it looks like {unit}: divide by {n:g}, or name the unit in a landmark file"
        else:
            advice = "it is in no unit of length (normalised or pixel coordinates?): give metres"
        return [
            Finding(
                f"its palms measure {usual:.4g} m from wrist to middle knuckle, where hands have "
                f"0.07 to 0.12: {advice}",
                sure=True,
            )
        ]
    found = []
    for number, side in enumerate(SIDES):
        own = palm[seen[:, number], number]
        if len(own) < 10:
            continue
        short, long = np.percentile(own, [5, 95])
        if long > PALM_CHANGE * short:
            found.append(
                Finding(
                    f"the palm of the {side} hand measures from {1000 * short:.0f} to "
                    f"{1000 * long:.0f} mm, where bones are rigid: its depth is not to be trusted",
                    sure=False,
                )
            )
    return found


def _sides(points: np.ndarray, seen: np.ndarray) -> list[Finding]:
    """Hands whose thumb and fingers bend to the back: those of the other side."""
    share: dict[Side, float] = {}
    for number, side in enumerate(SIDES):
        sign = _on_its_side(points[seen[:, number], number], side)
        clear = sign[np.abs(sign) > CLEAR]
        # Of hands held flat, a slip of the tracker would be all that is clear.
        if len(clear) and len(clear) >= CLEAR_STEPS * len(sign):
            share[side] = float(np.mean(clear < 0))
    wrong = [side for side, part in share.items() if part >= WRONG_SIDE]
    if len(wrong) == len(share) > 0:
        hands = "both hands are" if len(wrong) == 2 else f"the {wrong[0]} hand is"
        return [
            Finding(
                f"{hands} shaped like the other side's (thumb and fingers would bend backwards): "
                "left and right look exchanged, or the coordinates are left-handed, as Unity's "
                "are. Exchange the hands, or negate one axis of all points and poses",
                sure=True,
            )
        ]
    found = []
    for side, part in share.items():
        if part >= WRONG_SIDE:
            found.append(
                Finding(
                    f"the {side} hand is shaped like the other side's (thumb and fingers would "
                    "bend backwards), and the other hand is not: it looks as if one hand stood "
                    "for both. Leave it out, or name its side rightly",
                    sure=True,
                )
            )
        elif part >= ODD_SIDE:
            found.append(
                Finding(
                    f"in {part:.0%} of its steps the {side} hand is shaped like the other side's: "
                    "its depth, or which hand it is, is not to be trusted",
                    sure=False,
                )
            )
    return found


def _on_its_side(points: Float[np.ndarray, "n 21 3"], side: Side) -> Float[np.ndarray, " n"]:
    """How far thumb and fingertips lie on the palm's side, in palms; negative on the back's."""
    T = wrist_pose(points, side)
    d, wrist = T[:, None, :3, 1], points[:, None, WRIST]
    palmar = -np.sum((points - wrist) * d, axis=-1)
    palm = np.linalg.norm(points[:, MIDDLE_KNUCKLE] - points[:, WRIST], axis=-1)
    thumb = palmar[:, [3, 4]]
    curl = palmar[:, TIPS[1:]] - palmar[:, [5, 9, 13, 17]]
    # The thumb's last joint or some fingertips may be missing.
    parts = np.concatenate([thumb, 0.5 * curl], axis=-1)
    weight = np.isfinite(parts) * np.array([3.0, 3.0, 1.5, 1.5, 1.5, 1.5])
    mean = np.sum(np.nan_to_num(parts) * weight, axis=-1) / np.maximum(weight.sum(axis=-1), 1)
    return np.nan_to_num(mean / palm)


def _twice(points: np.ndarray, seen: np.ndarray) -> list[Finding]:
    both = seen.all(axis=1)
    if not both.any():
        return []
    apart = np.linalg.norm(points[both, 0, WRIST] - points[both, 1, WRIST], axis=-1)
    same = float(np.mean(apart < 0.01))
    if same < 0.5:
        return []
    return [
        Finding(
            f"both wrists are in one place in {same:.0%} of the steps that have both: one hand "
            "looks to be there twice",
            sure=True,
        )
    ]


def _view(points: np.ndarray, seen: np.ndarray, T_world_cam: np.ndarray) -> list[Finding]:
    """Whether the hands are before the head camera; if not, as what its pose would fit."""
    known = np.asarray(np.isfinite(T_world_cam).all(axis=(1, 2)))
    step, side = np.nonzero(seen & known[:, None])
    if not len(step):
        return []
    wrist = points[step, side, WRIST]
    T = T_world_cam[step]
    p_cam = se3.transform(se3.inverse(T), wrist)
    readings = {
        "": p_cam,
        "the camera's axes look like OpenGL's (y up, z backwards): turn its rotation by "
        "diag(1, -1, -1)": p_cam * [1, -1, -1],
        "the pose looks like that of the world in the camera: invert it": se3.transform(T, wrist),
    }
    share = {text: float(np.mean(_visible(p))) for text, p in readings.items()}
    if share[""] >= 0.5:
        return []
    text = f"the hands are out of the head camera's sight in {1 - share['']:.0%} of their steps"
    best = max(share, key=lambda reading: share[reading])
    if share[""] < 0.1 and share[best] > 0.8:
        return [Finding(f"{text}; {best}", sure=True)]
    return [Finding(text, sure=False)]


def _visible(p_cam: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(p_cam, axis=-1)
    return (p_cam[:, 2] > VIEW * distance) & (distance < REACH_M)


def _upright(
    points: np.ndarray,
    seen: np.ndarray,
    T_world_cam: np.ndarray,
    up: np.ndarray,
    R_own_world: np.ndarray | None,
) -> list[Finding]:
    """Whether the head camera is held as heads are."""
    known = np.asarray(np.isfinite(T_world_cam).all(axis=(1, 2)))
    T = T_world_cam[known]
    if not len(T):
        return []
    roll = float(np.mean(np.abs(T[:, :3, 0] @ up)))
    top = float(np.mean(-T[:, :3, 1] @ up))
    ahead = float(np.mean(T[:, :3, 2] @ up))
    axis = np.mean(-T[:, :3, 1], axis=0)
    if R_own_world is not None:
        axis = R_own_world @ axis
    nearest = int(np.argmax(np.abs(axis)))
    name = f"{'+' if axis[nearest] > 0 else '-'}{'xyz'[nearest]}"
    advice = (
        f"the top of its pictures points to {name} of its world: is that up? Or are the "
        "pictures turned?"
    )
    if roll > ON_ITS_SIDE:
        return [Finding(f"the head camera lies on its side; {advice}", sure=True)]
    if top < UPSIDE_DOWN:
        return [Finding(f"the head camera is upside down; {advice}", sure=True)]
    step, side = np.nonzero(seen & known[:, None])
    above = (points[step, side, WRIST] - T_world_cam[step, :3, 3]) @ up > 0
    if ahead > 0.5 and len(above) and above.mean() > 0.9:
        return [
            Finding(
                "the head camera looks steeply up, to hands above the head: work overhead, or "
                f"another axis is up; {advice}",
                sure=False,
            )
        ]
    return []


def _level(points: np.ndarray, seen: np.ndarray, up: np.ndarray) -> list[Finding]:
    both = seen.all(axis=1)
    apart = points[both, 0, WRIST] - points[both, 1, WRIST]
    distance = np.linalg.norm(apart, axis=-1)
    apart, distance = apart[distance > 0.15], distance[distance > 0.15]
    if len(apart) < 10 or np.mean(np.abs(apart @ up) / distance) < 0.85:
        return []
    return [
        Finding(
            "one hand is above the other all the time: is the direction that is taken for up "
            "another one?",
            sure=False,
        )
    ]
