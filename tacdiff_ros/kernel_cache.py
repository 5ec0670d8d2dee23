"""Cache folder of the user for compiled kernels of Numba and Dr.Jit.

Numba's default cache lies beside the sources: every checkout would compile anew, and a read-only
installation could cache nothing. This cache is keyed by the content of the source file, so a second
checkout of the same version reuses it.

The folder is the first usable one of `TACDIFF_CACHE_DIR`, `XDG_CACHE_HOME`/tacdiff_ros,
~/.cache/tacdiff_ros, and a folder of this user in the system's temporary folder.
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
COMPILED_FOLDERS = ("optics", "mechanics", "inversion", "calibration", "objects", "object_pose")
COMPILERS = ("numba", "drjit", "mitsuba")
_SETTINGS_LOCK = threading.RLock()
LOCATOR = "tacdiff_ros.numba_locator.ContentLocator"


def cache_folder() -> Path:
    """Return the cache folder, which exists and is writable by this user."""
    return _usable_folder(
        os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME")
    )


@functools.cache
def fingerprint() -> str:
    """Return a SHA-256 digest of the sources of all kernels and of the compilers' versions."""
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
    """Make Dr.Jit cache its kernels in this folder; call it before Dr.Jit is imported.

    A folder set by the user in `DRJIT_CACHE_DIR` takes precedence.
    """
    if not os.environ.get("DRJIT_CACHE_DIR"):
        folder = cache_folder() / "drjit"
        folder.mkdir(exist_ok=True)
        os.environ["DRJIT_CACHE_DIR"] = str(folder)


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator like `numba.njit` that caches machine code in the user's cache folder.

    Args:
        options: keyword arguments of `numba.njit`.
    """
    import numba

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            with _SETTINGS_LOCK, _numba_settings(numba.config):
                return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no cache, such as on a full disk: compile in every process
            return numba.njit(**options)(function)

    return decorate


@contextmanager
def _numba_settings(config: Any) -> Iterator[None]:
    """Apply our cache settings to Numba while one of our functions is decorated.

    Numba versions before 0.62 do not support custom locators: they compile once per checkout.
    """
    settings = {"CACHE_DIR": str(cache_folder() / "numba"), "CACHE_LOCATOR_CLASSES": LOCATOR}
    before = {name: getattr(config, name) for name in settings if hasattr(config, name)}
    for name in before:
        setattr(config, name, settings[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


@functools.cache
def _usable_folder(configured: str | None, xdg: str | None, home: str | None) -> Path:
    candidates = [Path(configured)] if configured else []
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
    """Return a folder in the system's temporary folder that no other user can write to."""
    folder = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    is_own = status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode)
    if is_own and not status.st_mode & 0o022 and _is_writable(folder):
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
