"""Reads one changed input and says what came of it."""

from __future__ import annotations

import shutil
import time
import traceback
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzz_mutations import change_folder
from fuzz_readers import Reader

from tacdiff_ros.errors import InputError

RESTRUCTURED = 0.3  # fraction of the inputs, where a reader has a way to restructure them
MAX_SECONDS = 5.0  # of processor time: other programs may be running
MAX_WAIT_S = 30.0  # by the clock
MAX_GROWTH_MB = 500.0
MAX_MESSAGE_CHARACTERS = 4000
STATUS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        kind: accepted, refused, traceback, hang or memory.
        message: text of the refusal, or the end of the traceback.
        seconds: processor time that the reader took.
        growth_mb: peak size of the process less the size before, MB.
    """

    kind: str
    message: str
    seconds: float
    growth_mb: float

    @property
    def failed(self) -> bool:
        """Whether the reader must be mended."""
        return self.kind not in ("accepted", "refused")


def make_input(name: str, reader: Reader, valid: Path, seed: int, number: int, folder: Path) -> str:
    """Write a changed copy of a valid input; the same for the same seed and number.

    Returns:
        What was changed, in words.
    """
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(valid, folder)
    random = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    if reader.restructure is not None and random.random() < RESTRUCTURED:
        reader.restructure(folder, random)
        return reader.restructure.__name__
    return change_folder(folder, random)


def read_input(reader: Reader, folder: Path) -> Outcome:
    """Read an input and measure time and memory."""
    before_mb = _reset_peak()
    started, started_s = time.process_time(), time.monotonic()
    kind, message = "accepted", ""
    try:
        reader.read(folder)
    except InputError as error:
        kind, message = "refused", str(error)
        if not message.isprintable() or len(message) > MAX_MESSAGE_CHARACTERS:
            kind, message = "traceback", f"a message that is not one line: {message[:300]!r}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-4:]
        steps = " > ".join(f"{Path(step.filename).name}:{step.lineno}" for step in last)
        kind, message = "traceback", f"{type(error).__name__}: {str(error)[:200]!r} at {steps}"
    seconds, waited_s = time.process_time() - started, time.monotonic() - started_s
    growth_mb = _status_mb("VmHWM") - before_mb
    if seconds > MAX_SECONDS or waited_s > MAX_WAIT_S:
        kind, message = "hang", f"{seconds:.1f} s, {waited_s:.1f} s by the clock"
    elif kind in ("accepted", "refused") and growth_mb > MAX_GROWTH_MB:
        kind, message = "memory", f"{growth_mb:.0f} MB"
    return Outcome(kind, message, seconds, growth_mb)


def _reset_peak() -> float:
    """Resident memory now, in MB, from which the peak is counted again."""
    with suppress(OSError):  # without it the peak is that of the process so far
        RESET_PEAK.write_text("5")
    return max(_status_mb("VmRSS"), _status_mb("VmHWM"))


def _status_mb(name: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0
