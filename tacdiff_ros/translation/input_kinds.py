"""What a network is given: NOCS, depth, or NOCS beside the light of one sensor unit."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

InputKind = Literal["nocs", "depth", "nocs+light"]
KINDS: tuple[InputKind, ...] = get_args(InputKind)
CHANNELS: dict[InputKind, int] = {"nocs": 3, "depth": 1, "nocs+light": 6}


def network_input(
    kind: InputKind,
    nocs: NDArray[np.float32] | None = None,
    depth_mm: NDArray[np.float32] | None = None,
    light: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """(C, H, W) float32 of what a network takes.

    Args:
        kind: of the network.
        nocs: (H, W, 3) in [0, 1]; for `nocs` and `nocs+light`.
        depth_mm: (H, W) from the camera; for `depth`.
        light: (H, W, 3) uint8, the image without cast shadows; for `nocs+light`.

    Raises:
        InputError: a map is missing, has another shape, or values that are not finite or out of
            range.
    """
    if kind == "depth":
        return _checked("depth map", depth_mm, 1, 1e4)
    maps = _checked("NOCS map", nocs, 3, 1.0)
    if kind == "nocs":
        return maps
    shading = None if light is None else np.asarray(light, np.float32) / np.float32(255)
    shaded = _checked("light image", shading, 3, 1.0)
    if shaded.shape != maps.shape:
        raise InputError(
            f"the light image has {shaded.shape[2]} x {shaded.shape[1]} pixels, the NOCS map "
            f"{maps.shape[2]} x {maps.shape[1]}"
        )
    return np.concatenate([maps, shaded])


def _checked(
    name: str, values: NDArray[np.float32] | None, channels: int, most: float
) -> NDArray[np.float32]:
    """(C, H, W) of a map (H, W, C), or (H, W) where C is 1."""
    if values is None:
        raise InputError(f"a {name} is needed and none is given")
    expected = "(H, W)" if channels == 1 else f"(H, W, {channels})"
    array = np.asarray(values)
    if array.ndim == 2 and channels == 1:
        array = array[..., None]
    if (
        array.ndim != 3
        or not array.size
        or array.shape[2] != channels
        or array.dtype.kind not in "fui"
    ):
        raise InputError(
            f"{name} has shape {np.shape(values)} and type {array.dtype}, expected {expected} "
            "numbers"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name}: values that are not finite")
    if array.min() < 0 or array.max() > most:
        raise InputError(
            f"{name}: values from {array.min():g} to {array.max():g}, expected 0 to {most:g}"
        )
    return np.ascontiguousarray(array.transpose(2, 0, 1), np.float32)
