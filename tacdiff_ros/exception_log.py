"""Traceback of an unexpected exception for the log, and one line of it for the caller."""

from __future__ import annotations

import logging
import time

REPEAT_S = 10.0  # a stream may fail in the same way at every frame
MAX_REMEMBERED = 100

_last_logged_s: dict[tuple[str, str], float] = {}


def log_exception(logger: logging.Logger, task: str, error: BaseException) -> str:
    """Write the traceback of an exception to the log, the same one at most every `REPEAT_S`.

    Args:
        logger: logger of the module that caught it.
        task: what failed, "the inversion failed".
        error: exception as caught.

    Returns:
        One line for the caller, "the inversion failed: ValueError: message".
    """
    line = f"{task}: " + " ".join(f"{type(error).__name__}: {error}".split())
    key, now_s = (logger.name, line), time.monotonic()
    if now_s - _last_logged_s.get(key, -REPEAT_S) >= REPEAT_S:
        if len(_last_logged_s) >= MAX_REMEMBERED:
            _last_logged_s.clear()
        _last_logged_s[key] = now_s
        logger.error("%s", line, exc_info=error)
    return line
