"""Which steps of a side can be used, why the others cannot, and bridging short gaps."""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from mivla.geometry import se3
from mivla.retarget.registration import runs
from mivla.retarget.rules import Reason, Rules


@dataclass(frozen=True)
class Track:
    """One side's tool-like frame over time, with gaps bridged."""

    T: Float[np.ndarray, "t 4 4"]
    """Pose of grip or tool in the body's base; NaN where `reason` is not VALID."""
    width: Float[np.ndarray, " t"]
    """Pinch in metres, or opening."""
    reason: Int[np.ndarray, " t"]
    filled: tuple[tuple[int, int], ...]
    """Runs (start, stop) that were missing and are interpolated; their reason is VALID."""


def clean(
    T: Float[np.ndarray, "t 4 4"],
    width: Float[np.ndarray, " t"],
    confidence: Float[np.ndarray, " t"] | None,
    clock_s: Float[np.ndarray, " t"],
    rules: Rules,
) -> Track:
    """Judge every step, take out what is wrong, and bridge gaps up to `max_gap_s`.

    `T` and `width` become those of the track: they are changed where they are.
    """
    reason = np.zeros(len(T), dtype=np.int64)
    if confidence is None:
        confidence = np.full(len(T), np.nan)
    _judge(
        T,
        width,
        confidence,
        clock_s,
        rules.min_confidence,
        rules.max_speed_m_s,
        rules.max_turn_rad_s,
        reason,
    )
    filled = _bridgeable(reason == 0, clock_s, rules.max_gap_s)
    if filled:
        # All gaps at once: one by one, an hour with many would take a minute.
        good = np.flatnonzero(reason == 0)
        inside = np.concatenate([np.arange(start, stop) for start, stop in filled])
        T[inside] = se3.interpolate(T[good], clock_s[good], clock_s[inside])
        width[inside] = np.interp(clock_s[inside], clock_s[good], width[good])
        reason[inside] = Reason.VALID
    T[reason != 0] = np.nan
    width[reason != 0] = np.nan
    return Track(T, width, reason, filled)


_UNTRACKED, _LOW_CONFIDENCE, _JUMP = (
    int(Reason.UNTRACKED),
    int(Reason.LOW_CONFIDENCE),
    int(Reason.JUMP),
)


@njit(cache=True, error_model="numpy")
@no_type_check
def _judge(T, width, confidence, clock_s, min_confidence, max_speed_m_s, max_turn_rad_s, reason):
    """Write why each step cannot be used.

    A jump lies farther from the last believed step than a hand gets in that time. The longer ago
    that step is, the more is allowed: after a lasting change of place the hand is believed again.
    """
    believed = -1
    for t in range(len(T)):
        total = width[t]
        for r in range(3):
            for c in range(4):
                total += T[t, r, c]
        if not np.isfinite(total):
            reason[t] = _UNTRACKED
            continue
        # A NaN confidence is none: the step is judged by its pose alone.
        if confidence[t] < min_confidence:
            reason[t] = _LOW_CONFIDENCE
            continue
        if believed >= 0:
            moved, trace = 0.0, 0.0
            for r in range(3):
                moved += (T[t, r, 3] - T[believed, r, 3]) ** 2
                for c in range(3):
                    trace += T[t, r, c] * T[believed, r, c]
            dt = clock_s[t] - clock_s[believed]
            most = min(max_turn_rad_s * dt, np.pi)
            if np.sqrt(moved) > max_speed_m_s * dt or 0.5 * (trace - 1) < np.cos(most) - 1e-9:
                reason[t] = _JUMP
                continue
        believed = t


def _bridgeable(
    valid: np.ndarray, clock_s: np.ndarray, max_gap_s: float
) -> tuple[tuple[int, int], ...]:
    return tuple(
        (start, stop)
        for start, stop in runs(~valid)
        if start > 0
        and stop < len(valid)
        and clock_s[stop] - clock_s[start - 1] <= max_gap_s + 1e-9
    )
