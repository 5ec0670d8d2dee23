"""Rendering of a trial: the tactile image and the maps of every gel surface, for one sensor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.map_coding import encode_length, encode_nocs, encode_signed_length
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer

SPACING_MM = 0.15  # largest vertex spacing of the surface that is rendered


def render_touches(
    renderer: FastRenderer, positions: NDArray[np.float32], contact: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Render the image and the maps of gel surfaces.

    Args:
        renderer: renderer of the sensor. It should be reused for all trials, because it prepares
            the sensor.
        positions: (S, R, C, 3) float32 vertex positions of S surfaces, mm.
        contact: (S, R, C) bool, True for vertices in contact with the indenter.

    Returns:
        Arrays by name: `rgb` (S, H, W, 3) uint8; `light` (S, H, W, 3) uint8, the image without cast
        shadows; `nocs` (S, H, W, 3) uint16, `depth` and
        `indentation` (S, H, W) uint16, and `shear` (S, H, W, 2) int16, in the units of
        `map_coding`; `contact` (S, H, W) bool, True for pixels that show a point in contact.
    """
    samples = [
        _render_sample(renderer, position, vertex_contact)
        for position, vertex_contact in zip(positions, contact, strict=True)
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
    positions = flat.position.reshape(1, rows, columns, 3)
    return render_touches(renderer, positions, np.zeros((1, rows, columns), bool))


def _render_sample(
    renderer: FastRenderer, position: NDArray[np.float32], vertex_contact: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Image and maps of one surface, refined to `SPACING_MM` for rendering."""
    from tacdiff_ros.optics.simulate import to_uint8

    gel = renderer.model.gel
    rows, columns = position.shape[:2]
    coarse = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    fine_rows, fine_columns = _fine_grid(renderer.model)
    surface = refine_surface(
        coarse.moved(position.reshape(-1, 3), may_overhang=True),
        max(rows, fine_rows),
        max(columns, fine_columns),
    )
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
