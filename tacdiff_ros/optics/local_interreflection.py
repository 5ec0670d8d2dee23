"""Local inter-reflection: light between parts of the deformed gel, and its occlusion.

A wall scatters light onto the floor at its foot, and occludes the light that the layers reflect
from its side. One bounce is computed: each vertex gathers the light of all other vertices within
reach. The contribution of the flat pad that `interreflection` assumes around each point is
subtracted.

Limits: light between two vertices depends on whether they face each other, not on what is between
them; the reflected light is that of the flat pad; on grids finer than 0.2 mm the reach is shorter
than 4 mm; the result has no gradients.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.illumination import ShadowSamples, irradiance
from tacdiff_ros.optics.interreflection import IndirectLight
from tacdiff_ros.optics.pad_light_grid import SECTORS
from tacdiff_ros.optics.parameters import Parameters
from tacdiff_ros.sensor.sensor_model import SensorModel

# Reach of the exchange in mm, and its limit in vertices; the light from farther away is too small
# to justify its time.
REACH_MM, MAX_REACH = 4.0, 20
SINES_SQUARED = (0.45, 0.57, 0.69, 0.81, 0.93)  # of the rays' angles, above the critical angle
AZIMUTHS = 3  # rays per sector and angle
SPREAD = 0.2  # width in sin^2 of the assumed angular distribution around its mean
FAR_MM = 10.0


def local_interreflection(
    parameters: Parameters, model: SensorModel, mesh: GelMesh, indirect: IndirectLight
) -> Any:
    """Return the irradiance at the vertices of a surface in excess of that of a flat pad.

    It is the light that parts of the surface scatter onto each other, minus the reflected light
    that they occlude.

    Args:
        parameters: sensor parameters.
        model: sensor model.
        mesh: gel surface.
        indirect: light reflected by the layers.

    Returns:
        Flat (3 N) RGB irradiance at the N vertices, without gradients; it may be negative.
    """
    with dr.suspend_grad():
        vertex = dr.arange(mi.UInt32, mesh.rows * mesh.columns)
        view = parameters.view(dr.width(vertex))
        position = dr.gather(mi.Point3f, dr.detach(mesh.vertices), vertex)
        area = mesh.vertex_areas(vertex)
        hit = SurfaceHit(
            valid=mi.Bool(True),
            position=position,
            normal=dr.normalize(area),
            rest=mi.Vector2f(position.x, position.y),
        )
        shadows = ShadowSamples(
            stratum=mi.Float(0.0),
            rotation=mi.sample_tea_float32(vertex, 0, 4),
            across=mi.sample_tea_float32(vertex, 1, 4),
        )
        arriving = irradiance(view, model, mesh, hit, None, indirect, shadows)
        scattered = arriving * view.triple("gel.base_color") / dr.pi
        total = _gathered(mesh, position, area, scattered)
        total -= indirect.from_flat_pad(position, hit.normal)
        total -= _occluded(mesh, indirect)
        flat = dr.ravel(mi.Vector3f(total))
        dr.eval(flat)
        return flat


def _gathered(mesh: GelMesh, position: Any, area: Any, scattered: Any) -> Any:
    """Return the RGB irradiance of each vertex from the vertices within reach.

    Args:
        mesh: gel surface.
        position: vertex positions, mm.
        area: area vectors of the vertices, mm^2.
        scattered: RGB radiance that the vertices scatter.
    """
    arrays = [dr.ravel(part) for part in (position, area, mi.Vector3f(scattered))]
    dr.eval(arrays)
    reach = min(max(1, round(REACH_MM / mesh.spacing_mm)), MAX_REACH)
    counts = [dr.opaque(mi.Int32, value) for value in (mesh.columns, mesh.rows, reach)]
    return _sum_over_neighbours(*arrays, *counts)


@dr.syntax
def _sum_over_neighbours(
    position: Any, area: Any, scattered: Any, columns: Any, rows: Any, reach: Any
) -> Any:
    """Return the RGB irradiance of each vertex, summed in a loop over its neighbours.

    Args:
        position: flat (3 N) vertex positions, mm.
        area: flat (3 N) area vectors of the vertices, mm^2.
        scattered: flat (3 N) RGB radiance that the vertices scatter.
        columns: number of vertex columns.
        rows: number of vertex rows.
        reach: number of neighbours on each side, along x and along y.
    """
    vertex = dr.arange(mi.Int32, dr.width(position) // 3)
    column, row = vertex % columns, vertex // columns
    receiver = dr.gather(mi.Point3f, position, vertex)
    normal = dr.normalize(dr.gather(mi.Vector3f, area, vertex))
    total = mi.Color3f(0.0)
    side = 2 * reach + 1
    step = mi.Int32(0)
    while step < side * side:
        x = column + step % side - reach
        y = row + step // side - reach
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        other = y * columns + x
        to_source = dr.gather(mi.Point3f, position, other, inside) - receiver
        source_area = dr.gather(mi.Vector3f, area, other, inside)
        radiance = dr.gather(mi.Color3f, scattered, other, inside)
        squared_distance = dr.squared_norm(to_source) + dr.norm(source_area) / dr.pi
        cosines = dr.maximum(dr.dot(normal, to_source), 0.0) * dr.maximum(
            -dr.dot(source_area, to_source), 0.0
        )
        total += dr.select(inside, cosines / dr.square(squared_distance), 0.0) * radiance
        step += 1
    return total


def _occluded(mesh: GelMesh, indirect: IndirectLight) -> Any:
    """Return the RGB irradiance from the layers that the gel occludes at each vertex.

    Each lane computes one vertex and sector. The rays of a lane are a loop in the kernel, because
    a kernel with sixty unrolled rays takes minutes to compile for a GPU.

    Args:
        mesh: gel surface.
        indirect: light reflected by the layers.
    """
    lane = dr.arange(mi.UInt32, mesh.rows * mesh.columns * SECTORS)
    vertex, sector = lane // SECTORS, lane % SECTORS
    position = dr.gather(mi.Point3f, dr.detach(mesh.vertices), vertex)
    normal = dr.normalize(mesh.vertex_areas(vertex))
    light, sine_squared = indirect.from_sector(position, normal, sector)
    directions, squares = _sector_rays()
    rays = dr.opaque(mi.UInt32, len(SINES_SQUARED) * AZIMUTHS)
    fraction = _occluded_fraction(
        mesh, position, normal, sector, sine_squared, directions, squares, rays
    )
    occluded = [light[c] * fraction[c] for c in range(3)]
    dr.eval(occluded)
    return mi.Color3f(*(dr.block_sum(channel, SECTORS) for channel in occluded))


def _sector_rays() -> tuple[Any, Any]:
    """Return the test rays of the sectors.

    Returns:
        Flat (sectors x rays x 3) unit directions, and (rays,) sin^2 of their angles to the sensor
        axis.
    """
    squares = np.repeat(SINES_SQUARED, AZIMUTHS)
    step = np.tile(np.arange(AZIMUTHS), len(SINES_SQUARED))
    azimuth = np.arange(SECTORS)[:, None] + (step + 0.5) / AZIMUTHS - 0.5
    sine, cosine = np.sqrt(squares), np.sqrt(1.0 - squares)
    azimuth = 0.5 * np.pi * azimuth
    components = [
        sine * np.cos(azimuth),
        sine * np.sin(azimuth),
        np.broadcast_to(-cosine, azimuth.shape),
    ]
    directions = np.stack(components, axis=-1).astype(np.float32)
    return mi.Float(directions.ravel()), mi.Float(squares.astype(np.float32))


@dr.syntax
def _occluded_fraction(
    mesh: GelMesh,
    position: Any,
    normal: Any,
    sector: Any,
    mean: Any,
    directions: Any,
    squares: Any,
    rays: Any,
) -> Any:
    """Return the RGB fraction of a sector's reflected light that the gel occludes at points.

    Args:
        mesh: gel surface.
        position: points on the surface, mm.
        normal: unit normals of the surface at these points.
        sector: sector indices.
        mean: RGB sin^2 of the mean angle at which the light arrives.
        directions: flat (sectors x rays x 3) unit directions of the test rays.
        squares: (rays,) sin^2 of the test rays' angles.
        rays: number of test rays per sector.
    """
    occluded, whole = mi.Color3f(0.0), mi.Color3f(1e-6)
    ray = mi.UInt32(0)
    while ray < rays:
        direction = dr.gather(mi.Vector3f, directions, sector * rays + ray)
        weight = dr.exp(-dr.square((mean - dr.gather(mi.Float, squares, ray)) / SPREAD))
        facing = dr.maximum(dr.dot(normal, direction), 0.0)
        free = mesh.visible(position, normal, position + FAR_MM * direction, facing > 0.0)
        occluded += weight * dr.select(free, 0.0, facing)
        whole += weight * facing
        ray += 1
    return occluded / whole
