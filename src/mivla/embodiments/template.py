"""A description to begin with, guessed from a model file: a person corrects what is wrong in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mivla.embodiments.checks import MIN_JOINTS, is_placeholder
from mivla.embodiments.layout import MAX_JOINTS, SIDES
from mivla.embodiments.tree import InvalidModel, Joint, Tree, pose_along
from mivla.geometry import se3

_FINGER = re.compile(r"finger|jaw|grip|knuckle|claw", re.IGNORECASE)
_TOOLS = tuple(
    re.compile(word, re.IGNORECASE)
    for word in ("tcp", "grasp", "pinch", "ee_gripper", "eef|end_?eff", "tool", "flange", "(^|_)ee")
)
_HOME_DRAWS, _HOME_STARTS = 4096, 3


@dataclass(frozen=True, eq=False)
class _Guess:
    """One arm as it is guessed."""

    way: tuple[Joint, ...]
    """From the root to the tool link."""
    chain: tuple[Joint, ...]
    tool_link: str
    position: Float[np.ndarray, "3"]
    """Of the tcp in the tool link."""
    approach: str
    closing: str
    fingers: tuple[Joint, ...]
    shut: tuple[float, ...]
    open: tuple[float, ...]
    stroke_m: float | None

    @property
    def limits(self) -> np.ndarray:
        """Limits to look for a home in: half a turn where the file has none that are real."""
        ends = [(-np.pi, np.pi) if _has_no_limits(j) else (j.low, j.high) for j in self.chain]
        return np.clip(np.array(ends, dtype=np.float64), -np.pi, np.pi)

    @property
    def tool(self) -> np.ndarray:
        """Pose of the tcp in the tool link."""
        z, y = _vector(self.approach), _vector(self.closing)
        return se3.pose(np.stack([np.cross(y, z), y, z], axis=-1), self.position)


def template(tree: Tree) -> str:
    """The text of a description of a robot with arms as in a model file.

    One arm in the file serves both sides; of more than one, the foremost on either side are taken.

    Raises:
        InvalidModel: no link hangs on six hinges or more.
    """
    arms = _arms(tree)
    lines = [
        "# What is written here was guessed from the model: go through it line by line, then",
        "#     mivla robot THIS_FILE.toml",
        "# says what is wrong. The name of this file is the robot's name.",
        "",
        f'title = "two arms of {tree.file}"',
    ]
    if any(joint.rounded for arm in arms for joint in arm.way):
        lines.append("# snap_angles = true  # angles such as 3.1416 become exact")
    if len(arms) == 1:
        root = arms[0].way[0].parent if arms[0].way else tree.links[0]
        lines += ["", "[arm]  # both are alike; what differs goes under [left] and [right]"]
        lines += _arm_lines(tree, arms[0], "arm")
        lines.append("")
        for side, y in zip(SIDES, (0.3, -0.3), strict=True):
            lines += [
                f"[{side}]",
                f"# where {root} stands in the robot base (x forward, y left, z up), metres",
                f"mount.position = [0.0, {y}, 0.0]",
                "mount.yaw = 0.0  # radians",
                "",
            ]
    else:
        root = arms[0].way[0].parent
        lines += [
            "# the link from which the robot is described; x forward, y left, z up",
            f"base_link = {_quoted(root)}",
            "",
        ]
        for side, arm in zip(SIDES, arms, strict=True):
            lines += [f"[{side}]", *_arm_lines(tree, arm, side), ""]
    return "\n".join([*lines, *_contents(tree)]) + "\n"


def _arm_lines(tree: Tree, arm: _Guess, table: str) -> list[str]:
    names = [joint.name for joint in arm.chain]
    home = [round(float(q), 4) + 0.0 for q in _home(arm)]
    position = [round(float(x), 6) + 0.0 for x in arm.position]
    lines = [
        f"model = {_quoted(tree.file)}  # a path, from this file's folder",
        f"joints = [{', '.join(_quoted(name) for name in names)}]",
        "# gripper down, in front, every joint 0.05 rad or more from its limits; radians",
        f"home = {home}",
        f"ee = {_quoted(arm.chain[-1].child)}  # the link whose pose the robot's software reports",
    ]
    for joint in arm.way:
        if joint.kind != "fixed" and joint.name not in names:
            lines.append(f"held.{_key(joint.name)} = 0.0  # is no part of the arm: where it stays")
    lines += [
        "",
        f"[{table}.tool]  # between the pads",
        f"link = {_quoted(arm.tool_link)}",
        f"position = {position}  # metres",
        f'approach = "{arm.approach}"  # where the fingers point, in the axes of that link',
        f'closing = "{arm.closing}"  # in which the pads move',
        "",
        f"[{table}.fingers]",
    ]
    if arm.fingers:
        lines += [
            f"joints = [{', '.join(_quoted(joint.name) for joint in arm.fingers)}]",
            f"shut = {[round(value, 6) for value in arm.shut]}  # with the pads together",
            f"open = {[round(value, 6) for value in arm.open]}",
        ]
    if arm.stroke_m is not None:
        lines.append(f"stroke_m = {round(arm.stroke_m, 6)}  # between the pads when open")
    else:
        lines.append("stroke_m = 0.08  # between the pads when open: measure it")
    lines += ["", f"[{table}.limits]  # radians; what is not written here is as in the model"]
    for joint in arm.chain:
        if _has_no_limits(joint):
            says = "none" if joint.low is None else f"{joint.low:g} to {joint.high:g}"
            lines.append(f"# {_key(joint.name)} = [-3.1, 3.1]  # look it up: the model says {says}")
    return lines


def _contents(tree: Tree) -> list[str]:
    lines = [f"# {tree.file} has these joints, from link to link:"]
    for joint in tree.joints:
        kind = joint.kind if joint.low is None else f"{joint.kind} {joint.low:g} to {joint.high:g}"
        lines.append(f"#   {joint.parent} -> {joint.child}: {joint.name} ({kind})")
    return lines


def _arms(tree: Tree) -> list[_Guess]:
    """One arm, or the foremost to the left and to the right."""
    ends: dict[tuple[str, ...], Joint] = {}
    for link in tree.links:
        hinges = _hinges(tree, link)
        if len(hinges) >= MIN_JOINTS:
            ends[tuple(joint.name for joint in hinges)] = hinges[-1]
    longest = [
        end
        for names, end in ends.items()
        if not any(other[: len(names)] == names and other != names for other in ends)
    ]
    if not longest:
        moving = [joint.name for joint in tree.joints if joint.kind != "fixed"]
        raise InvalidModel(
            f"no link of {tree.file} hangs on {MIN_JOINTS} hinges or more; joints that move are "
            f"{', '.join(moving) or 'none'}."
        )
    arms = [_guess(tree, end) for end in longest]
    places = [pose_along(arm.way[: arm.way.index(arm.chain[0]) + 1], {})[:3, 3] for arm in arms]
    pair = []
    for sign in (1.0, -1.0):
        here = [i for i, p in enumerate(places) if sign * p[1] > 1e-3]
        pair += [arms[max(here, key=lambda i: places[i][0])]] if here else []
    return pair if len(pair) == 2 else arms[:1]


def _hinges(tree: Tree, link: str) -> list[Joint]:
    """The hinges from the root to a link, as far as the gripper begins."""
    hinges = []
    for joint in tree.way_from_root(link):
        # An arm may begin where a torso branches, but a hand branches where its arm ends.
        if len(hinges) >= MIN_JOINTS and _branches(tree, joint) > 1:
            break
        if joint.mimics is not None or (joint.kind != "fixed" and _FINGER.search(joint.name)):
            break
        if joint.kind == "hinge":
            hinges.append(joint)
    return hinges


def _branches(tree: Tree, joint: Joint) -> int:
    """How many joints that move hang on the rigid thing that carries a joint."""
    link = joint.parent
    while link in tree.carrier and tree.carrier[link].kind == "fixed":
        link = tree.carrier[link].parent
    rigid, waiting = [], [link]
    while waiting:
        rigid.append(waiting.pop())
        waiting += [j.child for j in tree.joints if j.parent == rigid[-1] and j.kind == "fixed"]
    return sum(j.parent in rigid and j.kind != "fixed" for j in tree.joints)


def _guess(tree: Tree, end: Joint) -> _Guess:
    last = end.child
    chain = _hinges(tree, last)[-MAX_JOINTS:]
    below = {link: way for link in tree.links if (way := tree.way(last, link)) is not None}
    fingers = [
        way[-1]
        for way in below.values()
        if way and way[-1].kind == "slide" and all(j.kind == "fixed" for j in way[:-1])
    ][:2]
    still = [link for link, way in below.items() if all(j.kind == "fixed" for j in way)]
    still = sorted((link for link in still if link != last), key=len)
    named = [link for word in _TOOLS for link in still if word.search(link)]
    if named:
        tool_link = named[0]
        position = np.zeros(3)
    elif fingers:
        tool_link = fingers[0].parent
        origins = [joint.T_parent_child[:3, 3] for joint in fingers if joint.parent == tool_link]
        position = np.mean(origins, axis=0)
    else:
        tool_link, position = last, np.zeros(3)
    T_last_tool = pose_along(below[tool_link], {})
    R_tool_last = T_last_tool[:3, :3].T
    out = R_tool_last @ se3.transform(T_last_tool, position)
    if np.linalg.norm(out) < 1e-3:
        out = R_tool_last @ end.axis
    approach = _axis_name(out)
    closing = next(name for name in ("+y", "+z", "+x") if name[1] != approach[1])
    if fingers:
        slides = pose_along(below[fingers[0].child], {})[:3, :3] @ fingers[0].axis
        name = _axis_name(np.abs(R_tool_last @ slides))
        closing = name if name[1] != approach[1] else closing
    shut, opened = [], []
    T_tool = T_last_tool @ se3.pose(np.eye(3), position)
    for joint in fingers:
        at_shut, at_open = _shut_and_open(joint, below[joint.child], T_tool, _vector(closing))
        shut.append(at_shut)
        opened.append(at_open)
    travel = sum(abs(b - a) for a, b in zip(shut, opened, strict=True))
    return _Guess(
        way=tree.way_from_root(tool_link),
        chain=tuple(chain),
        tool_link=tool_link,
        position=position,
        approach=approach,
        closing=closing,
        fingers=tuple(fingers) if travel else (),
        shut=tuple(shut),
        open=tuple(opened),
        stroke_m=travel or None,
    )


def _shut_and_open(
    joint: Joint, way: tuple[Joint, ...], T_last_tool: np.ndarray, closing: np.ndarray
) -> tuple[float, float]:
    """A slide's values: open is the end of its travel that is farther out on its own side."""
    low, high = (0.0 if end is None else float(end) for end in (joint.low, joint.high))
    values: Mapping[str, np.ndarray] = {joint.name: np.array([low, high, (low + high) / 2])}
    p = se3.transform(se3.inverse(T_last_tool), pose_along(way, values)[..., :3, 3])
    at_low, at_high, middle = p @ closing
    side = 1.0 if middle >= 0 else -1.0
    return (low, high) if side * at_high > side * at_low else (high, low)


def _home(arm: _Guess) -> np.ndarray:
    """Joints, well within limits, with the tool down before the arm; as near as there are."""
    from scipy.optimize import least_squares

    low, high = arm.limits.T
    names = [joint.name for joint in arm.chain]
    first = arm.way.index(arm.chain[0])
    T_root_mount = pose_along(arm.way[:first], {})
    lengths = [float(np.linalg.norm(joint.T_parent_child[:3, 3])) for joint in arm.way[first + 1 :]]
    reach = sum(lengths) + float(np.linalg.norm(arm.position))
    # Before the arm's first joint, in the axes of the root link: x is forward, y to the left.
    wanted = pose_along(arm.way[: first + 1], {})[:3, 3] + [0.5 * reach, 0.0, 0.0]
    wanted[2] = T_root_mount[2, 3] + 0.15 * reach
    middle, span = (low + high) / 2, high - low

    def off(q: np.ndarray) -> np.ndarray:
        """What is not as it should be, for joints (... dof)."""
        T = pose_along(arm.way, {name: q[..., i] for i, name in enumerate(names)}) @ arm.tool
        return np.concatenate(
            [
                2 * (T[..., :3, 2] - [0.0, 0.0, -1.0]),
                T[..., 0, 1, None],  # jaws close to the left and right
                (T[..., :3, 3] - wanted) / reach,
                0.1 * (q - middle) / span,
            ],
            axis=-1,
        )

    margin = np.minimum(0.1 * span, 0.1)
    bounds = low + margin, high - margin
    drawn = np.random.default_rng(0).uniform(*bounds, (_HOME_DRAWS, len(names)))
    nearest = np.argsort(np.sum(off(drawn) ** 2, axis=-1))[:_HOME_STARTS]
    found = [least_squares(off, drawn[i], bounds=bounds, max_nfev=60) for i in nearest]
    return min(found, key=lambda one: one.cost).x


def _has_no_limits(joint: Joint) -> bool:
    if joint.low is None or joint.high is None or joint.low >= joint.high:
        return True
    return is_placeholder(joint.low, joint.high)


def _axis_name(v: np.ndarray) -> str:
    i = int(np.argmax(np.abs(v)))
    return f"{'+' if v[i] >= 0 else '-'}{'xyz'[i]}"


def _vector(axis: str) -> np.ndarray:
    return float(f"{axis[0]}1") * np.eye(3)["xyz".index(axis[1])]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
