"""Table of the light that the layers reflect onto the nodes of a grid over the pad.

The radiance of the pad points from which reflected light arrives is summed by quadrature over
angles (radiosity), and the mirror images of the lights in the interfaces along the lights. This is
done for the undeformed pad and for nodes nearer to the layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from tacdiff_ros.optics.area_lights import (
    LightFrame,
    light_frame,
    light_frames,
    point_on_light,
    rectangle_irradiance,
    strip_panels,
)
from tacdiff_ros.optics.pad_light_grid import (
    COLUMNS,
    ENTRIES,
    GRID,
    SECTORS,
    bilinear,
    pad_nodes,
    sector_axis,
)
from tacdiff_ros.optics.parameters import Parameters, View
from tacdiff_ros.optics.reflected_paths import reflected_path, reflected_sine
from tacdiff_ros.sensor.sensor_model import SensorModel

DEEP_MM = 1.0  # depth of the second grid of nodes, on a thin gel half of its thickness
AZIMUTHS = 20
POINTS_BELOW_CRITICAL = 3  # quadrature points in sin^2 of the angle, below the critical angle
POINTS_ABOVE_CRITICAL = 10
MAX_SINE_SQUARED = 0.97
MIRROR_POINTS = 16


@dataclass(frozen=True)
class Quadrature:
    """Gauss-Legendre points in [-1, 1] and weights, as arrays that kernels read.

    Attributes:
        mirror: points and weights along a light.
        angle: points and weights of the angles below, then above the critical angle.
    """

    mirror: tuple[Any, Any]
    angle: tuple[Any, Any]

    @classmethod
    def uploaded(cls) -> Quadrature:
        """Upload the points and weights."""
        low, high = (leggauss(count) for count in (POINTS_BELOW_CRITICAL, POINTS_ABOVE_CRITICAL))
        points, weights = (np.concatenate(pair) for pair in zip(low, high, strict=True))
        along, along_weights = leggauss(MIRROR_POINTS)
        return cls(
            (_constants(along), _constants(along_weights)),
            (_constants(points), _constants(weights)),
        )

    def arrays(self) -> list[Any]:
        """Return all arrays."""
        return [*self.mirror, *self.angle]


def reflected_light_table(
    parameters: Parameters, model: SensorModel, quadrature: Quadrature
) -> Any:
    """Return the table of `IndirectLight`; the number of bounces is at least 1.

    Args:
        parameters: sensor parameters.
        model: sensor model.
        quadrature: quadrature points.
    """
    nodes = pad_nodes(model, 0.0)
    view = parameters.view(dr.width(nodes))
    albedo = _albedo(view, model)
    direct = _direct_irradiance(view, model, nodes)
    dr.eval(direct)  # otherwise every kernel that reads it would compute it again
    mirror_images = _mirror_images(parameters, model, nodes, quadrature)
    table = mirror_images
    for bounce in range(model.interreflection.bounces):
        arriving = (
            direct if bounce == 0 else [direct[c] + _flat_irradiance(table, c) for c in range(3)]
        )
        scattered = [arriving[c] * albedo[c] / dr.pi for c in range(3)]
        table = mirror_images + _reflected(parameters, model, nodes, scattered, quadrature)
        dr.eval(table)
    radiosity = [(direct[c] + _flat_irradiance(table, c)) * albedo[c] for c in range(3)]
    zeros = dr.zeros(mi.Float, dr.width(nodes))
    # The pad's channel c is stored in sector c, in the column after the six of the layers.
    pad = _table(
        [[zeros] * 6 + [radiosity[s] if s < len(radiosity) else zeros] for s in range(SECTORS)]
    )
    height_mm = -min(DEEP_MM, 0.5 * model.gel_thickness_mm)
    deep_nodes = pad_nodes(model, height_mm)
    deep = _mirror_images(parameters, model, deep_nodes, quadrature)
    deep += _reflected(parameters, model, deep_nodes, scattered, quadrature)
    return _entries(table + pad, (deep - table) / height_mm)


def _entries(columns: Any, changes: Any) -> Any:
    """Return the table of the columns at height 0 and of their changes per mm of height."""
    index = dr.arange(mi.UInt32, 2 * dr.width(columns))
    source, entry = index // ENTRIES * COLUMNS + index % COLUMNS, index % ENTRIES
    return dr.select(
        entry < COLUMNS,
        dr.gather(mi.Float, columns, source),
        dr.gather(mi.Float, changes, source),
    )


def _albedo(view: View, model: SensorModel) -> list[Any]:
    """Return the mean reflectance of the pad in each channel, markers of usual size included."""
    base = [view.scalar("gel.base_color", c) for c in range(3)]
    if model.markers is None:
        return base
    marker_count = model.markers.rows * model.markers.columns
    marker_area = marker_count * dr.pi / 4 * dr.square(view.scalar("markers.diameter_mm"))
    marker_fraction = marker_area / (model.gel.width_mm * model.gel.height_mm)
    return [value * (1.0 - model.markers.darkness * marker_fraction) for value in base]


def _direct_irradiance(view: View, model: SensorModel, nodes: Any) -> list[Any]:
    """Return the irradiance of the nodes from the lights and the ambient light, per channel."""
    normal = mi.Vector3f(0.0, 0.0, -1.0)
    total = [dr.pi * view.scalar("gel.ambient", c) for c in range(3)]
    for k, light in enumerate(model.lights):
        frame = light_frame(view, k)
        if light.kind == "rectangle":
            irradiance = rectangle_irradiance(frame, nodes, normal)
        else:
            irradiance = strip_panels(frame, nodes, normal).total
        total = [
            total[c] + view.scalar("lights.radiance", 3 * k + c) * irradiance for c in range(3)
        ]
    return total


def _mirror_images(
    parameters: Parameters, model: SensorModel, nodes: Any, quadrature: Quadrature
) -> Any:
    """Return the table of the light that the interfaces reflect directly from the lights.

    Each lane computes one quadrature point of one light for one node.

    Args:
        parameters: sensor parameters.
        model: sensor model.
        nodes: nodes of the grid, mm.
        quadrature: points along a light.
    """
    lights, interfaces = len(model.lights), len(model.layers) - 1
    node_count = dr.width(nodes)
    if not lights:
        return dr.zeros(mi.Float, node_count * SECTORS * COLUMNS)
    lane = dr.arange(mi.UInt32, node_count * lights * MIRROR_POINTS)
    view = parameters.view(dr.width(lane))
    points, weights = quadrature.mirror
    point, light = lane % MIRROR_POINTS, lane // MIRROR_POINTS % lights
    frame = light_frames(view, light)
    source = point_on_light(frame, dr.gather(mi.Float, points, point), 0.0)
    node = dr.gather(mi.Point3f, nodes, lane // (MIRROR_POINTS * lights))
    weight = 0.5 * dr.gather(mi.Float, weights, point)
    radiance = [view.gather("lights.radiance", 3 * light + c) for c in range(3)]
    components = [mi.Float(0.0)] * (2 * SECTORS)
    for interface in range(1, interfaces + 1):
        terms = _mirror_image(view, interface, frame, source, node, weight)
        components = [total + term for total, term in zip(components, terms, strict=True)]
    rows = [
        [radiance[c] * components[2 * sector + k] for k in range(2) for c in range(3)]
        for sector in range(SECTORS)
    ]
    dr.eval(rows)  # together: one kernel per sector would do the same work four times
    group = lights * MIRROR_POINTS
    return _table([[dr.block_sum(value, group) for value in row] for row in rows])


def _mirror_image(
    view: View, interface: int, frame: LightFrame, source: Any, node: Any, weight: Any
) -> list[Any]:
    """Return the irradiance from points of a light by reflection in one interface.

    Args:
        view: sensor parameters.
        interface: index of the reflecting interface, as in `reflected_path`.
        frame: frames of the lights.
        source: points of the lights, mm.
        node: nodes of the grid, mm.
        weight: quadrature weights.

    Returns:
        For each sector the vertical and the horizontal component, for unit radiance.
    """
    offset = mi.Vector2f(source.x - node.x, source.y - node.y)
    radius = dr.sqrt(dr.maximum(dr.squared_norm(offset), 1e-4))
    sine = reflected_sine(view, interface, radius, source.z + node.z)
    path = reflected_path(view, interface, sine, source.z + node.z)
    cosine = dr.safe_sqrt(1.0 - dr.square(sine))
    heading = offset / radius
    # The ray leaves the light upward, and horizontally toward the node.
    leaving = mi.Vector3f(-heading.x * sine, -heading.y * sine, -cosine)
    emitted = dr.maximum(dr.dot(frame.aim, leaving), 0.0)
    lobe = dr.exp2((frame.exponent - 1.0) * dr.log2(dr.maximum(emitted, 1e-6)))
    # A horizontal area r dr dphi subtends sin(theta) dtheta dphi; `emitted` projects the light.
    solid_angle_per_area = sine / dr.maximum(radius * path.derivative, 1e-6)
    projected = 4.0 * frame.half_length * frame.half_width * emitted / dr.maximum(cosine, 1e-3)
    received = weight * projected * solid_angle_per_area * lobe * path.reflectance
    components = []
    for sector in range(SECTORS):
        x, y = sector_axis(sector)
        along = dr.maximum(x * heading.x + y * heading.y, 0.0)
        components += [received * cosine * dr.square(along), received * sine * along]
    return components


def _reflected(
    parameters: Parameters,
    model: SensorModel,
    nodes: Any,
    scattered: list[Any],
    quadrature: Quadrature,
) -> Any:
    """Return the table of the scattered light that the layers reflect.

    Each lane computes one direction of one sector for one node.

    Args:
        parameters: sensor parameters.
        model: sensor model.
        nodes: nodes of the grid, mm.
        scattered: radiance that each node scatters, per channel.
        quadrature: points of the angles.
    """
    dr.eval(scattered)
    steps = AZIMUTHS // SECTORS
    group = steps * (POINTS_BELOW_CRITICAL + POINTS_ABOVE_CRITICAL)
    lane = dr.arange(mi.UInt32, dr.width(nodes) * SECTORS * group)
    view = parameters.view(dr.width(lane))
    sine_squared, weight = _angle_quadrature(view, lane % group // steps, quadrature)
    sine, cosine = dr.sqrt(sine_squared), dr.safe_sqrt(1.0 - sine_squared)
    relative_azimuth = ((mi.Float(lane % steps) + 0.5) / AZIMUTHS - 0.5 / SECTORS) * (2.0 * dr.pi)
    sector_azimuth = mi.Float(lane // group % SECTORS) * (2.0 * dr.pi / SECTORS)
    sin_a, cos_a = dr.sincos(relative_azimuth + sector_azimuth)
    node = dr.gather(mi.Point3f, nodes, lane // (SECTORS * group))
    path = reflected_path(view, len(model.layers) - 1, sine, node.z)
    origin = mi.Point2f(node.x + path.distance * cos_a, node.y + path.distance * sin_a)
    # d omega = sin(theta) d theta d phi = d(sin^2) / (2 cos) d phi
    measure = path.reflectance * weight * (dr.pi / AZIMUTHS) / dr.maximum(cosine, 1e-3)
    measure *= _pad_mask(origin.x, model.gel.width_mm, GRID[0])
    measure *= _pad_mask(origin.y, model.gel.height_mm, GRID[1])
    neighbours, weights = bilinear(origin, model.gel.width_mm, model.gel.height_mm)
    radiance = [
        measure
        * sum(
            weight * dr.gather(mi.Float, channel, neighbour)
            for weight, neighbour in zip(weights, neighbours, strict=True)
        )
        for channel in scattered
    ]
    horizontal = sine * dr.cos(relative_azimuth)
    components = [value * cosine for value in radiance]
    components += [value * horizontal for value in radiance]
    dr.eval(components)  # all channels together
    return _padded([dr.block_sum(component, group) for component in components])


def _angle_quadrature(view: View, index: Any, quadrature: Quadrature) -> tuple[Any, Any]:
    """Return Gauss-Legendre points and weights in sin^2 of the angle to the sensor axis.

    The interval is split at the critical angle, where the reflectance has a kink.

    Args:
        view: sensor parameters.
        index: indices of the quadrature points.
        quadrature: points of the angles, in [-1, 1].
    """
    last = view.count("layers.index") - 1
    critical = dr.square(view.scalar("layers.index", 0) / view.scalar("layers.index", last))
    critical = dr.minimum(critical, 0.9 * MAX_SINE_SQUARED)
    abscissa, weight = (dr.gather(mi.Float, part, index) for part in quadrature.angle)
    above_critical = index >= POINTS_BELOW_CRITICAL
    start = dr.select(above_critical, critical, 0.0)
    end = dr.select(above_critical, MAX_SINE_SQUARED, critical)
    return start + (end - start) * 0.5 * (abscissa + 1.0), 0.5 * (end - start) * weight


def _constants(values: NDArray[np.float64]) -> Any:
    return mi.Float(values.astype(np.float32))


def _table(rows: list[list[Any]]) -> Any:
    """Return the flat table of columns that are given per sector, with one entry per node."""
    count = dr.width(rows[0][0])
    by_sector = [_padded(row) for row in rows]
    lane = dr.arange(mi.UInt32, count * SECTORS * COLUMNS)
    sector = lane // COLUMNS % SECTORS
    index = lane // (SECTORS * COLUMNS) * COLUMNS + lane % COLUMNS
    values = [dr.gather(mi.Float, columns, index) for columns in by_sector]
    table = values[0]
    for k in range(1, SECTORS):
        table = dr.select(sector == k, values[k], table)
    return table


def _padded(columns: list[Any]) -> Any:
    """Return a flat array of interleaved columns, padded with zeros to `COLUMNS`."""
    zeros = [dr.zeros(mi.Float, dr.width(columns[0]))] * (COLUMNS - len(columns))
    return dr.ravel(mi.ArrayXf([*columns, *zeros]))


def _flat_irradiance(table: Any, channel: int) -> Any:
    """Return the irradiance of the flat pad at the nodes, from a table."""
    nodes = dr.arange(mi.UInt32, dr.width(table) // (SECTORS * COLUMNS))
    return sum(
        dr.gather(mi.Float, table, (nodes * SECTORS + sector) * COLUMNS + channel)
        for sector in range(SECTORS)
    )


def _pad_mask(coordinate: Any, size_mm: float, cells: int) -> Any:
    """Return 1 on the pad and 0 outside; the ramp of one cell width gives the border a gradient."""
    return dr.clip(0.5 + (0.5 * size_mm - dr.abs(coordinate)) * (cells / size_mm), 0.0, 1.0)
