"""Preparation of a process, which compiles kernels on its first run.

The preparation runs in a separate thread and reports its progress and the estimated time left.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.input_files import read_json
from tacdiff_ros.kernel_cache import cache_folder, fingerprint
from tacdiff_ros.output_files import write_files

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 10_000


@dataclass(frozen=True)
class Stage:
    """One stage of a preparation.

    Attributes:
        name: prepared item, such as "images".
        run: function that executes the stage.
        cold_s: typical duration with an empty kernel cache on one core, s.
    """

    name: str
    run: Callable[[], object]
    cold_s: float


class Preparation:
    """Stages executed one after the other in a thread, observable from other threads.

    Attributes:
        is_ready: whether all stages have finished.
        failure: message of the failed stage; empty if none failed.
        count: number of stages.
        number: number of the current stage, from 1.
    """

    def __init__(
        self, job: str, stages: Sequence[Stage], finished: Callable[[], None] = lambda: None
    ) -> None:
        """Start the thread.

        Args:
            job: name under which the compiled state is recorded.
            stages: stages in order of execution.
            finished: callback after the last stage, called in that thread before `is_ready` is set.
        """
        self.is_ready = False
        self.failure = ""
        self.count, self.number = len(stages), 1
        self._job, self._stages, self._finished = job, stages, finished
        self._was_warm = is_warm(job)
        self._started_s = self._stage_started_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="preparation", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread is still at work."""
        return self._thread.is_alive()

    @property
    def stage(self) -> str:
        """Name of the current stage; empty once all stages have finished."""
        return "" if self.is_ready else self._stages[min(self.number, self.count) - 1].name

    @property
    def seconds_left(self) -> float:
        """Remaining time estimated from typical and measured durations, s; NaN if unknown."""
        if self.is_ready:
            return 0.0
        if self._was_warm or self.failure:
            return math.nan
        done, left = self._stages[: self.number - 1], self._stages[self.number - 1 :]
        typical_s = sum(stage.cold_s for stage in done)
        elapsed_s = self._stage_started_s - self._started_s
        slowdown = elapsed_s / typical_s if typical_s > 0 and elapsed_s > 0 else 1.0
        stage_elapsed_s = time.monotonic() - self._stage_started_s
        return max(1.0, slowdown * sum(stage.cold_s for stage in left) - stage_elapsed_s)

    def describe(self) -> str:
        """Return one line that describes the current state."""
        if self.is_ready:
            return "ready"
        if self.failure:
            return self.failure
        left = self.seconds_left
        estimate = "" if math.isnan(left) else f", about {left:.0f} s left"
        activity = "preparing" if self._was_warm else "compiling kernels, first run only"
        return f"{activity}: {self.stage} ({self.number} of {self.count}){estimate}"

    def require_ready(self) -> None:
        """Check that all stages have finished.

        Raises:
            InputError: a stage failed or has not finished; the message gives the current state.
        """
        if self.failure:
            raise InputError(f"cannot work: {self.failure}; restart the node")
        if not self.is_ready:
            raise InputError(f"not ready yet: {self.describe()}")

    def wait(self, progress: Callable[[str], None] = lambda _line: None) -> None:
        """Block until all stages have finished.

        Args:
            progress: callback that receives the current state as one line, once a second.

        Raises:
            InputError: a stage failed.
        """
        while self._thread.is_alive():
            self._thread.join(1.0)
            if self._thread.is_alive():
                progress(self.describe())
        if self.failure:
            raise InputError(self.failure)

    def _run(self) -> None:
        try:
            for self.number, stage in enumerate(self._stages, 1):  # noqa: B020
                self._stage_started_s = time.monotonic()
                stage.run()
            self._finished()
        except InputError as error:
            self.failure = str(error)
        except BaseException as error:  # every failure must reach the waiting thread
            self.failure = log_exception(log, f"preparing '{self.stage}' failed", error)
        else:
            self.is_ready = True
            remember_warm(self._job, time.monotonic() - self._started_s)


def is_warm(job: str) -> bool:
    """Return whether the kernels of a job are compiled for this user and these sources."""
    try:
        record = read_json(_record_path(job), "compilation record", MAX_RECORD_BYTES)
    except InputError:
        return False
    return isinstance(record, dict) and record.get("fingerprint") == fingerprint()


def remember_warm(job: str, seconds: float) -> None:
    """Record that the kernels of a job are compiled; a failed write is logged, not raised.

    Args:
        job: name of the job.
        seconds: duration of the compilation, s.
    """
    content = {"fingerprint": fingerprint(), "seconds": round(seconds, 1)}
    try:
        write_files(_record_path(job).parent, {_record_path(job).name: json.dumps(content)})
    except InputError as error:
        log.info("cannot record that the kernels of '%s' are compiled: %s", job, error)


def _record_path(job: str) -> Path:
    return cache_folder() / "warm" / f"{job}.json"
