"""Says that a command compiles kernels on its first run, and notes when that is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from tacdiff_ros.preparation import is_warm, remember_warm


@contextmanager
def first_run(job: str, console: Console) -> Iterator[None]:
    """Around the work of a command: a line where its kernels are not compiled yet.

    Args:
        job: name of `warm_up.JOBS`.
        console: takes the line.
    """
    if is_warm(job):
        yield
        return
    started_s = time.monotonic()
    console.print("compiling kernels, first run only: up to a minute more", highlight=False)
    yield
    remember_warm(job, time.monotonic() - started_s)
