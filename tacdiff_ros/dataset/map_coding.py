"""Encoding of maps as 16-bit integers, with errors below the resolution of a pixel.

NOCS values are stored in steps of 1/65535, which is 0.4 micrometres on a pad of 25 mm, and lengths
in micrometres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NOCS_STEPS, MM_STEPS = 65535.0, 1000.0


def encode_nocs(nocs: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Encode NOCS values in [0, 1] as uint16; the shape is unchanged."""
    return np.asarray(np.rint(NOCS_STEPS * nocs.astype(np.float64)), np.uint16)


def decode_nocs(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Decode the result of `encode_nocs` to float32 values in [0, 1]."""
    return np.asarray(stored, np.float32) / np.float32(NOCS_STEPS)


def encode_length(length_mm: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Encode lengths in mm as uint16; values outside of 0 to 65.5 mm are clipped."""
    return np.asarray(np.clip(np.rint(MM_STEPS * length_mm), 0, 65535), np.uint16)


def encode_signed_length(length_mm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Encode signed lengths in mm as int16; values outside of -32.7 to 32.7 mm are clipped."""
    return np.asarray(np.clip(np.rint(MM_STEPS * length_mm), -32767, 32767), np.int16)


def decode_length(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Decode the result of `encode_length` or `encode_signed_length` to float32 mm."""
    return np.asarray(stored, np.float32) / np.float32(MM_STEPS)
