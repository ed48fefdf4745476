"""The inverse-kinematics program of one arm, as Python source for numba.

Trajectories are lanes and time is the scan. Sixteen lanes are a group, the longest vector of
float32; a group's numbers lie row by row in one flat array, so that the compiler turns each loop
over lanes into vector instructions: such a loop holds straight-line code alone, without branches
or calls. Groups do not meet, so a lane gets the same bits whoever its neighbours are.

One iteration is Levenberg–Marquardt on position and orientation error (orientation weighed by a
length). Its damping grows with the error (Sugihara 2011) and tenfold whenever an iteration made
things worse, in which case the lane goes back to its best joints. A joint that stands at a limit
and is pushed outwards is held there (a projected Newton step), steps are clamped, and joints are
clipped to their limits. Each step starts from the joints of the steps before, moved on along the
line or parabola through them (whichever foretold the last step better), and iterates until no lane
of its group moves or improves.

An arm of more than six joints takes the shortest of the steps that help. Its joints are nudged
towards the middle of their ranges before each step, and the tool brought back by such a shortest
step: what is left of the nudge moves the tool nowhere, and keeps the arm off its limits.
"""

import numpy as np

from mivla.kinematics.chain import Chain
from mivla.kinematics.template import PROGRAM
from mivla.kinematics.trace import Number, Term, Trace, cross, dot

LANES = 16
"""Lanes in a group: the longest vector of float32."""
JUMP_RAD = 0.5
"""A step in which some joint moves more than this is a jump."""
PARTS = 32
"""Parts of the library of starts: the nearest start of each part is a candidate."""

DAMPING = 1e-6
DAMPING_PER_ERROR = 0.05
"""Damping added per square of the error, 1/m²."""
MOVED_RAD = 2e-3
"""A Newton step longer than this is followed by another: its remainder is its square."""
STALLED_RAD = 1e-4
CLOSE_M = 5e-5
"""Where a step leaves more than this, a lane goes on until its steps are below STALLED_RAD."""
PREDICTABLE_RAD = 0.15
"""A change per step longer than this says nothing about the next step."""
NUDGE_RAD = 0.05
"""A redundant arm's joint is nudged towards the middle of its range by this much from a limit."""
RIGID = 0.03
"""A rotation whose columns are off by more than this, in length, angle or hand, is none."""
FARTHEST_M = 1e6
"""Positions are clipped here before they become float32."""
START_ROTATION_WEIGHT_M = 0.15
"""How many metres a radian is worth when the nearest start is looked for."""


def source(chain: Chain) -> str:
    """Source of a module with `run` and `cold`, for the arm from its mount to its tool."""
    rows = _Rows(chain.dof)
    traces = {
        "place": _place(rows),
        "ready": _ready(chain, rows),
        "step": _step(chain, rows),
        "settle": _settle(chain, rows),
        "check": _check(chain, rows),
        "nearest": _nearest(),
    }
    constants = [
        f"{name} = {trace.real}({value!r})"
        for trace in traces.values()
        for value, name in trace.constants.items()
    ]
    return PROGRAM.format(
        name=chain.name,
        dof=chain.dof,
        lanes=LANES,
        parts=PARTS,
        jump=JUMP_RAD,
        farthest=FARTHEST_M,
        constants="\n".join(constants),
        shift=tuple((quarter_turns(chain) * (np.pi / 2)).tolist()),
        low=tuple(chain.low.tolist()),
        high=tuple(chain.high.tolist()),
        **{name: "\n        ".join(trace.lines) for name, trace in traces.items()},
        **{f"r_{name}": row for name, row in rows.__dict__.items()},
    )


def quarter_turns(chain: Chain) -> np.ndarray:
    """Per joint, the quarter turns nearest to the middle of its range.

    Programs count joints from there: the range is then short enough for one polynomial, and a
    quarter turn only swaps sine and cosine.
    """
    return np.round((chain.low + chain.high) / np.pi)


class _Rows:
    """Which row of a group holds what: working rows `w`, targets `g` and answers `o`."""

    def __init__(self, dof: int):
        # What a lane takes from step to step, and from one call to the next.
        self.joint, self.velocity, self.bend = 0, dof, 2 * dof
        self.bent, self.started, self.lost, self.wait, self.state = range(3 * dof, 3 * dof + 5)
        # What lives for one step.
        self.best, self.before = self.state, self.state + dof
        self.target = self.state + 2 * dof
        self.live, self.caution, self.least, self.lag, self.change, self.count = range(
            self.target + 12, self.target + 18
        )
        # float64: the target's T[:3, :4] row by row, and whether there is one.
        self.g_live, self.g_count = 12, 13
        # float64: the answer; truths are 0 or 1.
        self.o_joint = 0
        self.o_position, self.o_rotation, self.o_converged, self.o_jumped, self.o_due = range(
            dof, dof + 5
        )
        self.o_count = dof + 5


def _load(trace: Trace, array: str, row: int) -> Term:
    value = f"{array}[{row * LANES} + l]"
    # Working rows are float32; float64 code widens them.
    return trace.assign(
        f"np.float64({value})" if array == "w" and trace.real.endswith("64") else value
    )


def _store(trace: Trace, array: str, row: int, value: Number) -> None:
    trace.lines.append(f"{array}[{row * LANES} + l] = {trace.text(value)}")


def _when(trace: Trace, condition: str) -> Term:
    return trace.assign(f"{trace.text(1.0)} if {condition} else {trace.text(0.0)}")


def _joints(trace: Trace, chain: Chain, y: list[Term]) -> list[tuple[Number, Number]]:
    """Sine and cosine of every joint from its distance `y` to its quarter turns."""
    out = []
    turns = quarter_turns(chain)
    for i, quarter in enumerate(turns):
        low, high = chain.low[i] - quarter * np.pi / 2, chain.high[i] - quarter * np.pi / 2
        s, c = trace.sine_cosine(y[i], max(abs(low), abs(high)))
        for _ in range(int(quarter) % 4):
            s, c = c, -s
        out.append((s, c))
    return out


def _forward(
    chain: Chain, joints: list[tuple[Number, Number]]
) -> tuple[list[list[Number]], list[Number], list[list[Number]], list[list[Number]]]:
    """Columns of the tool's rotation, its position, and axis and origin of every joint."""
    columns: list[list[Number]] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    p: list[Number] = [0.0, 0.0, 0.0]
    axes, origins = [], []
    for i in range(chain.dof + 1):
        T = chain.T_fixed[i].tolist()
        p = [p[k] + dot([c[k] for c in columns], [row[3] for row in T[:3]]) for k in range(3)]
        columns = [_combine(columns, [T[r][c] for r in range(3)]) for c in range(3)]
        if i < chain.dof:
            s, c = joints[i]
            axes.append(_combine(columns, chain.axes[i].tolist()))
            origins.append(p)
            columns = _turned(columns, chain.axes[i].tolist(), s, c)
    return columns, p, axes, origins


def _combine(columns: list[list[Number]], weights: list[Number]) -> list[Number]:
    return [dot([column[k] for column in columns], weights) for k in range(3)]


def _turned(columns: list[list[Number]], axis: list[float], s: Number, c: Number) -> list:
    """The columns of R · Rot(axis, angle)."""
    for k in range(3):
        if abs(axis[k]) == 1:
            s = s * axis[k]
            out: list = list(columns)
            i, j = (k + 1) % 3, (k + 2) % 3
            out[i] = [columns[i][r] * c + columns[j][r] * s for r in range(3)]
            out[j] = [columns[j][r] * c - columns[i][r] * s for r in range(3)]
            return out
    x, y, z = axis
    skew = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
    rotation = [
        [c * float(r == k) + s * skew[r][k] + (1.0 - c) * (axis[r] * axis[k]) for k in range(3)]
        for r in range(3)
    ]
    return [_combine(columns, [rotation[r][k] for r in range(3)]) for k in range(3)]


def _target(trace: Trace, array: str, row: int) -> tuple[list[list[Number]], list[Number]]:
    """Columns of the target's rotation and its position: the rows hold T[:3, :4], row by row."""
    entries: list[Number] = [_load(trace, array, row + k) for k in range(12)]
    return [entries[c:12:4] for c in range(3)], entries[3:12:4]


def _difference(
    columns: list[list[Number]], p: list[Number], goal: list[list[Number]], at: list[Number]
) -> tuple[list[Number], list[Number], Number]:
    """Position error, sine of the angle left times its axis, and one less its cosine."""
    turn: list[Number] = [0.0, 0.0, 0.0]
    trace_: Number = 0.0
    for mine, theirs in zip(columns, goal, strict=True):
        turn = [a + b for a, b in zip(turn, cross(mine, theirs), strict=True)]
        trace_ = trace_ + dot(mine, theirs)
    versine = 1.5 - 0.5 * trace_
    return [a - b for a, b in zip(at, p, strict=True)], [0.5 * a for a in turn], versine


def _step(chain: Chain, rows: _Rows) -> Trace:
    """One iteration for one lane `l` of the group `w`, with `weight` and `clamp`."""
    trace = Trace("S", "np.float32")
    dof = chain.dof
    text = trace.text
    weight, clamp = Term(trace, "weight"), Term(trace, "clamp")

    y = [_load(trace, "w", rows.joint + i) for i in range(dof)]
    columns, p, axes, origins = _forward(chain, _joints(trace, chain, y))
    goal, at = _target(trace, "w", rows.target)
    position, turn, versine = _difference(columns, p, goal, at)
    # sin² + (1 − cos)² is the squared chord: exact for small angles, and largest at half a turn.
    chord = dot(turn, turn) + versine * versine
    error = dot(position, position) + weight * weight * chord

    # Two tangents of half the angle, along the axis: a rotation vector to third order, and still
    # the right way round when the target is turned far.
    half = trace.assign(f"max({text(2.0 - versine)}, {text(0.4)})")
    factor = trace.assign(f"{text(2.0)} / {text(half)}")
    residual = [*position, *(weight * (factor * a) for a in turn)]
    jacobian = [
        [*cross(axis, [a - b for a, b in zip(p, origin, strict=True)]), *(weight * a for a in axis)]
        for axis, origin in zip(axes, origins, strict=True)
    ]

    # A lane that is done, or has no target, stays: what it gets does not hang on its neighbours.
    live = _load(trace, "w", rows.live) * _load(trace, "w", rows.lag)
    least, caution = _load(trace, "w", rows.least), _load(trace, "w", rows.caution)
    best = [_load(trace, "w", rows.best + i) for i in range(dof)]
    worse = live * _when(trace, f"{text(error)} > {text(least + 1e-9)}")
    better = 1.0 - worse
    damping = trace.assign(
        f"({text(DAMPING)} + {text(DAMPING_PER_ERROR)} * {text(error)}) * {text(caution)}"
    )

    low, high = _shifted_limits(chain)
    gradient, free = [], []
    for i in range(dof):
        g = dot(jacobian[i], residual)
        outwards = (
            _when(trace, f"{text(g)} < {text(0.0)}"),
            _when(trace, f"{text(g)} > {text(0.0)}"),
        )
        below = _when(trace, f"{text(y[i])} <= {text(low[i] + 1e-6)}") * outwards[0]
        above = _when(trace, f"{text(y[i])} >= {text(high[i] - 1e-6)}") * outwards[1]
        free.append(1.0 - below - above)
        gradient.append(g * free[i])
    held = [[a * free[i] for a in jacobian[i]] for i in range(dof)]
    if dof <= 6:
        normal = {(i, j): dot(held[i], held[j]) for i in range(dof) for j in range(i + 1)}
        step = _solved(trace, normal, damping, gradient)
    else:
        # The same step by the smaller system, which a redundant arm does not make singular.
        across = [[column[k] for column in held] for k in range(6)]
        normal = {(i, j): dot(across[i], across[j]) for i in range(6) for j in range(i + 1)}
        pull = _solved(trace, normal, damping, residual)
        step = [dot(held[i], pull) for i in range(dof)]

    largest = f"abs({text(step[0])})"
    for value in step[1:]:
        largest = f"max({largest}, abs({text(value)}))"
    longest = trace.assign(f"max({largest}, {text(1e-12)})")
    scale = live * trace.assign(f"min({text(1.0)}, {text(clamp)} / {text(longest)})")
    for i in range(dof):
        moved = trace.assign(
            f"min(max({text(y[i] + scale * step[i])}, {text(low[i])}), {text(high[i])})"
        )
        _store(trace, "w", rows.joint + i, best[i] * worse + moved * better)
        _store(trace, "w", rows.best + i, best[i] * worse + y[i] * better)
    _store(trace, "w", rows.least, least * worse + error * better)
    eased = trace.assign(f"max({text(caution * 0.3)}, {text(1.0)})")
    _store(trace, "w", rows.caution, caution * 10.0 * worse + eased * better)

    # What the step is not going to take away, if the arm were as straight as its Jacobian.
    left = error - dot(gradient, step)
    crawling = _when(trace, f"{text(left)} > {text(CLOSE_M**2)}") * _when(
        trace, f"{text(longest)} > {text(STALLED_RAD)}"
    )
    moving = _when(trace, f"{text(longest)} > {text(MOVED_RAD)}")
    going = trace.assign(f"max({text(worse)}, max({text(moving)}, {text(crawling)}))")
    _store(trace, "w", rows.lag, going * live)
    return trace


def _place(rows: _Rows) -> Trace:
    """Lane `l` of the targets `g`: from the base to the mount, and whether there is a pose.

    Poses of the mount come as `m00` to `m23`. What is known but not rigid is counted in `bad`.
    """
    trace = Trace("P", "np.float64")
    columns, p = _target(trace, "g", 0)
    total: Number = 0.0
    for value in [*columns[0], *columns[1], *columns[2], *p]:
        total = total + trace.assign(f"abs({trace.text(value)})")
    # Not true of NaN either.
    live = _when(trace, f"{trace.text(total)} < {trace.text(1e300)}")
    off: Number = 0.0
    third = cross(columns[0], columns[1])
    for error in (
        dot(columns[0], columns[0]) - 1.0,
        dot(columns[1], columns[1]) - 1.0,
        dot(columns[0], columns[1]),
        *(a - b for a, b in zip(third, columns[2], strict=True)),
    ):
        off = off + trace.assign(f"abs({trace.text(error)})")
    trace.lines.append(
        f"bad += {trace.text(live)} if {trace.text(off)} > {trace.text(RIGID)} else 0.0"
    )
    mount = [[Term(trace, f"m{r}{c}") for c in range(4)] for r in range(3)]
    from_mount = [a - mount[r][3] for r, a in enumerate(p)]
    for r in range(3):
        # Row r of the mount's inverse is column r of its rotation.
        axis: list[Number] = [mount[k][r] for k in range(3)]
        for c, vector in enumerate([*columns, from_mount]):
            value = trace.text(dot(axis, vector))
            known = f"{value} if {trace.text(live)} > 0.0 else 0.0"
            _store(trace, "g", 4 * r + c, trace.assign(known))
    _store(trace, "g", rows.g_live, live)
    return trace


def _ready(chain: Chain, rows: _Rows) -> Trace:
    """Lane `l` of the group `w` before a step: its target from `g`, and joints to start from."""
    trace = Trace("R", "np.float32")
    text = trace.text
    low, high = _shifted_limits(chain)
    for k in range(12):
        value = f"np.float32(g[{k * LANES} + l])"
        if k % 4 == 3:
            value = f"min(max({value}, {text(-FARTHEST_M)}), {text(FARTHEST_M)})"
        trace.lines.append(f"w[{(rows.target + k) * LANES} + l] = {value}")
    live = trace.assign(f"np.float32(g[{rows.g_live * LANES} + l])")
    y = [_load(trace, "w", rows.joint + i) for i in range(chain.dof)]
    velocity = [_load(trace, "w", rows.velocity + i) for i in range(chain.dof)]
    bend = [_load(trace, "w", rows.bend + i) for i in range(chain.dof)]
    bent = _load(trace, "w", rows.bent)
    for i in range(chain.dof):
        ahead = velocity[i] + bend[i] * bent
        if chain.dof > 6:
            ahead = ahead + _nudge(y[i], low[i], high[i])
        moved = text(y[i] + ahead * live)
        start = trace.assign(f"min(max({moved}, {text(low[i])}), {text(high[i])})")
        _store(trace, "w", rows.before + i, y[i])
        _store(trace, "w", rows.joint + i, start)
        _store(trace, "w", rows.best + i, start)
    _store(trace, "w", rows.live, live)
    _store(trace, "w", rows.caution, 1.0)
    _store(trace, "w", rows.least, 1e30)
    _store(trace, "w", rows.lag, 1.0)
    return trace


def _nudge(y: Term, low: float, high: float) -> Number:
    """How far a joint is moved towards the middle of its range before a step."""
    half = 0.5 * (high - low)
    if half == 0:
        return 0.0
    return (low + half - y) * (NUDGE_RAD / half)


def _settle(chain: Chain, rows: _Rows) -> Trace:
    """Lane `l` of the group `w` after a step: its joints, and how the next will be foretold."""
    trace = Trace("T", "np.float32")
    text = trace.text
    live, lag = _load(trace, "w", rows.live), _load(trace, "w", rows.lag)
    change, line, parabola, bend = [], [], [], []
    largest = line_off = parabola_off = text(0.0)
    for i in range(chain.dof):
        # A lane that ran out of iterations stands at its best joints.
        newest, best = _load(trace, "w", rows.joint + i), _load(trace, "w", rows.best + i)
        y = newest + (best - newest) * lag
        before = _load(trace, "w", rows.before + i)
        velocity = _load(trace, "w", rows.velocity + i)
        change.append(y - before)
        bend.append(change[i] - velocity)
        line.append(bend[i])
        parabola.append(bend[i] - _load(trace, "w", rows.bend + i))
        _store(trace, "w", rows.joint + i, y)
        largest = f"max({largest}, abs({text(change[i])}))"
        line_off = f"max({line_off}, abs({text(line[i])}))"
        parabola_off = f"max({parabola_off}, abs({text(parabola[i])}))"
    largest = trace.assign(largest)
    line_off, parabola_off = trace.assign(line_off), trace.assign(parabola_off)
    known = live * (1.0 - lag) * _when(trace, f"{text(largest)} <= {text(PREDICTABLE_RAD)}")
    bent = known * _when(trace, f"{text(parabola_off)} < {text(line_off)}")
    for i in range(chain.dof):
        _store(trace, "w", rows.velocity + i, change[i] * known)
        _store(trace, "w", rows.bend + i, bend[i] * known)
    _store(trace, "w", rows.bent, bent)
    _store(trace, "w", rows.change, largest * live)
    return trace


def _shifted_limits(chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    shift = quarter_turns(chain) * (np.pi / 2)
    return chain.low - shift, chain.high - shift


def _solved(trace: Trace, normal: dict, damping: Number, right: list[Number]) -> list[Number]:
    """Solution of (normal + damping · I) x = right, by LDLᵀ."""
    dof = len(right)
    lower: dict[tuple[int, int], Number] = {}
    pivot, inverse = [], []
    for j in range(dof):
        value = normal[j, j] + damping
        for k in range(j):
            value = value - lower[j, k] * lower[j, k] * pivot[k]
        pivot.append(trace.assign(f"max({trace.text(value)}, {trace.text(1e-7)})"))
        inverse.append(trace.assign(f"{trace.text(1.0)} / {trace.text(pivot[j])}"))
        for i in range(j + 1, dof):
            value = normal[i, j]
            for k in range(j):
                value = value - lower[i, k] * (lower[j, k] * pivot[k])
            lower[i, j] = value * inverse[j]
    x = list(right)
    for i in range(dof):
        for k in range(i):
            x[i] = x[i] - lower[i, k] * x[k]
    x = [a * b for a, b in zip(x, inverse, strict=True)]
    for i in reversed(range(dof)):
        for k in range(i + 1, dof):
            x[i] = x[i] - lower[k, i] * x[k]
    return x


def _check(chain: Chain, rows: _Rows) -> Trace:
    """Lane `l` of the answers `o`: joints of the group `w` and their errors, in float64.

    `position_tolerance` and `rotation_tolerance` decide what is converged, `patience` after how
    many steps that are not a lane is due for another configuration.
    """
    trace = Trace("C", "np.float64")
    text = trace.text
    shift = quarter_turns(chain) * (np.pi / 2)
    q = [
        trace.assign(
            f"min(max({text(_load(trace, 'w', rows.joint + i) + float(shift[i]))}, "
            f"{text(chain.low[i])}), {text(chain.high[i])})"
        )
        for i in range(chain.dof)
    ]
    y = [a - float(b) for a, b in zip(q, shift, strict=True)]
    columns, p, _, _ = _forward(chain, _joints(trace, chain, y))  # pyright: ignore[reportArgumentType]
    goal, at = _target(trace, "g", 0)
    apart = [a - b for a, b in zip(at, p, strict=True)]
    # |R − R_goal|² is twice the squared chord.
    turned: Number = 0.0
    for mine, theirs in zip(columns, goal, strict=True):
        difference = [a - b for a, b in zip(mine, theirs, strict=True)]
        turned = turned + dot(difference, difference)
    position = trace.assign(f"math.sqrt({text(dot(apart, apart))})")
    rotation = _angle(trace, turned * 0.125)

    live = _load(trace, "g", rows.g_live)
    close = _when(trace, f"{text(position)} <= position_tolerance")
    aligned = _when(trace, f"{text(rotation)} <= rotation_tolerance")
    converged = live * close * aligned
    started = _load(trace, "w", rows.started)
    lost, wait = _load(trace, "w", rows.lost), _load(trace, "w", rows.wait)
    change = _load(trace, "w", rows.change)
    # A hair less: `change` is float32.
    leap = _when(trace, f"{text(change)} > {text(JUMP_RAD - 1e-6)}")
    # A step without a target neither loses a lane nor finds it.
    astray = live * (1.0 - converged)
    now_lost = (lost + astray) * (1.0 - converged)
    due = trace.assign(f"{text(astray)} if {text(now_lost)} >= {text(wait)} else {text(0.0)}")
    for i in range(chain.dof):
        _store(trace, "o", rows.o_joint + i, q[i])
    for row, value in ((rows.o_position, position), (rows.o_rotation, rotation)):
        known = f"{text(value)} if {text(live)} > {text(0.0)} else np.nan"
        trace.lines.append(f"o[{row * LANES} + l] = {known}")
    _store(trace, "o", rows.o_converged, converged)
    _store(trace, "o", rows.o_jumped, leap * started)
    _store(trace, "o", rows.o_due, due)
    trace.lines.append(f"overdue += {text(due)}")
    _store(trace, "w", rows.started, trace.assign(f"max({text(started)}, {text(live)})"))
    _store(trace, "w", rows.lost, now_lost)
    patient = f"{text(wait)} if {text(now_lost)} > {text(0.0)} else patience"
    _store(trace, "w", rows.wait, trace.assign(patient))
    return trace


def _angle(trace: Trace, square: Number) -> Number:
    """Twice the arc sine of the root of `square`: no branch and no library call."""
    text = trace.text
    square = trace.assign(f"min({text(square)}, {text(1.0)})")
    small = trace.assign(f"{text(square)} <= {text(0.25)}")
    root = trace.assign(f"math.sqrt({text(square)})")
    reduced = trace.assign(f"{text(square)} if {text(small)} else {text(0.5 - 0.5 * root)}")
    value: Number = float(_ARC_SINE[-1])
    for coefficient in _ARC_SINE[-2::-1]:
        value = value * reduced + float(coefficient)
    angle = trace.assign(f"math.sqrt({text(reduced)})") * value
    narrow, wide = text(2.0 * angle), text(np.pi - 4.0 * angle)
    return trace.assign(f"{narrow} if {text(small)} else {wide}")


def _fit_arc_sine(terms: int) -> np.ndarray:
    """Coefficients in x² of asin(x)/x up to x = 1/2, interpolated at Chebyshev points."""
    square = 0.125 * (np.cos(np.pi * (np.arange(terms) + 0.5) / terms) + 1)
    x = np.sqrt(square)
    return np.linalg.solve(np.vander(square, terms, increasing=True), np.arcsin(x) / x)


_ARC_SINE = _fit_arc_sine(10)


def start_features(T_mount_tool: np.ndarray) -> np.ndarray:
    """What `nearest` knows of each start: a row of 12 factors of the target, and a constant.

    Their sum is the squared distance of the target from the start's tool, less a part that all
    starts share.
    """
    weight = np.full((3, 4), START_ROTATION_WEIGHT_M**2)
    weight[:, 3] = 1.0
    pose = T_mount_tool[:, :3]
    constant = (weight * pose**2).sum(axis=(1, 2))
    factors = (-2.0 * weight * pose).reshape(-1, 12)
    return np.concatenate([factors, constant[:, None]], axis=1).astype(np.float32)


def _nearest() -> Trace:
    """Lane `l` of `near` and `which`: the least distance so far, against start `j`."""
    trace = Trace("N", "np.float32")
    distance: Number = trace.assign("a12")
    for k in range(12):
        distance = distance + Term(trace, f"a{k}") * trace.assign(f"targets[{k} * n + l]")
    least = trace.assign("near[l]")
    trace.lines.append(f"which[l] = j if {trace.text(distance)} < {least.name} else which[l]")
    trace.lines.append(f"near[l] = min({trace.text(distance)}, {least.name})")
    return trace
