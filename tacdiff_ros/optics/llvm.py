"""Search for an LLVM library that Dr.Jit can use, before importing Dr.Jit could end the process.

Limits: Dr.Jit 1.5 aborts without a Python exception at the first rendering with LLVM 15 and 16, and
cannot start with 14; 19 and newer work. This module needs only Python's standard library.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

MINIMUM_MAJOR = 19
SEARCH_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
INSTALL_ADVICE = "run `sudo apt-get install libllvm19`, or point DRJIT_LIBLLVM_PATH at libLLVM.so"


def major_version(library: Path) -> int | None:
    """Return the major version of an LLVM library; None if it reports none (LLVM 15 and older).

    Args:
        library: path of the shared library.
    """
    try:
        get_version = ctypes.CDLL(str(library)).LLVMGetVersion
    except (OSError, AttributeError):
        return None
    major, minor, patch = ctypes.c_uint(0), ctypes.c_uint(0), ctypes.c_uint(0)
    get_version(ctypes.byref(major), ctypes.byref(minor), ctypes.byref(patch))
    return major.value


def find_library() -> Path | None:
    """Return a usable LLVM library: that of `DRJIT_LIBLLVM_PATH`, else the newest installed one.

    Returns:
        Path of the shared library; None if there is no usable one.
    """
    configured = os.environ.get("DRJIT_LIBLLVM_PATH")
    candidates = [Path(configured)] if configured else _installed_libraries()
    return next((path for path in candidates if (major_version(path) or 0) >= MINIMUM_MAJOR), None)


def require_library() -> Path:
    """Set `DRJIT_LIBLLVM_PATH` to a usable LLVM library and return its path.

    Raises:
        RuntimeError: no usable library is installed; the message says what to type.
    """
    library = find_library()
    if library is None:
        configured = os.environ.get("DRJIT_LIBLLVM_PATH")
        searched = f"at DRJIT_LIBLLVM_PATH={configured}" if configured else "on this machine"
        raise RuntimeError(f"no LLVM >= {MINIMUM_MAJOR} {searched}: {INSTALL_ADVICE}")
    os.environ["DRJIT_LIBLLVM_PATH"] = str(library)
    return library


def _installed_libraries() -> list[Path]:
    """Return the installed LLVM libraries, newest first according to their file names."""
    paths = [p for folder in SEARCH_FOLDERS for p in Path(folder).glob("libLLVM*.so*")]
    paths += list(Path("/usr/lib").glob("llvm-*/lib/libLLVM*.so*"))
    return sorted({p.resolve() for p in paths}, key=_version_in_name, reverse=True)


def _version_in_name(library: Path) -> int:
    numbers = re.findall(r"\d+", library.name)
    return int(numbers[0]) if numbers else 0
