"""Checks of what computes: LLVM, graphics card, cores."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

from tacdiff_ros.machine.check import Check
from tacdiff_ros.optics import llvm

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
MINIMUM_DRIVER = 535  # of Mitsuba 3, see "Requirements" at mitsuba.readthedocs.io
NVIDIA_TIMEOUT_S = 4.0
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def check_llvm() -> Check:
    """LLVM that Dr.Jit compiles with on the CPU."""
    library = llvm.find_library()
    if library is not None:
        return Check("LLVM", "good", f"{llvm.major_version(library)} ({library})")
    chosen = os.environ.get("DRJIT_LIBLLVM_PATH")
    found = f"none >= {llvm.MINIMUM_MAJOR}"
    if chosen:
        return Check(
            "LLVM", "bad", f"{found} at DRJIT_LIBLLVM_PATH={chosen}", "unset it, or name another"
        )
    return Check("LLVM", "bad", found, llvm.INSTALL_ADVICE)


def check_graphics_card(driver: Path = NVIDIA_DRIVER) -> Check:
    """NVIDIA driver and card; without one everything runs on the CPU."""
    name = "graphics card"
    command = shutil.which("nvidia-smi")
    if not driver.exists() and command is None:
        return Check(name, "good", "no NVIDIA driver: all runs on the CPU")
    if command is None:
        return Check(name, "warning", "a driver without nvidia-smi", "install nvidia-utils")
    try:
        answer = subprocess.run(  # noqa: S603
            [command, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "bad", f"nvidia-smi fails: {error}", "restart, or mend the driver")
    said = (answer.stdout or answer.stderr).strip().splitlines() or ["nothing"]
    if answer.returncode:
        return Check(name, "bad", f"nvidia-smi: {said[0]}", "restart, or install the driver again")
    return _card(said)


def check_cores() -> Check:
    """Cores that this process may use."""
    count = len(os.sched_getaffinity(0))
    limit = _core_limit(CPU_QUOTA.read_text() if CPU_QUOTA.exists() else "")
    found = f"{count} of {os.cpu_count()}" + (f", {limit:g} by quota" if limit < count else "")
    if min(count, limit) < 2:
        return Check(
            "cores", "warning", found, "expect the demo to take several times as long as on two"
        )
    return Check("cores", "good", found)


def _card(lines: list[str]) -> Check:
    """From lines of nvidia-smi: "NVIDIA H100, 550.54.15, 81559 MiB"."""
    name, found = "graphics card", "; ".join(lines)
    version = lines[0].split(", ")[1].split(".")[0] if ", " in lines[0] else ""
    if version.isdecimal() and int(version) < MINIMUM_DRIVER:
        return Check(name, "bad", found, f"install a driver >= {MINIMUM_DRIVER}")
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    if torch.endswith("+cpu"):
        return Check(
            name, "warning", f"{found}; torch {torch}", "`make clean setup` brings torch with CUDA"
        )
    return Check(name, "good", found)


def _core_limit(quota: str) -> float:
    """Cores by a cgroup's "200000 100000"; infinite for "max 100000"."""
    parts = quota.split()
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        return float("inf")
    return int(parts[0]) / int(parts[1])
