"""A table, a body at it, and the props of a task, composed into one MuJoCo model.

The scene's world is the table: its top is z = 0, x points away from the body, y to its left, and
the origin lies below the middle between its two arms.
"""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

from typing import Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Float

from mivla.embodiments import Embodiment
from mivla.embodiments.layout import SIDES, Side
from mivla.geometry import se3, so3

SUBSTEP_S = 0.005


@runtime_checkable
class Player(Protocol):
    """What moves in a scene: a robot, or a person's two hands."""

    body: Embodiment
    period_s: float
    """Time between two commands."""
    disturbed: int
    """How many numbers disturb a command: a robot's joints, or six a hand."""
    tremble_s: float
    """Correlation time of the disturbances with which demonstrations are executed."""
    cameras: dict[str, str]
    """Name in an episode → name in the model."""
    T_world_base: Float[np.ndarray, "4 4"]
    """Pose of the body's base (robot base, or heading frame) on the table."""

    def attach(self, spec: mujoco.MjSpec) -> None:
        """Add the body and its cameras to a scene."""
        ...

    def bind(self, model: mujoco.MjModel) -> None:
        """Find the body's parts in the compiled scene."""
        ...

    def reset(self, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Go home."""
        ...

    def measured(self, data: mujoco.MjData) -> Float[np.ndarray, " own"]:
        """The body's own vector, as its sensors tell it."""
        ...

    def reach(
        self, T_world_tool: Float[np.ndarray, "2 4 4"], opening: Float[np.ndarray, "2"]
    ) -> Float[np.ndarray, " own"]:
        """The own vector that brings both tools to these poses, near to the last one asked for."""
        ...

    def controls(self, own: Float[np.ndarray, " own"]) -> Float[np.ndarray, " c"]:
        """A command in the simulator's terms, in which half-way is half the motion."""
        ...

    def apply(self, data: mujoco.MjData, controls: Float[np.ndarray, " c"]) -> None:
        """Let the simulator's next step follow the controls."""
        ...

    def perturbed(
        self, own: Float[np.ndarray, " own"], noise: Float[np.ndarray, " disturbed"]
    ) -> Float[np.ndarray, " own"]:
        """A command that misses by the noise, in radians, left before right."""
        ...

    def parts(self, own: Float[np.ndarray, "t own"]) -> dict[str, Float[np.ndarray, "t d"]]:
        """The parts of an episode's motion that follow from own vectors, in the body's base."""
        ...

    def wander(self, data: mujoco.MjData, clock_s: float) -> None:
        """Move what moves by itself, such as a head."""
        ...

    def tool_pose(self, data: mujoco.MjData, side: Side) -> Float[np.ndarray, "4 4"]:
        """T_world_tool of one side."""
        ...

    def opening(self, data: mujoco.MjData, side: Side) -> float:
        """How far a side's gripper is open, 0 to 1."""
        ...

    def closing_yaw(self, side: Side, position: Float[np.ndarray, "3"]) -> float:
        """Where the closing axis points most comfortably above that place, about z, radians."""
        ...

    def draw(self, scene: mujoco.MjvScene, data: mujoco.MjData) -> None:
        """Add to a picture what has no place in the physics."""
        ...


class Scene:
    """A compiled scene and its state, in the terms in which tasks think."""

    def __init__(self, spec: mujoco.MjSpec, player: Player, *, image_size: int) -> None:
        spec.visual.global_.offwidth = image_size
        spec.visual.global_.offheight = image_size
        substeps = max(1, round(player.period_s / SUBSTEP_S))
        spec.option.timestep = player.period_s / substeps
        self.substeps = substeps
        self.player = player
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        player.bind(self.model)

    def reset(self) -> None:
        """Back to the state in which the model was written."""
        mujoco.mj_resetData(self.model, self.data)

    def place(self, prop: str, position: tuple[float, float, float], yaw: float = 0.0) -> None:
        """Put a prop somewhere on the table, at rest, upright."""
        quaternion = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        body = self.model.body(prop)
        if body.jntnum[0] and self.model.jnt_type[body.jntadr[0]] == mujoco.mjtJoint.mjJNT_FREE:
            start = self.model.jnt_qposadr[body.jntadr[0]]
            self.data.qpos[start : start + 7] = (*position, *quaternion)
        else:
            body.pos, body.quat = position, quaternion

    def forward(self) -> None:
        """Bring everything that is derived from the state up to date."""
        mujoco.mj_forward(self.model, self.data)

    def pose(self, prop: str) -> Float[np.ndarray, "4 4"]:
        """T_world_prop."""
        body = self.data.body(prop)
        return se3.pose(body.xmat.reshape(3, 3), body.xpos)

    def position(self, prop: str) -> Float[np.ndarray, "3"]:
        """Where a prop's origin is."""
        return self.data.body(prop).xpos.copy()

    def yaw(self, prop: str) -> float:
        """Heading of a prop's x axis about z, radians."""
        x = self.data.body(prop).xmat.reshape(3, 3)[:, 0]
        return float(np.arctan2(x[1], x[0]))

    def tilt(self, prop: str) -> float:
        """Angle between a prop's z axis and the vertical, radians."""
        return float(np.arccos(np.clip(self.data.body(prop).xmat[8], -1, 1)))

    def travel(self, joint: str) -> float:
        """How far a sliding part has moved, metres."""
        return float(self.data.joint(joint).qpos[0])

    def tool_pose(self, side: Side) -> Float[np.ndarray, "4 4"]:
        """T_world_tool of one side."""
        return self.player.tool_pose(self.data, side)

    def opening(self, side: Side) -> float:
        """How far a side's gripper is open, 0 to 1."""
        return self.player.opening(self.data, side)

    def touches(self, side: Side, prop: str) -> bool:
        """Whether any part of a side's arm or hand touches a prop."""
        target = self.model.body(prop).id
        root = self.model.body_rootid[target]
        for geom1, geom2 in self.data.contact.geom[: self.data.ncon]:
            bodies = self.model.geom_bodyid[[geom1, geom2]]
            roots = self.model.body_rootid[bodies]
            if root in roots and any(
                self.model.body(b).name.startswith(f"{side}/") for b in bodies
            ):
                return True
        return False


def table(colour: tuple[float, float, float] = (0.80, 0.74, 0.64)) -> mujoco.MjSpec:
    """An empty table under one light: the start of every scene."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Without these two what is held creeps out of the fingers.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    # Roundness that no one sees at 64 pixels costs vertices, and vertices are what drawing costs.
    spec.visual.quality.numslices = 10
    spec.visual.quality.numstacks = 4
    spec.visual.headlight.ambient = (0.45, 0.45, 0.45)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.visual.headlight.specular = (0, 0, 0)
    spec.visual.map.znear = 0.01
    spec.stat.extent = 1.0
    spec.worldbody.add_light(
        pos=(0.2, 0.6, 2.0),
        dir=(0.1, -0.3, -1.0),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=(0.45, 0.45, 0.45),
        specular=(0.05, 0.05, 0.05),
        castshadow=False,
    )
    # Two planes: contact with a plane is exact where contact with a large box is not.
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0.55, 0.8, 0.1),
        pos=(0.35, 0, 0),
        rgba=(*colour, 1),
        friction=(1.0, 0.01, 0.001),
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(4, 4, 0.1),
        pos=(0, 0, -0.75),
        rgba=(0.42, 0.45, 0.48, 1),
        contype=0,
        conaffinity=0,
    )
    return spec


def grasp_rotation(closing_yaw: float) -> Float[np.ndarray, "3 3"]:
    """R_world_tool pointing straight down (z approach), its closing axis (y) at that heading."""
    y = np.array([np.cos(closing_yaw), np.sin(closing_yaw), 0.0])
    z = np.array([0.0, 0.0, -1.0])
    return np.stack([np.cross(y, z), y, z], axis=-1)


def wrap(angle: float) -> float:
    """The same angle, within ±π."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def nearest_half_turn(yaw: float, to: float) -> float:
    """`yaw` or half a turn more, whichever is nearer: a gripper looks the same both ways."""
    return yaw if abs(wrap(yaw - to)) <= np.pi / 2 else wrap(yaw + np.pi)


def both(values: dict[Side, float]) -> Float[np.ndarray, "2"]:
    """Left before right."""
    return np.array([values[side] for side in SIDES])


def yaw_pose(position: Float[np.ndarray, "3"], yaw: float) -> Float[np.ndarray, "4 4"]:
    """An upright pose."""
    return se3.pose(so3.matrix_from_rotvec(np.array([0.0, 0.0, yaw])), position)
