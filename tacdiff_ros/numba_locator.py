"""Where Numba finds the machine code of this package: by the content of the source file.

Named to Numba by `kernel_cache`, which keeps other modules free of Numba's import.

Limits: a kernel that calls a kernel of another file is not compiled anew when only that file
changes; kernels here call those of their own file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _CacheLocator

settings: Any = numba.config


class ContentLocator(_CacheLocator):
    """A folder per source file and content below `NUMBA_CACHE_DIR`."""

    def __init__(self, function: Any, file: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        name = f"{Path(file).stem}-{self._digest[:16]}-{numba.__version__}"
        self._folder = Path(settings.CACHE_DIR) / name

    def get_cache_path(self) -> str:
        """Folder of the machine code."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Content of the source file, as a digest."""
        return self._digest

    def get_disambiguator(self) -> str:
        """Line of the function: two of one name differ by it."""
        return str(self._line)

    @classmethod
    def from_function(cls, function: Any, file: str) -> ContentLocator | None:
        """The locator; None where the source cannot be read or nothing can be written."""
        try:
            locator = cls(function, file)
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator
