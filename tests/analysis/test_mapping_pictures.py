"""The pictures of docs/mapping.md: drawn now as they were, and their signs as they are by hand."""

import doctest
import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from mivla.embodiments import EMBODIMENTS
from mivla.kinematics import chain, forward

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def _script():
    spec = importlib.util.spec_from_file_location("draw_frames", ROOT / "scripts/draw_frames.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_frames"] = module
    spec.loader.exec_module(module)
    return module


draw_frames = _script()


@pytest.mark.parametrize("name", draw_frames.PICTURES)
def test_the_picture_in_the_documents_is_the_one_that_is_drawn_now(name: str):
    kept = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    drawn = draw_frames.PICTURES[name]()
    numbers = r"-?\d+\.?\d*"
    # Words and structure exactly; pixels to what another processor rounds differently.
    assert re.sub(numbers, "#", kept) == re.sub(numbers, "#", drawn)
    was, is_ = (np.array([float(n) for n in re.findall(numbers, t)]) for t in (kept, drawn))
    np.testing.assert_allclose(is_, was, atol=0.3)
    assert f"(pictures/{name})" in (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")


def panels(name: str) -> dict[str, ET.Element]:
    tree = ET.fromstring(draw_frames.PICTURES[name]())
    return {panel.attrib["id"]: panel for panel in tree.iter(f"{SVG}g")}


def words(panel: ET.Element) -> dict[str, np.ndarray]:
    """Where each word is, x to the right and y up; several of the same: the first."""
    found: dict[str, np.ndarray] = {}
    for text in panel.iter(f"{SVG}text"):
        at = np.array([float(text.attrib["x"]), -float(text.attrib["y"])])
        found.setdefault(str(text.text), at)
    return found


def grip(panel: ET.Element) -> np.ndarray:
    """The small black dot between the pads."""
    (dot,) = (c for c in panel.iter(f"{SVG}circle") if c.attrib["fill"] == draw_frames.INK)
    return np.array([float(dot.attrib["cx"]), -float(dot.attrib["cy"])])


# By hand, of a palm-down hand with its fingers ahead: from above, ahead is up in the picture; from
# the thumb's side, ahead is left of a right hand and right of a left one.
RIGHT_ABOVE = {"z approach": (-0.29, 0.35), "y closing": (-0.38, -0.90), "x": (0.88, -0.27)}
RIGHT_SIDE = {"z approach": (-0.35, -0.89), "y closing": (0.90, -0.23), "x": (0.27, -0.39)}
MIRRORED = np.array([-1.0, 1.0])


@pytest.mark.parametrize(
    ("panel", "expected", "mirrored", "exchanged"),
    [
        ("right-above", RIGHT_ABOVE, False, False),
        ("right-side", RIGHT_SIDE, False, False),
        # The left is the mirror image; of a mirrored frame x points the other way.
        ("left-above", RIGHT_ABOVE, True, True),
        ("left-side", RIGHT_SIDE, True, True),
    ],
)
def test_the_grips_axes_are_named_where_the_numbers_say(panel, expected, mirrored, exchanged):
    shown = panels("frames.svg")[panel]
    at, origin = words(shown), grip(shown)
    for name, direction in expected.items():
        direction = np.array(direction) * (MIRRORED if mirrored else 1)
        if exchanged and name == "x":
            direction = -direction
        pointed = at[name] - origin
        # The name stands a little beyond the arrow's head.
        cosine = pointed @ direction / np.linalg.norm(pointed) / np.linalg.norm(direction)
        assert cosine > 0.85, name


def test_the_wrists_axes_are_named_where_they_point():
    shown = {name: words(panel) for name, panel in panels("frames.svg").items()}
    # From above, fingers ahead: f is up, and r points to the thumb, between the hands.
    assert shown["left-above"]["x = f"][1] > shown["left-above"]["z = r"][1]
    assert shown["right-above"]["x = −f"][1] < shown["right-above"]["z = r"][1]
    assert shown["right-above"]["f"][1] > shown["right-above"]["z = r"][1]
    assert shown["left-above"]["z = r"][0] > shown["left-above"]["x = f"][0]
    assert shown["right-above"]["z = r"][0] < shown["right-above"]["x = −f"][0]
    # From the side, d is up.
    for side, x in (("left", "x = f"), ("right", "x = −f")):
        assert shown[f"{side}-side"]["y = d"][1] > shown[f"{side}-side"][x][1]


def test_a_pinch_is_as_wide_as_its_panel_says():
    for name, panel in panels("anchors.svg").items():
        if not name.startswith("pinch"):
            continue
        tips = [
            np.array([float(c.attrib["cx"]), float(c.attrib["cy"])])
            for c in panel.iter(f"{SVG}circle")
            if c.attrib["fill"] == draw_frames.INK
        ]
        assert len(tips) == 2
        width_m = np.linalg.norm(tips[0] - tips[1]) / 1250
        assert width_m == pytest.approx(float(name.split("-")[1]) / 100, abs=2e-4)
        at = words(panel)
        assert at["index"][0] < at["thumb"][0]  # y, from index to thumb, is to the right


def test_the_tool_begins_at_home_where_it_is_told_to():
    from mivla.retarget import Rules

    _, matched, _ = draw_frames.example(Rules())
    T_grip, home, _ = draw_frames.example(Rules(start_rotation="home"))
    np.testing.assert_allclose(matched[:, :3, :3], T_grip[:, :3, :3], atol=1e-9)
    np.testing.assert_allclose(matched[:, :3, 3], home[:, :3, 3], atol=1e-9)
    # Down, and closing to the left.
    np.testing.assert_allclose(home[0, :3, 2], [0, 0, -1], atol=0.02)
    np.testing.assert_allclose(home[0, :3, 1], [0, 1, 0], atol=0.02)
    # The same turn in space: 0.7 rad to the right.
    for T in (matched, home):
        turn = T[-1, :3, :3] @ T[0, :3, :3].T
        c, s = np.cos(0.7), np.sin(0.7)
        np.testing.assert_allclose(turn, [[c, s, 0], [-s, c, 0], [0, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("name", [n for n, body in EMBODIMENTS.items() if not body.is_human])
def test_at_home_every_tool_points_down_and_closes_to_the_left(name: str):
    for arm in EMBODIMENTS[name].arms:
        R = forward(chain(arm), np.array(arm.home))[:3, :3]
        assert np.degrees(np.arccos(np.clip(-R[2, 2], -1, 1))) < 4.3
        assert np.degrees(np.arccos(np.clip(R[1, 1], -1, 1))) < 2


def test_the_worked_example_comes_out_as_it_is_written():
    outcome = doctest.testfile(
        str(ROOT / "docs" / "mapping.md"), module_relative=False, encoding="utf-8"
    )
    assert outcome.failed == 0
    assert outcome.attempted >= 10
