"""Keeps freed memory in the process, so that arrays of images need no new pages every frame.

The C library returns freed blocks at the top of its heap to the system, which clears their pages
when they are needed again. A process that allocates and frees images all the time spends a third of
its processor time on that. Limits: glibc; elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
import os

# Parameters of glibc's mallopt, from malloc.h, and the variables that set them.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
VARIABLES = {MMAP_THRESHOLD: "MALLOC_MMAP_THRESHOLD_", TRIM_THRESHOLD: "MALLOC_TRIM_THRESHOLD_"}
# Bytes from which a block is mapped separately and returned when it is freed, and of free memory
# at the top of the heap that is kept.
BYTES = {MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 256 << 20}


def keep_freed_memory() -> bool:
    """Keep up to 256 MiB of freed memory in this process.

    A limit that the user set by a variable of glibc takes precedence.

    Returns:
        Whether all limits are set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(parameter, count) == 1
        for parameter, count in BYTES.items()
        if VARIABLES[parameter] not in os.environ
    )
