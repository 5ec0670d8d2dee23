"""Starts Mitsuba once, on the graphics card where there is one and else on the processor."""

from __future__ import annotations

import ctypes
import os
import sys

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import use_for_drjit
from tacdiff_ros.optics import llvm

VARIANTS = ("cuda_ad_rgb", "llvm_ad_rgb")


def start_mitsuba(variant: str = "auto") -> str:
    """Choose Mitsuba's variant for this process; must come before any other use of Mitsuba.

    Args:
        variant: `auto` (what the process uses already, else `TACDIFF_VARIANT`, else CUDA where
            an NVIDIA driver answers, else LLVM), `llvm_ad_rgb` or `cuda_ad_rgb`.

    Returns:
        The variant in use.

    Raises:
        InputError: mitsuba, a usable LLVM or the asked variant is missing, or the process uses
            another one already.
    """
    current = sys.modules["mitsuba"].variant() if "mitsuba" in sys.modules else None
    if variant == "auto":
        variant = current or os.environ.get("TACDIFF_VARIANT") or _best_variant()
    if variant not in VARIANTS:
        raise InputError(f"Mitsuba variant '{variant}': expected one of {', '.join(VARIANTS)}")
    if current and current != variant:
        raise InputError(
            f"Mitsuba runs as {current} in this process and cannot change to {variant}"
        )
    if not current:
        _start(variant)
    return variant


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


def _best_variant() -> str:
    return "cuda_ad_rgb" if _graphics_cards() > 0 else "llvm_ad_rgb"


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


def limit_threads(count: int) -> None:
    """Let Dr.Jit compute on so many threads of this process.

    Two for small images wait for each other more than they work, where other processes run too.
    """
    start_mitsuba()
    import drjit

    drjit.set_thread_count(count)
