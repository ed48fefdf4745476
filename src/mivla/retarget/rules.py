"""What the mutual mapping is free to choose, and why a step of it can be invalid."""

import math
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Literal

from mivla import MivlaError
from mivla.embodiments.hand import (
    ANCHORS,
    D_OPEN,
    D_SHUT,
    INDEX_TIP,
    MAX_PINCH,
    PALM,
    THUMB_TIP,
    TIPS,
    Anchor,
)
from mivla.episodes.record import UNLEVELLED, Quality

MeasuredAnchor = Literal["palm_landmarks", "thumb_index_tips", "thumb_middle_tips"]
MEASURED_ANCHORS: dict[str, tuple[int, ...]] = {
    "palm_landmarks": PALM,
    "thumb_index_tips": (THUMB_TIP, INDEX_TIP),
    "thumb_middle_tips": (THUMB_TIP, TIPS[2]),
}
"""Anchors that are the mean of these landmarks at every step, and so move against the hand."""

WIDEST_PINCH = 0.25
"""No thumb and index are farther apart, metres."""


class InvalidRules(MivlaError):
    """Rules that contradict themselves, or that nobody knows by that name."""


class Reason(IntEnum):
    """Why a side's step has no label."""

    VALID = 0
    UNTRACKED = 1
    """The hand or tool was not seen, or not all of it."""
    LOW_CONFIDENCE = 2
    """The tracker itself did not believe what it saw."""
    OUT_OF_REACH = 3
    """The tool would have to be farther away than the arm is long."""
    JOINT_LIMIT = 4
    """The arm is long enough, but its joints do not turn so far."""
    JUMP = 5
    """Faster than a hand or an arm moves: a slip of the tracker, or a change of configuration."""


@dataclass(frozen=True)
class Rules:
    """The mutual mapping's choices. Lengths in metres, angles in radians, times in seconds."""

    anchor: Anchor | MeasuredAnchor = "pinch"
    """The point of the hand that the tool follows: one that is rigid to the wrist, or one that is
    measured at every step (`MEASURED_ANCHORS`)."""
    orientation: Literal["wrist", "tips"] = "wrist"
    """`wrist`: the tool turns with the grip frame, which is rigid to the wrist. `tips`: its closing
    axis goes from the tip of the index to that of the thumb at every step, and it approaches from
    the index knuckle to between the two."""
    start_position: Literal["home", "matched"] = "home"
    """`home`: the first valid step lands on the target's home. `matched`: `translation` holds."""
    start_rotation: Literal["matched", "home"] = "matched"
    """`matched`: the tool turns as the hand does. `home`: the first valid step has the home's
    rotation, and the tool turns from there as the hand does in its own frame."""
    positions_only: bool = False
    """The target keeps its home's rotation throughout."""
    scale: float = 1.0
    """Metres in the robot's workspace for a metre of the hand's. Bones are never scaled."""
    yaw: float = 0.0
    """Heading of the person in the robot base, about z. 0: both face the same way."""
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the origin of the person's heading frame lies in the robot base, when `matched`."""
    d_shut: float = D_SHUT
    """Distance between thumb and index tip that stands for a shut gripper."""
    d_open: float = D_OPEN
    """Distance that stands for an open gripper."""
    gripper: Literal["pinch", "shut_between", "none"] = "pinch"
    """`pinch`: as wide as thumb and index, at every step. `shut_between`: that, and shut from the
    first narrow step of the episode to the last. `none`: a hand says nothing of a gripper, and
    the opening is missing."""
    shut_share: float = 0.2
    """A step is narrow below the narrowest pinch and this share of the way to the widest."""
    filter_opening: bool = False
    """Store `opening_filtered`, which is either shut or open, in place of the clipped opening."""
    shut_below: float = 0.35
    """The filter shuts below this opening."""
    open_above: float = 0.55
    """The filter opens above this opening."""
    majority_s: float = 1 / 3
    """The filter's vote is taken over so long a window."""
    min_confidence: float = 0.1
    """A hand is not believed below this confidence."""
    max_gap_s: float = 0.25
    """The longest time between two valid steps that is bridged; the steps between are flagged."""
    max_speed_m_s: float = 5.0
    """A hand that moves faster has jumped."""
    max_turn_rad_s: float = 25.0
    """A hand that turns faster has jumped."""
    max_joint_speed_rad_s: float = 12.0
    """A joint that turns faster has jumped."""
    position_tolerance_m: float = 1e-3
    """A tool pose that is missed by more has not been reached."""
    rotation_tolerance_rad: float = 1e-2
    """A tool rotation that is missed by more has not been reached."""

    def __post_init__(self) -> None:
        if self.anchor not in (*ANCHORS, *MEASURED_ANCHORS):
            there_are = ", ".join((*ANCHORS, *MEASURED_ANCHORS))
            raise InvalidRules(f"no anchor {self.anchor!r}; there are {there_are}.")
        for name, value, known in (
            ("orientation", self.orientation, ("wrist", "tips")),
            ("gripper", self.gripper, ("pinch", "shut_between", "none")),
            ("start_position", self.start_position, ("home", "matched")),
            ("start_rotation", self.start_rotation, ("home", "matched")),
        ):
            if value not in known:
                raise InvalidRules(f"no {name} {value!r}; there are {', '.join(known)}.")
        if self.orientation == "tips" and self.anchor not in MEASURED_ANCHORS:
            raise InvalidRules(
                f"orientation='tips' is measured at every step, and anchor={self.anchor!r} is not: "
                f"give one of {', '.join(MEASURED_ANCHORS)}."
            )
        if not 0 < self.scale < math.inf:
            raise InvalidRules(f"scale must be above 0 and finite, and is {self.scale}.")
        if not all(map(math.isfinite, (self.yaw, *self.translation))):
            raise InvalidRules(
                f"yaw={self.yaw} and translation={self.translation}: give finite numbers."
            )
        if not 0 <= self.d_shut < self.d_open <= WIDEST_PINCH:
            raise InvalidRules(
                f"d_shut={self.d_shut} and d_open={self.d_open}: give 0 ≤ d_shut < d_open ≤ "
                f"{WIDEST_PINCH}, in metres."
            )
        if not 0 < self.shut_share < 1:
            raise InvalidRules(f"shut_share must be between 0 and 1, and is {self.shut_share}.")
        if self.filter_opening and self.gripper != "pinch":
            raise InvalidRules(
                f"filter_opening filters pinches, and gripper={self.gripper!r} leaves none: give "
                f"gripper='pinch', or no filter."
            )
        if not 0 <= self.shut_below <= self.open_above <= 1:
            raise InvalidRules(
                f"shut_below={self.shut_below} and open_above={self.open_above}: give "
                f"0 ≤ shut_below ≤ open_above ≤ 1."
            )

    @property
    def rigid_anchor(self) -> Anchor | None:
        """The anchor if it is rigid to the wrist; None if it is measured at every step."""
        return next((name for name in ANCHORS if name == self.anchor), None)

    @property
    def one_way(self) -> tuple[str, ...]:
        """Why hands cannot be made of a robot's tools by these rules; empty where they can."""
        why = []
        if self.rigid_anchor is None:
            why.append(f"anchor={self.anchor!r} moves against the hand, so a tool has no one hand")
        if self.gripper != "pinch":
            why.append(f"gripper={self.gripper!r} does not say how wide a hand pinches")
        elif self.d_open > MAX_PINCH:
            why.append(f"d_open={self.d_open} is wider than the template hand opens, {MAX_PINCH} m")
        return tuple(why)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, words and lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"translation": list(self.translation)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Rules":
        """The inverse of `to_json`."""
        values: dict[str, Any] = {**data, "translation": tuple(data["translation"])}
        return cls(**values)


PRESETS: dict[str, Rules] = {
    "default": Rules(),
    "paper": Rules(anchor="thumb_knuckle", start_position="home", positions_only=True),
    "video": Rules(start_rotation="home"),
    "egomimic": Rules(anchor="palm_landmarks", positions_only=True, gripper="none"),
    "phantom": Rules(
        anchor="thumb_middle_tips",
        orientation="tips",
        gripper="shut_between",
        d_shut=0.0,
        d_open=0.085,
    ),
    "human2locoman": Rules(anchor="wrist", start_rotation="home", d_open=0.15),
    "egoverse": Rules(anchor="palm_landmarks", start_rotation="home", gripper="none"),
}
"""Rules by name: three of our own reading, and what other systems take of a hand.

`video` trusts turns, and not where down is: of a film nobody knows how its camera was tilted.

`paper` is Eq. 2 and 3 of MiVLA: displacements of the thumb knuckle, added to the tool's home.

Of the others only the point of the hand, its turning and its gripper are theirs. That a tool begins
at its home, bridges gaps, is judged by speed and is followed by joints is ours for all of them.

- `egomimic`: the position of the palm's centre and nothing else; humans have no gripper. Near:
  theirs is the centre that Aria's tracker reports, ours the mean of wrist and four knuckles.
- `phantom`: the unconstrained hand of its published code: midway between the tips of thumb and
  middle finger; closing along thumb and index tip; approach from the index knuckle to between
  those tips, upright to closing; width of thumb and index tip as opening of a gripper of 85 mm;
  shut between the first and last step below min + 0.2 (max − min). Left out: its calibrated
  camera, its Gaussian smoothing, and the constrained hand that its settings prefer.
- `human2locoman`: displacements and turns of the wrist since the start; thumb and index tip from
  20 to 150 mm open the gripper. Near: theirs turns about the arm's own axes at the start, which
  is the same where hand and tool then point alike.
- `egoverse`: mean of wrist and four knuckles; turns of wrist and knuckles; humans have no gripper.
  Near: their axes, another order of the wrist's, are not given to the tool: it turns from home.
"""


def preset(name: str) -> Rules:
    """The rules of that name.

    Raises:
        InvalidRules: no such preset; the message lists those that there are.
    """
    if name not in PRESETS:
        raise InvalidRules(f"no rules {name!r}; there are {', '.join(PRESETS)}.")
    return PRESETS[name]


def usual_preset(quality: Quality | None) -> str:
    """The name of the rules for recordings of that quality, where nobody says which."""
    return "video" if quality in UNLEVELLED else "default"
