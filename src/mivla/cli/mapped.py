"""What `mivla retarget` says of a dataset that has been mapped."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mivla.embodiments import Embodiment
    from mivla.episodes.store import Dataset
    from mivla.retarget import Rules

_MUCH = 0.8
"""Of the steps with a hand; where more are kept, nothing else is suggested."""
_TRIED_EPISODES = 10


@dataclass(frozen=True)
class Mapped:
    """Episodes of a dataset that have labels of the same rules."""

    name: str
    """What the rules are called."""
    rules: "Rules"
    episodes: list[int]


def print_summary(root: Path, target: "Embodiment", groups: list[Mapped]) -> None:
    """How many steps of the episodes that were asked for are valid, and why the others are not."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from mivla.embodiments.layout import SIDES
    from mivla.episodes.store import Dataset
    from mivla.retarget import Reason

    dataset = Dataset.open(root)
    count = sum(len(group.episodes) for group in groups)
    labelled = _reasons(dataset, target, range(count))
    rules = groups[0].name
    if len(groups) > 1:
        rules = ", ".join(f"{group.name} ({_episodes(len(group.episodes))})" for group in groups)
    table = Table(title=f"{_episodes(count)} mapped to {target.title}, rules: {rules}")
    table.add_column("steps")
    for side in SIDES:
        table.add_column(side, justify="right")
    for one in Reason:
        counts = np.sum(labelled == one, axis=0)
        if one == Reason.VALID or counts.any():
            table.add_row(one.name.lower().replace("_", " "), *_shares(counts, len(labelled)))
        if one == Reason.VALID and (bridged := _bridged(dataset, target, count)).any():
            table.add_row("  of these bridged", *_shares(bridged, len(labelled)))
    table.add_row("all", *[f"{len(labelled):,}"] * 2)
    Console().print(table)
    print(f"{root}")


def _episodes(count: int) -> str:
    return f"{count} episode{'' if count == 1 else 's'}"


def _reasons(dataset: "Dataset", target: "Embodiment", episodes: Collection[int]) -> "np.ndarray":
    """Why the steps of those episodes are valid or not, both sides (t 2)."""
    import numpy as np

    reason = dataset.column(f"observation.mivla.{target.name}.reason")
    asked_for = np.zeros(len(dataset), dtype=bool)
    asked_for[list(episodes)] = True
    return reason[np.repeat(asked_for, dataset.lengths)]


def _shares(counts: "np.ndarray", steps: int) -> list[str]:
    return [f"{n:,} ({n / max(steps, 1):.1%})" for n in counts]


def _bridged(dataset: "Dataset", target: "Embodiment", count: int) -> "np.ndarray":
    """Valid steps of each side of the first episodes that were missing and are interpolated."""
    import numpy as np

    from mivla.embodiments.layout import SIDES
    from mivla.retarget import Reason

    valid = _reasons(dataset, target, range(count)) == Reason.VALID
    first = np.cumsum(dataset.lengths) - dataset.lengths
    counts = np.zeros(len(SIDES), dtype=int)
    for index in range(count):
        mapping = dataset.note(index)["labels"].get(target.name, {}).get("mapping", {})
        for column, side in enumerate(SIDES):
            registered = (mapping.get("registration") or {}).get(side) or {"filled": ()}
            for start, stop in registered["filled"]:
                counts[column] += valid[first[index] + start : first[index] + stop, column].sum()
    return counts


def suggest(root: Path, target: "Embodiment", group: Mapped) -> None:
    """Where much was lost, what other rules would keep of the first episodes."""
    import numpy as np

    from mivla.episodes.store import Dataset
    from mivla.retarget import PRESETS, Reason, retarget

    dataset, rules = Dataset.open(root), group.rules
    reason = _reasons(dataset, target, group.episodes)
    # What nobody saw, no rules bring back.
    seen = (reason == Reason.VALID) | (reason >= Reason.OUT_OF_REACH)
    if not seen.any() or np.mean(reason[seen] == Reason.VALID) > _MUCH:
        return
    first = [dataset[index] for index in group.episodes[:_TRIED_EPISODES]]

    def kept(other: "Rules") -> float:
        found = np.concatenate([retarget(episode, target, other).reason for episode in first])
        seen = (found == Reason.VALID) | (found >= Reason.OUT_OF_REACH)
        return float(np.mean(found[seen] == Reason.VALID)) if seen.any() else 0.0

    now = kept(rules)
    # A gripper that means something else, or nothing, is no price to keep more steps.
    others = {
        f"--rules {name}": other
        for name, other in PRESETS.items()
        if (other.gripper, other.d_shut, other.d_open)
        == (rules.gripper, rules.d_shut, rules.d_open)
    }
    if (reason == Reason.OUT_OF_REACH).any():
        others[f"--scale {0.5 * rules.scale:g}"] = replace(rules, scale=0.5 * rules.scale)
    better = {n: share for n, other in others.items() if (share := kept(other)) > now + 0.05}
    if better:
        what = ", ".join(f"{share:.0%} with {name}" for name, share in better.items())
        print(f"{now:.0%} of the steps with a hand are kept in {_episodes(len(first))}; {what}")


def doubt_grippers(root: Path, episodes: list[int]) -> None:
    """Say where grippers of the first episodes are no openings, which hands are made of."""
    import numpy as np

    from mivla.embodiments.layout import JOINTS, SIDES
    from mivla.episodes.store import Dataset
    from mivla.sources.lerobot import OPENING_SLACK

    dataset = Dataset.open(root)
    columns = [JOINTS[f"joints/{side}/opening"].start for side in SIDES]
    joints = [dataset[index].state["joints"] for index in episodes[:_TRIED_EPISODES]]
    opening = np.concatenate(joints)[:, columns]
    opening = opening[np.isfinite(opening)]
    beyond = (opening < -OPENING_SLACK) | (opening > 1 + OPENING_SLACK)
    if beyond.any():
        print(
            f"in {beyond.mean():.0%} of steps a gripper reads beyond 0 (shut) to 1 (open), from "
            f"{opening.min():.3g} to {opening.max():.3g}: hands pinch there as if it were shut or "
            f"open. See how the dataset counts its grippers (`mivla inspect {root}`)"
        )
