"""Places the taxels of sensor pads on the collision shapes of the links that carry them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.collision_shape import CollisionShape
from tacdiff_ros.objects.hand import Taxels

Array = NDArray[np.float64]
Vector = tuple[float, float, float]

MAX_GAP_M = 0.01  # from a pad to the surface that it lies on
PROJECTIONS = 8


class TaxelPad(BaseModel):
    """A grid of taxels, flat or on a dome, repeated on several links."""

    model_config = ConfigDict(extra="forbid")
    links: list[str] = Field(min_length=1, description="links that carry such a pad")
    form: Literal["flat", "dome"] = "flat"
    rows: int = Field(ge=1, le=64)
    columns: int = Field(ge=1, le=64)
    centre: Vector = Field(description="centre of the pad, of a dome its sphere's, m")
    normal: Vector = Field(description="outward normal in the middle of the pad")
    up: Vector = Field(description="direction of the columns, across the normal")
    pitch: float = Field(0.0047, gt=0, le=0.1, description="distance of taxels, m")
    rows_deg: tuple[float, float] = Field((-50.0, 50.0), description="dome: range of elevation")
    columns_deg: tuple[float, float] = Field((-50.0, 50.0), description="dome: range of azimuth")


def locate_taxels(
    pads: list[TaxelPad], links: tuple[str, ...], shapes: tuple[CollisionShape, ...]
) -> Taxels:
    """Place the taxels of pads on the surfaces of their links.

    Args:
        pads: pads with existing links.
        links: names of all links.
        shapes: collision shapes of all links.

    Returns:
        Taxels in the order of pads, links, rows and columns.

    Raises:
        InputError: a taxel is over `MAX_GAP_M` from the surface of its link.
    """
    parts = []
    for pad in pads:
        for link in pad.links:
            own = [shape for shape in shapes if shape.link == link]
            if not own:
                raise InputError(f"link {link} carries taxels but has no collision shape")
            position, normal = _project(_grid(pad), own, link)
            count = len(position)
            area = np.full(count, pad.pitch**2)
            parts.append((np.full(count, links.index(link)), position, normal, area))
    if not parts:
        return Taxels.none()
    return Taxels(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _grid(pad: TaxelPad) -> Array:
    """Return the centres (T, 3) of a pad's taxels before they are placed on the surface."""
    normal, up = np.array(pad.normal), np.array(pad.up)
    normal = normal / np.linalg.norm(normal)
    up = up - (up @ normal) * normal
    up = up / np.linalg.norm(up)
    across = np.cross(up, normal)
    centre = np.array(pad.centre)
    if pad.form == "flat":
        v = pad.pitch * (np.arange(pad.rows) - (pad.rows - 1) / 2)
        u = pad.pitch * (np.arange(pad.columns) - (pad.columns - 1) / 2)
        return (centre + v[:, None, None] * up + u[:, None] * across).reshape(-1, 3)
    v = np.radians(np.linspace(*pad.rows_deg, pad.rows))[:, None, None]
    u = np.radians(np.linspace(*pad.columns_deg, pad.columns))[:, None]
    direction = np.cos(v) * (np.cos(u) * normal + np.sin(u) * across) + np.sin(v) * up
    radius = 2 * pad.pitch * max(pad.rows, pad.columns) / math.pi
    return (centre + radius * direction).reshape(-1, 3)


def _project(points: Array, shapes: list[CollisionShape], link: str) -> tuple[Array, Array]:
    """Move points along the distance's gradient to the surface; return positions and normals."""
    start = points
    for _ in range(PROJECTIONS):
        values = [shape.distance_and_gradient(points) for shape in shapes]
        distances = np.array([value[0] for value in values])
        nearest = distances.argmin(axis=0)
        index = np.arange(len(points))
        gradient = np.array([value[1] for value in values])[nearest, index]
        points = points - distances[nearest, index][:, None] * gradient
    gap = np.linalg.norm(points - start, axis=1).max()
    if gap > MAX_GAP_M:
        raise InputError(
            f"taxels of link {link} are up to {1e3 * gap:.1f} mm from its surface, expected up to "
            f"{1e3 * MAX_GAP_M:.0f} mm: correct the pad's centre"
        )
    return points, gradient
