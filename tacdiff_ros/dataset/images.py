"""A trial's images: every surface as one sensor sees it, and the maps beside it."""

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
    from tacdiff_ros.optics.renderer import Renderer

SPACING_MM = 0.15  # of the surface that is drawn


def render_touches(
    renderer: Renderer, positions: NDArray[np.float32], contact: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Draw surfaces.

    Args:
        renderer: of the sensor; kept between trials, as it compiles its kernels.
        positions: (S, R, C, 3) mm.
        contact: (S, R, C), vertices that are touched.

    Returns:
        `rgb` (S, H, W, 3) uint8; `light` (S, H, W, 3) uint8, the same without cast shadows and at
        one sample a pixel; `nocs` (S, H, W, 3), `depth` and `indentation` (S, H, W), `shear`
        (S, H, W, 2) as `map_coding` codes them; `contact` (S, H, W) bool.
    """
    samples = [
        _draw(renderer, position, touched)
        for position, touched in zip(positions, contact, strict=True)
    ]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def render_reference(renderer: Renderer) -> dict[str, NDArray[Any]]:
    """The sensor before any touch, as one sample."""
    gel = renderer.model.gel
    rows, columns = _fine_grid(renderer.model)
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    positions = flat.position.reshape(1, rows, columns, 3)
    return render_touches(renderer, positions, np.zeros((1, rows, columns), bool))


def _draw(
    renderer: Renderer, position: NDArray[np.float32], touched: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    from tacdiff_ros.optics.simulate import light_image, simulate_image

    gel = renderer.model.gel
    rows, columns = position.shape[:2]
    coarse = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    fine_rows, fine_columns = _fine_grid(renderer.model)
    surface = refine_surface(
        coarse.moved(position.reshape(-1, 3), may_overhang=True),
        max(rows, fine_rows),
        max(columns, fine_columns),
    )
    seen = simulate_image(renderer, surface)
    maps = seen.maps
    return {
        "rgb": seen.image,
        "light": light_image(renderer),
        "nocs": encode_nocs(maps.nocs),
        "depth": encode_length(maps.depth_mm),
        "indentation": encode_length(maps.indentation_mm),
        "shear": encode_signed_length(maps.shear_mm),
        "contact": _seen_contact(maps.nocs, maps.hit, touched),
    }


def _seen_contact(
    nocs: NDArray[np.float32], hit: NDArray[np.bool_], touched: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(H, W) pixels whose material point is touched, by the nearest vertex."""
    rows, columns = touched.shape
    column = np.rint(nocs[..., 0] * np.float32(columns - 1)).astype(int)
    row = np.rint(nocs[..., 1] * np.float32(rows - 1)).astype(int)
    return np.asarray(touched[row, column] & hit)


def _fine_grid(model: SensorModel) -> tuple[int, int]:
    rows, columns = (
        math.ceil(side / SPACING_MM) + 1 for side in (model.gel.height_mm, model.gel.width_mm)
    )
    return rows, columns
