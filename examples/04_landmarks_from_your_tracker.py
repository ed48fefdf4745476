"""Hands of your own tracker become the joints of a robot.

    python examples/04_landmarks_from_your_tracker.py [FOLDER]

Any tracker will do: say once, in a landmark file, how its points are numbered and which way is up.
Here it is a headset that speaks OpenXR: 26 points a hand, a world whose y points up, a head that
looks along its own -z. The file is checked when it is read, and refused if it cannot be right.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from mivla import MivlaError
from mivla.embodiments import PIPER
from mivla.embodiments.conventions import landmarks_to
from mivla.embodiments.hand import template
from mivla.geometry import se3, so3
from mivla.retarget import preset, retarget, summary
from mivla.sources import format_of, landmarks
from mivla.sources.landmarks import HandFile

STEPS, RATE_HZ = 45, 30.0


def what_your_tracker_gives() -> tuple[np.ndarray, np.ndarray]:
    """Right hand (t 26 3) and head pose (t 4 4), as OpenXR has them; made up here.

    The head looks 30 degrees down. The hand reaches out to the left by 10 cm and closes.
    """
    T_world_head = se3.pose(
        so3.matrix_from_rotvec(np.radians([-30.0, 0.0, 0.0])), np.array([0.2, 1.5, 0.1])
    )
    time = np.linspace(0, 1, STEPS)
    # In OpenXR's world x is right, y up, and -z ahead: fingers ahead, back of the hand up. The
    # template has its fingers along -x and its back along y.
    R_world_wrist = so3.matrix_from_rotvec(np.array([0.0, -np.pi / 2, 0.0]))
    p_world_wrist = np.array([0.35, 1.15, -0.15]) - time[:, None] * [0.10, 0.0, 0.0]
    hand = se3.transform(
        se3.pose(R_world_wrist, p_world_wrist)[:, None], template(0.08 - 0.06 * time, "right")
    )
    # A real headset also gives palm and metacarpals, which nothing here needs.
    return landmarks_to(hand, "openxr", "right"), np.repeat(T_world_head[None], STEPS, axis=0)


def main(folder: Path) -> None:
    """Write a landmark file, read it, and map it; then see what a wrong one says."""
    right, T_world_head = what_your_tracker_gives()
    file = HandFile(
        points={"right": right},  # metres; the left hand was not tracked
        times_s=np.arange(STEPS) / RATE_HZ,
        convention="openxr",
        up=np.array([0.0, 1.0, 0.0]),
        # Cameras here have OpenCV's axes: x right, y down, z ahead.
        T_world_cam=T_world_head @ np.diag([1.0, -1.0, -1.0, 1.0]),
        instruction="reach for the cup and close the hand",
        quality="device",
    )
    path = folder / "reach.npz"
    landmarks.save(path, file)

    print("read by the source:", format_of(path))
    hand = landmarks.read(path)
    print(f"{len(hand)} steps at {hand.rate_hz:g} Hz: {hand.instruction}")
    wrist = hand.state["hand"][:, 24:27]  # of the right hand: ahead, left and up of the head
    print("wrist at the start, m:", wrist[0].round(3))
    print("wrist at the end, m:  ", wrist[-1].round(3))

    labels = retarget(hand, PIPER, preset("default"))
    print({reason.name: count for reason, count in summary(labels).items() if count})
    opening = labels.state["joints"][:, -1]
    print(f"gripper from {opening[0]:.2f} to {opening[-1]:.2f}")

    # Four files that are wrong in ways that happen.
    for wrong, what in (
        (replace(file, points={"left": right}), "the other side"),
        (replace(file, points={"right": 1000 * right}), "millimetres"),
        (replace(file, up=np.array([0.0, 0.0, 1.0])), "z up"),
        (replace(file, T_world_cam=T_world_head), "axes of OpenGL"),
    ):
        landmarks.save(path, wrong)
        try:
            landmarks.read(path)
        except MivlaError as error:
            print(f"{what}: {error}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
