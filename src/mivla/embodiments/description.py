"""A user's own robot: a short TOML description beside a URDF or MJCF file.

The description says which joints, which tool, which fingers (see docs/add-a-robot.md); the model
file is read for where they are. What comes out is an `Embodiment` like those that are shipped,
whose arms carry a mesh-free model of their own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mivla import MivlaError
from mivla.embodiments import checks
from mivla.embodiments.body import Arm, Embodiment, FrameConvention, Gripper
from mivla.embodiments.findings import Finding, Report, Unusable, merged
from mivla.embodiments.layout import SIDES, Side
from mivla.embodiments.mjcf import Finger, SerialArm, read_mjcf, written
from mivla.embodiments.tables import inner, known, numbers, strings, value
from mivla.embodiments.tree import InvalidModel, Joint, Tree, pose_along
from mivla.embodiments.urdf import read_urdf
from mivla.geometry import se3, so3

TIP_M = 0.01
"""The fingertips are that far beyond the tcp."""
MAX_STROKE_M = 0.5
_AXES = {
    f"{sign}{name}": float(f"{sign}1") * axis
    for sign in ("+", "-")
    for name, axis in zip("xyz", np.eye(3), strict=True)
}
_OWN_FRAME = FrameConvention(
    "model", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), "the link that is named as ee, as in the model"
)
_BODY_KEYS = ("name", "title", "snap_angles", "base_link", "arm", *SIDES)
_ARM_KEYS = ("model", "joints", "home", "tool", "ee", "fingers", "limits", "held", "mount")
_TOOL_KEYS = ("link", "position", "approach", "closing", "quaternion")
_FINGER_KEYS = ("joints", "shut", "open", "stroke_m")
_MOUNT_KEYS = ("link", "position", "yaw", "rpy")


class InvalidDescription(MivlaError):
    """A description of a robot that cannot be used; the message lists what is wrong."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What a description comes to."""

    path: Path
    files: tuple[Path, ...]
    """The description and the model files that were read."""
    body: Embodiment | None
    """The robot; None where there are errors."""
    findings: tuple[Finding, ...]

    def usable(self) -> Embodiment:
        """The robot.

        Raises:
            InvalidDescription: there are errors; the message has them all. `mivla robot` prints
                them with the warnings, one a line.
        """
        if self.body is None:
            errors = " ".join(str(one) for one in self.findings if one.level == "error")
            raise InvalidDescription(f"{self.path} describes no robot that can be used. {errors}")
        return self.body


def examine(path: Path) -> Examined:
    """Everything that can be told from a description and its files, right or wrong."""
    work = _Examination(path)
    try:
        body = work.body()
    except Unusable:
        body = None
    findings = merged(work.report.findings)
    if any(one.level == "error" for one in findings):
        body = None
    return Examined(path, tuple(work.files), body, findings)


def read_model(path: Path) -> Tree:
    """The links and joints of a URDF or MJCF file.

    Raises:
        InvalidModel: there is no such file, or it is neither.
    """
    if not path.is_file():
        raise InvalidModel(f"there is no model file {path}.")
    head = path.read_text(errors="replace")
    is_mjcf = "<mujoco" in head and "<robot" not in head
    return read_mjcf(path) if is_mjcf else read_urdf(path)


@dataclass
class _Examination:
    path: Path
    report: Report = field(default_factory=Report)
    files: list[Path] = field(default_factory=list)
    trees: dict[tuple[Path, bool], Tree] = field(default_factory=dict)

    def body(self) -> Embodiment | None:
        table = self._toml()
        name = self._name(table)
        title = value(self.report, table, "title", str, name)
        snap = value(self.report, table, "snap_angles", bool, False)
        base_link = value(self.report, table, "base_link", str, None)
        shared = inner(self.report, table, "arm", _ARM_KEYS, {})
        own = {side: inner(self.report, table, side, _ARM_KEYS, {}) for side in SIDES}
        arms = []
        for side in SIDES:
            self.report.where = side
            try:
                arms.append(self._arm(name, side, _joined(shared, own[side]), snap, base_link))
            except Unusable:
                continue
        self.report.where = ""
        if len(arms) < len(SIDES):
            return None
        return Embodiment(name=name, title=title, arms=tuple(arms), frames=(_OWN_FRAME,))

    def _toml(self) -> dict[str, Any]:
        self.files.append(self.path)
        if not self.path.is_file():
            raise self.report.stop(
                f"There is no file {self.path}.", "`mivla robot MODEL.urdf` prints one to begin."
            )
        try:
            table = tomllib.loads(self.path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise self.report.stop(
                f"{self.path.name} is not TOML: {error}.", "Correct that line."
            ) from error
        known(self.report, table, _BODY_KEYS, self.path.name)
        return table

    def _name(self, table: Mapping[str, Any]) -> str:
        from mivla.embodiments import EMBODIMENTS

        stem = self.path.stem
        if table.get("name", stem) != stem:
            raise self.report.stop(
                f"The robot is called {table['name']!r}, but its file {self.path.name}.",
                "They must have one name, by which data sets mention the robot: rename either.",
            )
        if not stem.isidentifier():
            raise self.report.stop(
                f"{stem!r} cannot be a name.",
                "Names become columns of data sets: rename the file to letters, digits and "
                "underscores, such as my_robot.toml.",
            )
        if stem in EMBODIMENTS:
            raise self.report.stop(
                f"{stem!r} is a robot that is shipped.",
                f"Rename the file, for instance to my_{stem}.toml.",
            )
        return stem

    def _arm(
        self,
        name: str,
        side: Side,
        table: Mapping[str, Any],
        snap: bool,
        base_link: str | None,
    ) -> Arm:
        tree = self._tree(table, snap)
        names = strings(self.report, table, "joints")
        tool = inner(self.report, table, "tool", _TOOL_KEYS)
        tool_link = self._link(tree, value(self.report, tool, "link", str), "tool.link")
        held = self._held(tree, table, names)
        if "mount" in table:
            T_base_start, start = self._mount(tree, table, base_link, tool_link)
            base = start
        else:
            T_base_start, start, base = self._start(tree, base_link, tool_link, names, held)
        way = tree.way(start, tool_link)
        if way is None:
            raise self.report.stop(
                f"The tool's link {tool_link!r} does not hang on {start!r}; what carries it is "
                f"{_carriers(tree, tool_link)}.",
                "Name one of those instead, or another tool link.",
            )
        checks.check_chain(self.report, tree, way, names, held, start)
        chain = [tree.joint[joint] for joint in names]

        yaw, T = _heading(T_base_start)
        fixed = []
        for joint in way:
            if joint.name in names:
                fixed.append(T @ joint.T_parent_child)
                T = np.eye(4)
            else:
                T = T @ joint.pose(np.array(held.get(joint.name, 0.0)))
        T_last_tcp = T @ self._tool(tool)
        limits = self._limits(table, chain)
        home = numbers(self.report, table, "home", len(names))
        checks.check_home(self.report, names, home, limits)
        last = chain[-1].child
        fingers, gripper = self._gripper(tree, table, names, last, T_last_tcp)
        checks.check_sizes(self.report, names, fixed, T_last_tcp)
        whole = tree.way(base, tool_link) or way
        checks.check_rounding(self.report, tree.file, whole, names, home, limits, held)
        sites = {
            "ee": self._ee(tree, table, last),
            "tip": T_last_tcp @ se3.pose(np.eye(3), np.array([0.0, 0.0, TIP_M])),
            "tcp": T_last_tcp,
        }
        axes = np.array([so3.normalise(joint.axis) for joint in chain])
        x, y, z = (float(number) for number in T_base_start[:3, 3])
        return Arm(
            side=side,
            model=f"{name}.xml",
            joints=names,
            position_base_mount=(x, y, z),
            yaw_base_mount=yaw,
            home=tuple(float(q) for q in home),
            gripper=gripper,
            text=written(SerialArm(name, names, np.array(fixed), axes, limits, sites, fingers)),
        )

    def _tree(self, table: Mapping[str, Any], snap: bool) -> Tree:
        file = (self.path.parent / value(self.report, table, "model", str)).resolve()
        if file not in self.files:
            self.files.append(file)
        if (file, snap) not in self.trees:
            try:
                tree = read_model(file)
            except InvalidModel as error:
                raise self.report.stop(str(error), "Correct `model`, or the file.") from error
            self.trees[file, snap] = tree.snapped if snap else tree
        return self.trees[file, snap]

    def _link(self, tree: Tree, link: str, key: str) -> str:
        if link not in tree.links:
            raise self.report.stop(
                f"{key} is {link!r}, and {tree.file} has no such link.",
                f"There are {', '.join(tree.links)}.",
            )
        return link

    def _held(
        self, tree: Tree, table: Mapping[str, Any], names: tuple[str, ...]
    ) -> dict[str, float]:
        """Joints that are no part of the arm, and where they stay."""
        held = value(self.report, table, "held", dict, {})
        for name in held:
            if name not in tree.joint:
                raise self.report.stop(
                    f"held names the joint {name!r}, and {tree.file} has no such joint.",
                    f"There are {', '.join(tree.joint)}.",
                )
            if name in names:
                raise self.report.stop(
                    f"Joint {name!r} is both held and one of joints.", "Keep one."
                )
        return {name: value(self.report, held, name, float) for name in held}

    def _mount(
        self, tree: Tree, table: Mapping[str, Any], base_link: str | None, tool_link: str
    ) -> tuple[np.ndarray, str]:
        """Pose in the robot base of the link on which the arm stands, and the link."""
        mount = inner(self.report, table, "mount", _MOUNT_KEYS)
        if base_link is not None:
            raise self.report.stop(
                "There are both mount and base_link.",
                "Keep mount for arms that you place yourself, or base_link for a file in which "
                "both arms have their places.",
            )
        if "yaw" in mount and "rpy" in mount:
            raise self.report.stop("mount has both yaw and rpy.", "Keep one; rpy holds the yaw.")
        link = value(self.report, mount, "link", str, tree.root_of(tool_link))
        p = numbers(self.report, mount, "position", 3, [0.0, 0.0, 0.0])
        yaw = value(self.report, mount, "yaw", float, 0.0)
        rpy = numbers(self.report, mount, "rpy", 3, [0.0, 0.0, yaw])
        return se3.pose(so3.matrix_from_rpy(rpy), p), self._link(tree, link, "mount.link")

    def _start(
        self,
        tree: Tree,
        base_link: str | None,
        tool_link: str,
        names: tuple[str, ...],
        held: Mapping[str, float],
    ) -> tuple[np.ndarray, str, str]:
        """The same of the link that carries the first joint, and the link that is the base."""
        base = tree.root_of(tool_link)
        if base_link is not None:
            base = self._link(tree, base_link, "base_link")
        chain = [joint for joint in tree.way_from_root(tool_link) if joint.name in names]
        start = chain[0].parent if chain else base
        way = tree.way(base, start)
        if way is None:
            raise self.report.stop(
                f"The arm does not hang on base_link {base!r}.",
                f"Links that carry {start!r} are {_carriers(tree, start)}.",
            )
        for joint in way:
            checks.check_held(self.report, joint, held)
        return pose_along(way, {name: np.array(at) for name, at in held.items()}), start, base

    def _tool(self, tool: Mapping[str, Any]) -> np.ndarray:
        """Pose of the tcp in the tool link."""
        p = numbers(self.report, tool, "position", 3, [0.0, 0.0, 0.0])
        if "quaternion" in tool:
            if "approach" in tool or "closing" in tool:
                raise self.report.stop(
                    "The tool has both a quaternion and axes.",
                    "Keep quaternion, or approach and closing.",
                )
            wxyz = numbers(self.report, tool, "quaternion", 4)
            if abs(np.linalg.norm(wxyz) - 1) > 1e-3:
                raise self.report.stop(
                    f"tool.quaternion has length {np.linalg.norm(wxyz):.4g}.",
                    "Give w, x, y, z of length 1.",
                )
            return se3.pose(so3.matrix_from_quaternion(wxyz), p)
        z, y = self._axis(tool, "approach"), self._axis(tool, "closing")
        if abs(float(z @ y)) > 1e-3:
            between = np.degrees(np.arccos(np.clip(z @ y, -1, 1)))
            raise self.report.stop(
                f"The tool's axes are not orthogonal: between approach {tool['approach']} and "
                f"closing {tool['closing']} are {between:.1f} degrees.",
                "Approach is where the fingers point, closing the direction in which the pads "
                "move, at a right angle to it.",
            )
        y = so3.normalise(y - (y @ z) * z)
        return se3.pose(np.stack([np.cross(y, z), y, z], axis=-1), p)

    def _axis(self, tool: Mapping[str, Any], key: str) -> np.ndarray:
        given = value(self.report, tool, key, str | list)
        if isinstance(given, str):
            axis = _AXES.get(given, _AXES.get(f"+{given}"))
            if axis is None:
                raise self.report.stop(
                    f"tool.{key} is {given!r}.",
                    f"It should be one of {', '.join(_AXES)}, or three numbers.",
                )
            return axis
        axis = numbers(self.report, tool, key, 3)
        if np.linalg.norm(axis) == 0:
            raise self.report.stop(f"tool.{key} is zero.", "Give a direction.")
        return so3.normalise(axis)

    def _ee(self, tree: Tree, table: Mapping[str, Any], last: str) -> np.ndarray:
        """Pose in the last link of the link that the robot's own software reports."""
        ee = self._link(tree, value(self.report, table, "ee", str, last), "ee")
        way = tree.way(last, ee)
        if way is None or any(joint.kind != "fixed" for joint in way):
            raise self.report.stop(
                f"ee is the link {ee!r}, which is not fixed to {last!r}, the last link.",
                f"Name {last!r}, or a link that is fixed to it.",
            )
        return pose_along(way, {})

    def _limits(self, table: Mapping[str, Any], chain: list[Joint]) -> np.ndarray:
        names = [joint.name for joint in chain]
        given = inner(self.report, table, "limits", tuple(names), {})
        limits = np.array(
            [
                numbers(self.report, given, joint.name, 2)
                if joint.name in given
                else [np.nan if end is None else end for end in (joint.low, joint.high)]
                for joint in chain
            ]
        )
        checks.check_limits(self.report, names, limits)
        return limits

    def _gripper(
        self,
        tree: Tree,
        table: Mapping[str, Any],
        names: tuple[str, ...],
        last: str,
        T_last_tcp: np.ndarray,
    ) -> tuple[tuple[Finger, ...], Gripper]:
        table = inner(self.report, table, "fingers", _FINGER_KEYS)
        stroke_m = value(self.report, table, "stroke_m", float)
        if not 0 < stroke_m <= MAX_STROKE_M:
            raise self.report.stop(
                f"stroke_m is {stroke_m:g}.",
                "It is the distance in metres between the pads of the open gripper, such as 0.08; "
                "larger numbers look like millimetres.",
            )
        if "joints" in table:
            fingers = self._fingers(tree, table, names, last)
            checks.check_stroke(self.report, fingers, T_last_tcp, stroke_m)
        else:
            for key in ("shut", "open"):
                if key in table:
                    self.report.error(f"fingers has {key}, but no joints.", "Name the joints.")
            fingers = _made_up_fingers(T_last_tcp, stroke_m)
        return fingers, Gripper(
            joints=tuple(finger.name for finger in fingers),
            shut=tuple(finger.shut for finger in fingers),
            open=tuple(finger.open for finger in fingers),
            stroke_m=stroke_m,
        )

    def _fingers(
        self, tree: Tree, table: Mapping[str, Any], names: tuple[str, ...], last: str
    ) -> tuple[Finger, ...]:
        joints = strings(self.report, table, "joints")
        if len(joints) > 2 or len(set(joints)) < len(joints):
            raise self.report.stop(
                f"fingers.joints are {', '.join(joints)}.",
                "Name the two finger joints, or the one that drives the jaw.",
            )
        shut = numbers(self.report, table, "shut", len(joints))
        opened = numbers(self.report, table, "open", len(joints))
        fingers = []
        for name, at_shut, at_open in zip(joints, shut, opened, strict=True):
            joint = tree.joint.get(name)
            if joint is None:
                others = [j.name for j in tree.joints if j.kind != "fixed" and j.name not in names]
                raise self.report.stop(
                    f"{tree.file} has no finger joint {name!r}.",
                    f"Other joints that move are {', '.join(others) or 'none'}; without "
                    f"fingers.joints, two fingers are made up.",
                )
            if (
                name in names
                or joint.kind not in ("slide", "hinge")
                or not _hangs(tree, joint, last)
            ):
                raise self.report.stop(
                    f"Finger joint {name!r} is no slide or hinge that {last!r} carries.",
                    "Name joints of the gripper; without fingers.joints, two are made up.",
                )
            if at_shut == at_open:
                raise self.report.stop(
                    f"Finger joint {name!r} has the same value shut and open, {at_open:g}.",
                    "Give the joint's values with the pads together, and with them apart.",
                )
            checks.check_travel(self.report, joint, float(at_shut), float(at_open))
            fingers.append(_finger(tree, joint, last, float(at_shut), float(at_open)))
        if len(fingers) == 1:
            fingers += _followers(tree, fingers[0], last)
        return tuple(fingers)


def _joined(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What both arms share, with what a side has of its own; tables within are joined, too."""
    out = dict(shared)
    for key, given in own.items():
        both = isinstance(given, dict) and isinstance(out.get(key), dict)
        out[key] = {**out[key], **given} if both else given
    return out


def _heading(T_base_start: np.ndarray) -> tuple[float, np.ndarray]:
    """The yaw of a pose, and the pose that is left of it in a mount that is upright."""
    forward = T_base_start[:2, 0]
    yaw = float(np.arctan2(forward[1], forward[0])) if np.linalg.norm(forward) > 1e-6 else 0.0
    level = so3.matrix_from_rotvec(np.array([0.0, 0.0, -yaw])) @ T_base_start[:3, :3]
    return yaw, se3.pose(level, np.zeros(3))


def _finger(tree: Tree, joint: Joint, last: str, shut: float, opened: float) -> Finger:
    T = pose_along(tree.way(last, joint.parent) or (), {}) @ joint.T_parent_child
    return Finger(joint.name, joint.kind, T, so3.normalise(joint.axis), shut, opened)


def _followers(tree: Tree, lead: Finger, last: str) -> list[Finger]:
    """The one finger that follows the one named, as the file says it does."""
    found = []
    for joint in tree.joints:
        if joint.mimics is None or not _hangs(tree, joint, last):
            continue
        leader, rate, offset = joint.mimics
        if leader == lead.name and joint.kind == lead.kind and rate != 0:
            shut, opened = rate * lead.shut + offset, rate * lead.open + offset
            found.append(_finger(tree, joint, last, shut, opened))
    return found if len(found) == 1 else []


def _hangs(tree: Tree, joint: Joint, link: str) -> bool:
    return tree.way(link, joint.parent) is not None


def _made_up_fingers(T_last_tcp: np.ndarray, stroke_m: float) -> tuple[Finger, ...]:
    """Two slides that open along the tool's y by half of the stroke each."""
    return tuple(
        Finger(name, "slide", T_last_tcp, np.array([0.0, side, 0.0]), 0.0, stroke_m / 2)
        for name, side in (("finger1", 1.0), ("finger2", -1.0))
    )


def _carriers(tree: Tree, link: str) -> str:
    return ", ".join(joint.parent for joint in tree.way_from_root(link)) or "nothing"
