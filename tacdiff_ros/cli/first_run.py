"""Message for the first run of a command, which compiles kernels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from tacdiff_ros.preparation import is_warm, remember_warm


@contextmanager
def first_run(job: str, console: Console) -> Iterator[None]:
    """Print a message if the kernels of a job are not compiled, and record their compilation.

    Args:
        job: key of `warm_up.JOBS`.
        console: console for the message.
    """
    if is_warm(job):
        yield
        return
    started_s = time.monotonic()
    line = "compiling kernels, first run only: this takes some seconds, at most a minute"
    console.print(line, highlight=False)
    yield
    remember_warm(job, time.monotonic() - started_s)
