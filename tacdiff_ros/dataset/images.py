"""Rendering of a trial: the tactile image and the maps of every gel surface, for one sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.map_coding import encode_length, encode_nocs, encode_signed_length
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer

SPACING_MM = 0.15  # largest vertex spacing of the surface that is rendered


def render_touches(
    renderer: FastRenderer,
    positions: NDArray[np.float32],
    contact: NDArray[np.bool_],
    indenter: Indenter,
    poses: Sequence[IndenterPose],
) -> dict[str, NDArray[Any]]:
    """Render the image and the maps of gel surfaces.

    Args:
        renderer: renderer of the sensor. It should be reused for all trials, because it prepares
            the sensor.
        positions: (S, R, C, 3) float32 vertex positions of S surfaces, mm.
        contact: (S, R, C) bool, True for vertices in contact with the indenter.
        indenter: indenter that presses the gel, and that the refined surfaces stay out of.
        poses: S poses of the indenter.

    Returns:
        Arrays by name: `rgb` (S, H, W, 3) uint8; `light` (S, H, W, 3) uint8, the image without cast
        shadows; `nocs` (S, H, W, 3) uint16, `depth` and
        `indentation` (S, H, W) uint16, and `shear` (S, H, W, 2) int16, in the units of
        `map_coding`; `contact` (S, H, W) bool, True for pixels that show a point in contact.
    """
    samples = [
        _render_sample(renderer, _fine_surface(renderer.model, position, indenter, pose), touched)
        for position, touched, pose in zip(positions, contact, poses, strict=True)
    ]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def render_reference(renderer: FastRenderer) -> dict[str, NDArray[Any]]:
    """Render the undeformed gel.

    Args:
        renderer: renderer of the sensor.

    Returns:
        Arrays by name as those of `render_touches`, with one sample.
    """
    gel = renderer.model.gel
    rows, columns = _fine_grid(renderer.model)
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    sample = _render_sample(renderer, flat, np.zeros((rows, columns), np.bool_))
    return {name: values[None] for name, values in sample.items()}


def _fine_surface(
    model: SensorModel, position: NDArray[np.float32], indenter: Indenter, pose: IndenterPose
) -> GelSurface:
    """Surface with vertices (R, C, 3), refined to `SPACING_MM` outside the indenter."""
    rows, columns = position.shape[:2]
    coarse = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, rows, columns)
    fine_rows, fine_columns = _fine_grid(model)
    return refine_contact(
        coarse.moved(position.reshape(-1, 3), may_overhang=True),
        indenter,
        pose,
        max(rows, fine_rows),
        max(columns, fine_columns),
    )


def _render_sample(
    renderer: FastRenderer, surface: GelSurface, vertex_contact: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Image and maps of one surface."""
    from tacdiff_ros.optics.simulate import to_uint8

    renderer.set_surface(surface)
    image, light = renderer.image_with_and_without_shadows()
    maps = renderer.maps()
    return {
        "rgb": to_uint8(image),
        "light": to_uint8(light),
        "nocs": encode_nocs(maps.nocs),
        "depth": encode_length(maps.depth_mm),
        "indentation": encode_length(maps.indentation_mm),
        "shear": encode_signed_length(maps.shear_mm),
        "contact": _contact_pixels(maps.nocs, maps.hit, vertex_contact),
    }


def _contact_pixels(
    nocs: NDArray[np.float32], hit: NDArray[np.bool_], vertex_contact: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(H, W) pixels that show a point in contact, by the vertex nearest to that point."""
    rows, columns = vertex_contact.shape
    column = np.rint(nocs[..., 0] * np.float32(columns - 1)).astype(int)
    row = np.rint(nocs[..., 1] * np.float32(rows - 1)).astype(int)
    return np.asarray(vertex_contact[row, column] & hit)


def _fine_grid(model: SensorModel) -> tuple[int, int]:
    """Rows and columns of a grid over the pad whose spacing is at most `SPACING_MM`."""
    rows, columns = (
        math.ceil(side / SPACING_MM) + 1 for side in (model.gel.height_mm, model.gel.width_mm)
    )
    return rows, columns
