"""Checks of the computing resources: LLVM, graphics card, processor cores."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

from tacdiff_ros.machine.check import Check
from tacdiff_ros.optics import llvm

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
MINIMUM_DRIVER = 535  # Mitsuba 3, see "Requirements" at mitsuba.readthedocs.io
NVIDIA_TIMEOUT_S = 4.0
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def check_llvm() -> Check:
    """Check the LLVM library with which Dr.Jit compiles for the CPU."""
    library = llvm.find_library()
    if library is not None:
        return Check("LLVM", "good", f"{llvm.major_version(library)} ({library})")
    configured = os.environ.get("DRJIT_LIBLLVM_PATH")
    missing = f"none >= {llvm.MINIMUM_MAJOR}"
    if configured:
        return Check(
            "LLVM",
            "bad",
            f"{missing} at DRJIT_LIBLLVM_PATH={configured}",
            "unset the variable, or give another library",
        )
    return Check("LLVM", "bad", missing, llvm.INSTALL_ADVICE)


def check_graphics_card(driver: Path = NVIDIA_DRIVER) -> Check:
    """Check the NVIDIA driver and graphics card; without them, everything runs on the CPU.

    Args:
        driver: file that exists if the kernel driver is loaded.
    """
    name = "graphics card"
    command = shutil.which("nvidia-smi")
    if not driver.exists() and command is None:
        return Check(name, "good", "no NVIDIA driver: everything runs on the CPU")
    if command is None:
        return Check(name, "warning", "driver without nvidia-smi", "install nvidia-utils")
    try:
        result = subprocess.run(  # noqa: S603
            [command, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(
            name, "bad", f"nvidia-smi fails: {error}", "restart the machine, or repair the driver"
        )
    output = (result.stdout or result.stderr).strip().splitlines() or ["no output"]
    if result.returncode:
        return Check(
            name,
            "bad",
            f"nvidia-smi: {output[0]}",
            "restart the machine, or reinstall the driver",
        )
    return _check_card(output)


def check_cores() -> Check:
    """Check the number of processor cores that this process may use."""
    count = len(os.sched_getaffinity(0))
    limit = _core_limit(CPU_QUOTA.read_text() if CPU_QUOTA.exists() else "")
    detail = f"{count} of {os.cpu_count()}" + (f", {limit:g} by quota" if limit < count else "")
    if min(count, limit) < 2:
        return Check(
            "cores", "warning", detail, "expect the demo to take several times as long as on two"
        )
    return Check("cores", "good", detail)


def _check_card(lines: list[str]) -> Check:
    """Check the cards in the output of nvidia-smi: "NVIDIA H100, 550.54.15, 81559 MiB"."""
    name, detail = "graphics card", "; ".join(lines)
    version = lines[0].split(", ")[1].split(".")[0] if ", " in lines[0] else ""
    if version.isdecimal() and int(version) < MINIMUM_DRIVER:
        return Check(name, "bad", detail, f"install a driver >= {MINIMUM_DRIVER}")
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    if torch.endswith("+cpu"):
        return Check(
            name,
            "warning",
            f"{detail}; torch {torch}",
            "`make clean setup` installs torch with CUDA",
        )
    return Check(name, "good", detail)


def _core_limit(quota: str) -> float:
    """Return the cores of a cgroup quota: 2 for "200000 100000", infinity for "max 100000"."""
    parts = quota.split()
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        return float("inf")
    return int(parts[0]) / int(parts[1])
