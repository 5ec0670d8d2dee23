"""Light that parts of the gel throw onto each other and hide from each other.

A wall lights the floor at its foot and hides from it what the layers above return from its side.
One bounce, gathered at the vertices of the surface from all others within reach; what
`interreflection` says of a flat pad in their place is taken off.

Limits: of two vertices only counts whether they face each other, not what stands between them; of
returned light, that of the flat pad; on grids finer than 0.2 mm the reach is shorter than 4 mm;
without gradients.
"""

from __future__ import annotations

import math
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.illumination import ShadowSamples, irradiance
from tacdiff_ros.optics.interreflection import SECTORS, Indirect
from tacdiff_ros.optics.parameters import Parameters
from tacdiff_ros.sensor.sensor_model import SensorModel

REACH_MM, MOST_REACH = 4.0, 20  # vertices; what is farther sends too little to be worth its time
SINES_SQUARED = (0.45, 0.57, 0.69, 0.81, 0.93)  # of rays; beyond the critical angle
AZIMUTHS = 3  # of rays in a sector
SPREAD = 0.2  # of sin^2 around its mean
FAR_MM = 10.0


def near_light(
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
        area = mesh.vertex_areas()
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
        for sector in range(SECTORS):
            light, sine_squared = indirect.from_sector(position, hit.normal, sector)
            total -= light * _hidden(mesh, hit, sector, sine_squared)
        flat = dr.ravel(mi.Vector3f(total))
        dr.eval(flat)
        return flat


def _gathered(mesh: GelMesh, position: Any, area: Any, sent: Any) -> Any:
    """RGB irradiance at each vertex of what those within reach send."""
    arrays = [dr.ravel(part) for part in (position, area, mi.Vector3f(sent))]
    dr.eval(arrays)
    reach = min(max(1, round(REACH_MM / mesh.spacing_mm)), MOST_REACH)
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


def _hidden(mesh: GelMesh, hit: SurfaceHit, sector: int, mean: Any) -> Any:
    """Share of a sector's light, RGB of mean sin^2, that the gel around keeps from each vertex."""
    hidden, whole = mi.Color3f(0.0), mi.Color3f(1e-6)
    for sine_squared in SINES_SQUARED:
        sine, cosine = math.sqrt(sine_squared), math.sqrt(1.0 - sine_squared)
        usual = dr.exp(-dr.square((mean - sine_squared) / SPREAD))
        for step in range(AZIMUTHS):
            turn = 0.5 * math.pi * (sector + (step + 0.5) / AZIMUTHS - 0.5)
            way = mi.Vector3f(sine * math.cos(turn), sine * math.sin(turn), -cosine)
            facing = dr.maximum(dr.dot(hit.normal, way), 0.0)
            free = mesh.visible(hit, hit.position + FAR_MM * way, facing > 0.0)
            hidden += usual * dr.select(free, 0.0, facing)
            whole += usual * facing
    return hidden / whole
