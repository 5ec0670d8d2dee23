"""Commands that are killed, or lack disk space, permissions, file descriptors or memory.

    python benchmarks/adversity.py [--only COMMAND ...] [--condition NAME ...] [--kills N] [--json]

A command passes if it succeeds, or prints one line on stderr with exit code 2 (1 where the command
documents it), and if each output file is complete or absent. After a kill, the same command must
succeed when repeated. A cell is `works`, `refuses` (one line), `aborts in LIBRARY`, or an error in
capitals; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adversity_cases import CASES, LEFT_OUT, Case, faults, make_inputs
from tables import dump, print_rows

MAX_SECONDS = 600.0
ORPHANS_S = 20.0
FILES = 40
MEMORY_BYTES = 2_000_000_000
BLOCK = 4096
NOT_POSSIBLE = "not possible here"
NO_FILE = "writes no file"
TOO_SMALL = "fits in a block"
ALLOWED = re.compile(r"(warning: |step \d|compiling kernels|trial \d+ failed)")
LIBRARIES = {
    "MKL": r"MKL|mkl_",
    "LLVM": r"LLVM",
    "OpenVINO": r"openvino|ov::",
    "OpenBLAS": r"OpenBLAS",
    "Dr.Jit": r"jit_|drjit|Dr\.Jit",
    "the C++ runtime": r"bad_alloc|terminate called",
}
# Commands run in a private mount namespace; their output is copied out of it.
ON_TMPFS = (
    'mount -t tmpfs -o size="$2" tmpfs "$1" && eval "$3" && shift 3 && '
    'copy="$1" && shift && "$@"; code=$?; cp -a "$FOLDER/." "$copy/"; exit $code'
)
FILL = 'head -c 1G /dev/zero > "$1/filler" 2>/dev/null || true'
READ_ONLY = 'mount -o remount,ro "$1"'


@dataclass
class Trial:
    """One command in a separate folder.

    Attributes:
        name: name of the command.
        case: arguments and files of the command.
        inputs: input folder.
        scratch: empty folder for outputs.
        seconds: duration of an undisturbed run, s.
        size: output size of an undisturbed run, bytes.
        kills: number of random times at which it is killed.
        random: random generator of the kill times.
    """

    name: str
    case: Case
    inputs: Path
    scratch: Path
    seconds: float
    size: int
    kills: int
    random: random.Random

    def folder(self, condition: str) -> Path:
        """Create and return an empty folder for one condition."""
        made = self.scratch / condition
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        return made


def main() -> int:
    """Run all commands under all conditions; return 1 if one fails."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="adversity") as scratch:
        inputs = options.inputs or Path(scratch) / "inputs"
        make_inputs(inputs.absolute())
        names = options.only or list(CASES)
        rows = [_row(name, inputs.absolute(), Path(scratch), options) for name in names]
    if options.json:
        dump({"commands": rows, "left_out": LEFT_OUT})
    else:
        print_rows("adversity", rows)
        for name, reason in LEFT_OUT.items():
            print(f"{name} is omitted: {reason}")
    return (
        1 if any(cell.isupper() for row in rows for cell in map(_first_word, row.values())) else 0
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=list(CASES), help="one command")
    parser.add_argument("--condition", action="append", choices=list(CONDITIONS))
    parser.add_argument(
        "--kills", type=int, default=3, help="number of random kill times per command"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the kill times")
    parser.add_argument("--inputs", type=Path, help="folder in which inputs are cached")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def _row(name: str, inputs: Path, scratch: Path, options: argparse.Namespace) -> dict[str, str]:
    """Return the table row of one command; the first cell is an undisturbed run."""
    case, folder = CASES[name], scratch / name
    folder.mkdir()
    (folder / "undisturbed").mkdir()
    out = folder / "undisturbed" / case.output
    started = time.monotonic()
    done = _run(case.command(inputs, out))
    seconds = time.monotonic() - started
    cell = _verdict(case, done, out)
    size = _size(out) if case.output else len(done.stdout)
    row = {"command": name, "undisturbed": f"{cell}, {seconds:.0f} s"}
    moments = random.Random(options.seed)  # noqa: S311
    trial = Trial(name, case, inputs, folder, seconds, size, options.kills, moments)
    for condition in options.condition or list(CONDITIONS):
        row[condition] = CONDITIONS[condition](trial)
        print(f"{name}, {condition}: {row[condition]}", file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    return row


def kill(trial: Trial) -> str:
    """Kill the command at random times and when its first file appears; then repeat it."""
    folder = trial.folder("kill")
    out = folder / trial.case.output
    command = trial.case.command(trial.inputs, out)
    moments = [trial.random.uniform(0.05, 1.0) * trial.seconds for _ in range(trial.kills)]
    wrong: list[str] = []
    for moment in [*moments, None] if trial.case.output else moments:
        wrong += _kill_once(command, folder, moment)
        if trial.case.output:
            problems = faults(trial.case, out, succeeded=False)
            wrong += [line for line in problems if not line.startswith("leaves")]
    last = _verdict(trial.case, _run(command), out)
    if wrong:
        return f"WRONG: {'; '.join(sorted(set(wrong)))}"
    return last.replace("works", "works afterwards", 1)


def full_midway(trial: Trial) -> str:
    """Run on a disk with space for half of the output."""
    if trial.size < 2 * BLOCK:
        return TOO_SMALL
    return _on_tmpfs(trial, "midway", max(BLOCK, trial.size // 2 // BLOCK * BLOCK), "true")


def full_at_start(trial: Trial) -> str:
    """Run on a full disk."""
    return _on_tmpfs(trial, "start", 16 * BLOCK, FILL)


def read_only(trial: Trial) -> str:
    """Run with the output folder on a read-only file system."""
    if not trial.case.output:
        return NO_FILE
    return _on_tmpfs(trial, "read_only", 16 * BLOCK, READ_ONLY)


def few_files(trial: Trial) -> str:
    """Run with few file descriptors."""
    return _limited(trial, resource.RLIMIT_NOFILE, FILES)


def little_memory(trial: Trial) -> str:
    """Run with little address space."""
    return _limited(trial, resource.RLIMIT_AS, MEMORY_BYTES)


CONDITIONS: dict[str, Callable[[Trial], str]] = {
    "kill -9": kill,
    "disk full midway": full_midway,
    "disk full": full_at_start,
    "read-only": read_only,
    f"{FILES} files": few_files,
    "2 GB": little_memory,
}


def _run(
    command: list[str], prepare: Callable[[], None] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command; after `MAX_SECONDS` it is killed and its exit code is 124."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(
        command, text=True, start_new_session=True, preexec_fn=prepare, **options
    )
    try:
        out, errors = process.communicate(timeout=MAX_SECONDS)
        return subprocess.CompletedProcess(command, process.returncode, out, errors)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
        return subprocess.CompletedProcess(command, 124, out, errors)


def _verdict(case: Case, done: subprocess.CompletedProcess[str], out: Path) -> str:
    """Return the verdict on exit code, messages and output files."""
    wrong = faults(case, out, done.returncode == 0) if case.output else []
    if done.returncode == 124:
        return "HANGS"
    if done.returncode == 0:
        return _with_faults("works", wrong)
    lines = [line for line in done.stderr.splitlines() if line and not ALLOWED.match(line)]
    if done.returncode < 0 or done.returncode >= 128:
        verdict = f"aborts in {_library(done.stderr)}"
    elif done.returncode in case.codes and not lines:
        verdict = "reports it"
    elif done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: "):
        verdict = "refuses"
    else:
        quote = " | ".join([*lines[:1], *lines[-1:]])[:200]
        return f"WRONG: exit code {done.returncode}, {len(lines)} lines on stderr: {quote}"
    return _with_faults(verdict, wrong)


def _with_faults(verdict: str, wrong: list[str]) -> str:
    """Return a verdict with file errors; leftover hidden files are reported but not errors."""
    if all(line.startswith("leaves ") for line in wrong):
        return ", ".join([verdict, *wrong])
    return f"WRONG: {verdict}, {'; '.join(wrong)}"


def _library(errors: str) -> str:
    for name, pattern in LIBRARIES.items():
        if re.search(pattern, errors):
            return name
    return f"an unknown library ({errors.strip()[-80:]})"


def _kill_once(command: list[str], folder: Path, moment: float | None) -> list[str]:
    """Kill a command and return an error if some of its processes keep running.

    Args:
        command: command line.
        folder: output folder.
        moment: time of the kill, s; None to kill when the first file appears in the folder.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + (MAX_SECONDS if moment is None else moment)
    before = _listing(folder)
    while process.poll() is None and time.monotonic() < deadline:
        if moment is None and _listing(folder) != before:
            break
        time.sleep(0.0005 if moment is None else 0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + ORPHANS_S
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return []
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    return [f"processes run on for {ORPHANS_S:g} s after the kill"]


def _listing(folder: Path) -> set[str]:
    """Return the paths of all files in a folder, ignoring files that vanish meanwhile."""
    return {os.path.join(top, name) for top, _, names in os.walk(folder) for name in names}  # noqa: PTH118


def _on_tmpfs(trial: Trial, name: str, size: int, prepare: str) -> str:
    """Run with the output folder on a small separate file system."""
    folder, copy = trial.folder(name), trial.folder(f"{name}_copy")
    command = trial.case.command(trial.inputs, folder / trial.case.output)
    if not trial.case.output:
        command = ["sh", "-c", 'exec "$@" > "$FOLDER/stdout"', "sh", *command]
    inner = ["sh", "-c", ON_TMPFS, "sh", str(folder), str(size), prepare, str(copy), *command]
    environment = {**os.environ, "FOLDER": str(folder)}
    if not _namespaces():
        return NOT_POSSIBLE
    done = _run(["unshare", "-rm", *inner], env=environment)
    return _verdict(trial.case, done, copy / trial.case.output)


def _namespaces() -> bool:
    """Return whether this user may mount file systems in a private namespace."""
    try:
        test = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(test, capture_output=True).returncode == 0
    except OSError:
        return False


def _limited(trial: Trial, limit: int, value: int) -> str:
    out = trial.folder("limited") / trial.case.output
    command = trial.case.command(trial.inputs, out)
    done = _run(command, lambda: resource.setrlimit(limit, (value, value)))
    return _verdict(trial.case, done, out)


def _size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, bytes."""
    paths = [path] if path.is_file() else path.rglob("*")
    return sum(part.stat().st_size for part in paths if part.is_file())


def _first_word(cell: str) -> str:
    return cell.split(":")[0]


if __name__ == "__main__":
    sys.exit(main())
