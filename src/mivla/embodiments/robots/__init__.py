"""The robots that are shipped, one file per family. Their models were written anew, in `models`.

Docs: `docs/robots.md`.
"""

from mivla.embodiments.body import Embodiment
from mivla.embodiments.robots.agilex import ALOHA_AGILEX, PIPER, PIPER_OLD_ZERO
from mivla.embodiments.robots.aloha import ALOHA1, ALOHA2
from mivla.embodiments.robots.arx import X5, X5A
from mivla.embodiments.robots.franka import PANDA
from mivla.embodiments.robots.locoman import LOCOMAN
from mivla.embodiments.robots.universal_robots import UR5E

ROBOTS: tuple[Embodiment, ...] = (
    X5,
    X5A,
    PIPER,
    PIPER_OLD_ZERO,
    ALOHA_AGILEX,
    ALOHA1,
    ALOHA2,
    LOCOMAN,
    PANDA,
    UR5E,
)

__all__ = [
    "ALOHA1",
    "ALOHA2",
    "ALOHA_AGILEX",
    "LOCOMAN",
    "PANDA",
    "PIPER",
    "PIPER_OLD_ZERO",
    "ROBOTS",
    "UR5E",
    "X5",
    "X5A",
]
