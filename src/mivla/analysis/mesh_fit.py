"""Meshes of somebody's model on the links of our arm: which belongs where, by how the joints move.

Names of bodies and joints differ from model to model, and so do the frames of links. What cannot
differ if two models are of one arm are the lines about which its joints turn. So a chain of hinges
is looked for in the meshed model whose axes, laid on ours, coincide with them; every mesh then
gets the pose in our link that it has in theirs.
"""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mivla import MivlaError
from mivla.embodiments import Arm, Embodiment
from mivla.geometry import se3, so3

WITHIN_M = 1.5e-3
"""Links of one arm may be so far apart in two models: more than rounding to a millimetre does."""
WITHIN_RAD = 0.01
"""And so much turned."""
SAMPLES = 33
"""Openings at which a gripper's parts are posed; in between is interpolated."""

_STROKE_WITHIN_M = 5e-3
_BASE_WITHIN_M = 0.02
_LAST_SHOWN_GROUP = 2
_SHARP = 0.5
"""Cosine between a face and its normal at a corner, below which the face takes its own."""
_HINGE, _SLIDE = mujoco.mjtJoint.mjJNT_HINGE.value, mujoco.mjtJoint.mjJNT_SLIDE.value


class NotThisArm(MivlaError):
    """A model that has no arm like ours, or no meshes."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one colour."""

    vertices: Float[np.ndarray, "n 3"]
    """In the frame of what carries it, metres; those at an edge are there once for each side."""
    normals: Float[np.ndarray, "n 3"]
    """At the vertices, of length 1, outwards."""
    triangles: Int[np.ndarray, "m 3"]
    """Numbers of vertices, anticlockwise as seen from outside."""
    rgba: Float[np.ndarray, "4"]


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a gripper: it moves in the arm's last link as the gripper opens."""

    name: str
    surfaces: tuple[Surface, ...]
    T_last_part: Float[np.ndarray, "s 4 4"]
    """At openings from 0 to 1, evenly."""


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
    if not any(_is_shown(model, geom) for geom in range(model.ngeom)):
        raise NotThisArm("it has no meshes")
    theirs = _Model(model)
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


class _Model:
    """A model that can be posed, and its bodies."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.move({})

    def move(self, values: Mapping[int, float]) -> None:
        """All joints at 0, but these (by number)."""
        self.data.qpos[:] = 0
        for kind, first in zip(self.model.jnt_type, self.model.jnt_qposadr, strict=True):
            if kind == mujoco.mjtJoint.mjJNT_FREE.value:
                self.data.qpos[first + 3] = 1
            elif kind == mujoco.mjtJoint.mjJNT_BALL.value:
                self.data.qpos[first] = 1
        for joint, value in values.items():
            self.data.qpos[self.model.jnt_qposadr[joint]] = value
        mujoco.mj_kinematics(self.model, self.data)

    def pose(self, body: int) -> np.ndarray:
        """T_world_body."""
        return se3.pose(self.data.xmat[body].reshape(3, 3), self.data.xpos[body].copy())

    def line(self, joint: int) -> tuple[np.ndarray, np.ndarray]:
        """Direction of a joint's axis and a point on it, in the world."""
        return self.data.xaxis[joint].copy(), self.data.xanchor[joint].copy()

    def body_of(self, joint: int) -> int:
        """What the joint moves."""
        return int(self.model.jnt_bodyid[joint])

    def above(self, body: int) -> list[int]:
        """The body and what carries it, up to the world, which is left out."""
        out = []
        while body != 0:
            out.append(body)
            body = int(self.model.body_parentid[body])
        return out

    def rigid(self, body: int) -> set[int]:
        """The body and what is fixed to it from there on."""
        weld = self.model.body_weldid
        return {
            b for b in range(1, self.model.nbody) if weld[b] == weld[body] and body in self.above(b)
        }

    def carriers(self, hinge: int) -> set[int]:
        """What is rigid to the base of a chain: its mount, and what the mount stands on."""
        mount = int(self.model.body_parentid[self.body_of(hinge)])
        weld = self.model.body_weldid
        return self.rigid(mount) | {b for b in self.above(mount) if weld[b] == weld[mount]}

    def chains(self, length: int) -> Iterator[tuple[int, ...]]:
        """Every way down the tree on which so many hinges follow each other."""
        model = self.model
        for joint in range(model.njnt):
            way: list[int] = []
            for body in self.above(self.body_of(joint)):
                first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
                way += [first + k for k in reversed(range(count))]
                if len(way) >= length:
                    break
            way = way[:length]
            if len(way) == length and all(model.jnt_type[j] == _HINGE for j in way):
                yield tuple(reversed(way))

    def surfaces(self, poses: Mapping[int, np.ndarray]) -> tuple[Surface, ...]:
        """Meshes of bodies, by their poses in a frame: one surface of each colour."""
        model = self.model
        colours: dict[tuple[float, ...], list[_Mesh]] = {}
        for geom in range(model.ngeom):
            body = int(model.geom_bodyid[geom])
            if body in poses and _is_shown(model, geom):
                own = se3.pose(
                    so3.matrix_from_quaternion(model.geom_quat[geom]), model.geom_pos[geom]
                )
                mesh = _mesh(model, int(model.geom_dataid[geom]), poses[body] @ own)
                colours.setdefault(_colour(model, geom), []).append(mesh)
        return tuple(_joined(several, rgba) for rgba, several in colours.items())


@dataclass(frozen=True, eq=False)
class _Fit:
    """A chain of theirs that is our arm."""

    arm: Arm
    ours: _Model
    theirs: _Model
    hinges: tuple[int, ...]
    T_mount: np.ndarray
    """T_mount_world: the world of the meshed model, with all joints at zero, in our mount."""
    zero: np.ndarray
    off_m: float

    @property
    def T_base(self) -> np.ndarray:  # noqa: N802
        """T_base_world: the same in our robot's base."""
        yaw = np.array([0.0, 0.0, self.arm.yaw_base_mount])
        position = np.array(self.arm.position_base_mount)
        return se3.pose(so3.matrix_from_rotvec(yaw), position) @ self.T_mount

    def pose_both(self, q: np.ndarray) -> None:
        """Both models with our joints at q."""
        self.ours.move(_at(_joints(self.arm, self.ours), q))
        self.theirs.move(_at(self.hinges, q + self.zero))


def _fitting(arm: Arm, theirs: _Model, zero: np.ndarray) -> list[_Fit]:
    """The chains of a model that are our arm."""
    ours = _Model(mujoco.MjModel.from_xml_string(arm.xml))
    joints = _joints(arm, ours)
    third = 0.4 * np.where(np.arange(arm.dof) % 2, -1.0, 1.0)
    ways = (np.zeros(arm.dof), np.array(arm.home), third)
    found: list[_Fit] = []
    nearest, why = np.inf, f"it has no chain of {arm.dof} hinges"
    for hinges in theirs.chains(arm.dof):
        ours.move({})
        theirs.move(_at(hinges, zero))
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
            ours.move(_at(joints, q))
            theirs.move(_at(hinges, q + zero))
            for k, (a, b) in enumerate(bodies):
                here, there = ours.pose(a) @ T_link[k], T @ theirs.pose(b)
                off[i, k, 0] = np.linalg.norm(here[:3, 3] - there[:3, 3])
                off[i, k, 1] = so3.angle_between(here[:3, :3], there[:3, :3])
        worst = (off / [WITHIN_M, WITHIN_RAD]).max()
        if worst <= 1:
            theirs.move({})
            found.append(_Fit(arm, ours, theirs, hinges, T, zero, float(off[..., 0].max())))
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


def _dressed(found: _Fit, shared: set[int], *, stands: bool) -> ArmLooks:
    """The meshes of one arm, but those of bodies that carry the other arm, too.

    Where those `stand` there, they show the mount as well.
    """
    arm, ours, theirs = found.arm, found.ours, found.theirs
    found.pose_both(np.zeros(arm.dof))
    joints = _joints(arm, ours)
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
    parts = _parts(found)
    if parts:
        below = [b for b in range(1, ours.model.nbody) if last in ours.above(b)]
        replaced |= {ours.model.body(b).name for b in below}
    return ArmLooks(links, parts, ours.model.body(last).name, frozenset(replaced))


# ---- The gripper ----


def _parts(found: _Fit) -> tuple[Part, ...]:
    """What moves beyond the last joint, as our gripper opens; nothing if it is another gripper."""
    ours, theirs, model = found.ours, found.theirs, found.theirs.model
    last = theirs.body_of(found.hinges[-1])
    below = [b for b in range(1, model.nbody) if last in theirs.above(b)]
    joints = [j for j in range(model.njnt) if theirs.body_of(j) in below and j not in found.hinges]
    groups = {int(model.body_weldid[b]) for b in below} - {int(model.body_weldid[last])}
    if not joints or not groups:
        return ()
    found.pose_both(np.zeros(found.arm.dof))
    our_last = ours.body_of(_joints(found.arm, ours)[-1])
    # T_last_world: all that follows is in our last link, of which the arm's pose is no matter.
    T = se3.inverse(ours.pose(our_last)) @ found.T_mount
    tool = ours.data.site(found.arm.tcp)
    T_last_tool = se3.inverse(ours.pose(our_last)) @ se3.pose(
        tool.xmat.reshape(3, 3), tool.xpos.copy()
    )
    gripper = _Gripper(found, joints, groups, T, se3.inverse(T_last_tool))
    values = gripper.as_ours()
    if values is None:
        values = gripper.as_a_linkage()
    if values is None:
        return ()
    parts = []
    for group in sorted(groups):
        surfaces = theirs.surfaces(
            {b: se3.inverse(theirs.pose(group)) @ theirs.pose(b) for b in theirs.rigid(group)}
        )
        if surfaces:
            poses = []
            for at in values:
                gripper.move(at)
                poses.append(T @ theirs.pose(group))
            name = model.body(group).name.rpartition("/")[2] or f"part{group}"
            parts.append(Part(name, surfaces, np.array(poses)))
    theirs.move({})
    return tuple(parts)


class _Gripper:
    """Their gripper, seen from our last link."""

    def __init__(
        self,
        found: _Fit,
        joints: list[int],
        groups: set[int],
        T_last_world: np.ndarray,
        T_tool_last: np.ndarray,
    ) -> None:
        self.found, self.joints, self.groups = found, joints, groups
        self.T_last_world, self.T_tool_last = T_last_world, T_tool_last
        self.theirs, self.model = found.theirs, found.theirs.model
        self.share = np.linspace(0, 1, SAMPLES)

    def move(self, values: np.ndarray) -> None:
        """The gripper with these joints, the arm at our zero."""
        at = _at(self.found.hinges, self.found.zero)
        self.theirs.move({**at, **_at(self.joints, values)})

    def as_ours(self) -> np.ndarray | None:
        """Their joints at our openings, where fingers slide or turn as ours do; else None."""
        found, ours = self.found, self.found.ours
        gripper = found.arm.gripper
        numbers = [ours.model.joint(name).id for name in gripper.joints]
        if len(numbers) != len(self.joints):
            return None
        values = np.zeros((SAMPLES, len(self.joints)))
        free = set(range(len(self.joints)))
        for number, shut, open_ in zip(numbers, gripper.shut, gripper.open, strict=True):
            ours.move({})
            axis, point = ours.line(number)
            body = ours.pose(ours.body_of(number))[:3, 3]
            R = self.T_tool_last[:3, :3] @ ours.pose(self._our_last())[:3, :3].T
            axis_tool = R @ axis
            outwards = np.sign(axis_tool[1] * (open_ - shut))
            self.move(np.zeros(len(self.joints)))
            to_ours = self._to_ours()
            for k in free:
                joint = self.joints[k]
                direction, their_point = self.theirs.line(joint)
                cosine = float(axis @ (to_ours[:3, :3] @ direction))
                if (
                    abs(cosine) < 1 - 1e-4
                    or self.model.jnt_type[joint] != ours.model.jnt_type[number]
                ):
                    continue
                their_point = se3.transform(to_ours, their_point)
                if self.model.jnt_type[joint] == _HINGE:
                    apart = float(np.linalg.norm(np.cross(axis, their_point - point)))
                else:
                    # Zero is where the frame of the finger is; across the way, frames may differ.
                    their_body = self.theirs.pose(self.theirs.body_of(joint))[:3, 3]
                    apart = abs(float(axis @ (se3.transform(to_ours, their_body) - body)))
                    if len(numbers) > 1 and self._side(k) != outwards:
                        continue
                if apart <= WITHIN_M:
                    values[:, k] = np.sign(cosine) * (shut + self.share * (open_ - shut))
                    free.remove(k)
                    break
        return None if free else values

    def as_a_linkage(self) -> np.ndarray | None:
        """Their joints where one drives all others through links; None if that is not so.

        The driver goes evenly from one end of its range to the other, and the pads keep their
        orientation, as those of parallel grippers do.
        """
        model, theirs = self.model, self.theirs
        leaders = [
            int(model.eq_obj2id[i])
            for i in range(model.neq)
            if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT
            and int(model.eq_obj2id[i]) in self.joints
        ]
        gripper = self.found.arm.gripper
        if len(leaders) != 1 or not model.jnt_limited[leaders[0]]:
            return None
        lead = self.joints.index(leaders[0])
        low, high = (float(end) for end in model.jnt_range[leaders[0]])
        self.move(np.zeros(len(self.joints)))
        pads = self._pads()
        if len(pads) != 2:
            return None
        R_pads = [theirs.pose(pad)[:3, :3] for pad in pads]
        unknown = [k for k in range(len(self.joints)) if k != lead]

        def residual(values: np.ndarray) -> np.ndarray:
            self.move(values)
            turned = [
                so3.rotvec_from_matrix(R.T @ theirs.pose(pad)[:3, :3])
                for pad, R in zip(pads, R_pads, strict=True)
            ]
            return np.concatenate([*_broken(self.theirs), *(0.1 * turn for turn in turned)])

        values, at = [], np.zeros(len(self.joints))
        for driver in low + self.share * (high - low):
            at = at.copy()
            at[lead] = driver
            for _ in range(8):
                now = residual(at)
                slope = np.empty((len(now), len(unknown)))
                for column, k in enumerate(unknown):
                    nudged = at.copy()
                    nudged[k] += 1e-6
                    slope[:, column] = (residual(nudged) - now) / 1e-6
                step = np.linalg.lstsq(slope, now, rcond=1e-6)[0]
                at[unknown] -= step
                if np.abs(step).max() < 1e-6:
                    break
            if np.abs(residual(at)).max() > 1e-3:
                return None
            values.append(at)
        across = []
        for at in (values[0], values[-1]):
            self.move(at)
            across.append([self._in_tool(theirs.pose(pad)[:3, 3])[1] for pad in pads])
        spread = np.abs(np.subtract(*np.transpose(across)))
        if abs(abs(spread[1] - spread[0]) - gripper.stroke_m) > _STROKE_WITHIN_M:
            return None
        return np.array(values if spread[0] < spread[1] else values[::-1])

    def _our_last(self) -> int:
        ours = self.found.ours
        return ours.body_of(_joints(self.found.arm, ours)[-1])

    def _to_ours(self) -> np.ndarray:
        """T_mount_world of our model as it stands: their world in ours."""
        return self.found.ours.pose(self._our_last()) @ self.T_last_world

    def _in_tool(self, point: np.ndarray) -> np.ndarray:
        return se3.transform(self.T_tool_last @ self.T_last_world, point)

    def _points(self, group: int) -> np.ndarray:
        """Vertices of a part in our tool's frame, as the gripper stands."""
        T = self.T_tool_last @ self.T_last_world
        surfaces = self.theirs.surfaces(
            {b: T @ self.theirs.pose(b) for b in self.theirs.rigid(group)}
        )
        return np.concatenate([np.zeros((0, 3)), *(surface.vertices for surface in surfaces)])

    def _side(self, k: int) -> float:
        """On which side of the tool a finger is in the middle of its way."""
        joint = self.joints[k]
        values = np.zeros(len(self.joints))
        values[k] = self.model.jnt_range[joint].mean()
        self.move(values)
        points = self._points(self.theirs.body_of(joint))
        self.move(np.zeros(len(self.joints)))
        return float(np.sign(points[:, 1].mean())) if len(points) else 0.0

    def _pads(self) -> list[int]:
        """On each side of the tool the part that reaches farthest."""
        pads: dict[float, tuple[float, int]] = {}
        for group in self.groups:
            points = self._points(group)
            if len(points):
                side = float(np.sign(points[:, 1].mean()))
                pads[side] = max(pads.get(side, (-np.inf, 0)), (float(points[:, 2].max()), group))
        return [group for _, group in pads.values()]


def _broken(theirs: _Model) -> list[np.ndarray]:
    """By how much a model's constraints between bodies and joints are not met, metres."""
    model, data = theirs.model, theirs.data
    out = []
    for i in range(model.neq):
        a, b = int(model.eq_obj1id[i]), int(model.eq_obj2id[i])
        if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and b >= 0:
            x, y = (data.qpos[model.jnt_qposadr[j]] for j in (a, b))
            meant = np.polynomial.polynomial.polyval(y, model.eq_data[i, :5])
            out.append(np.array([0.1 * (x - meant)]))
        elif model.eq_type[i] == mujoco.mjtEq.mjEQ_CONNECT:
            if model.eq_objtype[i] == mujoco.mjtObj.mjOBJ_SITE:
                out.append(data.site_xpos[a] - data.site_xpos[b])
            else:
                ends = (model.eq_data[i, :3], model.eq_data[i, 3:6])
                here, there = (
                    se3.transform(theirs.pose(o), p.copy())
                    for o, p in zip((a, b), ends, strict=True)
                )
                out.append(here - there)
    return out


# ---- Surfaces and colours ----

_Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vertices, normals and triangles."""


def _mesh(model: mujoco.MjModel, mesh: int, T: np.ndarray) -> _Mesh:
    """A mesh of a model, laid by T."""
    vertices, shared, faces = (
        slice(int(first), int(first) + int(count))
        for first, count in (
            (model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]),
            (model.mesh_normaladr[mesh], model.mesh_normalnum[mesh]),
            (model.mesh_faceadr[mesh], model.mesh_facenum[mesh]),
        )
    )
    points = se3.transform(T, model.mesh_vert[vertices].astype(float))
    triangles = model.mesh_face[faces].astype(np.int64)
    smooth = model.mesh_normal[shared].astype(float) @ T[:3, :3].T
    corners = model.mesh_facenormal[faces].astype(np.int64)
    # A vertex that faces at a sharp edge share has one normal, which suits none of them.
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    flat = so3.normalise(np.cross(b - a, c - a))
    sharp = np.einsum("mki,mi->mk", smooth[corners], flat) < _SHARP
    corners = np.where(sharp, len(smooth) + np.arange(len(triangles))[:, None], corners)
    both, triangles = np.unique(
        np.stack([triangles, corners], axis=-1).reshape(-1, 2), axis=0, return_inverse=True
    )
    normals = np.concatenate([smooth, flat])[both[:, 1]]
    return points[both[:, 0]], normals, triangles.reshape(-1, 3).astype(np.int64)


def _joined(several: Sequence[_Mesh], rgba: tuple[float, ...]) -> Surface:
    vertices, normals, triangles = zip(*several, strict=True)
    before = np.cumsum([0, *map(len, vertices[:-1])])
    triangles = [numbers + so_far for numbers, so_far in zip(triangles, before, strict=True)]
    return Surface(
        np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles), np.array(rgba)
    )


# ---- Lines ----


def _joints(arm: Arm, ours: _Model) -> list[int]:
    return [ours.model.joint(name).id for name in arm.joints]


def _at(joints: Sequence[int], values: np.ndarray) -> dict[int, float]:
    return dict(zip(joints, values.tolist(), strict=True))


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


def _is_shown(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom is a mesh that viewers show; those that only collide are in other groups."""
    return bool(
        model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
        and model.geom_group[geom] <= _LAST_SHOWN_GROUP
        and _colour(model, geom)[3] > 0
    )


def _colour(model: mujoco.MjModel, geom: int) -> tuple[float, ...]:
    material = int(model.geom_matid[geom])
    rgba = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    if material >= 0:
        # A picture on a mesh is shown by its mean colour.
        texture = int(model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB.value])
        if texture >= 0 and model.tex_type[texture] == mujoco.mjtTexture.mjTEXTURE_2D:
            start, channels = int(model.tex_adr[texture]), int(model.tex_nchannel[texture])
            count = int(model.tex_height[texture] * model.tex_width[texture])
            pixels = model.tex_data[start : start + count * channels].reshape(count, channels)
            rgba = rgba * [*(pixels[:, :3].mean(axis=0) / 255), 1.0]
    return tuple(float(value) for value in rgba)
