"""Loaded by every Dask worker before its first trial: Dr.Jit on one thread as well."""

from __future__ import annotations


def dask_setup(_worker: object) -> None:
    """Called by Dask; Dr.Jit reads no variable for it."""
    from tacdiff_ros.optics.variant import limit_threads

    limit_threads(1)
