"""URDF: links and joints, exactly as written. Shapes, meshes and materials are not looked at."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mivla.embodiments.tree import (
    InvalidModel,
    Joint,
    Kind,
    Tree,
    checked_tree,
    nearest_right_angle,
)
from mivla.geometry import se3, so3

_KINDS: dict[str, Kind] = {
    "revolute": "hinge",
    "continuous": "hinge",
    "prismatic": "slide",
    "fixed": "fixed",
    "floating": "other",
    "planar": "other",
}


def read_urdf(path: Path) -> Tree:
    """The links and joints of a URDF file, in float64, nothing rounded.

    Raises:
        InvalidModel: it is no URDF, or it does not describe a tree of links.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InvalidModel(f"{path.name} is not XML: {error}.") from error
    if path.suffix == ".xacro" or any("xacro" in element.tag for element in root.iter()):
        raise InvalidModel(
            f"{path.name} is a xacro file, from which a URDF is yet to be made: "
            f"`xacro {path.name} > {path.name.split('.')[0]}.urdf`, and name that one."
        )
    if root.tag != "robot":
        raise InvalidModel(f"{path.name} begins with <{root.tag}>; a URDF begins with <robot>.")
    links = [_name(element, path) for element in root.findall("link")]
    return checked_tree(
        path.name, links, [_joint(element, path) for element in root.findall("joint")]
    )


def _joint(element: ElementTree.Element, path: Path) -> Joint:
    name, kind = _name(element, path), element.get("type", "")
    if kind not in _KINDS:
        raise InvalidModel(
            f"joint {name!r} of {path.name} has the type {kind!r}; there are {', '.join(_KINDS)}."
        )
    where = f"joint {name!r} of {path.name}"
    ends = []
    for tag in ("parent", "child"):
        found = element.find(tag)
        if found is None or not found.get("link"):
            raise InvalidModel(f'{where} has no <{tag} link="...">.')
        ends.append(found.attrib["link"])
    xyz = _numbers(element, "origin", "xyz", 3, where, (0.0, 0.0, 0.0))
    rpy = _numbers(element, "origin", "rpy", 3, where, (0.0, 0.0, 0.0))
    meant = [nearest_right_angle(angle) for angle in rpy]
    rounded = [(float(a), m) for a, m in zip(rpy, meant, strict=True) if m is not None]
    exact = np.array([a if m is None else m for a, m in zip(rpy, meant, strict=True)])
    low = high = None
    # The limits of a continuous joint are those of its motor's cable, if anything.
    if kind != "continuous" and element.find("limit") is not None:
        low = float(_numbers(element, "limit", "lower", 1, where, (0.0,))[0])
        high = float(_numbers(element, "limit", "upper", 1, where, (0.0,))[0])
    mimics = None
    follow = element.find("mimic")
    if follow is not None:
        multiplier = _numbers(element, "mimic", "multiplier", 1, where, (1.0,))[0]
        offset = _numbers(element, "mimic", "offset", 1, where, (0.0,))[0]
        mimics = (follow.get("joint", ""), float(multiplier), float(offset))
    return Joint(
        name=name,
        kind=_KINDS[kind],
        parent=ends[0],
        child=ends[1],
        T_parent_child=se3.pose(so3.matrix_from_rpy(rpy), xyz),
        axis=_numbers(element, "axis", "xyz", 3, where, (1.0, 0.0, 0.0)),
        low=low,
        high=high,
        mimics=mimics,
        rounded=tuple(rounded),
        T_exact=se3.pose(so3.matrix_from_rpy(exact), xyz) if rounded else None,
    )


def _name(element: ElementTree.Element, path: Path) -> str:
    name = element.get("name")
    if not name:
        raise InvalidModel(f"{path.name} has a <{element.tag}> without a name.")
    return name


def _numbers(
    element: ElementTree.Element,
    tag: str,
    attribute: str,
    count: int,
    where: str,
    default: tuple[float, ...],
) -> np.ndarray:
    found = element.find(tag)
    text = None if found is None else found.get(attribute)
    if text is None:
        return np.array(default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InvalidModel(
            f'{where} has <{tag} {attribute}="{text}">; {count} finite number'
            f"{'s' if count > 1 else ''} should stand there."
        )
    return values
