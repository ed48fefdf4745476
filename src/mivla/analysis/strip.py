"""The strip below a film: validity, opening and joints of both sides over time, and a cursor.

Joints are drawn about the middle of their own way, all of an arm at one scale, which its title
says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, UInt8

from mivla.analysis.hands import COLOURS
from mivla.embodiments import Embodiment
from mivla.embodiments.layout import JOINTS, SIDES, Side
from mivla.episodes import Motion
from mivla.retarget import Reason

REASONS: dict[Reason, tuple[int, int, int]] = {
    Reason.VALID: (70, 190, 110),
    Reason.UNTRACKED: (160, 160, 172),
    Reason.LOW_CONFIDENCE: (215, 195, 70),
    Reason.OUT_OF_REACH: (165, 95, 225),
    Reason.JOINT_LIMIT: (230, 75, 60),
    Reason.JUMP: (255, 120, 190),
}
"""What a step is, in colours."""

_BACK, _FIELD, _QUIET = (24, 25, 28), (38, 40, 45), (150, 150, 155)
_TEXT, _CURSOR = (225, 225, 228), (255, 255, 255)
_MAX_TICKS = 8
_LEAST_SPAN = 0.1
"""Radians: what hardly moves is not blown up until it seems to."""


def words(reason: Reason) -> str:
    """A reason as people say it."""
    return reason.name.lower().replace("_", " ")


@dataclass
class _Row:
    title: str
    top: int
    height: int
    colour: tuple[int, int, int] = _TEXT


@dataclass
class Strip:
    """Drawn once; each step adds its cursor."""

    width: int
    height: int
    clock_s: Float[np.ndarray, " t"]
    robot: Embodiment
    motion: Motion
    """Of the robot; `joints` is drawn, and missing values are gaps."""
    reason: Int[np.ndarray, "t 2"] | None = None
    """Of the label; None where there is none."""
    _plain: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._unit = max(8, round(self.height / 12.5))
        """Height of a line of text."""
        self._spans = {side: self._widest(side) for side in SIDES}
        self._left, self._right = 8 * self._unit, self.width - self._unit
        self._plain = self._drawn()

    def draw(self, step: int) -> UInt8[np.ndarray, "h w 3"]:
        """The strip with its cursor at this step."""
        rgb = self._plain.copy()
        at = round(self._x(self.clock_s[step]))
        rgb[: self.height - self._unit - 4, at - 1 : at + 1] = _CURSOR
        return rgb

    def _x(self, time_s):
        """Pixels from the left."""
        start, end = self.clock_s[0], max(self.clock_s[-1], self.clock_s[0] + 1e-9)
        return self._left + (self._right - self._left) * (time_s - start) / (end - start)

    def _drawn(self) -> UInt8[np.ndarray, "h w 3"]:
        from PIL import Image, ImageDraw, ImageFont

        # Curves are drawn large and shrunk, which smooths them; words are not.
        large = Image.new("RGB", (2 * self.width, 2 * self.height), _BACK)
        draw = ImageDraw.Draw(large)
        rows = self._rows()
        for row in rows:
            box = [2 * self._left, 2 * row.top, 2 * self._right, 2 * (row.top + row.height)]
            draw.rectangle(box, fill=_FIELD)
        by_title = {row.title: row for row in rows}
        if self.reason is not None:
            for side, values in zip(SIDES, self.reason.T, strict=True):
                self._bar(draw, by_title[side], values)
        self._curves(draw, by_title)
        image = large.resize((self.width, self.height), Image.Resampling.BOX)
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(size=self._unit)
        for row in rows:
            middle = row.top + row.height / 2
            at = (self._left - self._unit // 2, middle)
            draw.text(at, row.title, fill=row.colour, font=font, anchor="rm")
        self._legend(draw, font)
        bottom = self.height - 2
        for time_s, text in _ticks(float(self.clock_s[-1] - self.clock_s[0])):
            x = self._x(self.clock_s[0] + time_s)
            draw.line([(x, bottom - self._unit - 2), (x, bottom - self._unit + 1)], fill=_TEXT)
            anchor = "ls" if time_s == 0 else "ms"
            draw.text((x, bottom), text, fill=_TEXT, font=font, anchor=anchor)
        return np.asarray(image)

    def _rows(self) -> list[_Row]:
        """From the top: a bar for each side, openings, and joints of each side."""
        unit, gap = self._unit, max(2, self._unit // 4)
        top = gap
        rows = []
        if self.reason is not None:
            top += unit + gap  # the legend
            for side in SIDES:
                rows.append(_Row(side, top, unit, COLOURS[side]))
                top += unit + gap
        room = self.height - top - unit - 2 * gap - 6
        joints = ((self._joints_title(side), 0.36, COLOURS[side]) for side in SIDES)
        shares = (("opening", 0.28, _TEXT), *joints)
        for title, share, colour in shares:
            height = int(share * (room - 2 * gap))
            rows.append(_Row(title, top, height, colour))
            top += height + gap
        return rows

    def _bar(self, draw, row: _Row, reason: np.ndarray) -> None:
        edges = [0, *(np.flatnonzero(np.diff(reason)) + 1), len(reason)]
        for start, stop in zip(edges, edges[1:], strict=False):
            value = int(reason[start])
            colour = REASONS[Reason(value)] if value >= 0 else _BACK
            # A step lasts until the next; the last has no length of its own.
            until = self.clock_s[min(stop, len(reason) - 1)]
            x = 2 * self._x(self.clock_s[start]), 2 * self._x(until)
            if x[1] > x[0]:
                draw.rectangle([x[0], 2 * row.top, x[1], 2 * (row.top + row.height)], fill=colour)

    def _curves(self, draw, rows: dict[str, _Row]) -> None:
        for arm in self.robot.arms:
            values = self.motion["joints"][:, JOINTS[f"joints/{arm.side}"]].astype(float)
            colour = COLOURS[arm.side]
            self._curve(draw, rows["opening"], values[:, -1], colour, 3)
            row, span = rows[self._joints_title(arm.side)], self._spans[arm.side]
            for joint in range(arm.dof):
                share = 0.5 + (values[:, joint] - _middle(values[:, joint])) / (2 * span)
                # From the shoulder's full colour to the wrist's pale one.
                pale = 0.6 * joint / max(1, arm.dof - 1)
                mixed = tuple(round((1 - pale) * c + pale * 255) for c in colour)
                self._curve(draw, row, share, mixed, 2)

    def _joints_title(self, side: Side) -> str:
        return f"{side} ±{self._spans[side]:.1f} rad"

    def _widest(self, side: Side) -> float:
        """How far an arm's joints go from the middles of their ways: one scale for all of them."""
        values = self.motion["joints"][:, JOINTS[f"joints/{side}"]][:, :-1].astype(float)
        widths = [np.nanmax(v) - _middle(v) for v in values.T if np.isfinite(v).any()]
        return max(_LEAST_SPAN, *widths) if widths else _LEAST_SPAN

    def _curve(self, draw, row: _Row, share: np.ndarray, colour, width: int) -> None:
        """Values from 0 (below) to 1 (above); missing ones are gaps."""
        known = np.isfinite(share)
        y = 2 * (row.top + row.height - 1 - (row.height - 2) * np.clip(share, 0, 1))
        x = 2 * self._x(self.clock_s)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2):
            points = list(zip(x[start:stop].tolist(), y[start:stop].tolist(), strict=True))
            if len(points) > 1:
                draw.line(points, fill=colour, width=width, joint="curve")
            else:
                draw.point(points, fill=colour)

    def _legend(self, draw, font) -> None:
        """Every reason that occurs, with each side's share of the steps."""
        if self.reason is None:
            return
        gap = max(2, self._unit // 4)
        x = self._left
        for reason in Reason:
            share = (self.reason == reason).mean(axis=0)
            if not share.any():
                continue
            box = [x, gap + 2, x + self._unit - 4, gap + self._unit - 2]
            draw.rectangle(box, fill=REASONS[reason])
            says = f"{words(reason)} {share[0]:.0%} | {share[1]:.0%}"
            at = (x + self._unit, gap + self._unit / 2)
            draw.text(at, says, fill=_TEXT, font=font, anchor="lm")
            x += self._unit * 2 + draw.textlength(says, font=font)
        at = (self._right, gap + self._unit / 2)
        draw.text(at, "steps, left | right", fill=_QUIET, font=font, anchor="rm")


def _middle(values: np.ndarray) -> float:
    """Between the least and the largest value that is known; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known.min() + known.max()) / 2 if len(known) else float("nan")


def _ticks(duration_s: float) -> Sequence[tuple[float, str]]:
    """Round times from 0 to the end, few of them."""
    if duration_s <= 0:
        return ((0.0, "0 s"),)
    raw = duration_s / _MAX_TICKS
    decade = 10.0 ** np.floor(np.log10(raw))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= raw)
    count = int(duration_s / step + 1e-9)
    return tuple((i * step, f"{i * step:g} s") for i in range(count + 1))
