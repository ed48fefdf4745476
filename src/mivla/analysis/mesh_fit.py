"""Meshes of somebody's model on the links of our arm: which belongs where, by how the joints move.

Names of bodies and joints differ from model to model, and so do the frames of links. What cannot
differ if two models are of one arm are the lines about which its joints turn. So a chain of hinges
is looked for in the meshed model whose axes, laid on ours, coincide with them; every mesh then
gets the pose in our link that it has in theirs.
"""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import mujoco
import numpy as np

from mivla import MivlaError
from mivla.analysis.mesh_gripper import Part, parts_of
from mivla.analysis.mesh_model import (
    WITHIN_M,
    WITHIN_RAD,
    Match,
    Posed,
    Surface,
    at_values,
    is_shown,
    joints_of,
)
from mivla.embodiments import Arm, Embodiment
from mivla.geometry import se3, so3

_BASE_WITHIN_M = 0.02


class NotThisArm(MivlaError):
    """A model that has no arm like ours, or no meshes."""


@dataclass(frozen=True, eq=False)
class ArmLooks:
    """Meshes of one arm."""

    links: Mapping[str, tuple[Surface, ...]]
    """By bodies of our model: the mount's, and those that the joints move."""
    parts: tuple[Part, ...]
    """Of the gripper; empty where the meshed model has none like ours."""
    last: str
    """The body of our model in which the parts move."""
    replaced: frozenset[str]
    """Bodies of our model for whose shapes the meshes stand."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Meshes of a robot, on the frames of our own model of it."""

    arms: tuple[ArmLooks, ...]
    """In the order of the robot's arms."""
    base: tuple[Surface, ...]
    """What carries both arms, in the robot base; empty where nothing does."""
    off_m: float
    """How far a link's origin is at most from where the meshed model has it."""

    @property
    def triangles(self) -> int:
        """How many are drawn."""
        carried = [self.base]
        for arm in self.arms:
            carried += [*arm.links.values(), *(part.surfaces for part in arm.parts)]
        return sum(len(surface.triangles) for surfaces in carried for surface in surfaces)


def fit(robot: Embodiment, model: mujoco.MjModel, zero: Sequence[float] | None = None) -> Looks:
    """The meshes of a model, on our links.

    `zero` is where our joints stand in the meshed model's counting when ours are 0, in radians, for
    models of the same arm with another zero.

    Raises:
        NotThisArm: the model has no meshes, or no chain of joints that moves as ours does, to
            `WITHIN_M` and `WITHIN_RAD` at zero, at home and at a third configuration.
    """
    if not any(is_shown(model, geom) for geom in range(model.ngeom)):
        raise NotThisArm("it has no meshes")
    theirs = Posed(model)
    fitting = [
        _fitting(arm, theirs, np.zeros(arm.dof) if zero is None else np.array(zero))
        for arm in robot.arms
    ]
    # Left stands on the left: the pair whose common base is one.
    chosen = min(
        product(*fitting),
        key=lambda fits: max(
            float(
                np.linalg.norm(f.T_base[:3, 3] - fits[0].T_base[:3, 3])
                + so3.angle_between(f.T_base[:3, :3], fits[0].T_base[:3, :3])
            )
            for f in fits
        ),
    )
    shared: set[int] = set()
    if len({f.hinges for f in chosen}) == len(chosen) > 1:
        shared = set.intersection(*(theirs.carriers(f.hinges[0]) for f in chosen))
    apart = max(float(np.linalg.norm(f.T_base[:3, 3] - chosen[0].T_base[:3, 3])) for f in chosen)
    base: tuple[Surface, ...] = ()
    if shared and apart < _BASE_WITHIN_M:
        chosen[0].pose_both(np.zeros(chosen[0].arm.dof))
        base = theirs.surfaces({b: chosen[0].T_base @ theirs.pose(b) for b in shared})
    arms = tuple(_dressed(f, shared, stands=bool(base)) for f in chosen)
    if not any(arm.links for arm in arms):
        raise NotThisArm("its meshes are on none of the arm's links")
    return Looks(arms, base, max(f.off_m for f in chosen))


def _fitting(arm: Arm, theirs: Posed, zero: np.ndarray) -> list[Match]:
    """The chains of a model that are our arm."""
    ours = Posed(mujoco.MjModel.from_xml_string(arm.xml))
    joints = joints_of(arm, ours)
    third = 0.4 * np.where(np.arange(arm.dof) % 2, -1.0, 1.0)
    ways = (np.zeros(arm.dof), np.array(arm.home), third)
    found: list[Match] = []
    nearest, why = np.inf, f"it has no chain of {arm.dof} hinges"
    for hinges in theirs.chains(arm.dof):
        ours.move({})
        theirs.move(at_values(hinges, zero))
        T = _laid_on([ours.line(j) for j in joints], [theirs.line(j) for j in hinges])
        if T is None:
            continue
        bodies = [(ours.body_of(a), theirs.body_of(b)) for a, b in zip(joints, hinges, strict=True)]
        T_link = [se3.inverse(ours.pose(a)) @ T @ theirs.pose(b) for a, b in bodies]
        off = np.zeros((len(ways), arm.dof, 2))
        off[0] = [
            _between(ours.line(a), theirs.line(b), T) for a, b in zip(joints, hinges, strict=True)
        ]
        for i, q in enumerate(ways[1:], 1):
            ours.move(at_values(joints, q))
            theirs.move(at_values(hinges, q + zero))
            for k, (a, b) in enumerate(bodies):
                here, there = ours.pose(a) @ T_link[k], T @ theirs.pose(b)
                off[i, k, 0] = np.linalg.norm(here[:3, 3] - there[:3, 3])
                off[i, k, 1] = so3.angle_between(here[:3, :3], there[:3, :3])
        worst = (off / [WITHIN_M, WITHIN_RAD]).max()
        if worst <= 1:
            theirs.move({})
            found.append(Match(arm, ours, theirs, hinges, T, zero, float(off[..., 0].max())))
        elif worst < nearest:
            nearest = worst
            link = arm.joints[int((off / [WITHIN_M, WITHIN_RAD]).max(axis=(0, 2)).argmax())]
            why = (
                f"its links are up to {1e3 * off[..., 0].max():.1f} mm and "
                f"{np.degrees(off[..., 1].max()):.1f} degrees from ours, most at {link}"
            )
    if not found:
        raise NotThisArm(
            f"{why}: it is another arm than {arm.model.removesuffix('.xml')} (allowed are "
            f"{1e3 * WITHIN_M:g} mm and {np.degrees(WITHIN_RAD):.1f} degrees)"
        )
    return found


def _dressed(found: Match, shared: set[int], *, stands: bool) -> ArmLooks:
    """The meshes of one arm, but those of bodies that carry the other arm, too.

    Where those `stand` there, they show the mount as well.
    """
    arm, ours, theirs = found.arm, found.ours, found.theirs
    found.pose_both(np.zeros(arm.dof))
    joints = joints_of(arm, ours)
    mount = int(ours.model.body_parentid[ours.body_of(joints[0])])
    pairs = [(mount, theirs.carriers(found.hinges[0]) - shared)]
    for ours_joint, hinge in zip(joints, found.hinges, strict=True):
        pairs.append((ours.body_of(ours_joint), theirs.rigid(theirs.body_of(hinge))))
    links: dict[str, tuple[Surface, ...]] = {}
    replaced = {ours.model.body(mount).name} if stands else set[str]()
    for body, group in pairs:
        T = se3.inverse(ours.pose(body)) @ found.T_mount
        surfaces = theirs.surfaces({b: T @ theirs.pose(b) for b in group})
        if surfaces:
            links[ours.model.body(body).name] = surfaces
            replaced.add(ours.model.body(body).name)
    last = pairs[-1][0]
    parts = parts_of(found)
    if parts:
        below = [b for b in range(1, ours.model.nbody) if last in ours.above(b)]
        replaced |= {ours.model.body(b).name for b in below}
    return ArmLooks(links, parts, ours.model.body(last).name, frozenset(replaced))


def _laid_on(
    ours: Sequence[tuple[np.ndarray, np.ndarray]], theirs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray | None:
    """The pose that lays their lines (direction, point) best on ours; None if all are parallel."""
    d, p = (np.array(values) for values in zip(*ours, strict=True))
    e, o = (np.array(values) for values in zip(*theirs, strict=True))
    u, size, vt = np.linalg.svd(d.T @ e)
    if size[1] < 1e-3:
        return None
    R = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    # A shift along a line changes nothing about it.
    across = np.eye(3) - d[:, :, None] * d[:, None, :]
    rest = (across @ (p - o @ R.T)[..., None])[..., 0]
    shift = np.linalg.lstsq(across.reshape(-1, 3), rest.reshape(-1), rcond=None)[0]
    return se3.pose(R, shift)


def _between(
    ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray], T: np.ndarray
) -> tuple[float, float]:
    """Distance in metres and angle of two lines, theirs laid on ours by T."""
    (d, p), (e, o) = ours, theirs
    e, o = T[:3, :3] @ e, se3.transform(T, o)
    angle = np.arctan2(np.linalg.norm(np.cross(d, e)), d @ e)
    return float(np.linalg.norm(np.cross(d, o - p))), float(angle)
