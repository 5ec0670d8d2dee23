"""Numba cache locator keyed by the content of the source file and its siblings that it imports.

`kernel_cache` passes this class to Numba by name, so that other modules need not import Numba.

Limits: a kernel that calls a kernel of another folder is not recompiled when only that one changes.
Kernels of this package therefore call only kernels of their own folder.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _CacheLocator

settings: Any = numba.config
IMPORT = re.compile(rb"^from tacdiff_ros\.(?:\w+\.)*(\w+) import", re.MULTILINE)


class ContentLocator(_CacheLocator):
    """Cache locator with one folder per source file and content below `NUMBA_CACHE_DIR`."""

    def __init__(self, function: Any, file: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._digest = source_digest(Path(file))
        name = f"{Path(file).stem}-{self._digest[:16]}-{numba.__version__}"
        self._folder = Path(settings.CACHE_DIR) / name

    def get_cache_path(self) -> str:
        """Return the folder of the cached machine code."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Return the SHA-256 digest of the source file."""
        return self._digest

    def get_disambiguator(self) -> str:
        """Return the line number of the function, which tells functions of one name apart."""
        return str(self._line)

    @classmethod
    def from_function(cls, function: Any, file: str) -> ContentLocator | None:
        """Return a locator, or None if the source is not readable or the cache is not writable."""
        try:
            locator = cls(function, file)
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator


def source_digest(file: Path) -> str:
    """Return the SHA-256 digest of a source file and of the files beside it that it imports.

    Args:
        file: source file.
    """
    sources: dict[Path, bytes] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in sources or not path.is_file():
            continue
        sources[path] = path.read_bytes()
        names = (name.decode() for name in IMPORT.findall(sources[path]))
        waiting += [file.with_name(f"{name}.py") for name in names]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(sources[path])
    return digest.hexdigest()
