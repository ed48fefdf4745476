"""A robot put to the test: does its home make sense, and do its kinematics work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mivla.embodiments import Arm, Embodiment
from mivla.embodiments.findings import Finding
from mivla.embodiments.layout import Side
from mivla.geometry import se3, so3
from mivla.kinematics.chain import Chain, chain, forward, jacobian, limits
from mivla.kinematics.inverse import solve_cold

HOME_MARGIN_RAD = 0.05
"""A home nearer to a limit than that leaves the mapping no room."""
DOWN_WITHIN_RAD = float(np.radians(15))
MIRRORED_WITHIN_M = 0.05
MIRRORED_WITHIN_RAD = float(np.radians(20))
SOLVED_SHARE = 0.98
SPARED = 2
"""So many poses may fail whatever their share: a few drawn poses are hard."""
_REACH_SAMPLES = 4096
_DIFFERENCE_RAD = 1e-5
_DIFFERENCE_ERROR = 1e-6
# Left and right in the robot base, and in the tool's frame.
_S, _M = np.diag([1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
_HALF_TURN = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class ArmCheckup:
    """What one arm came to."""

    side: Side
    reach_m: float
    """The farthest that the tool gets from the first joint."""
    jacobian_error: float
    """The largest difference of the Jacobian from finite differences of forward kinematics."""
    poses: int
    """Reachable poses, drawn over the joint range, that were to be solved without a start."""
    solved: int
    """How many of them were."""
    ready_s: float
    """Seconds until the first were solved: compiling, where it is the first time."""
    pose_s: float
    """Seconds a pose from then on."""


def checkup(
    body: Embodiment, rng: np.random.Generator, clock_s: Callable[[], float], poses: int = 500
) -> tuple[tuple[ArmCheckup, ...], tuple[Finding, ...]]:
    """The self-test of every arm of a robot, and what is wrong with the robot in words.

    Raises:
        NotASerialArm: an arm's model is no chain.
    """
    results = tuple(_arm_checkup(arm, rng, clock_s, poses) for arm in body.arms)
    tested = (finding for result in results for finding in _test_findings(result))
    return results, (*home_findings(body), *tested)


def home_findings(body: Embodiment) -> tuple[Finding, ...]:
    """What is wrong with where the arms stand and with their home poses.

    Raises:
        NotASerialArm: an arm's model is no chain.
    """
    findings = [finding for arm in body.arms for finding in _home_findings(arm)]
    if len(body.arms) == 2:
        findings += _pair_findings(*body.arms)
    return tuple(findings)


def reach_m(arm: Arm) -> float:
    """The farthest that the tool gets from the first joint, over poses drawn evenly, metres."""
    from scipy.stats import qmc

    one = chain(arm)
    even = qmc.Sobol(one.dof, scramble=False).random_base2(int(np.log2(_REACH_SAMPLES)))
    p = forward(one, one.low + even * (one.high - one.low))[:, :3, 3]
    return float(np.linalg.norm(p - _first_joint(one), axis=1).max())


def _first_joint(one: Chain) -> np.ndarray:
    return (one.T_base_mount @ one.T_fixed[0])[:3, 3]


def _arm_checkup(
    arm: Arm, rng: np.random.Generator, clock_s: Callable[[], float], poses: int
) -> ArmCheckup:
    one = chain(arm)
    q = rng.uniform(*limits(one), (poses, one.dof))
    targets = forward(one, q)
    begun = clock_s()
    solve_cold(one, targets[:1], rng)
    ready = clock_s()
    found = solve_cold(one, targets, rng)
    done = clock_s()
    return ArmCheckup(
        side=arm.side,
        reach_m=reach_m(arm),
        jacobian_error=_jacobian_error(one, q[:32]),
        poses=poses,
        solved=int(found.converged.sum()),
        ready_s=ready - begun,
        pose_s=(done - ready) / poses,
    )


def _jacobian_error(one: Chain, q: np.ndarray) -> float:
    J = jacobian(one, q)
    numeric = np.empty_like(J)
    for i, step in enumerate(_DIFFERENCE_RAD * np.eye(one.dof)):
        before, after = forward(one, q - step), forward(one, q + step)
        turned = after[:, :3, :3] @ np.swapaxes(before[:, :3, :3], -1, -2)
        numeric[:, :3, i] = after[:, :3, 3] - before[:, :3, 3]
        numeric[:, 3:, i] = so3.rotvec_from_matrix(turned)
    return float(np.abs(J - numeric / (2 * _DIFFERENCE_RAD)).max())


def _test_findings(result: ArmCheckup) -> Iterator[Finding]:
    if result.jacobian_error > _DIFFERENCE_ERROR:
        yield Finding(
            "error",
            result.side,
            f"The Jacobian is {result.jacobian_error:.1g} off finite differences.",
            "See whether the model has lengths that are no metres.",
        )
    if result.solved < SOLVED_SHARE * result.poses - SPARED:
        yield Finding(
            "warning",
            result.side,
            f"Of {result.poses} poses that the arm can reach, {result.solved} were solved.",
            "See whether the joints' limits and axes are right; many labels would be flagged.",
        )


def _home_findings(arm: Arm) -> Iterator[Finding]:
    one, home = chain(arm), np.array(arm.home)
    margin = np.minimum(home - one.low, one.high - home)
    for i in np.flatnonzero(margin < HOME_MARGIN_RAD):
        word = "outside its limits" if margin[i] < 0 else f"{margin[i]:.3f} rad from a limit"
        yield Finding(
            "error" if margin[i] < 0 else "warning",
            arm.side,
            f"home of joint {arm.joints[i]!r} is {word}.",
            "Move it: what lies beyond the limit cannot be followed.",
        )
    lean = _angle(forward(one, home)[:3, 2], np.array([0.0, 0.0, -1.0]))
    if lean > DOWN_WITHIN_RAD:
        yield Finding(
            "warning",
            arm.side,
            f"The tool at home leans {np.degrees(lean):.0f} degrees from straight down.",
            "Choose a home with the gripper pointing down, and see whether approach is the axis "
            "along which the fingers point.",
        )


def _pair_findings(left: Arm, right: Arm) -> Iterator[Finding]:
    chains = chain(left), chain(right)
    apart = float(np.linalg.norm(_first_joint(chains[0]) - _first_joint(chains[1])))
    if apart < 0.02:
        yield Finding(
            "error",
            "",
            "Both arms stand in the same place.",
            "Say where each is mounted: mount.position under [left] and [right].",
        )
        return
    T_left, T_right = (
        forward(one, np.array(arm.home)) for one, arm in zip(chains, (left, right), strict=True)
    )
    if T_left[1, 3] < T_right[1, 3]:
        yield Finding(
            "warning",
            "",
            "At home the left tool is to the right of the right one.",
            "See whether left and right are exchanged; in the robot base x is forward, y left.",
        )
        return
    T_mirrored = se3.pose(_S @ T_left[:3, :3] @ _M, _S @ T_left[:3, 3])
    off = float(np.linalg.norm(T_mirrored[:3, 3] - T_right[:3, 3]))
    if off > MIRRORED_WITHIN_M:
        yield Finding(
            "warning",
            "",
            f"The home tools are no mirror images: {1e3 * off:.0f} mm off.",
            "See mount and home of both arms, and that the base's y axis points to the left.",
        )
    # A gripper that is turned by half about its approach is the same gripper.
    turned = min(
        float(so3.angle_between(T_mirrored[:3, :3], T_right[:3, :3] @ R))
        for R in (np.eye(3), _HALF_TURN)
    )
    if turned > MIRRORED_WITHIN_RAD:
        yield Finding(
            "warning",
            "",
            f"The home tools are no mirror images: turned by {np.degrees(turned):.0f} degrees.",
            "See home of both arms, and approach and closing of both tools: a mirrored arm's "
            "frames may be turned in its file.",
        )


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.clip(a @ b, -1, 1)))
