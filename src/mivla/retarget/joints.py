"""Joints that bring an arm's tool along a trajectory, and why they cannot."""

from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

from mivla.embodiments import Arm
from mivla.geometry import se3
from mivla.kinematics import (
    Chain,
    Solution,
    chain,
    forward,
    limits,
    solve_trajectory,
)
from mivla.retarget.rules import Reason, Rules

_LOST_STEPS = 3
"""So many steps out of reach, and other configurations are tried."""
_LIMIT_MARGIN_RAD = 2e-3
# How many metres a radian is worth where the rotation is only wished for: the position wins, and
# is off by a few hundredths of a millimetre for it.
_WISHED_ROTATION_WEIGHT_M = 0.01


@dataclass(frozen=True)
class Followed:
    """An arm on its way along a trajectory. In steps that are not VALID nothing is meant."""

    q: Float[np.ndarray, "t dof"]
    """Radians."""
    T_base_tool: Float[np.ndarray, "t 4 4"]
    """The tool pose that was wanted; with `positions_only`, turned as `q` turns it."""
    error: Float[np.ndarray, " t"]
    """How much of the tolerance is used up, position or rotation, 0 to 1 where VALID."""
    reason: Int[np.ndarray, " t"]


def follow(
    arm: Arm,
    T_base_tool: Float[np.ndarray, "t 4 4"],
    reason: Int[np.ndarray, " t"],
    clock_s: Float[np.ndarray, " t"],
    rules: Rules,
) -> Followed:
    """Solve every step whose `reason` is VALID, warm-started from home and from step to step.

    The others must be missing (NaN). Where the arm loses the trajectory, it is looked for in other
    configurations, and goes on in the nearest that reaches it.
    """
    arm_chain = chain(arm)
    solution = _trajectory(arm_chain, T_base_tool, np.array(arm.home, dtype=float), rules)
    q = solution.q
    error = solution.position_error_m / rules.position_tolerance_m
    if rules.positions_only:
        R = forward(arm_chain, q)[:, :3, :3]
        T_base_tool = se3.pose(R, T_base_tool[:, :3, 3])
    else:
        error = np.maximum(error, solution.rotation_error_rad / rules.rotation_tolerance_rad)
    missed = (reason == Reason.VALID) & ~solution.converged
    reason = reason.copy()
    if missed.any():
        reason[missed] = np.where(
            _at_limit(arm_chain, q[missed]) & _near_enough(arm_chain, T_base_tool[missed]),
            Reason.JOINT_LIMIT,
            Reason.OUT_OF_REACH,
        )
    _find_jumps(q, clock_s, rules.max_joint_speed_rad_s, reason)
    return Followed(q, T_base_tool, error, reason)


_VALID, _JUMP = int(Reason.VALID), int(Reason.JUMP)


@njit(cache=True, error_model="numpy")
@no_type_check
def _find_jumps(q, clock_s, max_speed_rad_s, reason):
    """Mark steps that a joint reaches too fast from the step before.

    A change of configuration across a gap harms nobody; from one step to the next it does.
    """
    before_was_valid = False
    for t in range(len(q)):
        valid = reason[t] == _VALID
        if valid and before_was_valid:
            most = max_speed_rad_s * (clock_s[t] - clock_s[t - 1])
            for i in range(q.shape[1]):
                if abs(q[t, i] - q[t - 1, i]) > most:
                    reason[t] = _JUMP
        before_was_valid = valid


def _trajectory(
    arm_chain: Chain, targets: np.ndarray, q_start: np.ndarray, rules: Rules
) -> Solution:
    rotation: dict[str, Any] = {"rotation_tolerance_rad": rules.rotation_tolerance_rad}
    if rules.positions_only:
        rotation = {
            "rotation_tolerance_rad": np.inf,
            "rotation_weight_m": _WISHED_ROTATION_WEIGHT_M,
        }
    return solve_trajectory(
        arm_chain,
        targets,
        q_start,
        position_tolerance_m=rules.position_tolerance_m,
        restart_after=_LOST_STEPS,
        **rotation,
    )


def _at_limit(arm_chain: Chain, q: Float[np.ndarray, "n dof"]) -> Bool[np.ndarray, " n"]:
    low, high = limits(arm_chain)
    at_limit = (q < low + _LIMIT_MARGIN_RAD) | (q > high - _LIMIT_MARGIN_RAD)
    return np.asarray(at_limit.any(axis=-1))


def _near_enough(
    arm_chain: Chain, T_base_tool: Float[np.ndarray, "n 4 4"]
) -> Bool[np.ndarray, " n"]:
    """Whether a stretched arm would reach so far, whatever its joints allow.

    From the first joint to the last, which is where the tool's pose alone decides.
    """
    links = np.linalg.norm(arm_chain.T_fixed[1:-1, :3, 3], axis=-1)
    shoulder = (arm_chain.T_base_mount @ arm_chain.T_fixed[0])[:3, 3]
    last = (T_base_tool @ se3.inverse(arm_chain.T_fixed[-1]))[:, :3, 3]
    return np.linalg.norm(last - shoulder, axis=-1) < links.sum()
