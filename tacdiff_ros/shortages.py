"""One-line advice for exhausted system resources: disk, memory, file descriptors, processes.

This module needs only Python's standard library, so that it works when other imports fail.
"""

from __future__ import annotations

import errno
import os

MEMORY_ADVICE = "close other programs, raise the limit (`ulimit -v`), or reduce the job"
FILES_ADVICE = "raise the limit (`ulimit -n 1024`)"
ADVICE = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "delete some of your files, or write elsewhere",
    errno.EFBIG: "raise the limit (`ulimit -f`), or write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EMFILE: FILES_ADVICE,
    errno.ENFILE: "close other programs",
    errno.ENOMEM: MEMORY_ADVICE,
    errno.EAGAIN: "end some of your other programs, or raise the limit (`ulimit -u`)",
}
# C++ libraries and the dynamic loader report these errors only as text.
TEXTS = {
    errno.EMFILE: ("too many open files",),
    errno.ENOSPC: ("no space left on device",),
    errno.ENOMEM: (
        *("bad_alloc", "bad allocation", "can't allocate memory", "cannot allocate memory"),
        *("out of memory", "insufficient memory", "failed to map segment", "not enough memory"),
        *("cannot allocate write+execute memory", "unable to allocate", "failed to allocate"),
    ),
}
MAX_CHAIN = 20  # exceptions followed from effect to cause
MAX_QUOTE = 160  # characters quoted from a message


def explain(error: OSError) -> str:
    """Return the reason of a system error, and what to do if that is known."""
    reason = error.strerror or " ".join(str(error).split())[:MAX_QUOTE] or type(error).__name__
    advice = ADVICE.get(error.errno or 0)
    return f"{reason}: {advice}" if advice else reason


def shortage(error: BaseException) -> str | None:
    """Return a one-line message if an exception or its causes report an exhausted resource.

    Args:
        error: any exception; libraries wrap system errors in their own exceptions.

    Returns:
        Exhausted resource and advice in one line; None for every other exception.
    """
    link: BaseException | None = error
    for _ in range(MAX_CHAIN):
        if link is None:
            return None
        if line := _describe(link):
            return line
        link = link.__cause__ or link.__context__
    return None


def _describe(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return _line(errno.ENOMEM, error)
    if isinstance(error, OSError) and error.errno in ADVICE:
        name = f"{os.fsdecode(error.filename)}: " if _is_path(error.filename) else ""
        if error.errno == errno.ENOMEM:
            return _line(errno.ENOMEM, error)
        return name + explain(error)
    if isinstance(error, (OSError, RuntimeError, ImportError, ValueError)) or _is_foreign(error):
        text = str(error).lower()
        for number, parts in TEXTS.items():
            if any(part in text for part in parts):
                return _line(number, error)
    return None


def _line(number: int, error: BaseException) -> str:
    detail = " ".join(str(error).split())[:MAX_QUOTE]
    reason = "not enough memory" if number == errno.ENOMEM else os.strerror(number)
    quote = f" ({detail})" if detail else ""
    return f"{reason}{quote}: {ADVICE[number]}"


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes))


def _is_foreign(error: BaseException) -> bool:
    """Return whether an exception type belongs to a library, such as `cv2.error`."""
    return type(error).__module__ != "builtins"
