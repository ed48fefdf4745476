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
        return _lane(solve(chain, T_base_tool[None], q_start[None], **options), 0, 0, steps)
    # A cut at a missing target would compare joints that are only held.
    places = np.flatnonzero(known)
    cuts = places[np.linspace(0, len(places) - 1, PIECES + 1).astype(int)[1:-1]]
    # The step at a cut is in both pieces.
    starts, stops = [0, *cuts.tolist()], [*(cuts + 1).tolist(), steps]

    looked_at = np.union1d(places[::STRIDE], cuts)
    first = solve(chain, T_base_tool[looked_at][None], q_start[None], **options)
    q_starts = np.concatenate([q_start[None], first.q[0, np.searchsorted(looked_at, cuts)]])

    longest = max(stop - start for start, stop in zip(starts, stops, strict=True))
    targets = np.full((PIECES, longest, 4, 4), np.nan)
    for piece, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        targets[piece, : stop - start] = T_base_tool[start:stop]
    found = solve(chain, targets, q_starts, **options)
    pieces = [_lane(found, 0, 0, stops[0])]
    for piece in range(1, PIECES):
        start, stop = starts[piece], stops[piece]
        here, q_before = _lane(found, piece, 0, stop - start), pieces[-1].q[-1]
        if np.abs(here.q[0] - q_before).max() > MEETS_RAD:
            again = solve(chain, T_base_tool[None, start:stop], q_before[None], **options)
            here = _lane(again, 0, 0, stop - start)
        # What the earlier piece says of the step at the cut holds.
        pieces.append(_lane(here, None, 1, stop - start))
    return Solution(
        **{f.name: np.concatenate([getattr(p, f.name) for p in pieces]) for f in fields(Solution)}
    )


def _lane(solution: Solution, lane: int | None, start: int, stop: int) -> Solution:
    """Some steps of one lane, or of what has no lanes any more."""
    values = {f.name: getattr(solution, f.name) for f in fields(Solution)}
    if lane is not None:
        values = {name: value[lane] for name, value in values.items()}
    return Solution(**{name: value[start:stop] for name, value in values.items()})
