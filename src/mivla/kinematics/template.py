"""The frame of a generated program: memory, loops and branches around the traced formulas."""

PROGRAM = '''\
"""Inverse kinematics of {name}. Generated; do not edit."""

import math

import numpy as np
from numba import njit

DOF = {dof}
LANES = {lanes}
TRIES = {tries}
STATE = {r_state}
"""Numbers that a lane takes from one call to the next."""
WAIT = {r_wait}
"""Which of them is the number of lost steps after which it looks for another configuration."""
TILE = 8
"""Steps of targets that are turned into rows, and of answers turned back, at once."""
BATCH = 64
"""Groups of single poses that share a queue."""
SHIFT = {shift}
LOW = {low}
HIGH = {high}
ZERO = np.float32(0)
ONE = np.float32(1)
BACKOFF = np.float32(64)
"""A lost lane tries again after at most as many steps."""
CLOSE = np.float32(1e-7)
"""Squared error from which a single pose is as good as found."""
{constants}


@njit(cache=True, nogil=True, fastmath={{"contract", "reassoc", "nsz"}}, error_model="numpy")
def place(g, mount):
    m00, m01, m02, m03 = mount[0, 0], mount[0, 1], mount[0, 2], mount[0, 3]
    m10, m11, m12, m13 = mount[1, 0], mount[1, 1], mount[1, 2], mount[1, 3]
    m20, m21, m22, m23 = mount[2, 0], mount[2, 1], mount[2, 2], mount[2, 3]
    bad = 0.0
    for l in range(LANES):
        {place}
    return bad


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def ready(w, g):
    for l in range(LANES):
        {ready}


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def step(w, weight, clamp):
    for l in range(LANES):
        {step}


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def lagging(w):
    total = ZERO
    for l in range(LANES):
        total += w[{r_lag} * LANES + l]
    return total > ZERO


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def settle(w):
    for l in range(LANES):
        {settle}


@njit(
    cache=True, nogil=True, fastmath={{"contract", "reassoc", "nsz", "arcp"}}, error_model="numpy"
)
def check(w, g, o, position_tolerance, rotation_tolerance, patience):
    overdue = 0.0
    for l in range(LANES):
        {check}
    return overdue > 0.0


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def nearest(w, library, near, which):
    each = library.shape[0] // TRIES
    for part in range(TRIES):
        k = part * LANES
        near[k : k + LANES] = np.float32(1e30)
        for j in range(part * each, part * each + each):
            a0, a1, a2, a3 = library[j, 0], library[j, 1], library[j, 2], library[j, 3]
            a4, a5, a6, a7 = library[j, 4], library[j, 5], library[j, 6], library[j, 7]
            a8, a9, a10, a11 = library[j, 8], library[j, 9], library[j, 10], library[j, 11]
            a12 = library[j, 12]
            for l in range(LANES):
                {nearest}


@njit(cache=True, nogil=True, error_model="numpy")
def iterate(w, weight, clamp, iterations):
    for _ in range(iterations):
        step(w, weight, clamp)
        if not lagging(w):
            break


@njit(cache=True, nogil=True, error_model="numpy")
def load(T, first, count, t, steps, goals):
    for group in range(goals.shape[1]):
        for l in range(LANES):
            lane = first + min(group * LANES + l, count - 1)
            for k in range(steps):
                for r in range(3):
                    for c in range(4):
                        goals[k, group, (4 * r + c) * LANES + l] = T[lane, t + k, r, c]


@njit(cache=True, nogil=True, error_model="numpy")
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
            jumped[lane, t + k] = o[{r_o_jumped} * LANES + l] > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def elsewhere(w, g, o, weight, clamp, position_tolerance, rotation_tolerance, library, joints):
    """Lanes that are due go to the nearest configuration that reaches their target, if any."""
    near, which = np.empty(TRIES * LANES, np.float32), np.empty(TRIES * LANES, np.int32)
    nearest(w, library, near, which)
    trial, trial_g = np.empty({r_count} * LANES, np.float32), np.empty({r_g_count} * LANES)
    trial_o = np.empty({r_o_count} * LANES)
    for l in range(LANES):
        if o[{r_o_due} * LANES + l] == 0.0:
            continue
        w[{r_wait} * LANES + l] += min(w[{r_wait} * LANES + l], BACKOFF)
        trial[:] = ZERO
        for k in range({r_g_count}):
            trial_g[k * LANES : (k + 1) * LANES] = g[k * LANES + l]
        for k in range(TRIES):
            for i in range(DOF):
                trial[({r_joint} + i) * LANES + k] = joints[which[k * LANES + l], i]
        ready(trial, trial_g)
        iterate(trial, weight, clamp, 40)
        settle(trial)
        check(trial, trial_g, trial_o, position_tolerance, rotation_tolerance, np.inf)
        chosen, shortest = -1, np.float32(np.inf)
        for k in range(TRIES):
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
'''
