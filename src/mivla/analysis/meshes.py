"""Real meshes for looks: where they are found, and what is said where there are none.

`$MIVLA_MESHES` names the places, separated as in PATH: folders, or the word `robot_descriptions`
for the package of that name. A robot is looked for in each of them in turn. Nothing but the looks
comes from there: how a robot moves stays what our own model says.
"""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np

from mivla import MivlaError
from mivla.analysis.mesh_fit import Looks, NotThisArm, fit
from mivla.embodiments import Embodiment

MESHES_VARIABLE = "MIVLA_MESHES"
"""Environment variable that names places with meshes, separated as in PATH."""
PACKAGE = "robot_descriptions"
"""The place that is a package and no folder."""

MAX_TRIANGLES = 1_000_000
"""Of one robot. A processor draws some ten million a second: more would be a slide show."""

_log = logging.getLogger(__name__)


class NoMeshes(MivlaError):
    """A place has no meshes for a robot."""


@dataclass(frozen=True)
class _Known:
    """Where a shipped robot's meshes are, in the layouts that we know."""

    files: tuple[str, ...] = ()
    """Paths in a folder."""
    package: str = ""
    """Module of `robot_descriptions`."""
    zeros: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """(file or module, where our joints stand in its counting when ours are 0), radians."""


# PiPer's joints 2 and 3 count from another zero since firmware S-V1.6-3.
_SHIFT = float(np.radians(2.0))
_OLD_IN_NEW = (0.0, -_SHIFT, _SHIFT, 0.0, 0.0, 0.0)
_NEW_IN_OLD = (0.0, _SHIFT, -_SHIFT, 0.0, 0.0, 0.0)

_KNOWN: dict[str, _Known] = {
    "x5": _Known(("arx_x5/dual_x5.xml",)),
    "x5a": _Known(("arx_x5/dual_x5a.xml",)),
    "piper": _Known(
        ("piper/dual_piper.xml", "agilex_piper/piper.xml"),
        "piper_mj_description",
        (("agilex_piper/piper.xml", _NEW_IN_OLD), ("piper_mj_description", _NEW_IN_OLD)),
    ),
    "piper_old_zero": _Known(
        ("agilex_piper/piper.xml", "piper/dual_piper.xml"),
        "piper_mj_description",
        (("piper/dual_piper.xml", _OLD_IN_NEW),),
    ),
    "aloha_agilex": _Known(("aloha_agilex/aloha_agilex.xml",)),
    "aloha1": _Known(
        ("aloha_vx300s/aloha_vx300s.xml", "trossen_vx300s/vx300s.xml"), "viper_mj_description"
    ),
    "aloha2": _Known(("aloha_vx300s/aloha2.xml", "aloha/aloha.xml"), "aloha_mj_description"),
    "locoman": _Known(("locoman/locoman.xml",)),
    "panda": _Known(
        ("franka_panda/panda.xml", "franka_emika_panda/panda.xml"), "panda_mj_description"
    ),
    "ur5e": _Known(
        ("ur5e_2f85/ur5e_2f85.xml", "universal_robots_ur5e/ur5e.xml"), "ur5e_mj_description"
    ),
}


def looks(robot: Embodiment) -> Looks | None:
    """The meshes of a robot from the places that `$MIVLA_MESHES` names; None where it names none.

    A robot without meshes there, or whose meshes are of another arm, broken or too many, keeps its
    simple shapes, and a warning says why, once in a process.
    """
    places = os.environ.get(MESHES_VARIABLE, "")
    if not places or robot.is_human:
        return None
    return _looks(robot, places)


@lru_cache(maxsize=8)
def _looks(robot: Embodiment, places: str) -> Looks | None:
    reasons = []
    for place in places.split(os.pathsep):
        if place:
            try:
                return found(robot, place)
            except NoMeshes as error:
                reasons.append(str(error))
    _log.warning("%s is drawn with simple shapes: %s", robot.name, "; ".join(reasons))
    return None


def found(robot: Embodiment, place: str) -> Looks:
    """The meshes of a robot from one place: a folder, or the word `robot_descriptions`.

    A folder has `NAME/*.xml` or `NAME.xml` in it, by the robot's name, or one of the layouts that
    are known for shipped robots. The package may download what its cache lacks.

    Raises:
        NoMeshes: there are none that fit; the message says why for each file that was tried.
    """
    known = _KNOWN.get(robot.name, _Known())
    zeros = dict(known.zeros)
    reasons = []
    for key, file in _files(robot, known, place):
        try:
            return _read(robot, file, zeros.get(key))
        except NoMeshes as error:
            reasons.append(str(error))
    if not reasons:
        raise NoMeshes(
            f"{place} has neither {robot.name}/*.xml nor {robot.name}.xml"
            f"{''.join(f', nor {file}' for file in known.files)}"
        )
    raise NoMeshes("; ".join(reasons))


def _files(robot: Embodiment, known: _Known, place: str) -> Iterator[tuple[str, Path]]:
    """Files that may have the robot's meshes, and what they are called in the table."""
    if place == PACKAGE:
        yield known.package, _described(robot, known.package)
        return
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise NoMeshes(f"{MESHES_VARIABLE} names {place}, which is no folder")
    own = [*sorted((folder / robot.name).glob("*.xml")), folder / f"{robot.name}.xml"]
    names = dict.fromkeys((*known.files, *(str(file.relative_to(folder)) for file in own)))
    for name in names:
        if (folder / name).is_file():
            yield name, folder / name


def _described(robot: Embodiment, module: str) -> Path:
    """The model's file of a module of `robot_descriptions`, downloaded unless it is cached."""
    if not module:
        raise NoMeshes(f"{PACKAGE} has no model of it")
    try:
        from git.exc import GitError
    except ImportError as error:
        raise NoMeshes(
            f"{PACKAGE} is not installed ({_line(error)}): `pip install mivla[meshes]`"
        ) from error
    try:
        # It tells of its downloads on standard output, where ours has results.
        with contextlib.redirect_stdout(sys.stderr):
            description = importlib.import_module(f"{PACKAGE}.{module}")
    except (ImportError, OSError, GitError) as error:
        raise NoMeshes(
            f"{PACKAGE} could not give {module} ({_line(error)}); it downloads what "
            f"$ROBOT_DESCRIPTIONS_CACHE lacks"
        ) from error
    return Path(description.MJCF_PATH)


def _read(robot: Embodiment, file: Path, zero: tuple[float, ...] | None) -> Looks:
    try:
        model = mujoco.MjModel.from_xml_path(str(file))
    except ValueError as error:
        raise NoMeshes(f"{file} cannot be read: {_line(error)}") from error
    try:
        out = fit(robot, model, zero)
    except NotThisArm as error:
        raise NoMeshes(f"{file}: {error}") from error
    if out.triangles > MAX_TRIANGLES:
        raise NoMeshes(
            f"{file} has {out.triangles:,} triangles, and {MAX_TRIANGLES:,} can be drawn in "
            f"tolerable time: decimate its meshes"
        )
    if not all(arm.parts for arm in out.arms):
        _log.warning(
            "the gripper of %s is drawn with simple shapes: %s has none, or one that moves "
            "otherwise",
            robot.name,
            file,
        )
    return out


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
