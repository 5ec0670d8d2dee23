"""Light that parts of the gel throw onto each other and hide from each other.

A wall lights the floor at its foot and hides from it what the layers above return from its side.
One bounce, gathered at the vertices of the surface from all others within reach; what
`interreflection` says of a flat pad in their place is taken off.

Limits: of two vertices only counts whether they face each other, not what stands between them; of
returned light, that of the flat pad; on grids finer than 0.2 mm the reach is shorter than 4 mm;
without gradients.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.illumination import ShadowSamples, irradiance
from tacdiff_ros.optics.interreflection import SECTORS, Indirect
from tacdiff_ros.optics.parameters import Parameters
from tacdiff_ros.sensor.sensor_model import SensorModel

REACH_MM, MAX_REACH = 4.0, 20  # vertices; what is farther sends too little to be worth its time
SINES_SQUARED = (0.45, 0.57, 0.69, 0.81, 0.93)  # of rays; beyond the critical angle
AZIMUTHS = 3  # of rays in a sector
SPREAD = 0.2  # of sin^2 around its mean
FAR_MM = 10.0


def local_interreflection(
    parameters: Parameters, model: SensorModel, mesh: GelMesh, indirect: Indirect
) -> Any:
    """Flat RGB irradiance (3 N) at a surface's vertices, on top of that of a flat pad.

    What parts of the surface send to each other, less what they hide from each other.

    Args:
        parameters: of the sensor.
        model: of the sensor.
        mesh: the surface.
        indirect: light that comes back from the layers above.
    """
    with dr.suspend_grad():
        vertex = dr.arange(mi.UInt32, mesh.rows * mesh.columns)
        view = parameters.view(dr.width(vertex))
        position = dr.gather(mi.Point3f, dr.detach(mesh.vertices), vertex)
        area = mesh.vertex_areas(vertex)
        hit = SurfaceHit(
            mi.Bool(True), position, dr.normalize(area), mi.Vector2f(position.x, position.y)
        )
        shadows = ShadowSamples(
            mi.Float(0.0), mi.sample_tea_float32(vertex, 0, 4), mi.sample_tea_float32(vertex, 1, 4)
        )
        arriving = irradiance(view, model, mesh, hit, None, indirect, shadows)
        sent = arriving * view.triple("gel.base_color") / dr.pi
        total = _gathered(mesh, position, area, sent)
        total -= indirect.from_flat_pad(position, hit.normal)
        total -= _hidden(mesh, indirect)
        flat = dr.ravel(mi.Vector3f(total))
        dr.eval(flat)
        return flat


def _gathered(mesh: GelMesh, position: Any, area: Any, sent: Any) -> Any:
    """RGB irradiance at each vertex of what those within reach send."""
    arrays = [dr.ravel(part) for part in (position, area, mi.Vector3f(sent))]
    dr.eval(arrays)
    reach = min(max(1, round(REACH_MM / mesh.spacing_mm)), MAX_REACH)
    counts = [dr.opaque(mi.Int32, value) for value in (mesh.columns, mesh.rows, reach)]
    return _summed(*arrays, *counts)


@dr.syntax
def _summed(position: Any, area: Any, sent: Any, columns: Any, rows: Any, reach: Any) -> Any:
    """RGB irradiance at each vertex of what those around send."""
    vertex = dr.arange(mi.Int32, dr.width(position) // 3)
    column, row = vertex % columns, vertex // columns
    here = dr.gather(mi.Point3f, position, vertex)
    normal = dr.normalize(dr.gather(mi.Vector3f, area, vertex))
    total = mi.Color3f(0.0)
    side = 2 * reach + 1
    step = mi.Int32(0)
    while step < side * side:
        x = column + step % side - reach
        y = row + step // side - reach
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        other = y * columns + x
        way = dr.gather(mi.Point3f, position, other, inside) - here
        facing = dr.gather(mi.Vector3f, area, other, inside)
        light = dr.gather(mi.Color3f, sent, other, inside)
        apart = dr.squared_norm(way) + dr.norm(facing) / dr.pi
        share = dr.maximum(dr.dot(normal, way), 0.0) * dr.maximum(-dr.dot(facing, way), 0.0)
        total += dr.select(inside, share / dr.square(apart), 0.0) * light
        step += 1
    return total


def _hidden(mesh: GelMesh, indirect: Indirect) -> Any:
    """RGB irradiance from the layers above that the gel around keeps from each vertex.

    One lane a vertex and sector. The rays of a lane are a loop in the kernel: sixty of them in one
    piece take minutes to compile for a graphics card.
    """
    lane = dr.arange(mi.UInt32, mesh.rows * mesh.columns * SECTORS)
    vertex, sector = lane // SECTORS, lane % SECTORS
    position = dr.gather(mi.Point3f, dr.detach(mesh.vertices), vertex)
    normal = dr.normalize(mesh.vertex_areas(vertex))
    light, sine_squared = indirect.from_sector(position, normal, sector)
    directions, squares = _sector_rays()
    rays = dr.opaque(mi.UInt32, len(SINES_SQUARED) * AZIMUTHS)
    share = _hidden_share(mesh, position, normal, sector, sine_squared, directions, squares, rays)
    hidden = [light[c] * share[c] for c in range(3)]
    dr.eval(hidden)
    return mi.Color3f(*(dr.block_sum(part, SECTORS) for part in hidden))


def _sector_rays() -> tuple[Any, Any]:
    """Directions, flat (sectors x rays x 3), and sin^2 of a sector's rays to the sensor's axis."""
    squares = np.repeat(SINES_SQUARED, AZIMUTHS)
    step = np.tile(np.arange(AZIMUTHS), len(SINES_SQUARED))
    turn = np.arange(SECTORS)[:, None] + (step + 0.5) / AZIMUTHS - 0.5
    sine, cosine = np.sqrt(squares), np.sqrt(1.0 - squares)
    turn = 0.5 * np.pi * turn
    parts = [sine * np.cos(turn), sine * np.sin(turn), np.broadcast_to(-cosine, turn.shape)]
    directions = np.stack(parts, axis=-1).astype(np.float32)
    return mi.Float(directions.ravel()), mi.Float(squares.astype(np.float32))


@dr.syntax
def _hidden_share(
    mesh: GelMesh,
    position: Any,
    normal: Any,
    sector: Any,
    mean: Any,
    directions: Any,
    squares: Any,
    rays: Any,
) -> Any:
    """Share of a sector's light, RGB of mean sin^2, that the gel around keeps from points."""
    hidden, whole = mi.Color3f(0.0), mi.Color3f(1e-6)
    ray = mi.UInt32(0)
    while ray < rays:
        way = dr.gather(mi.Vector3f, directions, sector * rays + ray)
        usual = dr.exp(-dr.square((mean - dr.gather(mi.Float, squares, ray)) / SPREAD))
        facing = dr.maximum(dr.dot(normal, way), 0.0)
        free = mesh.visible(position, normal, position + FAR_MM * way, facing > 0.0)
        hidden += usual * dr.select(free, 0.0, facing)
        whole += usual * facing
        ray += 1
    return hidden / whole
