"""Meshes of a gripper: how its parts move in the arm's last link as ours opens."""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from mivla.analysis.mesh_model import HINGE, WITHIN_M, Match, Surface, at_values, joints_of
from mivla.geometry import se3, so3

SAMPLES = 33
"""Openings at which a gripper's parts are posed; in between is interpolated."""

_STROKE_WITHIN_M = 5e-3


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a gripper: it moves in the arm's last link as the gripper opens."""

    name: str
    surfaces: tuple[Surface, ...]
    T_last_part: Float[np.ndarray, "s 4 4"]
    """At openings from 0 to 1, evenly."""


def parts_of(found: Match) -> tuple[Part, ...]:
    """What moves beyond the last joint, as our gripper opens; nothing if it is another gripper."""
    ours, theirs, model = found.ours, found.theirs, found.theirs.model
    last = theirs.body_of(found.hinges[-1])
    below = [b for b in range(1, model.nbody) if last in theirs.above(b)]
    joints = [j for j in range(model.njnt) if theirs.body_of(j) in below and j not in found.hinges]
    groups = {int(model.body_weldid[b]) for b in below} - {int(model.body_weldid[last])}
    if not joints or not groups:
        return ()
    found.pose_both(np.zeros(found.arm.dof))
    our_last = ours.body_of(joints_of(found.arm, ours)[-1])
    # T_last_world: all that follows is in our last link, of which the arm's pose is no matter.
    T = se3.inverse(ours.pose(our_last)) @ found.T_mount
    tool = ours.data.site(found.arm.tcp)
    T_last_tool = se3.inverse(ours.pose(our_last)) @ se3.pose(
        tool.xmat.reshape(3, 3), tool.xpos.copy()
    )
    gripper = _Gripper(found, joints, set(below), groups, T, se3.inverse(T_last_tool))
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
            name = model.body(group).name.replace("/", "_") or f"part{group}"
            parts.append(Part(name, surfaces, np.array(poses)))
    theirs.move({})
    return tuple(parts)


class _Gripper:
    """Their gripper, seen from our last link."""

    def __init__(
        self,
        found: Match,
        joints: list[int],
        bodies: set[int],
        groups: set[int],
        T_last_world: np.ndarray,
        T_tool_last: np.ndarray,
    ) -> None:
        self.found, self.joints, self.bodies, self.groups = found, joints, bodies, groups
        self.T_last_world, self.T_tool_last = T_last_world, T_tool_last
        self.theirs, self.model = found.theirs, found.theirs.model
        self.share = np.linspace(0, 1, SAMPLES)

    def move(self, values: np.ndarray) -> None:
        """The gripper with these joints, the arm at our zero."""
        at = at_values(self.found.hinges, self.found.zero)
        self.theirs.move({**at, **at_values(self.joints, values)})

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
                if self.model.jnt_type[joint] == HINGE:
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
            return np.concatenate([*self._broken(), *(0.1 * turn for turn in turned)])

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
        return ours.body_of(joints_of(self.found.arm, ours)[-1])

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

    def _broken(self) -> list[np.ndarray]:
        """By how much constraints within the gripper are not met, metres."""
        model, data = self.model, self.theirs.data
        out = []
        for i in range(model.neq):
            a, b = int(model.eq_obj1id[i]), int(model.eq_obj2id[i])
            if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and {a, b} <= set(self.joints):
                x, y = (data.qpos[model.jnt_qposadr[j]] for j in (a, b))
                meant = np.polynomial.polynomial.polyval(y, model.eq_data[i, :5])
                out.append(np.array([0.1 * (x - meant)]))
            elif model.eq_type[i] == mujoco.mjtEq.mjEQ_CONNECT:
                if model.eq_objtype[i] == mujoco.mjtObj.mjOBJ_SITE:
                    bodies = {int(model.site_bodyid[site]) for site in (a, b)}
                    ends = [data.site_xpos[a], data.site_xpos[b]]
                else:
                    bodies = {a, b}
                    anchors = ((a, model.eq_data[i, :3]), (b, model.eq_data[i, 3:6]))
                    ends = [se3.transform(self.theirs.pose(o), p.copy()) for o, p in anchors]
                if bodies <= self.bodies:
                    out.append(ends[0] - ends[1])
        return out
