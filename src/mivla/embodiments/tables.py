"""Values of a TOML table, checked: what is missing or of another kind is reported in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mivla.embodiments.findings import Report

_KIND_NAMES: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    float: "a number",
    list: "a list",
    dict: "a table",
    str | list: "an axis",
}
_EXAMPLES = {
    "title": 'title = "two of my arms"',
    "snap_angles": "snap_angles = true",
    "base_link": 'base_link = "base_footprint"',
    "arm": "[arm]",
    "left": "[left]",
    "right": "[right]",
    "model": 'model = "my_arm.urdf"',
    "joints": 'joints = ["joint1", "joint2", ...]',
    "home": "home = [0.0, 1.2, ...], one number a joint, in radians",
    "tool": 'tool = { link = "link6", position = [0, 0, 0.12], approach = "+z", closing = "+y" }',
    "link": 'link = "link6"',
    "position": "position = [0.0, 0.3, 0.0], in metres",
    "approach": 'approach = "+z"',
    "closing": 'closing = "+y"',
    "quaternion": "quaternion = [1, 0, 0, 0] (w, x, y, z)",
    "ee": 'ee = "link6"',
    "fingers": "fingers = { stroke_m = 0.08 }",
    "shut": "shut = [0.0, 0.0], one number a finger joint",
    "open": "open = [0.04, 0.04], one number a finger joint",
    "stroke_m": "stroke_m = 0.08",
    "limits": "limits.joint1 = [-3.1, 3.1]",
    "held": "held.torso_lift = 0.2",
    "mount": "mount.position = [0.0, 0.3, 0.0]",
    "yaw": "yaw = 0.0, in radians",
    "rpy": "rpy = [0.0, 0.0, 0.0], in radians",
}


def known(report: Report, table: Mapping[str, Any], keys: tuple[str, ...], of: str) -> None:
    """Report keys that mean nothing."""
    for key in table:
        if key not in keys:
            report.error(f"{of} has {key!r}, which means nothing.", f"There are {', '.join(keys)}.")


def value(report: Report, table: Mapping[str, Any], key: str, kind: Any, default: Any = ...) -> Any:
    """The value of a key, of that kind; the default where it is missing and there is one.

    Raises:
        Unusable: it is missing, or of another kind.
    """
    if key not in table:
        if default is ...:
            raise report.stop(f"{key} is missing.", f"Add it: {_example(key)}")
        return default
    found = table[key]
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        found = float(found)
    if not isinstance(found, kind) or (kind is float and not np.isfinite(found)):
        raise report.stop(
            f"{key} is {found!r}.", f"It should be {_KIND_NAMES[kind]}, as {_example(key)}"
        )
    return found


def inner(
    report: Report,
    table: Mapping[str, Any],
    key: str,
    keys: tuple[str, ...],
    default: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A table within a table; keys that mean nothing are reported.

    Raises:
        Unusable: it is missing without a default, or no table.
    """
    found = value(report, table, key, dict, ... if default is None else default)
    known(report, found, keys, key)
    return found


def strings(report: Report, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Names.

    Raises:
        Unusable: they are missing, or there are none, or other things among them.
    """
    values = value(report, table, key, list)
    if not values or not all(isinstance(one, str) for one in values):
        raise report.stop(f"{key} is {values!r}.", f"It should be names, as {_example(key)}")
    return tuple(values)


def numbers(
    report: Report, table: Mapping[str, Any], key: str, count: int, default: Any = ...
) -> np.ndarray:
    """So many finite numbers.

    Raises:
        Unusable: they are missing without a default, or other things.
    """
    values = value(report, table, key, list, default)
    plain = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    if len(values) != count or not plain or not np.isfinite(values).all():
        raise report.stop(
            f"{key} is {values!r}.",
            f"It should be {count} number{'s' if count > 1 else ''}, as {_example(key)}",
        )
    return np.array(values, dtype=np.float64)


def _example(key: str) -> str:
    """How a key is written; names of joints are keys of limits."""
    return _EXAMPLES.get(key, "limits.joint1 = [-3.1, 3.1]")
