"""Preload module of every Dask worker, which filters its log."""

from __future__ import annotations

import logging


def dask_setup(_worker: object) -> None:
    """Set up a worker; Dask calls this function by its name before the first trial."""
    logging.getLogger("distributed.worker").addFilter(is_no_task_failure)
    logging.getLogger("distributed.worker.state_machine").addFilter(is_no_cancellation)


def is_no_cancellation(record: logging.LogRecord) -> bool:
    """Whether a log record of a worker is not about a task that was cancelled by an interrupt.

    Args:
        record: log record of the logger `distributed.worker.state_machine`.
    """
    return "CancelledError" not in record.getMessage()


def is_no_task_failure(record: logging.LogRecord) -> bool:
    """Whether a log record of a worker is about neither a failed task nor an ended scheduler.

    The exception of a failed task is also raised in the client, so that its log line is redundant.
    The scheduler may end before its workers after an interrupt.

    Args:
        record: log record of the logger `distributed.worker`.
    """
    return not str(record.msg).startswith(("Compute Failed", "Scheduler was unaware"))
