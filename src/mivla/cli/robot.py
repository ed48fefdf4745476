"""`mivla robot`: which robots there are, and whether one of your own is right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from mivla.embodiments import Embodiment
    from mivla.embodiments.findings import Finding

_MODELS = (".urdf", ".xml", ".mjcf", ".xacro")


def main(
    robot: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")] = None,
    /,
    poses: int = 500,
) -> int:
    """List the robots that there are; check one of them, or your own; begin a description.

    Without ROBOT: the robots that are shipped, and those described in the folders of
    $MIVLA_ROBOTS. With a name or the path of a description (my_robot.toml): what is wrong with it
    in words, and a test of its kinematics; the exit status is 1 if it cannot be used. With a model
    (my_arm.urdf or .xml): a description to begin with, guessed from it, on standard output.

    Args:
        robot: a name, a description (.toml) or a model (.urdf, .xml).
        poses: reachable poses an arm that the self-test solves.
    """
    from mivla import MivlaError

    if poses < 1:
        raise MivlaError(f"--poses must be at least 1, and is {poses}.")
    if robot is None:
        return _list()
    if Path(robot).suffix.lower() in _MODELS:
        from mivla.embodiments.description import read_model
        from mivla.embodiments.template import template

        print(template(read_model(Path(robot))), end="")
        return 0
    return _check(robot, poses)


def _list() -> int:
    from rich.console import Console
    from rich.table import Table

    from mivla import MivlaError
    from mivla.embodiments import EMBODIMENTS, embodiment, own_names
    from mivla.kinematics.checkup import reach_m

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "robot", "joints", "reach", "stroke"):
        table.add_column(heading)
    wrong = []
    for name in dict.fromkeys((*EMBODIMENTS, *own_names())):
        try:
            body = embodiment(name)
        except MivlaError:
            wrong.append(name)
            continue
        table.add_row(
            name,
            body.title,
            _both(str(arm.dof) for arm in body.arms),
            _both(f"{reach_m(arm):.2f} m" for arm in body.arms),
            _both(f"{1e3 * arm.gripper.stroke_m:.0f} mm" for arm in body.arms),
        )
    Console().print(table)
    for name in wrong:
        print(f"{name} has errors: `mivla robot {name}` says which.")
    print("`mivla robot NAME` checks one; `mivla robot MODEL.urdf` begins one of your own.")
    return 0


def _both(of_arms) -> str:
    """What both arms have; once where it is the same."""
    return " / ".join(dict.fromkeys(of_arms)) or "–"


def _check(name: str, poses: int) -> int:
    import time

    import numpy as np

    from mivla.embodiments import EMBODIMENTS, embodiment
    from mivla.embodiments.findings import merged
    from mivla.embodiments.own import own_file
    from mivla.kinematics.checkup import checkup

    findings: list[Finding] = []
    file = Path(name) if name.endswith(".toml") else own_file(name)
    if name not in EMBODIMENTS and file is not None:
        from mivla.embodiments.description import examine

        examined = examine(file)
        findings += examined.findings
        if examined.body is None:
            return _verdict(findings, name)
    body = embodiment(name)
    _describe(body)
    results, found = checkup(body, np.random.default_rng(0), time.perf_counter, poses)
    findings += found
    for one in results:
        print(
            f"  {one.side}: reach {one.reach_m:.2f} m; Jacobian {one.jacobian_error:.0e} off "
            f"finite differences; {one.solved} of {one.poses} reachable poses solved, "
            f"{1e3 * one.pose_s:.2f} ms each (ready in {one.ready_s:.1f} s)"
        )
    return _verdict(list(merged(findings)), body.name)


def _describe(body: "Embodiment") -> None:
    print(f"{body.name}: {body.title}")
    for arm in body.arms:
        x, y, z = arm.position_base_mount
        print(
            f"  {arm.side}: {arm.dof} joints ({', '.join(arm.joints)}), gripper "
            f"{1e3 * arm.gripper.stroke_m:.0f} mm, mounted at ({x:g}, {y:g}, {z:g}) m, "
            f"heading {arm.yaw_base_mount:g} rad"
        )


def _verdict(findings: "list[Finding]", name: str) -> int:
    for one in findings:
        print(f"{one.level.upper()}  {one.where + ': ' if one.where else ''}{one.what}")
        print(f"    {one.todo}")
    errors = sum(one.level == "error" for one in findings)
    if errors:
        print(f"{name} cannot be used: {errors} error{'s' if errors > 1 else ''}.")
        return 1
    warnings = len(findings)
    told = f" ({warnings} warning{'s' if warnings > 1 else ''})" if warnings else ""
    print(f"{name}: this robot can be used{told}.")
    return 0
