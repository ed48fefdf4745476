"""Draw the pictures of `docs/mapping.md`, from the functions that the mapping itself uses.

    python scripts/draw_frames.py              # writes docs/pictures/*.svg
    python scripts/draw_frames.py --check      # says which of them are no longer what it draws

x is red, y green and z blue. An axis that points at the reader is a dot in a circle, one that
points away a cross in a circle.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from mivla.analysis.figure import Figure, Shape, home
from mivla.analysis.hands import bones
from mivla.embodiments import ALOHA2, UR5E, X5, hand
from mivla.embodiments.layout import SIDES, Side
from mivla.episodes import Episode
from mivla.geometry import se3, so3
from mivla.kinematics import chain, forward
from mivla.retarget import Registration, Rules, home_grip, retarget

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"

AXES = ("#d62728", "#1a9a3c", "#1f5fd6")
INK, QUIET, BONE, FAINT = "#222222", "#8a8a8a", "#c9a27e", "#e6d9cc"
X, Y, Z = np.eye(3)
FLAT = 0.12
"""An arrow whose picture is shorter than this share of itself points at the reader or away."""


# ------------------------------------------------------------------- drawing


@dataclass
class Panel:
    """A part of a picture: a parallel view of space, metres to pixels."""

    name: str
    title: str
    right: np.ndarray
    """Direction in space that is to the right in the picture."""
    up: np.ndarray
    corner: tuple[float, float]
    size: tuple[float, float]
    centre: np.ndarray
    """Point in space in the middle of the panel."""
    scale: float
    """Pixels to a metre."""
    parts: list[str] = field(default_factory=list)

    @property
    def towards(self) -> np.ndarray:
        """Direction in space that points at the reader."""
        return np.cross(self.right, self.up)

    def at(self, point: np.ndarray) -> tuple[float, float]:
        """Where a point of space is in the picture."""
        away = np.asarray(point) - self.centre
        x = self.corner[0] + self.size[0] / 2 + self.scale * float(away @ self.right)
        y = self.corner[1] + self.size[1] / 2 - self.scale * float(away @ self.up)
        return x, y

    def line(self, points: Iterable[np.ndarray], colour: str, width: float = 2, dash: str = ""):
        """A line through points of space."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'stroke-linecap="round" stroke-linejoin="round"{dashed}/>'
        )

    def dot(self, point: np.ndarray, colour: str, radius: float = 4):
        """A filled circle."""
        x, y = self.at(point)
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>')

    def text(self, x: float, y: float, says: str, colour: str = INK, anchor: str = "middle"):
        """Words at pixels."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(says)}</text>"
        )

    def label(self, point: np.ndarray, says: str, colour: str = INK, shift=(0.0, 0.0)):
        """Words at a point of space, shifted by pixels."""
        x, y = self.at(point)
        self.text(x + shift[0], y + shift[1] + 4, says, colour)

    def arrow(
        self,
        start: np.ndarray,
        vector: np.ndarray,
        colour: str,
        says: str = "",
        width: float = 2.5,
        dash: str = "",
    ):
        """An arrow in space with a name at its head."""
        (x, y), (u, v) = self.at(start), self.at(start + vector)
        length = float(np.hypot(u - x, v - y))
        whole = self.scale * float(np.linalg.norm(vector))
        if length < FLAT * whole:
            self._seen_from_the_end(x, y, float(vector @ self.towards) > 0, colour)
            self.text(x - 11, y + 16, says, colour, "end")
            return
        along = np.array([u - x, v - y]) / length
        across = np.array([-along[1], along[0]])
        head = min(9.0, length)
        neck = np.array([u, v]) - head * along
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{neck[0]:.1f}" y2="{neck[1]:.1f}" '
            f'stroke="{colour}" stroke-width="{width:g}"{dashed}/>'
        )
        corners = [(u, v), neck + 4.5 * across, neck - 4.5 * across]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        self.parts.append(f'<polygon points="{path}" fill="{colour}"/>')
        if says:
            anchor = "middle" if abs(along[0]) < 0.5 else ("start" if along[0] > 0 else "end")
            shift = 5 * along + [0, 4 + 7 * along[1] * (anchor == "middle")]
            self.text(u + shift[0], v + shift[1], says, colour, anchor)

    def _seen_from_the_end(self, x: float, y: float, coming: bool, colour: str):
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="white" stroke="{colour}" '
            f'stroke-width="2"/>'
        )
        if coming:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>')
        else:
            self.parts.append(
                f'<path d="M{x - 4.5:.1f} {y - 4.5:.1f}l9 9m0 -9l-9 9" stroke="{colour}" '
                f'stroke-width="2"/>'
            )

    def frame(
        self, T: np.ndarray, length: float, names: Sequence[str] = ("x", "y", "z"), width=2.5
    ):
        """The axes of a frame; those that point at the reader last, on top."""
        order = sorted(range(3), key=lambda k: float(T[:3, k] @ self.towards))
        for k in order:
            self.arrow(T[:3, 3], length * T[:3, k], AXES[k], names[k], width)

    def hand(self, points: np.ndarray, colour: str = BONE, width: float = 5):
        """A skeleton, the far bones first."""
        ends, _ = bones(points[None])
        for bone in sorted(ends, key=lambda e: float(e.mean(axis=0) @ self.towards)):
            self.line(bone, colour, width)

    def gripper(self, T: np.ndarray, colour: str, width: float = 3):
        """A sign for a parallel gripper: stem, palm and two fingers that end at the tool."""
        for path in (
            [(0, 0, -0.10), (0, 0, -0.06)],
            [(0, 0.03, 0.01), (0, 0.03, -0.06), (0, -0.03, -0.06), (0, -0.03, 0.01)],
        ):
            self.line([se3.transform(T, np.array(p)) for p in path], colour, width)

    def svg(self) -> str:
        """This panel's group."""
        x, y = self.corner
        frame = (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{self.size[0]:.1f}" '
            f'height="{self.size[1]:.1f}" fill="#fbfbf9" stroke="#dddddd"/>'
            f'<text x="{x + 8:.1f}" y="{y + 18:.1f}" fill="{INK}" font-weight="bold">'
            f"{escape(self.title)}</text>"
        )
        return f'<g id="{self.name}">\n{frame}\n' + "\n".join(self.parts) + "\n</g>"


def picture(panels: Sequence[Panel], says: str) -> str:
    """An SVG file of panels, with a description for those who hear it."""
    width = max(p.corner[0] + p.size[0] for p in panels) + 1
    height = max(p.corner[1] + p.size[1] for p in panels) + 1
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" font-family="sans-serif" '
        f'font-size="12">\n<title>{escape(says)}</title>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(panel.svg() for panel in panels)
        + "\n</svg>\n"
    )


def base_axes(
    panel: Panel, says: Sequence[str] = ("forward x", "left y", "up z"), top: bool = False
):
    """The heading frame's or robot base's axes, small, in the lower left or upper right corner."""
    x, y = panel.corner[0] + 84, panel.corner[1] + panel.size[1] - 34
    if top:
        x, y = panel.corner[0] + panel.size[0] - 42, panel.corner[1] + 54
    middle = np.array([x - panel.size[0] / 2, y - panel.size[1] / 2]) - panel.corner
    origin = panel.centre + (middle[0] * panel.right - middle[1] * panel.up) / panel.scale
    T = se3.pose(np.eye(3), origin)
    panel.frame(T, 26 / panel.scale, says, width=1.5)


def views(side: Side) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is right and up in a picture from above and from the thumb's side."""
    # From above the reader stands behind the person. The thumbs are between the hands.
    aside = X if side == "left" else -X
    return {"above": (-Y, X), "the thumb's side": (aside, Z)}


# ------------------------------------------------------------------- the pictures


def frames() -> str:
    """Wrist and grip frame on the template hand, held out palm down."""
    panels = []
    for row, side in enumerate(SIDES):
        T_grip = home_grip(side)
        T_wrist = hand.wrist_from_grip(T_grip, side)
        points = se3.transform(T_wrist, hand.template(np.array(0.06), side))
        for column, (where, (right, up)) in enumerate(views(side).items()):
            panel = Panel(
                f"{side}-{'above' if column == 0 else 'side'}",
                f"{side} hand, palm down, from {where}",
                right,
                up,
                (column * 440, row * 330),
                (436, 326),
                points.mean(axis=0) + [-0.026, 0.0, -0.005],
                1150,
            )
            panel.hand(points)
            fingers = T_wrist[:3, 0] if side == "left" else -T_wrist[:3, 0]
            if side == "right":
                panel.arrow(T_wrist[:3, 3], 0.045 * fingers, QUIET, "f", 1.5, "4 3")
            x_name = "x = f" if side == "left" else "x = −f"
            panel.frame(T_wrist, 0.045, (x_name, "y = d", "z = r"), 2)
            panel.frame(T_grip, 0.06, ("x", "y closing", "z approach"), 3)
            panel.dot(T_grip[:3, 3], INK, 3)
            base_axes(panel)
            panels.append(panel)
    return picture(panels, "Wrist and grip frames of both hands, held out palm down")


def anchors() -> str:
    """The four anchors, and the template hand at three pinches."""
    side: Side = "right"
    T_grip = home_grip(side)
    T_wrist = hand.wrist_from_grip(T_grip, side)
    panels = []
    points = se3.transform(T_wrist, hand.template(np.array(0.06), side))
    for column, (where, (right, up)) in enumerate(views(side).items()):
        panel = Panel(
            f"anchors-{'above' if column == 0 else 'side'}",
            f"anchors, right hand, from {where}",
            right,
            up,
            (column * 440, 0),
            (436, 270),
            points.mean(axis=0) + [-0.01, 0, 0],
            1150,
        )
        panel.hand(points)
        for anchor in hand.ANCHORS:
            p = se3.transform(T_grip, hand.anchor_offset(anchor, side))
            panel.dot(p, "#7b2cbf", 5)
            panel.label(p, anchor, "#7b2cbf", (0, -12))
        base_axes(panel)
        panels.append(panel)
    # Along the grip's x: closing and approach are in the plane of the picture.
    for column, pinch in enumerate((hand.D_SHUT, 0.06, hand.D_OPEN)):
        points = hand.template(np.array(pinch), side)
        T = hand.T_WRIST_GRIP[side]
        opening = float(hand.opening_from_pinch(np.array(pinch)))
        panel = Panel(
            f"pinch-{100 * pinch:.0f}",
            f"pinch {100 * pinch:.0f} cm, opening {opening:g}",
            T[:3, 1],
            -T[:3, 2],
            (column * 293.5, 274),
            (289, 290),
            T[:3, 3] - 0.05 * T[:3, 2],
            1250,
        )
        panel.hand(points)
        tips = points[[hand.INDEX_TIP, hand.THUMB_TIP]]
        panel.line(tips, INK, 1.5, "3 3")
        for tip, name in zip(tips, ("index", "thumb"), strict=True):
            panel.dot(tip, INK, 4)
            panel.label(tip, name, INK, (-20 if name == "index" else 20, 16))
        panel.frame(T, 0.045, ("x", "y", "z"), 2.5)
        panels.append(panel)
    return picture(panels, "Anchors, and the template hand at pinches of 2, 6 and 10 cm")


def tools() -> str:
    """The tcp frames of three robots at home, seen from their right and from behind."""
    panels = []
    for row, body in enumerate((X5, ALOHA2, UR5E)):
        figure = Figure(body)
        joints = home(body)
        extent = figure.extent(joints[None])
        centre = (extent.max(axis=0) + extent.min(axis=0)) / 2
        for column, (where, right, up) in enumerate(
            (("behind", -Y, Z), ("above", -Y, X), ("the right", X, Z))
        ):
            spread = max(np.ptp(extent @ right) / 225, np.ptp(extent @ up) / 185)
            panel = Panel(
                f"{body.name}-{where.split()[-1]}",
                f"{body.title.split(',')[0].split(' with')[0]}, from {where}",
                right,
                up,
                (column * 303, row * 270),
                (300, 266),
                centre,
                1 / spread,
            )
            poses = figure.link_poses(joints[None])[0]
            _robot(panel, figure, poses)
            for arm in body.arms:
                T = forward(chain(arm), np.array(arm.home))
                names = ("", "y", "z") if where == "above" else ("x", "y", "z")
                panel.frame(T, 45 / panel.scale, names, 2.5)
            base_axes(panel, ("x", "y", "z"), top=True)
            panels.append(panel)
    return picture(panels, "Tool frames of robots at home: z approach, y closing")


def _robot(panel: Panel, figure: Figure, poses: np.ndarray) -> None:
    """Outlines of the shapes, the far ones first."""
    shapes = [
        (poses[i] @ shape.T_link_shape, shape)
        for i, several in enumerate(figure.shapes)
        for shape in several
    ]
    for T, shape in sorted(shapes, key=lambda s: float(s[0][:3, 3] @ panel.towards)):
        outline = _hull(np.array([panel.at(p) for p in se3.transform(T, _surface(shape))]))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
        panel.parts.append(
            f'<polygon points="{path}" fill="#d9dce1" stroke="#8d939c" stroke-linejoin="round"/>'
        )


def _surface(shape: Shape) -> np.ndarray:
    """Points whose outline is the shape's."""
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    a, b, c = shape.size
    if shape.kind == "box":
        return np.array([(x, y, z) for x in (-a, a) for y in (-b, b) for z in (-c, c)])
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=-1)
    if shape.kind == "cylinder":
        return np.concatenate([a * ring + [0, 0, b], a * ring - [0, 0, b]])
    tilts = np.linspace(-np.pi / 2, np.pi / 2, 9)
    ball = np.concatenate([ring * np.cos(t) + [0, 0, np.sin(t)] for t in tilts])
    if shape.kind == "capsule":
        return np.concatenate([a * ball + [0, 0, b], a * ball - [0, 0, b]])
    return ball * (shape.size if shape.kind == "ellipsoid" else a)


def _hull(points: np.ndarray) -> list[tuple]:
    """The convex outline of points of the plane, by Andrew's chain."""
    ordered = sorted(map(tuple, np.round(points, 2)))

    def half(some):
        chain_: list[tuple] = []
        for p in some:
            while len(chain_) > 1 and _turn(chain_[-2], chain_[-1], p) <= 0:
                chain_.pop()
            chain_.append(p)
        return chain_[:-1]

    return half(ordered) + half(ordered[::-1])


def _turn(a: tuple, b: tuple, c: tuple) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def example(rules: Rules, steps: int = 3) -> tuple[np.ndarray, np.ndarray, Registration]:
    """A right hand that moves ahead and turns, and what an X5's tool makes of it.

    Grip poses in the heading frame, tool poses in the robot base, and the registration.
    """
    side: Side = "right"
    share = np.linspace(0, 1, steps)
    toed_in = so3.matrix_from_rotvec(np.array([0.0, 0.0, 0.5]))
    turn = so3.matrix_from_rotvec(share[:, None] * [0.0, 0.0, -0.7])
    T_home = home_grip(side)
    p = T_home[:3, 3] + share[:, None] * [0.16, 0.0, 0.0]
    T_grip = se3.pose(turn @ toed_in @ T_home[:3, :3], p)
    T_wrist = hand.wrist_from_grip(T_grip, side)
    points = se3.transform(T_wrist[:, None], hand.template(np.full(steps, 0.06), side))
    missing = np.full((steps, 21, 3), np.nan)
    state = {"hand": hand.hand_part(missing, points)}
    episode = Episode("human", "", np.arange(steps) / 2, state, state)
    registration = Registration.from_json(retarget(episode, X5, rules).mapping)
    assert registration.right is not None
    T_tool = registration.right.tool_from_grip(T_grip, registration.right.turned(steps))
    return T_grip, T_tool, registration


def mapping() -> str:
    """A hand that moves and turns, and the tool that follows it by both start rotations."""
    side: Side = "right"
    panels = []
    T_grip, _, _ = example(Rules())
    T_wrist = hand.wrist_from_grip(T_grip, side)
    points = se3.transform(T_wrist[:, None], hand.template(np.full(3, 0.06), side))
    panel = Panel(
        "person",
        "the hand, from above",
        -Y,
        X,
        (0, 0),
        (290, 400),
        T_grip[:, :3, 3].mean(axis=0) + [-0.02, 0, 0],
        1000,
    )
    for step, colour in zip((0, 2), (FAINT, BONE), strict=True):
        panel.hand(points[step], colour, 4)
        panel.frame(T_grip[step], 0.07, ("", "y", "z") if step else ("", "", ""), 2.5)
    panel.line(T_grip[:, :3, 3], QUIET, 1.5, "2 4")
    panel.text(145, 40, "16 cm ahead, turned 40° to the right")
    base_axes(panel)
    panels.append(panel)
    for column, start in enumerate(("matched", "home"), start=1):
        T_grip, T_tool, registration = example(Rules(start_rotation=start))
        registered = registration.right
        assert registered is not None
        angle = np.degrees(so3.angle_between(np.eye(3), registered.D))
        panel = Panel(
            start,
            f"the tool, start_rotation {start}: D turns by {angle:.0f}°",
            -Y,
            X,
            (column * 294, 0),
            (290, 400),
            T_tool[:, :3, 3].mean(axis=0) + [-0.02, 0, 0],
            1000,
        )
        arm = X5.arm(side)
        T_home = forward(chain(arm), np.array(arm.home))
        panel.gripper(T_home, "#b9c4d0", 6)
        for step in (0, 2):
            panel.gripper(T_tool[step], INK if step else QUIET, 3)
            panel.frame(T_tool[step], 0.07, ("", "y", "z") if step else ("", "", ""), 2.5)
        panel.line(T_tool[:, :3, 3], QUIET, 1.5, "2 4")
        formula = "R_tool = R_grip" if start == "matched" else "R_tool = R_grip D"
        panel.text(panel.corner[0] + 145, 40, f"{formula}; pale: the arm's home")
        base_axes(panel)
        panels.append(panel)
    return picture(panels, "A hand and the tool that follows it, with and without D")


def heading() -> str:
    """The heading frames of a head that looks ahead and down, and of one that looks only down."""
    panels = []
    for column, (down_deg, title) in enumerate(
        ((40.0, "looks down by 40°"), (88.0, "looks straight down"))
    ):
        a = np.radians(down_deg)
        looking = np.array([np.cos(a), 0, -np.sin(a)])
        top = np.array([np.sin(a), 0, np.cos(a)])
        R_cam = np.stack([np.cross(-top, looking), -top, looking], axis=-1)
        T_cam = se3.pose(R_cam, np.zeros(3))
        T_base = hand.heading_frame(T_cam[None], Z)
        panel = Panel(
            f"heading-{down_deg:.0f}",
            f"the head camera {title}, from the right",
            X,
            Z,
            (column * 440, 0),
            (436, 280),
            np.array([0.06, 0.0, 0.0]),
            850,
        )
        box = [np.array([s * 0.03, 0, t * 0.02]) for s, t in ((-1, -1), (0, -1), (0, 1), (-1, 1))]
        corners = [looking * p[0] + top * p[2] for p in (*box, box[0])]
        panel.line(corners, INK, 2)
        panel.arrow(np.zeros(3), 0.13 * looking, QUIET, "camera's z", 1.5, "4 3")
        length = 0.2 if column else 0.1
        panel.arrow(np.zeros(3), length * top, QUIET, "top of its picture", 1.5, "4 3")
        panel.frame(T_base, 0.1, ("x heading", "y left", "z against gravity"), 3)
        panels.append(panel)
    return picture(panels, "The heading frame of a person, from the head camera's first pose")


PICTURES: dict[str, Callable[[], str]] = {
    f"{draw.__name__}.svg": draw for draw in (frames, anchors, tools, mapping, heading)
}


def main() -> int:
    """Write every picture, or say which are not what is drawn now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, draw in PICTURES.items():
        path, text = FOLDER / name, draw()
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
            print(path)
    if stale:
        print(f"no longer what is drawn: {', '.join(stale)}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
