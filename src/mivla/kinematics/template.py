"""The frame of a generated program: memory, loops and branches around the traced formulas."""

PROGRAM = '''\
"""Inverse kinematics of {name}. Generated; do not edit."""

import math

import numpy as np
from numba import njit

DOF = {dof}
LANES = {lanes}
PARTS = {parts}
STATE = {r_state}
"""Numbers that a lane takes from one call to the next."""
WAIT = {r_wait}
"""Which of them is the number of lost steps after which it looks for another configuration."""
TILE = 8
"""Steps of targets that are turned into rows, and of answers turned back, at once."""
NEIGHBOURS = 128
"""Poses that look through the library of starts together."""
WHOLE_TURN = 2 * math.pi - 1e-3
BATCH = 64
"""Groups of single poses that share a queue."""
SHIFT = {shift}
LOW = {low}
HIGH = {high}
ZERO = np.float32(0)
ONE = np.float32(1)
BACKOFF = np.float32(64)
"""A lost lane tries again after at most as many steps."""
FARTHEST = {farthest}
CLOSE = np.float32(1e-7)
"""Squared error from which a single pose is as good as found."""
WITHIN = np.float32(1e-2)
"""Squared error below which a lane that rests at a limit is moved off it once."""
RELEASED = np.float32(0.6)
UNLIKE = np.float32(2.0)
"""A configuration that differs in a joint by this much may be of another branch."""
TURN = np.float32(2 * math.pi)
NEARBY = np.float32(1e-4)
"""Squared error below which a resting lane is looked at once more."""
{constants}

# Inlined into what is called from outside: a part that were called would be other code when it is
# read back from the disk than when it has just been compiled, with other last bits.
INLINED = dict(cache=True, nogil=True, error_model="numpy", forceinline=True)
part, fast = njit(**INLINED), njit(**INLINED, fastmath=True)


@njit(**INLINED, fastmath={{"contract", "reassoc", "nsz"}})
def place(g, mount):
    m00, m01, m02, m03 = mount[0, 0], mount[0, 1], mount[0, 2], mount[0, 3]
    m10, m11, m12, m13 = mount[1, 0], mount[1, 1], mount[1, 2], mount[1, 3]
    m20, m21, m22, m23 = mount[2, 0], mount[2, 1], mount[2, 2], mount[2, 3]
    bad = 0.0
    for l in range(LANES):
        {place}
    return bad


@fast
def ready(w, g):
    for l in range(LANES):
        {ready}


@fast
def step(w, weight, clamp):
    for l in range(LANES):
        {step}


@fast
def lagging(w):
    total = ZERO
    for l in range(LANES):
        total += w[{r_lag} * LANES + l]
    return total > ZERO


@fast
def settle(w):
    for l in range(LANES):
        {settle}


@njit(**INLINED, fastmath={{"contract", "reassoc", "nsz", "arcp"}})
def check(w, g, o, position_tolerance, rotation_tolerance, patience):
    overdue = 0.0
    for l in range(LANES):
        {check}
    return overdue > 0.0


@fast
def nearer(targets, n, a, near, which, j):
    a0, a1, a2, a3, a4, a5, a6 = a[0], a[1], a[2], a[3], a[4], a[5], a[6]
    a7, a8, a9, a10, a11, a12 = a[7], a[8], a[9], a[10], a[11], a[12]
    for l in range(n):
        {nearest}


@part
def nearest(targets, library, near, which):
    """Per part of the library and lane, the least distance and which start has it."""
    each, n = library.shape[0] // PARTS, near.shape[1]
    for part in range(PARTS):
        for l in range(n):
            near[part, l] = np.float32(1e30)
        for j in range(part * each, part * each + each):
            nearer(targets, n, library[j], near[part], which[part], j)


@part
def iterate(w, weight, clamp, iterations):
    for _ in range(iterations):
        step(w, weight, clamp)
        if not lagging(w):
            break


@part
def load(T, first, count, t, steps, goals):
    for group in range(goals.shape[1]):
        for l in range(LANES):
            lane = first + min(group * LANES + l, count - 1)
            for k in range(steps):
                for r in range(3):
                    for c in range(4):
                        goals[k, group, (4 * r + c) * LANES + l] = T[lane, t + k, r, c]


@part
def store(answers, first, count, t, steps, q, position, rotation, converged, jumped):
    for i in range(count):
        group, l, lane = i // LANES, i % LANES, first + i
        for k in range(steps):
            o = answers[k, group]
            for j in range(DOF):
                q[lane, t + k, j] = o[({r_o_joint} + j) * LANES + l]
            position[lane, t + k] = o[{r_o_position} * LANES + l]
            rotation[lane, t + k] = o[{r_o_rotation} * LANES + l]
            converged[lane, t + k] = o[{r_o_converged} * LANES + l] > 0.0
            if jumped.shape[1]:
                jumped[lane, t + k] = o[{r_o_jumped} * LANES + l] > 0.0


@part
def elsewhere(w, g, o, weight, clamp, position_tolerance, rotation_tolerance, library, joints):
    """Lanes that are due go to the nearest configuration that reaches their target, if any."""
    near, which = np.empty((PARTS, LANES), np.float32), np.empty((PARTS, LANES), np.int32)
    nearest(w[{r_target} * LANES : ({r_target} + 12) * LANES], library, near, which)
    trial, trial_g = np.empty({r_count} * LANES, np.float32), np.empty({r_g_count} * LANES)
    trial_o = np.empty({r_o_count} * LANES)
    for l in range(LANES):
        if o[{r_o_due} * LANES + l] == 0.0:
            continue
        w[{r_wait} * LANES + l] += min(w[{r_wait} * LANES + l], BACKOFF)
        trial[:] = ZERO
        for k in range({r_g_count}):
            trial_g[k * LANES : (k + 1) * LANES] = g[k * LANES + l]
        for k in range(LANES):
            # One lane per pair of parts.
            part = 2 * k if near[2 * k, l] < near[2 * k + 1, l] else 2 * k + 1
            for i in range(DOF):
                trial[({r_joint} + i) * LANES + k] = joints[which[part, l], i]
        ready(trial, trial_g)
        iterate(trial, weight, clamp, 40)
        settle(trial)
        check(trial, trial_g, trial_o, position_tolerance, rotation_tolerance, np.inf)
        chosen, shortest = -1, np.float32(np.inf)
        for k in range(LANES):
            if trial_o[{r_o_converged} * LANES + k] > 0.0:
                longest = ZERO
                for i in range(DOF):
                    y = trial[({r_joint} + i) * LANES + k]
                    longest = max(longest, abs(y - w[({r_before} + i) * LANES + l]))
                if longest < shortest:
                    chosen, shortest = k, longest
        if chosen < 0:
            continue
        for i in range(DOF):
            w[({r_joint} + i) * LANES + l] = trial[({r_joint} + i) * LANES + chosen]
            w[({r_velocity} + i) * LANES + l] = ZERO
            w[({r_bend} + i) * LANES + l] = ZERO
        w[{r_lost} * LANES + l] = ZERO
        w[{r_bent} * LANES + l] = ZERO
        for k in range({r_o_converged} + 1):
            o[k * LANES + l] = trial_o[k * LANES + chosen]
        o[{r_o_jumped} * LANES + l] = 1.0 if shortest > np.float32({jump}) else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def run(
    T,
    mount,
    state,
    first,
    count,
    weight,
    clamp,
    iterations,
    position_tolerance,
    rotation_tolerance,
    patience,
    library,
    joints,
    q,
    position,
    rotation,
    converged,
    jumped,
):
    """Follow the lanes from `first` on; returns how many targets are no poses."""
    groups = (count + LANES - 1) // LANES
    w = np.zeros((groups, {r_count} * LANES), np.float32)
    goals = np.empty((TILE, groups, {r_g_count} * LANES))
    answers = np.empty((TILE, groups, {r_o_count} * LANES))
    for i in range(groups * LANES):
        for k in range(STATE):
            w[i // LANES, k * LANES + i % LANES] = state[first + min(i, count - 1), k]
    bad = 0.0
    for t in range(0, T.shape[1], TILE):
        steps = min(TILE, T.shape[1] - t)
        load(T, first, count, t, steps, goals)
        for k in range(steps):
            for group in range(groups):
                mine, g, o = w[group], goals[k, group], answers[k, group]
                bad += place(g, mount)
                ready(mine, g)
                iterate(mine, weight, clamp, iterations)
                settle(mine)
                if check(mine, g, o, position_tolerance, rotation_tolerance, patience):
                    elsewhere(
                        mine,
                        g,
                        o,
                        weight,
                        clamp,
                        position_tolerance,
                        rotation_tolerance,
                        library,
                        joints,
                    )
        store(answers, first, count, t, steps, q, position, rotation, converged, jumped)
    for i in range(count):
        for k in range(STATE):
            state[first + i, k] = w[i // LANES, k * LANES + i % LANES]
    return bad


@part
def begin(w, l, g, start, jitter):
    """Lane `l` begins a search from the joints `start`."""
    for i in range(DOF):
        low, high = np.float32(LOW[i] - SHIFT[i]), np.float32(HIGH[i] - SHIFT[i])
        y = min(max(start[i] + jitter[i], low), high)
        w[({r_joint} + i) * LANES + l] = y
        w[({r_best} + i) * LANES + l] = y
    for k in range(12):
        value = g[k]
        if k % 4 == 3:
            value = min(max(value, -FARTHEST), FARTHEST)
        w[({r_target} + k) * LANES + l] = value
    w[{r_live} * LANES + l] = ONE
    w[{r_lag} * LANES + l] = ONE
    w[{r_caution} * LANES + l] = ONE
    w[{r_least} * LANES + l] = np.float32(1e30)


@part
def pooled(goals, library, pool, distance, first):
    """Per pose the nearest start of each part of the library, and which of them is nearest."""
    poses = pool.shape[0]
    targets = np.empty(12 * NEIGHBOURS, np.float32)
    near, which = np.empty((PARTS, NEIGHBOURS), np.float32), np.empty((PARTS, NEIGHBOURS), np.int32)
    for begun in range(0, poses, NEIGHBOURS):
        for k in range(12):
            for l in range(NEIGHBOURS):
                p = min(begun + l, poses - 1)
                value = goals[p // LANES, k * LANES + p % LANES]
                targets[k * NEIGHBOURS + l] = min(max(value, -FARTHEST), FARTHEST)
        nearest(targets, library, near, which)
        for l in range(min(NEIGHBOURS, poses - begun)):
            best = 0
            for part in range(PARTS):
                pool[begun + l, part] = which[part, l]
                distance[begun + l, part] = near[part, l]
                if near[part, l] < near[best, l]:
                    best = part
            first[begun + l] = best


@part
def unlike(joints, pool, distance, likeness, tried):
    """The nearest start of a pose's pool that is unlike those tried, `tried` among them.

    Nearness finds the right end of the workspace, unlikeness the other branches of the arm.
    """
    chosen, least = 0, np.float32(np.inf)
    for part in range(PARTS):
        apart = ZERO
        for i in range(DOF):
            turned = np.float32(joints[pool[part], i] - joints[tried, i])
            # A whole turn is no other configuration.
            turned -= TURN * np.float32(np.int32(turned / TURN + np.float32(4.5)) - 4)
            apart = max(apart, abs(turned))
        likeness[part] = min(likeness[part], apart)
        if likeness[part] > UNLIKE and distance[part] < least:
            chosen, least = part, distance[part]
    if least == np.inf:
        for part in range(PARTS):
            if likeness[part] > likeness[chosen]:
                chosen = part
    return chosen


@part
def wrap(w, l):
    """A joint of lane `l` that turns all the way round and stands at a limit goes to the other."""
    for i in range(DOF):
        low, high = np.float32(LOW[i] - SHIFT[i]), np.float32(HIGH[i] - SHIFT[i])
        if HIGH[i] - LOW[i] > WHOLE_TURN:
            y = w[({r_joint} + i) * LANES + l]
            if y <= low or y >= high:
                turned = y + np.float32(2 * math.pi) * (ONE if y <= low else -ONE)
                w[({r_joint} + i) * LANES + l] = min(max(turned, low), high)


@part
def release(w, l):
    """Joints of lane `l` that stand at a limit leave it; whether there were any."""
    found = False
    for i in range(DOF):
        low, high = np.float32(LOW[i] - SHIFT[i]), np.float32(HIGH[i] - SHIFT[i])
        y = w[({r_joint} + i) * LANES + l]
        if y <= low or y >= high:
            far = min(RELEASED, np.float32(0.4) * (high - low))
            w[({r_joint} + i) * LANES + l] = y + (far if y <= low else -far)
            found = True
    w[{r_lag} * LANES + l] = ONE
    w[{r_caution} * LANES + l] = ONE
    w[{r_least} * LANES + l] = np.float32(1e30)
    return found


@part
def search(goals, pool, distance, first, joints, jitter, restarts, weight, clamp, iterations, y):
    """Joints of least error of every pose. A lane that has finished takes the next pose."""
    poses = pool.shape[0]
    w = np.zeros({r_count} * LANES, np.float32)
    least = np.full(poses, np.float32(np.inf))
    pose, tries = np.full(LANES, -1), np.zeros(LANES, np.int64)
    tried, likeness = np.zeros(LANES, np.int64), np.empty((LANES, PARTS), np.float32)
    age, again = np.zeros(LANES, np.int64), np.zeros(LANES, np.bool_)
    released = np.zeros(LANES, np.bool_)
    goal = np.empty(12)
    waiting, busy = 0, LANES
    finished = np.ones(LANES, np.bool_)
    while True:
        for l in range(LANES):
            if not finished[l]:
                continue
            if pose[l] < 0 or tries[l] >= restarts:
                # Poses that are missing are not looked for.
                while waiting < poses and not (
                    goals[waiting // LANES, {r_g_live} * LANES + waiting % LANES] > 0.0
                ):
                    waiting += 1
                if waiting == poses:
                    pose[l] = -1
                    finished[l] = False
                    busy -= 1
                    w[{r_live} * LANES + l] = ZERO
                    continue
                pose[l], tries[l] = waiting, 0
                waiting += 1
            p, k = pose[l], tries[l]
            for i in range(12):
                goal[i] = goals[p // LANES, i * LANES + p % LANES]
            if k == 0:
                likeness[l, :] = np.float32(np.inf)
                part = first[p]
            else:
                part = unlike(joints, pool[p], distance[p], likeness[l], tried[l])
            tried[l] = pool[p, part]
            begin(w, l, goal, joints[tried[l]], jitter[k % jitter.shape[0]])
            tries[l] += 1
            age[l], again[l], released[l], finished[l] = 0, False, False, False
        if busy == 0:
            break
        step(w, weight, clamp)
        for l in range(LANES):
            p = pose[l]
            if p < 0:
                continue
            wrap(w, l)
            age[l] += 1
            error, resting = w[{r_least} * LANES + l], w[{r_lag} * LANES + l] == ZERO
            if not resting and age[l] < iterations:
                continue
            found = error < CLOSE
            if resting and not found and not again[l] and error < NEARBY:
                # The error is of before the step, which may have been the last one needed.
                again[l] = True
                w[{r_lag} * LANES + l] = ONE
                continue
            if not found and not released[l] and error < WITHIN:
                # It may have come to rest at a limit beside its target: once, off the limit.
                released[l] = True
                if release(w, l):
                    age[l], again[l] = 0, False
                    continue
            if error < least[p]:
                least[p] = error
                # The last step of a lane that rests was short; of another it may have led astray.
                row = {r_joint} if resting else {r_best}
                for i in range(DOF):
                    y[p, i] = w[(row + i) * LANES + l]
            finished[l] = True
            if found:
                tries[l] = restarts


@njit(cache=True, nogil=True, error_model="numpy")
def cold(
    T,
    mount,
    first,
    count,
    restarts,
    jitter,
    weight,
    clamp,
    iterations,
    position_tolerance,
    rotation_tolerance,
    library,
    joints,
    q,
    position,
    rotation,
    converged,
):
    """Find single poses from `first` on; returns how many targets are no poses."""
    bad = 0.0
    w = np.zeros({r_count} * LANES, np.float32)
    w[{r_wait} * LANES : ({r_wait} + 1) * LANES] = np.float32(np.inf)
    for begun in range(first, first + count, BATCH * LANES):
        poses = min(BATCH * LANES, first + count - begun)
        groups = (poses + LANES - 1) // LANES
        goals = np.empty((1, groups, {r_g_count} * LANES))
        answers = np.empty((1, groups, {r_o_count} * LANES))
        pool, nearby = np.empty((poses, PARTS), np.int32), np.empty(poses, np.int32)
        distance = np.empty((poses, PARTS), np.float32)
        y = np.empty((groups * LANES, DOF), np.float32)
        for i in range(DOF):
            y[:, i] = 0.5 * (LOW[i] + HIGH[i]) - SHIFT[i]
        load(T, begun, poses, 0, 1, goals)
        for group in range(groups):
            bad += place(goals[0, group], mount)
        pooled(goals[0], library, pool, distance, nearby)
        search(
            goals[0], pool, distance, nearby, joints, jitter, restarts, weight, clamp, iterations, y
        )
        for group in range(groups):
            for i in range(DOF):
                for l in range(LANES):
                    w[({r_joint} + i) * LANES + l] = y[group * LANES + l, i]
            g, o = goals[0, group], answers[0, group]
            check(w, g, o, position_tolerance, rotation_tolerance, np.inf)
        store(answers, begun, poses, 0, 1, q, position, rotation, converged, converged[:, :0])
    return bad
'''
