"""A demonstration is recorded in simulation, kept as a LeRobot dataset, labelled and read again.

    python examples/02_record_and_store.py [FOLDER]

The folder stays if you name one; then look at it with `mivla inspect FOLDER`.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from mivla.embodiments import HUMAN
from mivla.episodes.store import Dataset, DatasetWriter, relabel
from mivla.retarget import preset, retarget
from mivla.simulation import record

TASK, BODY, SIZE = "click_bell", "x5", 32


def main(root: Path) -> None:
    """Record, store, label, read."""
    # A scripted expert does the task; the seed decides where the props lie and how it trembles.
    demonstration = record(TASK, BODY, seed=0, image_size=SIZE)
    print(f"{len(demonstration)} steps, success: {demonstration.success}")

    # A dataset is of one body, one rate and one set of cameras. `origin` says where an episode
    # came from, so the same lines go on where they were stopped.
    cameras = {name: (SIZE, SIZE) for name in demonstration.cameras}
    with DatasetWriter(
        root, body=BODY, fps=round(demonstration.rate_hz), cameras=cameras
    ) as writer:
        if demonstration.origin not in writer:
            writer.add(demonstration)

    # What a person would have done. The labels are new columns; no video is written again.
    dataset = Dataset.open(root)
    relabel(root, HUMAN.name, partial(retarget, to=HUMAN, rules=preset("default")))

    dataset = Dataset.open(root)
    episode = dataset[0]
    print(f"{root.name}: {len(dataset)} episode of {episode.body} at {dataset.fps} Hz")
    print(f"instruction: {episode.instruction}")
    print(f"cameras: {', '.join(episode.cameras)}")
    for name, values in episode.state.items():
        print(f"state {name:6} {values.shape}, {np.isfinite(values).mean():.0%} known")
    for name, values in episode.labels["human"].state.items():
        print(f"label {name:9} {values.shape}, {np.isfinite(values).mean():.0%} known")

    # Pictures are decoded when they are asked for, one after another.
    first = next(iter(episode.cameras["head"].frames))
    print(f"first picture: {first.shape} {first.dtype}, mean {first.mean():.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / BODY)
