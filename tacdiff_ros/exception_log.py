"""Logs the traceback of an unexpected exception and returns a one-line summary."""

from __future__ import annotations

import logging
import time

REPEAT_S = 10.0  # minimum interval of one message: a stream may fail identically at every frame
MAX_REMEMBERED = 100  # messages in `_last_logged_s`

_last_logged_s: dict[tuple[str, str], float] = {}


def log_exception(logger: logging.Logger, task: str, error: BaseException) -> str:
    """Log the traceback of an exception, the same one at most once every `REPEAT_S`.

    Args:
        logger: logger of the module that caught the exception.
        task: failed task, such as "the inversion failed".
        error: caught exception.

    Returns:
        One-line summary, such as "the inversion failed: ValueError: message".
    """
    line = f"{task}: " + " ".join(f"{type(error).__name__}: {error}".split())
    key, now_s = (logger.name, line), time.monotonic()
    if now_s - _last_logged_s.get(key, -REPEAT_S) >= REPEAT_S:
        if len(_last_logged_s) >= MAX_REMEMBERED:
            _last_logged_s.clear()
        _last_logged_s[key] = now_s
        logger.error("%s", line, exc_info=error)
    return line
