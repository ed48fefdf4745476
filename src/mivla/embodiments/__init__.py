"""Bodies: joints, limits, frames, tool and grip frames, gripper strokes, action layouts.

A new robot is a file in `robots`, its model in `models`, and a line in `ROBOTS`.
"""

from mivla.embodiments.body import (
    Arm,
    Embodiment,
    FrameConvention,
    Gripper,
    UnknownEmbodiment,
    UnknownFrame,
)
from mivla.embodiments.robots import (
    ALOHA1,
    ALOHA2,
    ALOHA_AGILEX,
    LOCOMAN,
    PANDA,
    PIPER,
    PIPER_OLD_ZERO,
    ROBOTS,
    UR5E,
    X5,
    X5A,
)

HUMAN = Embodiment(name="human", title="person, two hands")

EMBODIMENTS: dict[str, Embodiment] = {body.name: body for body in (HUMAN, *ROBOTS)}

__all__ = [
    "ALOHA1",
    "ALOHA2",
    "ALOHA_AGILEX",
    "EMBODIMENTS",
    "HUMAN",
    "LOCOMAN",
    "PANDA",
    "PIPER",
    "PIPER_OLD_ZERO",
    "UR5E",
    "X5",
    "X5A",
    "Arm",
    "Embodiment",
    "FrameConvention",
    "Gripper",
    "UnknownEmbodiment",
    "UnknownFrame",
    "embodiment",
]


def embodiment(name: str) -> Embodiment:
    """The body of that name.

    Raises:
        UnknownEmbodiment: no such body is shipped; the message lists those that are.
    """
    if name not in EMBODIMENTS:
        raise UnknownEmbodiment(
            f"no robot {name!r}; there are {', '.join(sorted(EMBODIMENTS))}. "
            f"A new one is a file in embodiments/ and a line in EMBODIMENTS."
        )
    return EMBODIMENTS[name]
