"""Preload module of every Dask worker: it limits Dr.Jit to one thread and filters the log."""

from __future__ import annotations

import logging


def dask_setup(_worker: object) -> None:
    """Set up a worker; Dask calls this function by its name before the first trial.

    Dr.Jit has no environment variable for its number of threads, so that it is set here.
    """
    from tacdiff_ros.optics.variant import limit_threads

    limit_threads(1)
    logging.getLogger("distributed.worker").addFilter(is_no_task_failure)


def is_no_task_failure(record: logging.LogRecord) -> bool:
    """Whether a log record of a worker is not about a failed task.

    The exception of a failed task is also raised in the client, so that its log line is redundant.

    Args:
        record: log record of the logger `distributed.worker`.
    """
    return not str(record.msg).startswith("Compute Failed")
