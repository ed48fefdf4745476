"""The robots that are shipped, one file per family. Their models were written anew, in `models`.

Docs: `docs/robots.md`.
"""

from mivla.embodiments.body import Embodiment
from mivla.embodiments.robots.agilex import ALOHA_AGILEX, PIPER
from mivla.embodiments.robots.aloha import ALOHA1, ALOHA2
from mivla.embodiments.robots.arx import X5
from mivla.embodiments.robots.franka import PANDA
from mivla.embodiments.robots.universal_robots import UR5E

ROBOTS: tuple[Embodiment, ...] = (X5, PIPER, ALOHA_AGILEX, ALOHA1, ALOHA2, PANDA, UR5E)

__all__ = ["ALOHA1", "ALOHA2", "ALOHA_AGILEX", "PANDA", "PIPER", "ROBOTS", "UR5E", "X5"]
