"""What looks wrong in a dataset, and why one might think so. A suspicion is no verdict."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mivla.embodiments import embodiment
from mivla.episodes import schema
from mivla.episodes.reader import Dataset

STILL = 1e-6
"""Two successive commands that differ by less, in every dimension, are the same command."""
MANY_STILL = 0.3
"""Share of repeated commands from which they are worth a word."""
LOOKED_AT = 4
"""Episodes whose pictures are decoded, evenly spaced."""
PICTURES = 6
"""Pictures of each camera and episode that are compared."""


@dataclass(frozen=True)
class Suspicion:
    """Something that looks wrong."""

    what: str
    evidence: str


def suspicions(dataset: Dataset) -> Iterator[Suspicion]:
    """Everything that looks wrong in a dataset, the cheap checks first."""
    yield from _strays(dataset)
    yield from _time(dataset)
    for name in (schema.STATE, schema.ACTION):
        if name in dataset.column_names and dataset.column(name).ndim == 2:
            yield from _values(dataset, name)
    yield from _repeats(dataset)
    yield from _pictures(dataset)


def known_values(dataset: Dataset, name: str) -> tuple[Float[np.ndarray, "t d"], tuple[str, ...]]:
    """`action` or `observation.state` of all episodes, NaN where it is missing, and its names."""
    values = dataset.column(name).astype(np.float64)
    spec = dataset.features[name].get("names")
    names = spec if isinstance(spec, list) else [str(i) for i in range(values.shape[1])]
    return np.where(known(dataset, name), values, np.nan), tuple(names)


def known(dataset: Dataset, name: str) -> Bool[np.ndarray, "t d"]:
    """Where `action` or `observation.state` is not merely held."""
    if dataset.body is not None:
        kind = "state" if name == schema.STATE else "action"
        body = embodiment(dataset.body)
        mask = f"{schema.motion_name(body.name, kind, body.own_part)}.valid"
        if mask in dataset.column_names:
            return dataset.column(mask)
    return np.ones(dataset.column(name).shape, dtype=bool)


def _strays(dataset: Dataset) -> Iterator[Suspicion]:
    """Data files that no episode names: LeRobot loads them all the same, and is then off."""
    named = set(dataset.data_files)
    strays = [p for p in sorted((dataset.root / "data").glob("*/*.parquet")) if p not in named]
    if strays:
        yield Suspicion(
            "data files that belong to no episode",
            f"{len(strays)}, such as {strays[0].relative_to(dataset.root)}; "
            f"LeRobot would load them",
        )


def _time(dataset: Dataset) -> Iterator[Suspicion]:
    clock_s = dataset.column("timestamp").astype(np.float64)
    if schema.CLOCK_OFFSET in dataset.column_names:
        clock_s = clock_s + dataset.column(schema.CLOCK_OFFSET)
    within = np.diff(dataset.column("episode_index")) == 0
    backwards = within & (np.diff(clock_s) <= 0)
    if backwards.any():
        yield Suspicion(
            "time does not go on",
            f"{backwards.sum()} steps are not later than the one before, the first at step "
            f"{int(backwards.argmax()) + 1} of the dataset",
        )
    short = dataset.lengths < dataset.fps
    if short.any():
        yield Suspicion(
            "very short episodes",
            f"{short.sum()} last less than a second, such as episode {int(short.argmax())} "
            f"with {dataset.lengths[short.argmax()]} steps",
        )


def _values(dataset: Dataset, name: str) -> Iterator[Suspicion]:
    values, names = known_values(dataset, name)
    if np.isinf(values).any():
        values = np.where(np.isinf(values), np.nan, values)
    unknown = np.isnan(values) & known(dataset, name)
    if unknown.any():
        yield Suspicion(
            f"{name} is not finite",
            f"{unknown.any(axis=1).sum()} steps hold NaN or infinity that no mask explains",
        )
    there = ~np.isnan(values).all(axis=0)
    largest = np.zeros(len(names))
    largest[there] = np.nanmax(np.abs(values[:, there]), axis=0)
    grippers = np.array([any(w in n.lower() for w in ("gripper", "opening")) for n in names])
    person = dataset.body is not None and embodiment(dataset.body).is_human
    if not person:
        turned = (largest > 2 * np.pi) & ~grippers
        if turned.any():
            yield Suspicion(
                f"{name} looks like degrees",
                f"{_some(names, turned)} reach {largest[turned].max():.1f}; radians stay below 6.3",
            )
        low = np.full(len(names), np.inf)
        low[there] = np.nanmin(values[:, there], axis=0)
        odd = grippers & there & ((low < -0.05) | (largest > 1.05))
        if odd.any():
            yield Suspicion(
                f"{name} has grippers that are not 0 (shut) to 1 (open)",
                f"{_some(names, odd)} go from {low[odd].min():.3g} to {largest[odd].max():.3g}",
            )
    spread = np.zeros(len(names))
    spread[there] = np.nanmax(values[:, there], axis=0) - np.nanmin(values[:, there], axis=0)
    constant = there & (spread < STILL)
    if constant.any() and len(values) > 1:
        yield Suspicion(f"{name} never changes in some dimensions", _some(names, constant))


def _repeats(dataset: Dataset) -> Iterator[Suspicion]:
    if not {schema.ACTION, schema.STATE} <= set(dataset.column_names):
        return
    action, _ = known_values(dataset, schema.ACTION)
    state, _ = known_values(dataset, schema.STATE)
    within = np.diff(dataset.column("episode_index")) == 0
    change = np.abs(np.diff(action, axis=0))
    comparable = within & ~np.isnan(change).all(axis=1)
    still = comparable & (np.where(np.isnan(change), 0, change) < STILL).all(axis=1)
    share = still.sum() / max(comparable.sum(), 1)
    if share > MANY_STILL:
        yield Suspicion(
            "many commands repeat the one before",
            f"{share:.0%} of the steps; a policy learns to stand still from them",
        )
    if action.shape == state.shape:
        both = ~np.isnan(action) & ~np.isnan(state)
        if both.any() and np.array_equal(action[both], state[both]):
            yield Suspicion(
                "action is the state of the same step",
                "all of it; it should be what is commanded, or the next state",
            )


def _pictures(dataset: Dataset) -> Iterator[Suspicion]:
    episodes = np.unique(np.linspace(0, len(dataset) - 1, LOOKED_AT).astype(int))
    for camera in dataset.cameras:
        frozen, black = [], []
        for index in episodes:
            frames = dataset.frames(int(index), camera)
            steps = np.unique(np.linspace(0, len(frames) - 1, PICTURES).astype(int))
            seen = np.stack([frames[int(step)] for step in steps]).astype(np.int16)
            if len(seen) > 1 and np.abs(np.diff(seen, axis=0)).max() == 0:
                frozen.append(int(index))
            if seen.max() < 16:
                black.append(int(index))
        for what, which in (("frozen", frozen), ("black", black)):
            if which:
                yield Suspicion(
                    f"camera {camera} is {what}",
                    f"in {len(which)} of the {len(episodes)} episodes looked at, "
                    f"such as episode {which[0]}",
                )


def _some(names: tuple[str, ...], chosen: Bool[np.ndarray, " d"]) -> str:
    picked = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
    rest = f" and {len(picked) - 4} more" if len(picked) > 4 else ""
    return ", ".join(picked[:4]) + rest
