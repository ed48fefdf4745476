"""From how wide a hand pinches to how wide a gripper opens, one way: clipping, and a filter."""

import numpy as np
from jaxtyping import Float

from mivla.embodiments import hand
from mivla.retarget.rules import Rules


def opening_of(
    pinch_m: Float[np.ndarray, " t"], clock_s: Float[np.ndarray, " t"], rules: Rules
) -> Float[np.ndarray, " t"]:
    """The opening (0 shut, 1 open) that the rules' gripper makes of pinches.

    NaN throughout where the rules take no gripper from a hand; NaN pinches stay NaN.
    """
    if rules.gripper == "none":
        return np.full(len(pinch_m), np.nan)
    opening = np.clip(hand.opening_from_pinch(pinch_m, rules.d_shut, rules.d_open), 0, 1)
    if rules.gripper == "shut_between":
        return _shut_between(opening, pinch_m, rules.shut_share)
    if rules.filter_opening:
        return opening_filtered(opening, clock_s, rules)
    return opening


def _shut_between(
    opening: Float[np.ndarray, " t"], pinch_m: Float[np.ndarray, " t"], share: float
) -> Float[np.ndarray, " t"]:
    """The opening, shut from the first narrow pinch of the episode to the last."""
    known = np.isfinite(pinch_m)
    if not known.any():
        return opening
    narrowest, widest = pinch_m[known].min(), pinch_m[known].max()
    narrow = np.flatnonzero(pinch_m < narrowest + share * (widest - narrowest))
    # A hand that never moves its fingers grasps nothing.
    if len(narrow):
        within = slice(narrow[0], narrow[-1] + 1)
        opening[within] = np.where(known[within], 0.0, np.nan)
    return opening


def opening_filtered(
    opening: Float[np.ndarray, " t"], clock_s: Float[np.ndarray, " t"], rules: Rules
) -> Float[np.ndarray, " t"]:
    """Either 0 or 1: hysteresis (so that noise does not rattle the gripper), then a majority vote.

    Between `shut_below` and `open_above` the gripper stays as it was. The vote is taken over
    `majority_s` around each step; a tie leaves the step as it is. NaN stays NaN and does not vote.
    """
    known = np.isfinite(opening)
    if not known.any():
        return opening.copy()
    decided = np.full(len(opening), np.nan)
    decided[known & (opening < rules.shut_below)] = 0
    decided[known & (opening > rules.open_above)] = 1
    if np.isnan(decided).all():
        middle = 0.5 * (rules.shut_below + rules.open_above)
        decided[:] = float(np.nanmean(opening) > middle)
    # Each step takes the last decision, and those before the first one take that.
    at = np.where(np.isfinite(decided), np.arange(len(decided)), -1)
    at = np.maximum.accumulate(at)
    at[at < 0] = np.argmax(np.isfinite(decided))
    held = decided[at]
    ayes = np.concatenate([[0], np.cumsum(np.where(known, held, 0))])
    votes = np.concatenate([[0], np.cumsum(known)])
    first = np.searchsorted(clock_s, clock_s - 0.5 * rules.majority_s - 1e-9, side="left")
    last = np.searchsorted(clock_s, clock_s + 0.5 * rules.majority_s + 1e-9, side="right")
    share = (ayes[last] - ayes[first]) / np.maximum(votes[last] - votes[first], 1)
    voted = np.where(share > 0.5, 1.0, np.where(share < 0.5, 0.0, held))
    return np.where(known, voted, np.nan)
