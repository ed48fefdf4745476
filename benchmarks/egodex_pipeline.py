"""EgoDex at data-set scale: its action vectors, and its recordings mapped to a robot.

Recordings are made here, in EgoDex's format without video: a person whose hands move as in a
tabletop task, 30 Hz, all 68 joints and their confidences.
"""

# h5py types whatever it finds by name as a group, a dataset or a type.
# pyright: reportIndexIssue=false, reportArgumentType=false, reportAssignmentType=false, reportReturnType=false

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mivla.embodiments import X5, hand
from mivla.embodiments.layout import SIDES
from mivla.episodes import ArrayFrames, Camera, Episode
from mivla.geometry import se3, so3
from mivla.geometry.camera import Pinhole
from mivla.retarget import preset, retarget
from mivla.sources import egodex, plausible
from mivla.sources.egodex_skeleton import landmark_joints

LENGTHS = (98, 300, 10_000)
"""Steps: EgoDex's median recording, a long one, and one as long as an hour's worth is cut into."""
LOOP_STEPS = 1_000
"""The loop is a thousand times slower: it is given the first of the long recording's steps."""


def person(steps: int, rng: np.random.Generator) -> Episode:
    """A person before a table: two hands that reach, turn and pinch, a head that looks about."""
    t_s = np.arange(steps) / 30

    def waves(size: float, dim: int) -> np.ndarray:
        rate, phase = rng.uniform(0.05, 0.2, dim), rng.uniform(0, 2 * np.pi, dim)
        return size * np.sin(2 * np.pi * rate * t_s[:, None] + phase)

    points = []
    for side in SIDES:
        outwards = 1.0 if side == "left" else -1.0
        p = np.array([0.35, 0.18 * outwards, -0.38]) + waves(0.06, 3)
        forward = -1.0 if side == "right" else 1.0
        R_down = np.array([[forward, 0, 0], [0, 0, -outwards], [0, 1, 0]])
        T = se3.pose(so3.matrix_from_rotvec(waves(0.15, 3)) @ R_down, p)
        pinch = 0.055 + waves(0.04, 1)[:, 0]
        points.append(se3.transform(T[:, None], hand.template(pinch, side)))
    state = {
        "hand": hand.hand_part(*points),
        "landmarks": np.concatenate([p.reshape(steps, 63) for p in points], axis=-1),
    }
    looking = np.array([[0, -0.6, 0.8], [-1, 0, 0], [0, -0.8, -0.6]])
    T_base_cam = se3.pose(so3.matrix_from_rotvec(waves(0.1, 3)) @ looking, waves(0.02, 3))
    nothing = ArrayFrames(np.zeros((0, 1080, 1920, 3), np.uint8))
    camera = Camera(nothing, Pinhole(736.6339, 736.6339, 960.0, 540.0, 1920, 1080), T_base_cam)
    return Episode("human", "stack the blocks", t_s, state, state, {"head": camera})


def keys() -> list[str]:
    """What mivla reads of a recording."""
    joints = [name for side in SIDES for name in landmark_joints(side)]
    sure = [landmark_joints(side)[i] for side in SIDES for i in plausible.GRIP_LANDMARKS]
    return [
        "camera/intrinsic",
        "transforms/camera",
        *(f"transforms/{name}" for name in joints),
        *(f"confidences/{name}" for name in sure),
    ]


def merely_read(path: Path) -> list[np.ndarray]:
    """The same keys, as one reads them with h5py."""
    with h5py.File(path) as file:
        return [file[key][()] for key in keys()]


def both_labels(path: Path):
    """From a recording to the hand's own vector and the robot's joints and tool poses."""
    return retarget(egodex.read(path, with_video=False), X5, preset("default"))


def actions_in_a_loop(path: Path, steps: int) -> np.ndarray:
    """The 48 numbers, one step after another, as a converter writes it down at first."""
    tips = [f"{f}Tip" for f in ("Thumb", *(f"{n}Finger" for n in egodex_fingers()))]
    actions = []
    with h5py.File(path) as file:
        for t in range(steps):
            row: list[np.ndarray] = []
            for side in SIDES:
                T = file[f"transforms/{side}Hand"][t]
                row += [T[:3, 3], T[:3, 0], T[:3, 1]]
                for tip in tips:
                    row.append(file[f"transforms/{side}{tip}"][t][:3, 3])
            actions.append(np.concatenate(row))
    return np.array(actions)


def egodex_fingers() -> tuple[str, ...]:
    """Fingers as EgoDex names them; the thumb has no `Finger` in its name."""
    return ("Index", "Middle", "Ring", "Little")


def figures(rounds: int) -> dict:
    """`egodex_actions_vs_loop` and `pipeline_vs_read`, medians of interleaved CPU times."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for steps in LENGTHS:
            stem = Path(folder) / str(steps)
            egodex.write(person(steps, rng), stem, rng=rng, with_video=False)
            paths[steps] = stem.with_suffix(".hdf5")
        long = paths[LENGTHS[-1]]
        labels = {steps: both_labels(path) for steps, path in paths.items()}
        same = np.array_equal(
            egodex.hrdt_actions(long)[:LOOP_STEPS], actions_in_a_loop(long, LOOP_STEPS)
        )
        runs: dict[str, Callable[[], object]] = {
            "loop": lambda: actions_in_a_loop(long, LOOP_STEPS),
            "actions": lambda: egodex.hrdt_actions(long),
        }
        for steps, path in paths.items():
            runs[f"read {steps}"] = lambda path=path: merely_read(path)
            runs[f"pipeline {steps}"] = lambda path=path: both_labels(path)
        seconds = medians(runs, rounds)
    ratios = {steps: seconds[f"read {steps}"] / seconds[f"pipeline {steps}"] for steps in LENGTHS}
    per_step = {"loop": seconds["loop"] / LOOP_STEPS, "actions": seconds["actions"] / LENGTHS[-1]}
    return {
        "egodex_actions_vs_loop": per_step["loop"] / per_step["actions"] if same else 0.0,
        "pipeline_vs_read": min(ratios.values()),
        "egodex": {
            "bit_identical": same,
            "actions_frames_per_s": 1 / per_step["actions"],
            "loop_frames_per_s": 1 / per_step["loop"],
            "pipeline_vs_read": {str(steps): ratio for steps, ratio in ratios.items()},
            "pipeline_frames_per_s": {str(n): n / seconds[f"pipeline {n}"] for n in LENGTHS},
            "valid": {str(n): float((lab.reason == 0).mean()) for n, lab in labels.items()},
        },
    }


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median process CPU seconds of each, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}
