"""Bodies: joints, limits, frames, tool and grip frames, gripper strokes, action layouts.

A user's own robot is a TOML file (see `description`). A new robot that is shipped is a file in
`robots`, its model in `models`, and a line in `ROBOTS`.
"""

import os
from pathlib import Path

from mivla.embodiments.body import (
    Arm,
    Embodiment,
    FrameConvention,
    Gripper,
    UnknownEmbodiment,
    UnknownFrame,
)
from mivla.embodiments.own import ROBOTS_VARIABLE, own, own_file, own_names
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
    "is_known",
    "own_names",
]


def embodiment(name: str) -> Embodiment:
    """The body of that name: a shipped one, or a user's own.

    A user's own is named by the path of its description (`.toml`), or, where its folder is in
    `$MIVLA_ROBOTS`, by that file's stem. A path that is given adds its folder to the variable.

    Raises:
        UnknownEmbodiment: there is no such body; the message lists those that there are.
        InvalidDescription: the description has errors.
    """
    if name in EMBODIMENTS:
        return EMBODIMENTS[name]
    file = Path(name) if name.endswith(".toml") else own_file(name)
    if file is not None and file.is_file():
        return own(file)
    raise UnknownEmbodiment(
        f"no robot {name!r}; there are {', '.join(sorted(EMBODIMENTS))}"
        f"{''.join(f', {other}' for other in own_names())}. A robot of your own is a description, "
        f"NAME.toml: give its path, or put its folder into {ROBOTS_VARIABLE} "
        f"(now {os.environ.get(ROBOTS_VARIABLE) or 'empty'})."
    )


def is_known(name: str) -> bool:
    """Whether `embodiment` knows a body of that name, paths aside."""
    return name in EMBODIMENTS or own_file(name) is not None
