"""Bodies: what a robot or a person is made of, in the terms that every other room needs."""

# MuJoCo's bindings come without types.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np
from jaxtyping import Float

from mivla import MivlaError
from mivla.embodiments.layout import MAX_JOINTS, PARTS, SIDES, Side
from mivla.geometry import se3


class UnknownEmbodiment(MivlaError):
    """A body of that name is not shipped."""


class UnknownFrame(MivlaError):
    """A body has no convention of that name for its end effector."""


@dataclass(frozen=True)
class Gripper:
    """A gripper with two pads: two slides of the arm's model, or the hinge of one jaw."""

    joints: tuple[str, ...]
    shut: tuple[float, ...]
    """Joint values with the pads together: metres of a slide, radians of a hinge."""
    open: tuple[float, ...]
    """Joint values with the pads a stroke apart: metres, or radians."""
    stroke_m: float
    """Distance between the pads when open."""


@dataclass(frozen=True)
class Arm:
    """One arm: a serial chain of revolute joints from its mount to the tool."""

    side: Side
    model: str
    """MJCF file in `embodiments/models`, without meshes; its names carry no side."""
    joints: tuple[str, ...]
    """Joint names of the model, from the mount to the tool."""
    position_base_mount: tuple[float, float, float]
    """Where the arm is mounted, in the robot base (x forward, y left, z up), metres."""
    yaw_base_mount: float
    """Heading of the mount about z, radians."""
    home: tuple[float, ...]
    """A comfortable pose with the gripper pointing down in front of the mount, radians."""
    gripper: Gripper
    ee: str = "ee"
    """Site that the robot's own stack reports."""
    tcp: str = "tcp"
    """Site between the pads: z approach, y closing."""
    text: str = ""
    """MJCF of an arm that is not shipped; `model` is then only its name."""

    @property
    def dof(self) -> int:
        """Number of joints, without the gripper."""
        return len(self.joints)

    @cached_property
    def xml(self) -> str:
        """The model's MJCF text."""
        if self.text:
            return self.text
        return (resources.files("mivla.embodiments") / "models" / self.model).read_text()

    @cached_property
    def tool_in_ee(self) -> Float[np.ndarray, "4 4"]:
        """T_ee_tcp: the site between the pads, in the site that the robot's stack reports."""
        import mujoco

        model = mujoco.MjModel.from_xml_string(self.xml)
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        T_mount_ee, T_mount_tcp = (
            se3.pose(site.xmat.reshape(3, 3), site.xpos)
            for site in (data.site(self.ee), data.site(self.tcp))
        )
        return se3.inverse(T_mount_ee) @ T_mount_tcp


@dataclass(frozen=True)
class FrameConvention:
    """A frame in which data sets or a maker's software report the end effector of a robot.

    It is rigid to the last link, and the same on both sides.
    """

    name: str
    position: tuple[float, float, float]
    """Origin of their frame in the `ee` site (z approach, y closing), metres."""
    quaternion: tuple[float, float, float, float]
    """Axes of their frame in the `ee` site, wxyz; its length does not matter."""
    note: str = ""
    """Whose frame it is."""

    @cached_property
    def pose_in_ee(self) -> Float[np.ndarray, "4 4"]:
        """T_ee_frame: their frame in the `ee` site."""
        return se3.from_position_quaternion(np.array((*self.position, *self.quaternion)))

    def to_tool(
        self, T_a_frame: Float[np.ndarray, "*b 4 4"], arm: Arm
    ) -> Float[np.ndarray, "*b 4 4"]:
        """The pose of the arm's `tcp` site, from that of their frame, both in any frame a."""
        return T_a_frame @ (se3.inverse(self.pose_in_ee) @ arm.tool_in_ee)

    def from_tool(
        self, T_a_tcp: Float[np.ndarray, "*b 4 4"], arm: Arm
    ) -> Float[np.ndarray, "*b 4 4"]:
        """The inverse of `to_tool`."""
        return T_a_tcp @ (se3.inverse(arm.tool_in_ee) @ self.pose_in_ee)


@dataclass(frozen=True)
class Embodiment:
    """A body. A hand is one as much as an arm: a person has no `arms` and acts in `hand`."""

    name: str
    title: str
    """The name people use."""
    arms: tuple[Arm, ...] = ()
    """Left before right; empty for a person."""
    frames: tuple[FrameConvention, ...] = ()
    """How data sets and the maker's software report the end effector."""

    @property
    def is_human(self) -> bool:
        """Whether this is a person."""
        return not self.arms

    @property
    def own_part(self) -> str:
        """The part of a layout in which the body itself is recorded and commanded."""
        return "hand" if self.is_human else "joints"

    @cached_property
    def own_index(self) -> np.ndarray:
        """Which dimensions of its own part the body uses: a six-joint arm has no seventh."""
        if self.is_human:
            return np.arange(PARTS["hand"].dim)
        used = []
        for arm in self.arms:
            start = PARTS["joints"][f"joints/{arm.side}"].start
            used += [*range(start, start + arm.dof), start + MAX_JOINTS]
        return np.array(used)

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of the body's own vector, such as `left/joint1`, `left/opening`."""
        names = PARTS[self.own_part].names
        return tuple(names[i].split("/", 1)[1] for i in self.own_index)

    @property
    def own_dim(self) -> int:
        """Length of the body's own vector: 14 for two six-joint arms, 48 for a person."""
        return len(self.own_index)

    def own_from_part(self, values: Float[np.ndarray, "*b d"]) -> Float[np.ndarray, "*b own"]:
        """The body's own vector from its part of a layout (16 joints or 48 hand numbers)."""
        return values[..., self.own_index]

    def part_from_own(self, own: Float[np.ndarray, "*b own"]) -> Float[np.ndarray, "*b d"]:
        """The inverse of `own_from_part`; dimensions that the body lacks are NaN."""
        values = np.full((*own.shape[:-1], PARTS[self.own_part].dim), np.nan, dtype=own.dtype)
        values[..., self.own_index] = own
        return values

    def arm(self, side: Side) -> Arm:
        """The arm of one side."""
        return self.arms[SIDES.index(side)]

    def frame(self, name: str) -> FrameConvention:
        """The convention of that name.

        Raises:
            UnknownFrame: the body has none of that name; the message lists those it has.
        """
        for convention in self.frames:
            if convention.name == name:
                return convention
        raise UnknownFrame(
            f"{self.name} has no frame {name!r}; there are "
            f"{', '.join(frame.name for frame in self.frames) or 'none'}."
        )
