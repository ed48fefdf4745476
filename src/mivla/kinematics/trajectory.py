"""One long trajectory at the speed of many: cut in time, solved as lanes, and checked at the cuts.

A block of lanes costs the same whether one or sixteen of them are used. A first pass looks at every
few steps alone and gives each piece the joints it starts from. Where the pieces do not meet (the
first pass went another way round), the later one is solved again from the end of the earlier.
"""

from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Float

from mivla.kinematics.chain import Chain
from mivla.kinematics.inverse import Solution, solve

PIECES = 16
"""As many lanes as a vector of float32 is long, on the widest processors."""
STRIDE = 24
"""Steps between those of the first pass."""
WORTH_CUTTING = 40 * PIECES
"""A trajectory of fewer steps is solved in one go."""
MEETS_RAD = 1e-3


def solve_trajectory(
    chain: Chain,
    T_base_tool: Float[np.ndarray, "t 4 4"],
    q_start: Float[np.ndarray, " dof"],
    **options: Any,
) -> Solution:
    """Joints along one trajectory: what `solve` gives for a single lane, with no lane axis.

    A long one takes a fraction of the time. Joints are then those of a single pass to within the
    solver's own error, about 1e-5 rad. With seven joints there is no telling whether two pieces
    would have met, and the trajectory is solved in one go. `options` are those of `solve`.
    """
    steps = len(T_base_tool)
    known = np.isfinite(T_base_tool.reshape(steps, 16).sum(axis=1))
    if chain.dof > 6 or np.count_nonzero(known) < WORTH_CUTTING:
        whole = solve(chain, T_base_tool[None], q_start[None], **options)
        return Solution(**{name: getattr(whole, name)[0] for name in _FIELDS})
    T = np.ascontiguousarray(T_base_tool)
    length = (steps - 1) // PIECES
    cuts = length * np.arange(PIECES)
    looked_at = np.union1d(np.flatnonzero(known)[::STRIDE], cuts)
    first = solve(chain, T[looked_at][None], q_start[None], **options)
    q_starts = first.q[0, np.searchsorted(looked_at, cuts)]
    q_starts[0] = q_start

    # The step at a cut is in both pieces; `solve` copies what it is given.
    windows = np.lib.stride_tricks.as_strided(
        T,
        (PIECES, length + 1, 4, 4),
        (length * T.strides[0], *T.strides),
        writeable=False,
    )
    found = solve(chain, windows, q_starts, **options)
    for piece, cut in enumerate(cuts[1:], start=1):
        q_before = found.q[piece - 1, -1]
        if np.abs(found.q[piece, 0] - q_before).max() > MEETS_RAD:
            again = solve(chain, T[None, cut : cut + length + 1], q_before[None], **options)
            for name in _FIELDS:
                getattr(found, name)[piece] = getattr(again, name)[0]
    end = PIECES * length
    rest = solve(chain, T[None, end:], found.q[-1:, -1], **options)
    return Solution(
        **{name: _joined(getattr(found, name), getattr(rest, name)) for name in _FIELDS}
    )


_FIELDS = tuple(field.name for field in fields(Solution))


def _joined(pieces: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Lanes one after another; what the earlier one says of the step at a cut holds."""
    return np.concatenate(
        [pieces[0], pieces[1:, 1:].reshape(-1, *pieces.shape[2:]), rest[0, 1:]], axis=0
    )
