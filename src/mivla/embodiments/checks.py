"""What can be told of an arm from its description and its model: reported in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from mivla.embodiments.findings import Report, Unusable
from mivla.embodiments.layout import MAX_JOINTS
from mivla.embodiments.mjcf import Finger
from mivla.embodiments.tree import Joint, Tree, pose_along

MIN_JOINTS = 6
ROOM_M = 5.0
"""No link of an arm is as long: such numbers are millimetres."""
PLACEHOLDER_RAD = 9.9
"""Limits that far out both ways are none: ±10 is what exporters write who know none."""
DEGREES_RAD = 45.0
"""Limits that far out both ways are in degrees."""


def is_placeholder(low: float, high: float) -> bool:
    """Whether limits stand for none at all: ±10 and beyond."""
    return bool(min(-low, high) >= PLACEHOLDER_RAD)


def check_chain(
    report: Report,
    tree: Tree,
    way: Sequence[Joint],
    names: tuple[str, ...],
    held: Mapping[str, float],
    start: str,
) -> None:
    """That the named joints are those that move on the way, in their order, and hinges.

    Raises:
        Unusable: they are not.
    """
    moving = [joint.name for joint in way if joint.kind != "fixed"]
    end = way[-1].child if way else start
    on_the_way = (
        f"The joints that move on the way from {start!r} to {end!r} are "
        f"{', '.join(moving) or 'none'}."
    )
    unknown = [name for name in names if name not in tree.joint]
    if unknown:
        others = [joint.name for joint in tree.joints if joint.kind != "fixed"]
        raise report.stop(
            f"{tree.file} has no joint {_listed(unknown)}.",
            f"Joints that move are {', '.join(others) or 'none'}.",
        )
    if len(set(names)) < len(names):
        raise report.stop(f"joints names one twice: {', '.join(names)}.", on_the_way)
    still = [name for name in names if tree.joint[name].kind == "fixed"]
    if still:
        raise report.stop(f"Joint {_listed(still)} is fixed.", on_the_way)
    stray = [name for name in names if name not in moving]
    if stray:
        raise report.stop(
            f"Joint {_listed(stray)} does not lie between {start!r} and {end!r}: the joints are "
            f"not in one chain.",
            on_the_way,
        )
    if [name for name in moving if name in names] != list(names):
        raise report.stop("The joints are in another order than in the chain.", on_the_way)
    for joint in way:
        if joint.name in names:
            _check_joint(report, joint)
        else:
            check_held(report, joint, held)
    if not report.has_errors and not MIN_JOINTS <= len(names) <= MAX_JOINTS:
        report.error(
            f"The arm has {len(names)} joints.",
            f"Arms of {MIN_JOINTS} or {MAX_JOINTS} hinges are supported. {on_the_way}",
        )
    if report.has_errors:
        raise Unusable


def check_held(report: Report, joint: Joint, held: Mapping[str, float]) -> None:
    """That a joint which is none of the arm's does not move, or is held."""
    if joint.kind == "fixed" or (joint.name in held and joint.kind != "other"):
        return
    todo = f"Add it to joints, or hold it still where it is to stay: held.{joint.name} = 0.0"
    if joint.kind == "other":
        todo = f"Begin above it: base_link = {joint.child!r}."
    report.error(
        f"Joint {joint.name!r} lies on the way to the tool, can move, and is none of joints.", todo
    )


def _check_joint(report: Report, joint: Joint) -> None:
    if joint.kind != "hinge":
        what = "prismatic" if joint.kind == "slide" else "neither hinge nor slide"
        report.error(
            f"Joint {joint.name!r} is {what}; a chain has hinges alone.",
            f"Leave it out of joints and hold it still: held.{joint.name} = 0.0",
        )
    if joint.mimics is not None:
        report.error(
            f"Joint {joint.name!r} follows {joint.mimics[0]!r} and cannot be moved alone.",
            "Arms whose links are coupled are not supported.",
        )
    length = float(np.linalg.norm(joint.axis))
    if length == 0:
        report.error(f"The axis of joint {joint.name!r} is zero.", "Correct it in the file.")
    elif abs(length - 1) > 1e-3:
        report.warn(
            f"The axis of joint {joint.name!r} has length {length:.4g}, not 1.",
            "Only its direction is used; see whether a number is wrong.",
        )


def check_limits(report: Report, names: Sequence[str], limits: np.ndarray) -> None:
    """That limits (dof 2) are there, the right way round, and real.

    Raises:
        Unusable: there are none, or they hold nothing.
    """
    placeholders = []
    for name, (low, high) in zip(names, limits, strict=True):
        todo = f"Write the arm's real ones: limits.{name} = [lower, upper], in radians."
        if not (np.isfinite(low) and np.isfinite(high)):
            report.error(f"Joint {name!r} has no limits.", todo)
        elif low >= high:
            report.error(f"The limits of joint {name!r} are {low:g} to {high:g}.", todo)
        elif min(-low, high) >= DEGREES_RAD:
            report.error(
                f"The limits of joint {name!r}, {low:g} to {high:g}, look like degrees.", todo
            )
        elif is_placeholder(low, high):
            placeholders.append(f"{name} {low:g} to {high:g}")
    if placeholders:
        report.error(
            f"These limits are placeholders, more than three turns: {', '.join(placeholders)}.",
            f"Write the arm's real ones, in radians: limits.{placeholders[0].split()[0]} = "
            f"[lower, upper], and so on.",
        )
    if not np.isfinite(limits).all() or not (limits[:, 0] < limits[:, 1]).all():
        raise Unusable
    turns = limits / (2 * np.pi)
    if np.all(np.abs(turns - np.round(turns)) < 1e-3):
        report.warn(
            "Every joint may turn by whole turns, ±360 degrees or more.",
            "A few arms do (UR); of others these are placeholders: look the real limits up and "
            "write them under limits.",
        )
    elif not placeholders and np.ptp(limits, axis=0).max() < 1e-9:
        report.warn(
            f"Every joint has the same limits, {limits[0, 0]:g} to {limits[0, 1]:g}.",
            "That looks like placeholders: look the real limits up and write them under limits.",
        )


def check_home(report: Report, names: Sequence[str], home: np.ndarray, limits: np.ndarray) -> None:
    """That a home is within the limits."""
    for i in np.flatnonzero((home < limits[:, 0]) | (home > limits[:, 1])).tolist():
        hint = " It looks like degrees; write radians." if abs(home[i]) > 2 * np.pi else ""
        report.error(
            f"home of joint {names[i]!r} is {home[i]:g}, outside its limits "
            f"{limits[i, 0]:g} to {limits[i, 1]:g}.",
            f"Move it inside, 0.05 rad from either end at least.{hint}",
        )


def check_travel(report: Report, joint: Joint, shut: float, opened: float) -> None:
    """That a finger's values are within its limits."""
    if joint.low is None or joint.high is None or joint.low >= joint.high:
        return
    slack = 1e-6 + 0.01 * (joint.high - joint.low)
    for word, at in (("shut", shut), ("open", opened)):
        if not joint.low - slack <= at <= joint.high + slack:
            report.warn(
                f"Finger joint {joint.name!r} is {at:g} when {word}, outside its limits "
                f"{joint.low:g} to {joint.high:g}.",
                "Correct the value, unless you know the limits in the file to be wrong.",
            )


def check_stroke(
    report: Report, fingers: Sequence[Finger], T_last_tcp: np.ndarray, stroke_m: float
) -> None:
    """That the fingers move apart along the closing axis, by the stroke."""
    moved = [finger.opens_towards(T_last_tcp) for finger in fingers]
    along = [float(one[1]) for one in moved]
    travel = sum(abs(one) for one in along)
    whole = sum(float(np.linalg.norm(one)) for one in moved)
    if all(finger.kind == "slide" for finger in fingers) and travel < 0.7 * whole:
        report.warn(
            f"The fingers move by {1e3 * whole:.1f} mm, of which {1e3 * travel:.1f} mm along the "
            f"tool's closing axis.",
            "Make closing the direction in which the pads move.",
        )
    elif len(fingers) == 2 and along[0] * along[1] > 0:
        report.warn(
            "Both fingers move the same way along the tool's closing axis.",
            "See whether shut and open are exchanged for one of them.",
        )
    elif abs(travel - stroke_m) > max(1e-3, 0.05 * stroke_m):
        report.warn(
            f"stroke_m is {stroke_m:g}, but from shut to open the fingers move {travel:.4g} m "
            f"apart.",
            "Correct stroke_m, or the values for shut and open.",
        )


def check_sizes(
    report: Report, names: Sequence[str], fixed: Sequence[np.ndarray], T_last_tcp: np.ndarray
) -> None:
    """That lengths look like metres."""
    lengths = [float(np.linalg.norm(T[:3, 3])) for T in (*fixed, T_last_tcp)]
    for name, length in zip((*names, "the tool"), lengths, strict=True):
        if length > ROOM_M:
            report.error(
                f"It is {length:g} m to {name} from the joint before.",
                "That looks like millimetres; models and descriptions are in metres.",
            )
    if sum(lengths) < 0.05:
        report.error(
            f"The whole arm is {1e3 * sum(lengths):.3g} mm long.",
            "See in which unit the file is; models are in metres.",
        )


def check_rounding(
    report: Report,
    file: str,
    way: Sequence[Joint],
    names: Sequence[str],
    home: np.ndarray,
    limits: np.ndarray,
    held: Mapping[str, float],
) -> None:
    """Say which angles look rounded, and how far the tool moves if they are made exact."""
    rounded = [joint for joint in way if joint.rounded]
    if not rounded:
        return
    even = np.random.default_rng(0).uniform(limits[:, 0], limits[:, 1], (200, len(names)))
    values = dict(zip(names, np.concatenate([home[None], even]).T, strict=True))
    values |= {name: np.full(len(even) + 1, at) for name, at in held.items()}
    p = pose_along(way, values)[..., :3, 3]
    p_exact = pose_along([joint.snapped for joint in way], values)[..., :3, 3]
    moved = 1e3 * float(np.linalg.norm(p - p_exact, axis=-1).max())
    told = [
        f"{joint.name} {written:.10g} (exactly {meant:.16g})"
        if meant
        else f"{joint.name} is {written:.2g} rad off right angles"
        for joint in rounded
        for written, meant in joint.rounded
    ]
    report.warn(
        f"Angles of {file} look rounded: {'; '.join(told)}.",
        f"They are used as written; snap_angles = true makes them exact, which moves the tool's "
        f"link by {moved:.4f} mm at most.",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
