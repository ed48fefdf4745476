"""Configurations from which single poses are looked for."""

from functools import cache

import numpy as np
from jaxtyping import Float

from mivla.geometry import se3
from mivla.kinematics.chain import Chain, forward
from mivla.kinematics.generate import quarter_turns, start_features

STARTS = 8192
STARTS_OF_REDUNDANT = 16_384
"""Configurations among which a pose on its own finds its starts; seven joints have more room."""
STARTS_ON_THE_WAY = 512
"""Fewer, for a lane that was lost: it looks while the others wait."""


@cache
def start_library(
    chain: Chain, count: int
) -> tuple[Float[np.ndarray, "n 13"], Float[np.ndarray, "n dof"]]:
    """Joints that fill the range evenly, as the arm's program knows them, and their tool poses.

    Returns:
        Features by which the nearest tool pose is found, and joints from their quarter turns.
    """
    q = chain.low + even_points(count, chain.dof) * (chain.high - chain.low)
    T_mount_tool = se3.inverse(chain.T_base_mount) @ forward(chain, q)
    return start_features(T_mount_tool), (q - quarter_turns(chain) * (np.pi / 2)).astype(np.float32)


def even_points(count: int, dim: int) -> Float[np.ndarray, "count dim"]:
    """Points that fill the unit cube evenly: a Kronecker sequence of the golden ratio's kin.

    The root of x^(dim + 1) = x + 1 takes the golden ratio's place (Roberts 2018).
    """
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (dim + 1))
    steps = root ** -np.arange(1.0, dim + 1)
    return (0.5 + np.outer(np.arange(count), steps)) % 1
