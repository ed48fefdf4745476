"""Inverse kinematics beside mink with daqp and beside EAIK, on smooth 30 Hz tracks.

Every solver follows the same tracks from their true first joints, on one thread, and stops at 1 mm
and half a degree. What is timed:

- ours: `solve` with limits on, from targets "lane t 4 4" to joints, errors and flags;
- mink: per frame, setting the target and iterating daqp's QP with `ConfigurationLimit` until the
  error is below the stop, on the arm without its fingers;
- EAIK: `IK_batched` on one thread, poses prepared beforehand: all branches, without limits.
  Choosing the branch nearest to the step before is not timed (it is, in `eaik_with_choice`).

Rounds are interleaved, so that a busy machine slows all alike; rates are medians of process CPU
time. Residuals are MuJoCo's, after the solve. Tracks: joints swing 0.4 rad about home at 0.1 to
0.4 Hz and are clipped to the limits; in `tracks_at_limits` the last joint swings about a limit, and
so does the elbow of an arm of seven joints, which can spare the last.
"""

# MuJoCo's and pinocchio's bindings come without types.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false

import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from mivla.embodiments import ALOHA2, PANDA, PIPER, UR5E, X5, Arm
from mivla.embodiments.robots import ROBOTS
from mivla.geometry import se3
from mivla.kinematics import chain, forward, limits, solve, solve_cold

LANES = (1, 16, 256)
STEPS = 300
PEER_LANES = 4
"""Lanes that the slow peers follow: the first of the same tracks."""
POSITION_M, ROTATION_RAD = 1e-3, float(np.deg2rad(0.5))
COLD_POSES = 16_384
FK_POSES = 1_000
ARMS = {"x5": X5, "piper": PIPER, "ur5e": UR5E, "viperx": ALOHA2, "panda": PANDA}
CLOSED_FORM = ("ur5e", "viperx")
"""Arms that EAIK decomposes."""


@dataclass
class Answer:
    """One run of one solver."""

    seconds: float
    q: np.ndarray
    """Joints, "lane t dof"."""


def tracks(arm: Arm, lanes: int, centre: np.ndarray, swing_rad: float, seed: int = 0) -> np.ndarray:
    """Joints that swing about `centre`, within the limits: "lane t dof"."""
    rng = np.random.default_rng(seed)
    low, high = limits(chain(arm))
    t_s = np.arange(STEPS)[:, None] / 30
    rate, phase = (rng.uniform(*span, (lanes, 1, arm.dof)) for span in ((0.1, 0.4), (0.0, 1.0)))
    return np.clip(centre + swing_rad * np.sin(2 * np.pi * (rate * t_s + phase)), low, high)


def tracks_at_home(arm: Arm, lanes: int) -> np.ndarray:
    """Joints that swing about home."""
    return tracks(arm, lanes, np.array(arm.home), 0.4)


def tracks_at_limits(arm: Arm, lanes: int) -> np.ndarray:
    """The same with the last joint about its upper limit in even lanes, its lower one in odd."""
    low, high = limits(chain(arm))
    centre = np.tile(np.array(arm.home, dtype=float), (lanes, 1, 1))
    centre[::2, :, -1], centre[1::2, :, -1] = high[-1], low[-1]
    if arm.dof > 6:
        centre[:, :, 3] = low[3] + 0.35
    return tracks(arm, lanes, centre, 0.4)


def ours(arm: Arm, q: np.ndarray, **options: Any) -> Callable[[], Answer]:
    """`solve` on all lanes."""
    c, T = chain(arm), forward(chain(arm), q)

    def run() -> Answer:
        start = time.process_time()
        found = solve(c, T, q[:, 0], threads=1, **options)
        return Answer(time.process_time() - start, found.q)

    return run


def bare(arm: Arm) -> mujoco.MjModel:
    """The arm's model without what its kinematics do not need: fingers and their drives."""
    spec = mujoco.MjSpec.from_string(arm.xml)
    for part in (*spec.actuators, *spec.equalities, *spec.tendons, *spec.sensors, *spec.excludes):
        spec.delete(part)
    for joint in list(spec.joints):
        if joint.name not in arm.joints:
            spec.delete(joint)
    return spec.compile()


def mink_daqp(arm: Arm, q: np.ndarray) -> Callable[[], Answer]:
    """mink's QP with daqp and joint limits, lane after lane."""
    import mink

    model = bare(arm)
    goals = se3.inverse(chain(arm).T_base_mount) @ forward(chain(arm), q)
    task = mink.FrameTask(arm.tcp, "site", position_cost=1.0, orientation_cost=0.15)
    bounds = [mink.ConfigurationLimit(model)]

    def run() -> Answer:
        configuration = mink.Configuration(model)
        found = np.empty(q.shape)
        start = time.process_time()
        for lane, goals_of_lane in enumerate(goals):
            configuration.update(q[lane, 0])
            for t, goal in enumerate(goals_of_lane):
                task.set_target(mink.SE3.from_matrix(goal))
                for _ in range(10):
                    velocity = mink.solve_ik(
                        configuration, [task], 1.0, "daqp", 1e-6, limits=bounds
                    )
                    configuration.integrate_inplace(velocity, 1.0)
                    error = task.compute_error(configuration)
                    if (
                        np.linalg.norm(error[:3]) <= POSITION_M
                        and np.linalg.norm(error[3:]) <= ROTATION_RAD
                    ):
                        break
                found[lane, t] = configuration.q
        return Answer(time.process_time() - start, found)

    return run


def eaik_batched(arm: Arm, q: np.ndarray, choose: bool) -> Callable[[], Answer]:
    """EAIK's closed form of all branches; with `choose`, picking them is timed too."""
    from eaik.IK_HP import HPRobot

    c = chain(arm)
    T, axes, points = np.eye(4), [], []
    for i in range(c.dof):
        T = T @ c.T_fixed[i]
        axes.append(T[:3, :3] @ c.axes[i])
        points.append(T[:3, 3])
    T = T @ c.T_fixed[-1]
    offsets = np.diff([np.zeros(3), *points, T[:3, 3]], axis=0)
    robot = HPRobot(np.array(axes), offsets)
    # Its tool has no rotation of its own at zero joints.
    goals = se3.inverse(c.T_base_mount) @ forward(c, q)
    goals[..., :3, :3] = goals[..., :3, :3] @ T[:3, :3].T
    poses = [list(np.ascontiguousarray(lane)) for lane in goals]

    def nearest(branches: list, start: np.ndarray) -> np.ndarray:
        before, chosen = start, np.empty((len(branches), c.dof))
        for t, branch in enumerate(branches):
            # A whole turn is no other branch.
            turned = before + (branch.Q - before + np.pi) % (2 * np.pi) - np.pi
            before = turned[np.abs(turned - before).max(axis=1).argmin()]
            chosen[t] = before
        return chosen

    def run() -> Answer:
        start = time.process_time()
        branches = [robot.IK_batched(lane, 1) for lane in poses]
        seconds = time.process_time() - start
        found = np.stack([nearest(b, lane[0]) for b, lane in zip(branches, q, strict=True)])
        return Answer(time.process_time() - start if choose else seconds, found)

    return run


def residuals(arm: Arm, q: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres and radians between the tool at joints `q` and at joints `wanted`, by MuJoCo."""
    reached, goal = tool_by_mujoco(arm, q), tool_by_mujoco(arm, wanted)
    apart = np.linalg.norm(reached[..., :3, 3] - goal[..., :3, 3], axis=-1)
    # |R − R'| is 2√2 times the sine of half the angle.
    chord = np.linalg.norm(reached[..., :3, :3] - goal[..., :3, :3], axis=(-2, -1))
    return apart, 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1.0))


def tool_by_mujoco(arm: Arm, q: np.ndarray) -> np.ndarray:
    """Pose of the tool in the mount, "*b 4 4"."""
    model = bare(arm)
    data = mujoco.MjData(model)
    T = np.tile(np.eye(4), (*q.shape[:-1], 1, 1))
    site = data.site(arm.tcp)
    for joints, pose in zip(q.reshape(-1, arm.dof), T.reshape(-1, 4, 4), strict=True):
        data.qpos[:] = joints
        mujoco.mj_kinematics(model, data)
        pose[:3, 3], pose[:3, :3] = site.xpos, site.xmat.reshape(3, 3)
    return T


def tool_by_pinocchio(arm: Arm, q: np.ndarray) -> np.ndarray:
    """Pose of the tool in the mount, "n 4 4"."""
    import pinocchio

    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(arm.xml)
        file.flush()
        model = pinocchio.buildModelFromMJCF(file.name)
    data, full = model.createData(), pinocchio.neutral(model)
    at = [model.joints[model.getJointId(name)].idx_q for name in arm.joints]
    T = np.empty((len(q), 4, 4))
    for pose, joints in zip(T, q, strict=True):
        full[at] = joints
        pinocchio.framesForwardKinematics(model, data, full)
        pose[:] = data.oMf[model.getFrameId(arm.tcp)].homogeneous
    return T


def at_limit(arm: Arm, q: np.ndarray) -> float:
    """Share of the frames with a joint at a limit."""
    low, high = limits(chain(arm))
    return float(((q <= low + 1e-6) | (q >= high - 1e-6)).any(axis=-1).mean())


def distinct_arms() -> dict[str, Arm]:
    """An arm of every model that is shipped."""
    return {arm.model.removesuffix(".xml"): arm for body in ROBOTS for arm in body.arms}


def figures_speed(rounds: int) -> dict:
    """`ik_vs_mink` and `ik_vs_eaik`: the worst arm's ratio, where the peer is installed."""
    peers = [name for name in ("mink", "eaik") if importlib.util.find_spec(name)]
    runs: dict[tuple[str, str], Callable[[], Answer]] = {}
    wanted: dict[tuple[str, str], np.ndarray] = {}
    for name, body in ARMS.items():
        arm = body.arms[0]
        at_limits, at_home = tracks_at_limits(arm, max(LANES)), tracks_at_home(arm, max(LANES))
        for lanes in LANES:
            wanted[name, f"{lanes} lanes"] = at_limits[:lanes]
            runs[name, f"{lanes} lanes"] = ours(arm, at_limits[:lanes])
        if "mink" in peers:
            wanted[name, "mink+daqp"] = at_limits[:PEER_LANES]
            runs[name, "mink+daqp"] = mink_daqp(arm, at_limits[:PEER_LANES])
        if name in CLOSED_FORM:
            wanted[name, "256 lanes, home"] = at_home
            runs[name, "256 lanes, home"] = ours(arm, at_home)
            if "eaik" in peers:
                for label, choose in (("eaik", False), ("eaik_with_choice", True)):
                    wanted[name, label] = at_home[:PEER_LANES]
                    runs[name, label] = eaik_batched(arm, at_home[:PEER_LANES], choose)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    last: dict[tuple[str, str], Answer] = {}
    for run in runs.values():
        run()  # compiles, and warms what can be warmed
    for _ in range(rounds):
        for key, run in runs.items():
            last[key] = run()
            seconds[key].append(last[key].seconds)

    rows: dict[str, dict[str, dict]] = {name: {} for name in ARMS}
    for (name, label), answer in last.items():
        arm = ARMS[name].arms[0]
        position, rotation = residuals(arm, answer.q, wanted[name, label])
        rows[name][label] = {
            "frames_per_s": position.size / float(np.median(seconds[name, label])),
            "position_p50_p99_max_m": np.percentile(position, [50, 99, 100]).tolist(),
            "rotation_p50_p99_max_rad": np.percentile(rotation, [50, 99, 100]).tolist(),
            "failures": int(((position > POSITION_M) | (rotation > ROTATION_RAD)).sum()),
            "frames": position.size,
            "at_limit": at_limit(arm, answer.q),
        }
    ratios = {}
    for figure, mine, theirs, names in (
        ("ik_vs_mink", "256 lanes", "mink+daqp", tuple(ARMS)),
        ("ik_vs_eaik", "256 lanes, home", "eaik", CLOSED_FORM),
    ):
        per_arm = {
            name: rows[name][mine]["frames_per_s"] / rows[name][theirs]["frames_per_s"]
            for name in names
            if theirs in rows[name]
        }
        ratios[figure] = min(per_arm.values()) if per_arm else None
        ratios[f"{figure}_per_arm"] = per_arm
    return {**ratios, "solvers": rows, "peers": peers}


def figures_failures() -> dict:
    """`smooth_failures` on reachable smooth tracks; `unflagged_jumps` on harsh ones too."""
    failures, unflagged, flagged = {}, {}, {}
    for name, arm in distinct_arms().items():
        c, (low, high) = chain(arm), limits(chain(arm))
        rng = np.random.default_rng(1)
        smooth = [tracks_at_home(arm, max(LANES)), tracks_at_limits(arm, max(LANES))]
        anywhere = tracks(arm, 64, rng.uniform(low, high, (64, 1, arm.dof)), 0.8, seed=2)
        failures[name] = unflagged[name] = flagged[name] = 0
        for q in (*smooth, anywhere):
            T = forward(c, q)
            harsh = q is anywhere
            if harsh:
                # Out of the workspace and back, twice.
                T[:, :, 0, 3] += 0.5 * np.maximum(np.sin(np.linspace(0, 4 * np.pi, STEPS)), 0)
            for restart_after in (0, 5):
                found = solve(c, T, q[:, 0], restart_after=restart_after)
                leaps = np.abs(np.diff(found.q, axis=1)).max(axis=-1) > 0.5
                unflagged[name] += int((leaps & ~found.jumped[:, 1:]).sum())
                flagged[name] += int(leaps.sum())
                if not harsh and restart_after == 0:
                    position, rotation = residuals(arm, found.q[:16], q[:16])
                    missed = (position > POSITION_M) | (rotation > ROTATION_RAD)
                    failures[name] += int((~found.converged).sum() + missed.sum())
    return {
        "smooth_failures": sum(failures.values()),
        "unflagged_jumps": sum(unflagged.values()),
        "smooth_failures_per_arm": failures,
        "jumps_flagged_on_harsh_tracks": flagged,
    }


def figures_cold() -> dict:
    """`cold_start_rate` of the worst arm: poses of uniformly random joints, at most 8 starts."""
    rates, speeds = {}, {}
    for name, arm in distinct_arms().items():
        c, rng = chain(arm), np.random.default_rng(11)
        low, high = limits(c)
        q = rng.uniform(low, high, (COLD_POSES, arm.dof))
        T = forward(c, q)
        solve_cold(c, T[:1], rng, threads=1)
        start = time.process_time()
        found = solve_cold(c, T, rng, threads=1)
        speeds[name] = COLD_POSES / (time.process_time() - start)
        position, rotation = residuals(arm, found.q, q)
        rates[name] = float(((position <= POSITION_M) & (rotation <= ROTATION_RAD)).mean())
    return {
        "cold_start_rate": min(rates.values()),
        "cold_start_rate_per_arm": rates,
        "cold_start_poses_per_s": speeds,
    }


def figures_forward() -> dict:
    """`fk_error_m`: ours in float64 against MuJoCo and pinocchio on the same model, the worst."""
    errors: dict[str, dict[str, float]] = {}
    with_pinocchio = importlib.util.find_spec("pinocchio") is not None
    for name, arm in distinct_arms().items():
        c, rng = chain(arm), np.random.default_rng(3)
        q = rng.uniform(*limits(c), (FK_POSES, arm.dof))
        T_mount_tool = se3.inverse(c.T_base_mount) @ forward(c, q)
        peers = {"mujoco": tool_by_mujoco(arm, q)}
        if with_pinocchio:
            peers["pinocchio"] = tool_by_pinocchio(arm, q)
        # Metres for positions; entries of a rotation are lengths at one metre.
        errors[name] = {peer: float(np.abs(T - T_mount_tool).max()) for peer, T in peers.items()}
    worst = max(value for of_arm in errors.values() for value in of_arm.values())
    return {"fk_error_m": worst, "fk_error_m_per_arm": errors}


def figures(rounds: int) -> dict:
    """All of it, as one dictionary."""
    return {**figures_speed(rounds), **figures_failures(), **figures_cold(), **figures_forward()}


def report(values: dict) -> None:
    """Print what `figures` returned as tables."""
    print(
        f"{'':8}{'':18} {'frames/s/core':>14} {'p50 m':>8} {'p99 m':>8} {'max m':>8} "
        f"{'max deg':>8} {'at limit':>8} {'failures':>12}"
    )
    for name, rows in values["solvers"].items():
        for label, row in rows.items():
            p50, p99, top = row["position_p50_p99_max_m"]
            angle = np.rad2deg(row["rotation_p50_p99_max_rad"][2])
            print(
                f"{name:8}{label:18} {row['frames_per_s']:14,.0f} {p50:8.0e} {p99:8.0e} {top:8.0e} "
                f"{angle:8.0e} {row['at_limit']:8.1%} {row['failures']:5d}/{row['frames']}"
            )
    for figure in ("ik_vs_mink", "ik_vs_eaik"):
        each = ", ".join(f"{k} {v:,.0f}" for k, v in values[f"{figure}_per_arm"].items())
        print(f"{figure}: {each or 'the peer is not installed (the extra `bench`)'}")
    print(
        f"smooth tracks: {values['smooth_failures']} failures; jumps without a flag: "
        f"{values['unflagged_jumps']} (flagged on harsh tracks: "
        f"{sum(values['jumps_flagged_on_harsh_tracks'].values())})"
    )
    for name, rate in values["cold_start_rate_per_arm"].items():
        speed = values["cold_start_poses_per_s"][name]
        errors = values["fk_error_m_per_arm"][name]
        each = ", ".join(f"{peer} {error:.0e} m" for peer, error in errors.items())
        print(f"{name:18} cold {rate:8.3%} at {speed:9,.0f} poses/s; forward against {each}")


def main() -> None:
    """Print the figures."""
    report(figures(rounds=9))


if __name__ == "__main__":
    main()
