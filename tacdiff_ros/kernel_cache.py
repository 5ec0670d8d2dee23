"""Folder of the user in which compiled kernels are kept: Numba's, Dr.Jit's, and what is warm.

Beside the sources, where Numba keeps them by default, every checkout would be cold and a read-only
installation could keep none. Here they are found by the content of the source file, so a second
checkout of the same version is warm.

`TACDIFF_CACHE_DIR` names another folder; else `XDG_CACHE_HOME`/tacdiff_ros, else
~/.cache/tacdiff_ros, else a folder of this user below the system's folder of temporary files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

VARIABLE = "TACDIFF_CACHE_DIR"
NAME = "tacdiff_ros"
COMPILED_FOLDERS = ("optics", "mechanics", "inversion", "calibration")
COMPILERS = ("numba", "drjit", "mitsuba")
_SETTINGS_LOCK = threading.RLock()
LOCATOR = "tacdiff_ros.numba_locator.ContentLocator"


def cache_folder() -> Path:
    """The folder, made where it is missing; always one that this user can write to."""
    return _usable_folder(
        os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME")
    )


@functools.cache
def fingerprint() -> str:
    """Digest of all sources that kernels are compiled from, and of what compiles them."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for folder in COMPILED_FOLDERS:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    for name in COMPILERS:
        try:
            digest.update(f"{name} {metadata.version(name)}".encode())
        except metadata.PackageNotFoundError:
            continue
    return digest.hexdigest()


def use_for_drjit() -> None:
    """Let Dr.Jit keep its kernels here; to be called before it is imported.

    A folder that the user chose by `DRJIT_CACHE_DIR` stays.
    """
    if not os.environ.get("DRJIT_CACHE_DIR"):
        folder = cache_folder() / "drjit"
        folder.mkdir(exist_ok=True)
        os.environ["DRJIT_CACHE_DIR"] = str(folder)


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` whose machine code is kept in the user's folder."""
    import numba

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            with _SETTINGS_LOCK, _numba_settings(numba.config):
                return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # nothing can be kept, as on a full disk: compiled in every process
            return numba.njit(**options)(function)

    return decorate


@contextmanager
def _numba_settings(config: Any) -> Iterator[None]:
    """Numba's settings while one of our functions is decorated; those of others stay as they are.

    Versions before 0.62 know no own locators: they compile once per checkout.
    """
    ours = {"CACHE_DIR": str(cache_folder() / "numba"), "CACHE_LOCATOR_CLASSES": LOCATOR}
    before = {name: getattr(config, name) for name in ours if hasattr(config, name)}
    for name in before:
        setattr(config, name, ours[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


@functools.cache
def _usable_folder(chosen: str | None, xdg: str | None, home: str | None) -> Path:
    candidates = [Path(chosen)] if chosen else []
    candidates += [Path(xdg) / NAME] if xdg else []
    candidates += [Path(home) / ".cache" / NAME] if home else []
    for folder in candidates:
        if folder.is_absolute() and _is_writable(folder):
            return folder
    return _temporary_folder()


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _temporary_folder() -> Path:
    """Below the system's folder of temporary files; nobody else may have put code there."""
    folder = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    own = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
    if own and not found.st_mode & 0o022 and _is_writable(folder):
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
