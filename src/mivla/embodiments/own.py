"""Users' own robots by name: `NAME.toml` in one of the folders of `$MIVLA_ROBOTS`."""

import os
from pathlib import Path

from mivla.embodiments.body import Embodiment

ROBOTS_VARIABLE = "MIVLA_ROBOTS"
"""Environment variable that names folders, separated as in PATH."""

_Stamps = tuple[tuple[Path, int, int], ...]
_read: dict[Path, tuple[_Stamps, Embodiment]] = {}


def folders() -> tuple[Path, ...]:
    """Folders in which descriptions of robots are looked for, first match wins."""
    return tuple(
        Path(folder) for folder in os.environ.get(ROBOTS_VARIABLE, "").split(os.pathsep) if folder
    )


def own_names() -> tuple[str, ...]:
    """Names of the robots that are described in those folders, whether or not they are right."""
    found = (file.stem for folder in folders() for file in sorted(folder.glob("*.toml")))
    return tuple(dict.fromkeys(name for name in found if name.isidentifier()))


def own_file(name: str) -> Path | None:
    """The description of that name; None where there is none."""
    if not name.isidentifier():  # A data set may name anything, paths included.
        return None
    files = (folder / f"{name}.toml" for folder in folders())
    return next((file for file in files if file.is_file()), None)


def own(path: Path) -> Embodiment:
    """The robot that a description gives; read again only when one of its files has changed.

    Where its name does not find it yet, its folder becomes the first of `$MIVLA_ROBOTS`, so that
    what is made with the robot does: in this process and in those that it starts.

    Raises:
        InvalidDescription: the description has errors.
    """
    from mivla.embodiments import description

    path = path.resolve()
    stamps, body = _read.get(path, ((), None))
    if body is None or stamps != _stamps(tuple(file for file, _, _ in stamps)):
        examined = description.examine(path)
        body = examined.usable()
        _read[path] = (_stamps(examined.files), body)
    named = own_file(path.stem)
    if named is None or named.resolve() != path:
        first = str(path.parent)
        others = [str(folder) for folder in folders() if str(folder) != first]
        os.environ[ROBOTS_VARIABLE] = os.pathsep.join([first, *others])
    return body


def _stamps(files: tuple[Path, ...]) -> _Stamps:
    states = ((file, file.stat()) for file in files if file.is_file())
    return tuple((file, state.st_mtime_ns, state.st_size) for file, state in states)
