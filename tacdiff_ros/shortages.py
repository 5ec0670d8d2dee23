"""What to do where the system has no more disk, memory, files or rights, in one line.

Needs only Python's standard library, so that it can explain why another module did not load.
"""

from __future__ import annotations

import errno
import os

MEMORY_ADVICE = "close other programs, raise the limit (`ulimit -v`), or ask for less"
FILES_ADVICE = "raise the limit (`ulimit -n 1024`)"
ADVICE = {
    errno.ENOSPC: "free some, or write elsewhere",
    errno.EDQUOT: "delete files of yours, or write elsewhere",
    errno.EFBIG: "raise the limit (`ulimit -f`), or write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EMFILE: FILES_ADVICE,
    errno.ENFILE: "close other programs",
    errno.ENOMEM: MEMORY_ADVICE,
    errno.EAGAIN: "end other programs of yours, or raise the limit (`ulimit -u`)",
}
# Libraries in C++ and the loader of shared objects only have texts.
TEXTS = {
    errno.EMFILE: ("too many open files",),
    errno.ENOSPC: ("no space left on device",),
    errno.ENOMEM: (
        *("bad_alloc", "bad allocation", "can't allocate memory", "cannot allocate memory"),
        *("out of memory", "insufficient memory", "failed to map segment", "not enough memory"),
        *("cannot allocate write+execute memory", "unable to allocate", "failed to allocate"),
    ),
}
MAX_CHAIN = 20
MAX_QUOTE = 160


def explain(error: OSError) -> str:
    """Reason of an error of the system, and what to do where that is known."""
    reason = error.strerror or " ".join(str(error).split())[:MAX_QUOTE] or type(error).__name__
    advice = ADVICE.get(error.errno or 0)
    return f"{reason}: {advice}" if advice else reason


def shortage(error: BaseException) -> str | None:
    """One line if an exception, or one that it came from, says that something ran out.

    Args:
        error: any exception; libraries wrap those of the system in their own.

    Returns:
        What ran out and what to do; None for every other exception.
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
    what = "not enough memory" if number == errno.ENOMEM else os.strerror(number)
    said = f" ({detail})" if detail else ""
    return f"{what}{said}: {ADVICE[number]}"


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes))


def _is_foreign(error: BaseException) -> bool:
    """Whether an exception is of a library, such as `cv2.error`, and no built-in one."""
    return type(error).__module__ != "builtins"
