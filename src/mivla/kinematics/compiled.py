"""Generated programs on disk, so that an arm is compiled once per machine."""

import fcntl
import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mivla.kinematics.chain import Chain
from mivla.kinematics.generate import source

_log = logging.getLogger(__name__)

CACHE_VARIABLE = "MIVLA_CACHE"
"""Environment variable that names the folder for compiled programs."""


def cache_folder() -> Path:
    """`$MIVLA_CACHE`, else the platform's folder for caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mivla"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "mivla"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mivla"


@cache
def program(chain: Chain) -> ModuleType:
    """The compiled program of a chain; arms that differ in their mount alone share one."""
    return _program(chain.name, source(chain))


@cache
def _program(name: str, text: str) -> ModuleType:
    stem = f"mivla_ik_{name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = keep(stem, text)
    spec = importlib.util.spec_from_file_location(stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Numba finds the module of a cached function by its name.
    sys.modules[stem] = module
    spec.loader.exec_module(module)
    for entry in ("run", "cold"):
        setattr(module, entry, CompiledAlone(getattr(module, entry), path.with_suffix(".lock")))
    return module


class CompiledAlone:
    """A function that compiles itself when it is called first, which one process does at a time.

    The same program compiled twice can differ in the last bits of its results. So the first to come
    compiles and keeps it, and who comes meanwhile waits and takes what was kept.
    """

    def __init__(self, function: Callable[..., Any], lock: Path):
        """`lock` is a file beside the program, made when it is needed."""
        self._function, self._lock, self._called = function, lock, False

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if self._called:
            return self._function(*arguments)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            result = self._function(*arguments)
        self._called = True
        return result


def keep(stem: str, text: str) -> Path:
    """Path of the program's file, written unless it is there; a folder of our own if it must."""
    try:
        return _write(cache_folder() / "kinematics", stem, text)
    except OSError as error:
        _log.warning(
            "compiled programs cannot be kept in %s (%s), so every process compiles them anew; "
            "set %s to a folder that can be written",
            cache_folder(),
            error,
            CACHE_VARIABLE,
        )
        return _write(Path(tempfile.mkdtemp(prefix="mivla-")), stem, text)


def _write(folder: Path, stem: str, text: str) -> Path:
    # Numba keeps machine code beside the program: nobody else may write here.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{stem}.py"
    if not path.exists() or path.read_text() != text:
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    return path
