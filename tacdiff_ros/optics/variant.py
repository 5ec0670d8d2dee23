"""Starts Mitsuba once, on the graphics card where that is faster and else on the processor."""

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
# What is faster for a job on a machine with a card; measured, see docs/graphics_card.md.
FASTER_WITH_CARD: dict[Job, str] = {
    "images": CUDA,
    "gradients": CUDA,
    "calibration": CUDA,
    "inversion": CUDA,
    "stream": CUDA,
}

_log = logging.getLogger(__name__)
_warned: set[Job] = set()


def start_mitsuba(variant: str = "auto", job: Job = "images") -> str:
    """Choose Mitsuba's variant for this process; must come before any other use of Mitsuba.

    A process has one variant: the first job that starts Mitsuba chooses it. Which one was chosen is
    logged; that a later job would be faster by the other one is a warning.

    Args:
        variant: `auto` (what the process uses already, else `TACDIFF_VARIANT`, else what is faster
            for the job on this machine), `llvm_ad_rgb` or `cuda_ad_rgb`.
        job: what this process does mostly.

    Returns:
        The variant in use.

    Raises:
        InputError: mitsuba, a usable LLVM or the asked variant is missing, or the process uses
            another one already.
    """
    current = sys.modules["mitsuba"].variant() if "mitsuba" in sys.modules else None
    asked = os.environ.get("TACDIFF_VARIANT") if variant == "auto" else variant
    if asked is not None and asked not in VARIANTS:
        raise InputError(f"Mitsuba variant '{asked}': expected one of {', '.join(VARIANTS)}")
    if current is not None:
        if variant not in ("auto", current):
            raise InputError(
                f"Mitsuba runs as {current} in this process and cannot change to {variant}"
            )
        if asked is None:
            _warn_of_slower(current, job)
        return str(current)
    if asked is not None:
        _start(asked)
        _log.info("rendering with %s, as asked", asked)
        return asked
    return _start_faster(job)


def _start_faster(job: Job) -> str:
    """Start what is faster for a job; the other one, with a warning, where that cannot run."""
    wanted = faster_variant(job)
    try:
        _start(wanted)
    except InputError as error:
        if _graphics_cards() == 0:
            raise
        other = LLVM if wanted == CUDA else CUDA
        _log.warning("%s; rendering with %s, which is slower for %s", error, other, job)
        _warned.add(job)
        _start(other)
        return other
    _log.info("rendering with %s, the faster one for %s on this machine", wanted, job)
    return wanted


def faster_variant(job: Job) -> str:
    """The variant that is faster for a job on this machine."""
    return FASTER_WITH_CARD[job] if _graphics_cards() > 0 else LLVM


def _warn_of_slower(current: str, job: Job) -> None:
    """Say once that a job would be faster by the other variant."""
    wanted = faster_variant(job)
    if current == wanted or job in _warned:
        return
    _warned.add(job)
    _log.warning(
        "this process renders with %s already; %s would be faster with %s: use a process of its "
        "own, or set TACDIFF_VARIANT",
        current,
        job,
        wanted,
    )


def _start(variant: str) -> None:
    if variant.startswith("llvm"):
        try:
            llvm.require_library()  # before drjit is imported, which would print of its own
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
def _graphics_cards() -> int:
    """Number of cards that an NVIDIA driver reports; 0 without one."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def card_names() -> list[str]:
    """Of the graphics cards that an NVIDIA driver reports."""
    names = []
    for card in range(_graphics_cards()):
        name = ctypes.create_string_buffer(256)
        ctypes.CDLL("libcuda.so.1").cuDeviceGetName(name, len(name), card)
        names.append(name.value.decode())
    return names


def limit_threads(count: int) -> None:
    """Let Dr.Jit compute on so many threads of this process.

    Two for small images wait for each other more than they work, where other processes run too.
    """
    start_mitsuba()
    import drjit

    drjit.set_thread_count(count)
