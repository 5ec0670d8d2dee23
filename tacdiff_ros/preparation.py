"""Work that a process does before it is ready: it compiles kernels on its first run.

Runs in a thread of its own and says how far it is and how long it will take.
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

log = logging.getLogger(__name__)

MAX_NOTE_BYTES = 10_000


@dataclass(frozen=True)
class Stage:
    """One part of a preparation.

    Attributes:
        name: what is prepared, "images".
        run: does it.
        cold_s: typical duration with an empty cache, on one core, s.
    """

    name: str
    run: Callable[[], object]
    cold_s: float


class Preparation:
    """Stages that run one after the other, watched from other threads."""

    def __init__(
        self, job: str, stages: Sequence[Stage], finished: Callable[[], None] = lambda: None
    ) -> None:
        """Start the thread.

        Args:
            job: name under which it is remembered that the kernels are compiled.
            stages: in their order.
            finished: called in that thread after the last stage, before `is_ready`.
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
    def stage(self) -> str:
        """What is prepared now; empty when all is ready."""
        return "" if self.is_ready else self._stages[min(self.number, self.count) - 1].name

    @property
    def seconds_left(self) -> float:
        """Estimate by typical durations and those measured here, s; NaN where it is not known."""
        if self.is_ready:
            return 0.0
        if self._was_warm or self.failure:
            return math.nan
        done, left = self._stages[: self.number - 1], self._stages[self.number - 1 :]
        typical_s = sum(stage.cold_s for stage in done)
        taken_s = self._stage_started_s - self._started_s
        pace = taken_s / typical_s if typical_s > 0 and taken_s > 0 else 1.0
        here_s = time.monotonic() - self._stage_started_s
        return max(1.0, pace * sum(stage.cold_s for stage in left) - here_s)

    def describe(self) -> str:
        """One line about the present state."""
        if self.is_ready:
            return "ready"
        if self.failure:
            return self.failure
        left = self.seconds_left
        about = "" if math.isnan(left) else f", about {left:.0f} s left"
        why = "preparing" if self._was_warm else "compiling kernels, first run only"
        return f"{why}: {self.stage} ({self.number} of {self.count}){about}"

    def require_ready(self) -> None:
        """InputError with the present state until all is ready."""
        if self.failure:
            raise InputError(f"cannot work: {self.failure}; restart the node")
        if not self.is_ready:
            raise InputError(f"not ready yet: {self.describe()}")

    def wait(self, progress: Callable[[str], None] = lambda _line: None) -> None:
        """Block until all is ready; `progress` gets a line once a second.

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
        except BaseException as error:  # whatever it is, who waits must know
            self.failure = log_exception(log, f"preparing '{self.stage}' failed", error)
        else:
            self.is_ready = True
            remember_warm(self._job, time.monotonic() - self._started_s)


def is_warm(job: str) -> bool:
    """Whether this user has run a job's preparation with this version of the sources."""
    try:
        found = read_json(_stamp(job), "note", MAX_NOTE_BYTES)
    except InputError:
        return False
    return isinstance(found, dict) and found.get("fingerprint") == fingerprint()


def remember_warm(job: str, seconds: float) -> None:
    """Note that a job's kernels are compiled; a folder that takes no notes is no fault."""
    content = {"fingerprint": fingerprint(), "seconds": round(seconds, 1)}
    try:
        _stamp(job).parent.mkdir(parents=True, exist_ok=True)
        _stamp(job).write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        log.info("not noted that '%s' is compiled: %s", job, error)


def _stamp(job: str) -> Path:
    return cache_folder() / "warm" / f"{job}.json"
