"""A mechanism as a file describes it: links, and joints that lead from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

from mivla import MivlaError
from mivla.geometry import se3, so3

Kind = Literal["hinge", "slide", "fixed", "other"]

ROUNDED_WITHIN_RAD = 2e-3
"""An angle so near to a multiple of 90 degrees is taken for a rounded one: 3.14 is one, too."""
ROUNDED_FROM_RAD = 1e-6
"""Seven digits are enough: what is nearer than that moves no tool that anybody could measure."""


class InvalidModel(MivlaError):
    """A model file that cannot be read, or that describes no tree of links."""


@dataclass(frozen=True, eq=False)
class Joint:
    """How one link is carried by another."""

    name: str
    kind: Kind
    parent: str
    child: str
    T_parent_child: Float[np.ndarray, "4 4"]
    """Pose of the child in the parent where the joint's value is 0, exactly as written."""
    axis: Float[np.ndarray, "3"]
    """In the child's frame, as written: unit length is not promised."""
    low: float | None = None
    """Lower limit in radians or metres; None where the file gives none."""
    high: float | None = None
    """Upper limit."""
    mimics: tuple[str, float, float] | None = None
    """(joint, multiplier, offset) of a joint that follows another."""
    rounded: tuple[tuple[float, float], ...] = ()
    """(written, meant) of angles that look like rounded multiples of 90 degrees."""
    T_exact: Float[np.ndarray, "4 4"] | None = None
    """`T_parent_child` with those angles exact; None where no angle is rounded."""

    def pose(self, value: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b 4 4"]:
        """T_parent_child at joint values in radians or metres."""
        value = np.asarray(value, dtype=np.float64)[..., None]
        axis = so3.normalise(self.axis)
        if self.kind == "hinge":
            return self.T_parent_child @ se3.pose(so3.matrix_from_rotvec(value * axis), np.zeros(3))
        if self.kind == "slide":
            return self.T_parent_child @ se3.pose(np.eye(3), value * axis)
        return np.broadcast_to(self.T_parent_child, (*value.shape[:-1], 4, 4))

    @property
    def snapped(self) -> "Joint":
        """The joint with its rounded angles exact."""
        if self.T_exact is None:
            return self
        return replace(self, T_parent_child=self.T_exact, T_exact=None, rounded=())


@dataclass(frozen=True, eq=False)
class Tree:
    """Links and joints of one file. Every link but a root is carried by exactly one joint."""

    file: str
    """Name of the file, for messages."""
    links: tuple[str, ...]
    joints: tuple[Joint, ...]

    @cached_property
    def joint(self) -> Mapping[str, Joint]:
        """Joints by name."""
        return {joint.name: joint for joint in self.joints}

    @cached_property
    def carrier(self) -> Mapping[str, Joint]:
        """The joint that carries each link but the roots."""
        return {joint.child: joint for joint in self.joints}

    def way_from_root(self, link: str) -> tuple[Joint, ...]:
        """The joints from the root to a link."""
        way: list[Joint] = []
        while link in self.carrier:
            way.insert(0, self.carrier[link])
            link = way[0].parent
        return tuple(way)

    def root_of(self, link: str) -> str:
        """The link that carries it and that nothing carries."""
        way = self.way_from_root(link)
        return way[0].parent if way else link

    def way(self, start: str, end: str) -> tuple[Joint, ...] | None:
        """The joints from a link outwards to another; None where it does not hang on the first."""
        if start == end:
            return ()
        whole = self.way_from_root(end)
        for i, joint in enumerate(whole):
            if joint.parent == start:
                return whole[i:]
        return None

    @property
    def snapped(self) -> "Tree":
        """The tree with every rounded angle exact."""
        return replace(self, joints=tuple(joint.snapped for joint in self.joints))


def pose_along(
    way: Sequence[Joint], values: Mapping[str, Float[np.ndarray, "*b"]]
) -> Float[np.ndarray, "*b 4 4"]:
    """Pose of the last link of a way in the first; joints without a value are at 0."""
    T = np.eye(4)
    for joint in way:
        T = T @ joint.pose(np.asarray(values.get(joint.name, 0.0)))
    return T


def checked_tree(file: str, links: Sequence[str], joints: Sequence[Joint]) -> Tree:
    """The tree of these links and joints.

    Raises:
        InvalidModel: two of one name, a joint at a link that is not there, a link that two joints
            carry, or a ring of joints.
    """
    for what, names in (("link", list(links)), ("joint", [joint.name for joint in joints])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidModel(f"{file} has more than one {what} called {', '.join(twice)}.")
    carriers: dict[str, Joint] = {}
    for joint in joints:
        for role, link in (("parent", joint.parent), ("child", joint.child)):
            if link not in links:
                raise InvalidModel(
                    f"the {role} of joint {joint.name!r} in {file} is {link!r}, and there is no "
                    f"such link; there are {', '.join(links)}."
                )
        if joint.child in carriers:
            raise InvalidModel(
                f"{file} has a loop: link {joint.child!r} is carried by two joints, "
                f"{carriers[joint.child].name!r} and {joint.name!r}. A chain needs one parent a "
                f"link: remove the joint that closes the loop."
            )
        carriers[joint.child] = joint
    for link in links:
        seen = [link]
        while seen[-1] in carriers:
            seen.append(carriers[seen[-1]].parent)
            if seen[-1] == link:
                ring = [carriers[one].name for one in seen[:-1]]
                raise InvalidModel(
                    f"{file} has a loop: joints {', '.join(ring)} go round from {link!r} to "
                    f"itself. One of them has parent and child the wrong way round."
                )
            if len(seen) > len(links):
                break
    return Tree(file, tuple(links), tuple(joints))


def nearest_right_angle(angle: float) -> float | None:
    """The multiple of 90 degrees that a rounded angle means; None where it is not rounded."""
    turns = round(angle / (np.pi / 2))
    meant = turns * np.pi / 2
    off = abs(angle - meant)
    return meant if turns and ROUNDED_FROM_RAD < off < ROUNDED_WITHIN_RAD else None
