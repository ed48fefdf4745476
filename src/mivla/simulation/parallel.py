"""Many demonstrations at once, over processes, in an order that does not depend on them."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack

from mivla import MivlaError
from mivla.episodes.record import Episode
from mivla.simulation.environment import Environment
from mivla.simulation.recording import NOISE_RAD, demonstrate

BATCH = 4
"""Demonstrations that a process does in one environment before it hands them over."""


class ExpertFails(MivlaError):
    """The expert cannot do the task with this body."""


def demonstrations(
    task: str,
    body: str,
    episodes: int,
    *,
    seed: int = 0,
    have: Collection[int] = (),
    workers: int = 1,
    noise: float = NOISE_RAD,
    image_size: int = 64,
    on_failure: Callable[[int], None] = lambda seed: None,
) -> Iterator[tuple[int, Episode]]:
    """The first `episodes` demonstrations that succeed, counting seeds from `seed`.

    They come in the order of their seeds, however many processes work on them, so the same call
    makes the same episodes.

    Args:
        task: name of the task.
        body: name of the body.
        episodes: how many, those in `have` included.
        seed: the first one.
        have: seeds whose demonstration is kept already; they are not done again.
        workers: processes; with one, nothing is started.
        noise: of the executed commands, radians.
        image_size: pixels of the square pictures.
        on_failure: is told the seed of each demonstration that failed.

    Raises:
        ExpertFails: more demonstrations failed than could be bad luck.
    """
    wanted = episodes
    failures = 0
    with ExitStack() as stack:
        results = _ordered(task, body, seed, have, workers, noise, image_size, stack)
        while wanted > 0:
            number, episode = next(results)
            if number in have:
                wanted -= 1
            elif episode is None:
                failures += 1
                on_failure(number)
                if failures > 10 + episodes:
                    raise ExpertFails(
                        f"the expert failed at {task} with {body} {failures} times; with noise "
                        f"{noise:g} rad that is too much: try less, or another body"
                    )
            else:
                wanted -= 1
                yield number, episode


Result = tuple[int, Episode | None]


def _ordered(
    task: str,
    body: str,
    seed: int,
    have: Collection[int],
    workers: int,
    noise: float,
    image_size: int,
    stack: ExitStack,
) -> Iterator[Result]:
    """Seeds from the first on, without end, with their episodes; None for what failed or is had."""
    if workers == 1:
        environment = stack.enter_context(Environment(task, body, image_size=image_size))
        while True:
            episode = None if seed in have else _kept(demonstrate(environment, seed, noise=noise))
            yield seed, episode
            seed += 1
    # Spawned, not forked: a GL context does not survive a fork.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    stack.callback(pool.shutdown, cancel_futures=True)
    pending: deque[Future[list[Result]]] = deque()
    while True:
        while len(pending) <= workers:
            seeds = range(seed, seed + BATCH)
            pending.append(pool.submit(_batch, task, body, seeds, have, noise, image_size))
            seed += BATCH
        yield from pending.popleft().result()


def _batch(
    task: str, body: str, seeds: range, have: Collection[int], noise: float, image_size: int
) -> list[Result]:
    if all(seed in have for seed in seeds):
        return [(seed, None) for seed in seeds]
    with Environment(task, body, image_size=image_size) as environment:
        return [
            (s, None if s in have else _kept(demonstrate(environment, s, noise=noise)))
            for s in seeds
        ]


def _kept(episode: Episode) -> Episode | None:
    return episode if episode.success else None
