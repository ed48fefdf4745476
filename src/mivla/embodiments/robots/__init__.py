"""The robots that are shipped, one file per family. Their models were written anew, in `models`.

Docs: `docs/robots.md`.
"""

from mivla.embodiments.body import Embodiment
from mivla.embodiments.robots.agilex import ALOHA_AGILEX, PIPER
from mivla.embodiments.robots.arx import X5

ROBOTS: tuple[Embodiment, ...] = (X5, PIPER, ALOHA_AGILEX)

__all__ = ["ALOHA_AGILEX", "PIPER", "ROBOTS", "X5"]
