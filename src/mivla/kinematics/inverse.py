"""Inverse kinematics: joints that put the tool where it should be, within limits."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mivla import MivlaError
from mivla.kinematics.chain import Chain, forward
from mivla.kinematics.compiled import program
from mivla.kinematics.generate import LANES, quarter_turns
from mivla.kinematics.starts import start_library

POSITION_TOLERANCE_M = 1e-3
ROTATION_TOLERANCE_RAD = float(np.deg2rad(0.5))
STEP_CLAMP_RAD = 0.4
"""The most that any joint moves in one iteration."""
BLOCK = 64
"""Lanes that are solved together, at most."""
THREADS_FROM_FRAMES = 8192
"""Work below this (about a millisecond) is not worth waking threads for."""
COLD_LIBRARY_LOG2 = 15
COLD_POOL = 4
"""Starts are chosen among this many times as many near ones."""
COLD_JITTER_RAD = 0.02
COLD_ROTATION_WEIGHT_M = 0.15


class BadTargets(MivlaError):
    """Targets and start do not belong together, or the start is not a number."""


@dataclass(frozen=True)
class Solution:
    """Joints for targets, and how far the tool is from each."""

    q: Float[np.ndarray, "*b dof"]
    """Joints in radians, always finite and within the limits."""
    position_error_m: Float[np.ndarray, "*b"]
    """Distance from the target, by float64 forward kinematics; NaN where the target is."""
    rotation_error_rad: Float[np.ndarray, "*b"]
    """Angle from the target, by float64 forward kinematics; NaN where the target is."""
    converged: Bool[np.ndarray, "*b"]
    """Whether both errors are within tolerance; false where the target is missing."""
    jumped: Bool[np.ndarray, "*b"]
    """Whether some joint moved more than JUMP_RAD since the step before.

    A lane's first target is not judged: `q_start` is where to look, not where the arm stood.
    """


def solve(
    chain: Chain,
    T_base_tool: Float[np.ndarray, "lane t 4 4"],
    q_start: Float[np.ndarray, "lane dof"],
    *,
    position_tolerance_m: float = POSITION_TOLERANCE_M,
    rotation_tolerance_rad: float = ROTATION_TOLERANCE_RAD,
    rotation_weight_m: float = 0.15,
    iterations: int = 40,
    restart_after: int = 0,
    threads: int | None = None,
) -> Solution:
    """Joints along trajectories of tool poses in the robot base; each lane is a trajectory.

    Every step starts from the step before, the first from `q_start`. A target that cannot be
    reached gets the joints of least error, within limits, and is not `converged`; a missing (NaN)
    target holds the joints. Tolerances decide `converged` alone: the solver goes on until its
    steps are shorter than about 1e-3 rad and the remainder is the square of that.

    Args:
        chain: the arm.
        T_base_tool: target poses; NaN where missing.
        q_start: joints near the first target, radians; outside the limits they are clipped.
        position_tolerance_m: largest distance of a converged step.
        rotation_tolerance_rad: largest angle of a converged step.
        rotation_weight_m: where a target cannot be reached, how many metres a radian is worth.
        iterations: the most iterations for one step.
        restart_after: after how many steps without convergence a lane looks for another
            configuration of the arm that reaches its target, and goes to the nearest (then
            `jumped`); 0: never, as when an arm is driven.
        threads: how many to use on large work; None: one per processor that we may run on.

    Raises:
        BadTargets: shapes do not fit, `q_start` is not finite, or a target is no rigid pose.
    """
    _checked(chain, T_base_tool, q_start)
    settings = _Settings(
        position_tolerance_m, rotation_tolerance_rad, rotation_weight_m, iterations, restart_after
    )
    return _followed(chain, T_base_tool, _state(chain, q_start, settings), settings, threads)


@dataclass(frozen=True)
class _Settings:
    position_tolerance_m: float
    rotation_tolerance_rad: float
    rotation_weight_m: float
    iterations: int
    restart_after: int

    @property
    def patience(self) -> float:
        """`restart_after`, where never is later than any step."""
        return float(self.restart_after) if self.restart_after > 0 else np.inf


def _state(chain: Chain, q_start: np.ndarray, settings: _Settings) -> np.ndarray:
    """What lanes take from step to step, before the first one: "lane numbers"."""
    q = np.clip(q_start, chain.low, chain.high) - quarter_turns(chain) * (np.pi / 2)
    state = np.zeros((len(q), program(chain).STATE), dtype=np.float32)
    state[:, : chain.dof] = q
    state[:, program(chain).WAIT] = settings.patience
    return state


def _followed(
    chain: Chain,
    T_base_tool: np.ndarray,
    state: np.ndarray,
    settings: _Settings,
    threads: int | None,
) -> Solution:
    """The lanes from `state` on, which becomes that after the last step."""
    T = np.ascontiguousarray(T_base_tool, dtype=np.float64)
    lanes, steps = T.shape[:2]
    q = np.empty((lanes, steps, chain.dof))
    position, rotation = np.empty((2, lanes, steps))
    converged, jumped = np.empty((2, lanes, steps), dtype=bool)
    run = program(chain).run
    library, joints = _NO_STARTS if settings.restart_after < 1 else start_library(chain)

    def block(first: int, count: int) -> float:
        return run(
            T,
            chain.T_base_mount,
            state,
            first,
            count,
            np.float32(settings.rotation_weight_m),
            np.float32(STEP_CLAMP_RAD),
            settings.iterations,
            float(settings.position_tolerance_m),
            float(settings.rotation_tolerance_rad),
            settings.patience,
            library,
            joints,
            q,
            position,
            rotation,
            converged,
            jumped,
        )

    if sum(_spread(block, lanes, steps, threads)) > 0:
        raise BadTargets(_not_rigid(T))
    return Solution(q, position, rotation, converged, jumped)


def solve_cold(
    chain: Chain,
    T_base_tool: Float[np.ndarray, "n 4 4"],
    rng: np.random.Generator,
    restarts: int = 8,
) -> Solution:
    """Joints for single poses without a start: from joints whose tool is near the target.

    Of `restarts` starts the one that ends nearest to its target is kept; which branch of the
    arm's solutions that is, is left to chance. A missing (NaN) target gets the middle of the
    range and is not converged.
    """
    if restarts < 1:
        raise BadTargets(f"restarts is {restarts}; there must be at least one start.")
    starts = _starts(chain, T_base_tool, rng, restarts)
    best = _single(chain, T_base_tool, starts[:, 0])
    for restart in range(1, restarts):
        pending = np.flatnonzero(~best.converged & np.isfinite(best.position_error_m))
        if len(pending) == 0:
            break
        found = _single(chain, T_base_tool[pending], starts[pending, restart])
        best = _better(best, found, pending)
    return best


def _starts(chain: Chain, T: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Per pose, joints whose tool is near it, unlike each other: "n count dof".

    The first is the nearest of a library, each further one the least like those before it among
    the next nearest: nearness finds the right end of the workspace, unlikeness the other branches
    of the arm. A little chance makes a second call a second chance.
    """
    present = np.flatnonzero(np.isfinite(T).all(axis=(1, 2)))
    starts = np.tile(0.5 * (chain.low + chain.high), (len(T), count, 1))
    library, tree = _library(chain)
    _, nearest = tree.query(_features(T[present]), k=COLD_POOL * count)
    pool = library[nearest]
    chosen = np.zeros(len(present), dtype=int)
    likeness = np.full(pool.shape[:2], np.inf)
    for k in range(count):
        start = pool[np.arange(len(present)), chosen]
        starts[present, k] = start
        likeness = np.minimum(likeness, np.abs(pool - start[:, None]).max(axis=-1))
        chosen = likeness.argmax(axis=1)
    return starts + rng.uniform(-COLD_JITTER_RAD, COLD_JITTER_RAD, starts.shape)


@cache
def _library(chain: Chain) -> tuple[np.ndarray, Any]:
    """Joints that fill the range evenly, and a search tree (KDTree) over their tool poses."""
    from scipy.spatial import KDTree
    from scipy.stats import qmc

    even = qmc.Sobol(chain.dof, scramble=False).random_base2(COLD_LIBRARY_LOG2)
    q = chain.low + even * (chain.high - chain.low)
    return q, KDTree(_features(forward(chain, q)))


def _features(T: np.ndarray) -> np.ndarray:
    """Position and weighed rotation entries, whose distance orders poses by nearness."""
    R = T[:, :3, :3].reshape(len(T), 9)
    return np.concatenate([T[:, :3, 3], COLD_ROTATION_WEIGHT_M * R], axis=1)


def _single(chain: Chain, T: np.ndarray, starts: np.ndarray) -> Solution:
    found = solve(chain, T[:, None], starts, iterations=60)
    return Solution(
        found.q[:, 0],
        found.position_error_m[:, 0],
        found.rotation_error_rad[:, 0],
        found.converged[:, 0],
        found.jumped[:, 0],
    )


def _better(best: Solution, found: Solution, where: np.ndarray) -> Solution:
    """`best`, with those of `found` (for the targets `where`) that are nearer."""
    nearer = _cost(found) < _cost(best)[where]
    at = where[nearer]
    merged = {}
    for name in ("q", "position_error_m", "rotation_error_rad", "converged", "jumped"):
        values = getattr(best, name).copy()
        values[at] = getattr(found, name)[nearer]
        merged[name] = values
    return Solution(**merged)


def _cost(solution: Solution) -> np.ndarray:
    position = solution.position_error_m / POSITION_TOLERANCE_M
    return position**2 + (solution.rotation_error_rad / ROTATION_TOLERANCE_RAD) ** 2


def _checked(chain: Chain, T: np.ndarray, q_start: np.ndarray) -> None:
    if T.ndim != 4 or T.shape[2:] != (4, 4) or q_start.shape != (len(T), chain.dof):
        raise BadTargets(
            f"targets are {T.shape} and the start {q_start.shape}; {chain.name} needs "
            f"(lane, t, 4, 4) and (lane, {chain.dof})."
        )
    if not np.all(np.isfinite(q_start)):
        raise BadTargets(
            "the start has missing joints; give the joints that the arm has before the first step."
        )


def _not_rigid(T: np.ndarray) -> str:
    """Which of the targets are no poses, in words."""
    R = T[..., :3, :3]
    known = np.isfinite(T[..., :3, :]).all(axis=(-2, -1), keepdims=True)
    R = np.where(known, R, np.eye(3))
    off = np.abs(R.swapaxes(-1, -2) @ R - np.eye(3)).max(axis=(-2, -1))
    off = np.maximum(off, np.abs(np.linalg.det(R) - 1))
    lane, step = np.unravel_index(off.argmax(), off.shape)
    return (
        f"targets have rotations that are none: at lane {lane}, step {step} columns are off unit "
        f"length, right angles or right hand by {off.max():.2g}. Give rotation matrices (no scale, "
        "no mirror), and NaN where there is no target."
    )


def _spread(
    block: Callable[[int, int], float], lanes: int, steps: int, threads: int | None
) -> list[float]:
    """What `block` returns for all lanes: one block for a little work, else several threads."""
    workers = threads or _processors()
    width = BLOCK
    if lanes * steps >= THREADS_FROM_FRAMES:
        share = -(-lanes // workers)
        width = min(BLOCK, -(-share // LANES) * LANES)
    counts = [(first, min(width, lanes - first)) for first in range(0, lanes, width)]
    if workers == 1 or len(counts) < 2 or lanes * steps < THREADS_FROM_FRAMES:
        return [block(*each) for each in counts]
    return list(_threads(os.getpid(), workers).map(lambda each: block(*each), counts))


def _processors() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _threads(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per process: threads do not survive a fork, as data loaders do it."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"kinematics-{process}")


_NO_STARTS = np.zeros((0, 13), np.float32), np.zeros((0, 1), np.float32)
