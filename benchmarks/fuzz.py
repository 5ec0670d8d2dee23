"""Feeds mutated files to every reader and reports tracebacks, hangs, crashes and memory growth.

    python benchmarks/fuzz.py [--seconds 600] [--reader NAME ...] [--seed N] [--keep DIR]

Each reader runs in a separate process with bounded memory, which is restarted if it hangs or ends.
Inputs that fail are saved in DIR, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from select import select
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "fuzz"))

from fuzz_readers import READERS
from fuzz_trials import MAX_WAIT_S, make_input, read_input

START_S = 120.0  # time limit for the imports of a process
ADDRESS_SPACE_BYTES = 4 * 2**30  # limit in addition to the address space for valid inputs
COLUMNS = ("inputs", "accepted", "refused", "traceback", "hang", "memory", "crash")


@dataclass
class Tally:
    """Outcomes of the inputs of one reader.

    Attributes:
        counts: number of inputs by outcome.
        growth_mb: maximum growth of resident memory by one input, MB.
        seconds: maximum duration of one input, s.
        failures: one line per failed input.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    growth_mb: float = 0.0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, seconds: float, growth_mb: float) -> None:
        """Add the outcome of one input."""
        self.counts["inputs"] += 1
        self.counts[kind] += 1
        self.seconds = max(self.seconds, seconds)
        self.growth_mb = max(self.growth_mb, growth_mb)


def main() -> int:
    """Run all readers, or one reader as child process; return 1 if a reader failed."""
    options = _options()
    if options.child:
        _work(options.child, options.seed, options.first, options.seconds)
        return 0
    names = options.reader or list(READERS)
    tallies = {}
    for name in names:
        tallies[name] = _fuzz(name, options.seed, options.seconds, options.keep)
        print(f"{name}: {tallies[name].counts}", file=sys.stderr, flush=True)
    _print_table(tallies)
    failures = [f"{name} {line}" for name, tally in tallies.items() for line in tally.failures]
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="duration for each reader, s")
    parser.add_argument("--reader", action="append", choices=list(READERS))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "tacdiff_fuzz")
    parser.add_argument("--child", choices=list(READERS), help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _fuzz(name: str, seed: int, seconds: float, keep: Path) -> Tally:
    """Run a reader for some seconds; restart its process if it ends earlier."""
    tally = Tally()
    end = time.monotonic() + seconds
    first = 0
    while time.monotonic() < end:
        number, reason = -1, ""
        for event in _child_events(name, seed, first, end - time.monotonic()):
            if "begin" in event:
                number = event["begin"]
            elif "reason" in event:
                reason = event["reason"]
            else:
                _count(tally, name, seed, number, event, keep)
                number, first = -1, number + 1
        if number < 0 and not reason:
            break
        _count(tally, name, seed, number, {"kind": reason, "message": reason}, keep)
        first = max(number, first) + 1
    return tally


def _count(
    tally: Tally, name: str, seed: int, number: int, event: dict[str, Any], keep: Path
) -> None:
    tally.add(event["kind"], event.get("seconds", 0.0), event.get("growth_mb", 0.0))
    if event["kind"] in ("accepted", "refused"):
        return
    folder = keep / name.replace(" ", "_") / f"{seed}_{number}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    change = ""
    if number >= 0:
        with tempfile.TemporaryDirectory() as beside:
            valid = _valid_input(name, Path(beside))
            change = make_input(name, READERS[name], valid, seed, number, folder)
    tally.failures.append(f"{folder} ({change}): {event['kind']}, {event['message']}")


def _child_events(name: str, seed: int, first: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the reports of a child, and finally a `reason` if it hung or crashed."""
    options = ["--seed", str(seed), "--first", str(first), "--seconds", str(seconds)]
    command = [sys.executable, __file__, "--child", name, *options]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        reports: Any = child.stdout
        patience, buffer = START_S, b""
        while True:
            if not select([reports], [], [], patience)[0]:
                child.kill()
                yield {"reason": "hang"}
                break
            part = reports.read(65_536)
            if not part:
                break
            *lines, buffer = (buffer + part).split(b"\n")
            yield from map(json.loads, lines)
            patience = 2 * MAX_WAIT_S
        if child.wait() not in (0, -9):
            errors.seek(0)
            print(errors.read()[-2000:].decode(errors="replace"), file=sys.stderr)
            yield {"reason": "crash"}


def _work(name: str, seed: int, first: int, seconds: float) -> None:
    """Run a child: read mutated inputs and report each one before and after reading."""
    reader = READERS[name]
    with tempfile.TemporaryDirectory() as beside:
        valid = _valid_input(name, Path(beside))
        read_input(reader, shutil.copytree(valid, Path(beside) / "first"))  # imports
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = size + ADDRESS_SPACE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        end, number = time.monotonic() + seconds, first
        while time.monotonic() < end:
            make_input(name, reader, valid, seed, number, Path(beside) / "changed")
            print(json.dumps({"begin": number}), flush=True)
            outcome = read_input(reader, Path(beside) / "changed")
            print(json.dumps(asdict(outcome)), flush=True)
            number += 1


def _valid_input(name: str, beside: Path) -> Path:
    valid = beside / "valid"
    valid.mkdir()
    READERS[name].make(valid)
    return valid


def _print_table(tallies: dict[str, Tally]) -> None:
    """Print the Markdown table of `docs/fuzzing.md`."""
    print("| reader | " + " | ".join(COLUMNS) + " | largest growth (MB) | slowest (s) |")
    print("| --- |" + " ---: |" * (len(COLUMNS) + 2))
    for name, tally in tallies.items():
        counts = " | ".join(str(tally.counts[column]) for column in COLUMNS)
        print(f"| {name} | {counts} | {tally.growth_mb:.0f} | {tally.seconds:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
