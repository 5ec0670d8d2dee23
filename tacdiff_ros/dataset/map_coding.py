"""Maps as 16-bit integers: with errors below what a pixel resolves.

NOCS in steps of 1/65535 (0.4 micrometres of a pad of 25 mm), lengths in micrometres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NOCS_STEPS, MM_STEPS = 65535.0, 1000.0


def encode_nocs(nocs: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Values in [0, 1]."""
    return np.asarray(np.rint(NOCS_STEPS * nocs.astype(np.float64)), np.uint16)


def decode_nocs(stored: NDArray[Any]) -> NDArray[np.float32]:
    """What `encode_nocs` was given, float32."""
    return np.asarray(stored, np.float32) / np.float32(NOCS_STEPS)


def encode_length(length_mm: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Lengths in mm from 0 to 65.5."""
    return np.asarray(np.clip(np.rint(MM_STEPS * length_mm), 0, 65535), np.uint16)


def encode_signed_length(length_mm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Lengths in mm from -32.7 to 32.7."""
    return np.asarray(np.clip(np.rint(MM_STEPS * length_mm), -32767, 32767), np.int16)


def decode_length(stored: NDArray[Any]) -> NDArray[np.float32]:
    """What the encoders of lengths were given, float32 mm."""
    return np.asarray(stored, np.float32) / np.float32(MM_STEPS)
