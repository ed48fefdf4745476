"""What every source offers: its name, its reader, and how it says that a file was skipped."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mivla import MivlaError
from mivla.episodes import Episode
from mivla.episodes.video import UnreadableVideo


class UnknownSource(MivlaError):
    """A source of that name does not exist."""


class NothingToRead(MivlaError):
    """A path at which a source finds none of its files."""


class UnreadableRecording(MivlaError):
    """One recording that cannot become an episode; the message is the reason."""


@dataclass(frozen=True)
class Skipped:
    """A recording that was left out, and why."""

    path: Path
    reason: str


OnSkip = Callable[[Skipped], None]


def ignore(skipped: Skipped) -> None:
    """Say nothing about a recording that was left out."""


def nothing(path: Path) -> bool:
    """Recognise no file at all."""
    return False


@dataclass(frozen=True)
class Source:
    """A foreign format: its files in, episodes out."""

    name: str
    title: str
    """What it is, for people."""
    episodes: Callable[..., Iterator[Episode]]
    """(path, *, done, on_skip, **options): episodes whose `origin` is not in `done`, in the order
    of their names. A recording that cannot be read goes to `on_skip` and the rest goes on."""
    options: tuple[str, ...] = ()
    """Keywords that `episodes` takes beside `done` and `on_skip`."""
    suffixes: tuple[str, ...] = ()
    """Of its files, where each is one recording; empty where that is not so."""
    recognises: Callable[[Path], bool] = nothing
    """Whether a file or folder is one of its recordings, by a look at its beginning."""

    def count(self, path: Path) -> int | None:
        """How many recordings there are at a path; None where that is not known beforehand."""
        if not self.suffixes:
            return None
        return sum(1 for _ in recordings(path, self.name, self.suffixes, f"{self.title}"))


def recordings(
    root: Path,
    source: str,
    suffixes: Sequence[str],
    what: str,
    recognises: Callable[[Path], bool] | None = None,
) -> Iterator[tuple[Path, str]]:
    """The files at or under `root` and the origin of each, sorted so that 2 comes before 10.

    Hidden files are none: they are being written. Where others use the suffix too, `recognises`
    says which files in a folder count; a file that is named itself is tried in any case.

    Raises:
        NothingToRead: there is none; `what` says what was expected.
    """
    root = Path(root)
    if not root.exists():
        raise NothingToRead(f"there is no {root}")
    paths = [root] if root.is_file() else root.rglob("*")
    paths = [p for p in paths if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if recognises is not None and not root.is_file():
        paths = [p for p in paths if recognises(p)]
    if not paths:
        raise NothingToRead(f"under {root} there is no {what}.")
    folder = root.parent if root.is_file() else root
    for path in sorted(paths, key=naturally):
        yield path, f"{source}:{path.relative_to(folder).as_posix()}"


def read_each(
    found: Iterable[tuple[Path, str]],
    read: Callable[[Path, str], Episode],
    done: Container[str],
    on_skip: OnSkip,
) -> Iterator[Episode]:
    """The episodes that `read` makes of paths and origins, but for those that are `done`.

    What cannot be read goes to `on_skip` with the reason, and the rest goes on.
    """
    for path, origin in found:
        if origin in done:
            continue
        try:
            episode = read(path, origin)
        except (UnreadableRecording, UnreadableVideo) as error:
            on_skip(Skipped(path, str(error)))
            continue
        yield episode


def naturally(path: Path) -> tuple[tuple[int, str], ...]:
    """Sort by this, and 2 comes before 10."""
    return tuple(
        (int(piece), "") if piece.isdigit() else (-1, piece)
        for piece in re.split(r"(\d+)", path.as_posix())
    )
