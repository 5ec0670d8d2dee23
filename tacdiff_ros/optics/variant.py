"""Selection and start of the Mitsuba variant of a process: on the GPU or on the CPU."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
from typing import Literal

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import use_for_drjit
from tacdiff_ros.optics import llvm

Job = Literal["images", "gradients", "calibration", "inversion", "stream"]
CUDA, LLVM = "cuda_ad_rgb", "llvm_ad_rgb"
VARIANTS = (CUDA, LLVM)
# The faster variant for each job on a machine with a GPU; measured, see docs/graphics_card.md.
FASTER_WITH_GPU: dict[Job, str] = {
    "images": CUDA,
    "gradients": CUDA,
    "calibration": CUDA,
    "inversion": CUDA,
    "stream": CUDA,
}

_log = logging.getLogger(__name__)
_warned: set[Job] = set()


def start_mitsuba(variant: str = "auto", job: Job = "images") -> str:
    """Select and start Mitsuba's variant for this process, before any other use of Mitsuba.

    A process has only one variant, selected by the first job that starts Mitsuba. The selection is
    logged. A warning is logged if a later job would be faster with the other variant.

    Args:
        variant: `llvm_ad_rgb`, `cuda_ad_rgb`, or `auto`: the variant that the process uses already,
            else that of `TACDIFF_VARIANT`, else the faster one for the job on this machine.
        job: main task of this process.

    Returns:
        Name of the variant in use.

    Raises:
        InputError: Mitsuba, a usable LLVM or the requested variant is not available, or the process
            uses another variant already.
    """
    current = sys.modules["mitsuba"].variant() if "mitsuba" in sys.modules else None
    requested = os.environ.get("TACDIFF_VARIANT") if variant == "auto" else variant
    if requested is not None and requested not in VARIANTS:
        raise InputError(f"Mitsuba variant '{requested}': expected one of {', '.join(VARIANTS)}")
    if current is not None:
        if variant not in ("auto", current):
            raise InputError(
                f"Mitsuba runs as {current} in this process and cannot change to {variant}"
            )
        if requested is None:
            _warn_if_slower(current, job)
        return str(current)
    if requested is not None:
        _start(requested)
        _log.info("rendering with %s, as requested", requested)
        return requested
    return _start_faster(job)


def _start_faster(job: Job) -> str:
    """Start the faster variant for a job, or the other one with a warning if it cannot run."""
    faster = faster_variant(job)
    try:
        _start(faster)
    except InputError as error:
        if _gpu_count() == 0:
            raise
        other = LLVM if faster == CUDA else CUDA
        _log.warning("%s; rendering with %s, which is slower for %s", error, other, job)
        _warned.add(job)
        _start(other)
        return other
    _log.info("rendering with %s, the faster variant for %s on this machine", faster, job)
    return faster


def faster_variant(job: Job) -> str:
    """Return the variant that is faster for a job on this machine.

    Args:
        job: main task of the process.
    """
    return FASTER_WITH_GPU[job] if _gpu_count() > 0 else LLVM


def _warn_if_slower(current: str, job: Job) -> None:
    """Warn once if a job would be faster with the other variant."""
    faster = faster_variant(job)
    if current == faster or job in _warned:
        return
    _warned.add(job)
    _log.warning(
        "this process already renders with %s; %s would be faster with %s: run it in its own "
        "process, or set TACDIFF_VARIANT",
        current,
        job,
        faster,
    )


def _start(variant: str) -> None:
    if variant.startswith("llvm"):
        try:
            llvm.require_library()  # before importing drjit, which prints its own error
        except RuntimeError as error:
            raise InputError(f"rendering: {error}") from error
    use_for_drjit()
    try:
        import mitsuba as mi
    except ImportError as error:
        raise InputError(
            "rendering needs mitsuba: `pip install 'tacdiff_ros[render]'`, or run `make setup`"
        ) from error
    try:
        mi.set_variant(variant)
        import drjit as dr

        dr.eval(mi.Float([0.0]) + 1.0)
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"Mitsuba cannot run as {variant}: {reason}") from error


@functools.cache
def _gpu_count() -> int:
    """Return the number of GPUs that the NVIDIA driver reports, 0 without a driver."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def gpu_names() -> list[str]:
    """Return the names of the GPUs that the NVIDIA driver reports."""
    names = []
    for gpu in range(_gpu_count()):
        name = ctypes.create_string_buffer(256)
        ctypes.CDLL("libcuda.so.1").cuDeviceGetName(name, len(name), gpu)
        names.append(name.value.decode())
    return names


def limit_threads(count: int) -> None:
    """Set the number of threads that Dr.Jit uses in this process.

    For small images two threads spend more time waiting for each other than computing if other
    processes run on the machine.

    Args:
        count: number of threads.
    """
    start_mitsuba()
    import drjit

    drjit.set_thread_count(count)
