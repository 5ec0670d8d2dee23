"""Loaded by every Dask worker before its first trial: Dr.Jit on one thread, and a quieter log."""

from __future__ import annotations

import logging


def dask_setup(_worker: object) -> None:
    """Called by Dask; Dr.Jit reads no variable for it."""
    from tacdiff_ros.optics.variant import limit_threads

    limit_threads(1)
    logging.getLogger("distributed.worker").addFilter(is_not_raised_elsewhere)


def is_not_raised_elsewhere(record: logging.LogRecord) -> bool:
    """Whether a worker's line of log says more than the exception that the caller gets anyway."""
    return not str(record.msg).startswith("Compute Failed")
