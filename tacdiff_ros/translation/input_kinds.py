"""Kinds of network input: NOCS map, depth map, or NOCS map with the light image of one sensor.

A NOCS map (normalized object coordinate space) states for every pixel which point of the gel it
shows. A light image is rendered from a sensor file without cast shadows.
"""

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
    """Return the input array of a network, after checking the maps that it consists of.

    Args:
        kind: input kind of the network.
        nocs: (H, W, 3) float32 NOCS map in [0, 1]; for `nocs` and `nocs+light`.
        depth_mm: (H, W) float32 distance from the camera, mm; for `depth`.
        light: (H, W, 3) uint8 RGB image without cast shadows; for `nocs+light`.

    Returns:
        (C, H, W) float32, with C of `CHANNELS`.

    Raises:
        InputError: a map is missing, has another shape, or values that are not finite or out of
            range.
    """
    if kind == "depth":
        return _channels_first("depth map", depth_mm, channels=1, max_value=1e4)
    nocs_channels = _channels_first("NOCS map", nocs, channels=3, max_value=1.0)
    if kind == "nocs":
        return nocs_channels
    scaled_light = None if light is None else np.asarray(light, np.float32) / np.float32(255)
    light_channels = _channels_first("light image", scaled_light, channels=3, max_value=1.0)
    if light_channels.shape != nocs_channels.shape:
        raise InputError(
            f"the light image has {light_channels.shape[2]} x {light_channels.shape[1]} pixels, "
            f"expected those of the NOCS map: {nocs_channels.shape[2]} x {nocs_channels.shape[1]}"
        )
    return np.concatenate([nocs_channels, light_channels])


def _channels_first(
    name: str, values: NDArray[np.float32] | None, channels: int, max_value: float
) -> NDArray[np.float32]:
    """Check a map (H, W, C), or (H, W) if C is 1, and return it as (C, H, W) float32."""
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
        raise InputError(f"{name} has values that are not finite")
    if array.min() < 0 or array.max() > max_value:
        raise InputError(
            f"{name} has values from {array.min():g} to {array.max():g}, "
            f"expected 0 to {max_value:g}"
        )
    return np.ascontiguousarray(array.transpose(2, 0, 1), np.float32)
