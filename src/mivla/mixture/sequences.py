"""A dataset's motion as arrays over all its steps: what windows are cut from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mivla import MivlaError
from mivla.embodiments import embodiment
from mivla.embodiments.layout import PARTS, SIDES, Layout
from mivla.episodes import Episode, Motion


class MissingLabels(MivlaError):
    """Imitated labels were asked for and the dataset has none."""


@dataclass(frozen=True)
class Sequences:
    """Motion of every step of a dataset, in the body's base; NaN where unknown."""

    body: str
    state: Float[np.ndarray, "n s"]
    action: Float[np.ndarray, "n a"]
    weight: Float[np.ndarray, "n a"]
    """How far each action is trusted, 0 to 1: 1 for the body's own, reliability for imitated."""
    own_action: Bool[np.ndarray, " a"]
    """Which dimensions are the body's own, and not imitated."""
    own_state: Bool[np.ndarray, " s"]
    episode: Int[np.ndarray, " n"]
    """Which episode each step belongs to."""
    end: Int[np.ndarray, " n"]
    """One past the last step of each step's episode."""
    instructions: tuple[str, ...]
    """One per episode."""
    rate_hz: float


OWN_PARTS: dict[bool, tuple[str, ...]] = {True: ("hand",), False: ("joints", "eef")}
"""By whether the body is human: the parts that are its own; all others are imitated."""


def stack(layout: Layout, parts: Mapping[str, np.ndarray], steps: int) -> np.ndarray:
    """A motion as one vector a step in the layout's order; parts that it lacks are NaN."""
    out = np.full((steps, layout.dim), np.nan, dtype=np.float32)
    for group in layout.groups:
        if group in parts:
            out[:, layout[group]] = parts[group]
    return out


def sequences_of(
    episodes: list[Episode],
    *,
    state_layout: Layout,
    action_layout: Layout,
    imitate: str | None,
    rate_hz: float,
) -> Sequences:
    """The arrays of a dataset's episodes.

    Args:
        episodes: all of one body.
        state_layout: the order of the state.
        action_layout: the order of the actions.
        imitate: name of the body whose labels are the imitated actions; None for none.
        rate_hz: steps per second of the dataset.

    Raises:
        MissingLabels: an episode has no labels for `imitate`.
    """
    body = embodiment(episodes[0].body)
    own = OWN_PARTS[body.is_human]
    states, actions, weights = [], [], []
    for episode in episodes:
        state, action = dict(episode.state), dict(episode.action)
        weight = np.ones((len(episode), action_layout.dim), dtype=np.float32)
        if imitate is not None:
            if imitate not in episode.labels:
                raise MissingLabels(
                    f"{episode.origin or 'an episode'} has no labels for {imitate!r}; it has "
                    f"{', '.join(episode.labels) or 'none'}. `mivla retarget DATASET --to "
                    f"{imitate}` makes them; `--objective own` trains without."
                )
            labels = episode.labels[imitate]
            state |= _imitated(labels.state, own)
            action |= _imitated(labels.action, own)
            trust = labels.reliability
            if body.is_human:
                # A person's action is the next state, and so is that of whoever imitates them.
                trust = np.concatenate([trust[1:], trust[-1:]])
            for group in action_layout.groups:
                if group not in own:
                    for side, name in enumerate(SIDES):
                        where = action_layout[f"{group}/{name}"]
                        weight[:, where] = trust[:, side, None]
        state, action = ({g: v for g, v in m.items() if g in PARTS} for m in (state, action))
        states.append(stack(state_layout, state, len(episode)))
        actions.append(stack(action_layout, action, len(episode)))
        weights.append(weight)
    lengths = np.array([len(e) for e in episodes])
    return Sequences(
        body=body.name,
        state=np.concatenate(states),
        action=np.concatenate(actions),
        weight=np.concatenate(weights),
        own_action=_of_groups(action_layout, own),
        own_state=_of_groups(state_layout, own),
        episode=np.repeat(np.arange(len(episodes)), lengths),
        end=np.repeat(np.cumsum(lengths), lengths),
        instructions=tuple(e.instruction for e in episodes),
        rate_hz=rate_hz,
    )


def _imitated(motion: Motion, own: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {group: values for group, values in motion.items() if group not in own}


def _of_groups(layout: Layout, groups: tuple[str, ...]) -> np.ndarray:
    chosen = np.zeros(layout.dim, dtype=bool)
    for group in groups:
        if group in layout:
            chosen[layout[group]] = True
    return chosen
