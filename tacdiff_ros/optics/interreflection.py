"""Light that the coating scatters and the layers above the gel throw back: smooth, on a grid.

The last interface to the air above the glass reflects totally beyond the critical angle, so about
half of what the gel scatters returns. On a coarse grid over the untouched pad this module sums,
for every direction that reflection can come from, the radiance of the pad's point where it
started (radiosity by quadrature over angles), and the lights' own mirror images in the interfaces.
What comes back is kept in four sectors of azimuth, each a vector, so that a tilted surface loses
what is below its horizon, and a raised one sees each sector from farther back.

A slope also faces the pad around it and receives what that sends out.

Limits: the pad is taken as flat and the dots as their average; what a slope sends to the pad around
it, and the shade that it casts on it, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.area_lights import (
    LightFrame,
    light_frame,
    light_frames,
    point_on,
    rectangle_irradiance,
    strip_panels,
)
from tacdiff_ros.optics.parameters import Parameters, View
from tacdiff_ros.optics.reflected_paths import reflected_path, reflected_sine
from tacdiff_ros.sensor.sensor_model import SensorModel

GRID = (22, 18)  # nodes along x and y
SECTORS = 4
AXES = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))  # middles of the sectors
COLUMNS = 8  # of the table: vertical and level part for each channel, the pad's own, padding
AZIMUTHS = 20
BELOW_CRITICAL = 3  # quadrature points in sin^2 of the angle
BEYOND_CRITICAL = 10
MAX_SINE_SQUARED = 0.97
MIRROR_POINTS = 16
# Tangent of the angle under which reflected light typically arrives: it begins at 45 degrees.
TYPICAL_TANGENT = 1.3


@dataclass(frozen=True)
class Indirect:
    """What comes back to the grid's nodes.

    Attributes:
        table: flat (nodes x sectors x 8): per channel the vertical part of the irradiance vector,
            then per channel its level part along the sector's axis, then (for the first three
            sectors) what the flat pad sends out in channel 0, 1, 2, as irradiance.
        tangent: `TYPICAL_TANGENT`, for the kernel.
        width_mm: of the pad.
        height_mm: of the pad.
    """

    table: Any
    tangent: Any
    width_mm: float
    height_mm: float

    def irradiance(self, position: Any, normal: Any) -> Any:
        """RGB irradiance on points with normals toward the camera."""
        total = mi.Color3f(0.0)
        for sector in range(SECTORS):
            cell = self._cell(position, sector)
            total += _on_slope(cell, sector, normal)
            if sector < len(total):
                total[sector] += _share_of_floor(normal) * cell[6]
        return total

    def from_sector(self, position: Any, normal: Any, sector: Any) -> tuple[Any, Any]:
        """What of `irradiance` a sector of the layers above returns, and its mean angle's sin^2.

        Both RGB; the angle is that to the sensor's axis; `sector` may differ between lanes.
        """
        cell = self._cell(position, sector)
        squares = [dr.square(cell[c]) for c in range(6)]
        angle = mi.Color3f(
            *(squares[3 + c] / dr.maximum(squares[c] + squares[3 + c], 1e-20) for c in range(3))
        )
        return _on_slope(cell, sector, normal), angle

    def from_flat_pad(self, position: Any, normal: Any) -> Any:
        """What of `irradiance` the pad around sends, as if it were flat."""
        return mi.Color3f(
            *(_share_of_floor(normal) * self._cell(position, sector)[6] for sector in range(3))
        )

    def _cell(self, position: Any, sector: Any) -> list[Any]:
        """Columns of the table for points, by bilinear interpolation."""
        x, y = _axis(sector)
        back = self.tangent * position.z  # z < 0 is nearer to the camera
        place = mi.Point2f(position.x + x * back, position.y + y * back)
        index, shares = _bilinear(place, self.width_mm, self.height_mm)
        cells = [
            dr.gather(mi.ArrayXf, self.table, i * SECTORS + sector, shape=(COLUMNS, dr.width(i)))
            for i in index
        ]
        return [
            sum(share * cell[column] for share, cell in zip(shares, cells, strict=True))
            for column in range(COLUMNS - 1)
        ]


def indirect_light(parameters: Parameters, model: SensorModel) -> Indirect | None:
    """What the layers above throw back onto the untouched pad; None without bounces."""
    if model.interreflection.bounces == 0:
        return None
    nodes = _nodes(model)
    view = parameters.view(dr.width(nodes))
    lit = _direct(view, model, nodes)
    dr.eval(lit)  # else every kernel that reads it would compute it again
    mirrored = _mirror_images(parameters, model, nodes)
    table = mirrored
    for bounce in range(model.interreflection.bounces):
        arriving = lit if bounce == 0 else [lit[c] + _upright(table, c) for c in range(3)]
        scattered = [arriving[c] * _albedo(view, model, c) / dr.pi for c in range(3)]
        table = mirrored + _returned(parameters, model, nodes, scattered)
        dr.eval(table)
    pad = [(lit[c] + _upright(table, c)) * _albedo(view, model, c) for c in range(3)]
    nothing = dr.zeros(mi.Float, dr.width(nodes))
    table += _table([[nothing] * 6 + [pad[s] if s < len(pad) else nothing] for s in range(SECTORS)])
    dr.eval(table)
    tangent = dr.opaque(mi.Float, TYPICAL_TANGENT)
    return Indirect(table, tangent, model.gel.width_mm, model.gel.height_mm)


def _on_slope(cell: list[Any], sector: Any, normal: Any) -> Any:
    """RGB irradiance from a sector, of which a slope loses what is below its horizon."""
    x, y = _axis(sector)
    facing = x * normal.x + y * normal.y
    return mi.Color3f(
        *(dr.maximum(cell[3 + c] * facing - cell[c] * normal.z, 0.0) for c in range(3))
    )


def _share_of_floor(normal: Any) -> Any:
    """Share of the surroundings in which a slope sees the pad."""
    return 0.5 * (1.0 + normal.z)


def _axis(sector: Any) -> tuple[Any, Any]:
    """Level unit vector in a sector's middle, of one sector or of a different one in each lane."""
    if isinstance(sector, int):
        return AXES[sector]
    level = mi.Float(sector % 2 == 0)
    sign = dr.select(sector < 2, mi.Float(1.0), -1.0)
    return sign * level, sign * (1.0 - level)


def _nodes(model: SensorModel) -> Any:
    """Middles of equal cells of the pad."""
    columns, rows = GRID
    index = dr.arange(mi.UInt32, columns * rows)
    x = (mi.Float(index % columns) + 0.5) / columns - 0.5
    y = (mi.Float(index // columns) + 0.5) / rows - 0.5
    nodes = mi.Point3f(x * model.gel.width_mm, y * model.gel.height_mm, 0.0)
    dr.eval(nodes)
    return nodes


def _albedo(view: View, model: SensorModel, channel: int) -> Any:
    """Reflectance of the pad, dots averaged in."""
    base = view.scalar("gel.base_color", channel)
    if model.markers is None:
        return base
    dots = model.markers.rows * model.markers.columns
    area = dots * dr.pi / 4 * dr.square(view.scalar("markers.diameter_mm"))
    share = area / (model.gel.width_mm * model.gel.height_mm)
    return base * (1.0 - model.markers.darkness * share)


def _direct(view: View, model: SensorModel, nodes: Any) -> list[Any]:
    """Direct irradiance at the nodes, by channel."""
    up = mi.Vector3f(0.0, 0.0, -1.0)
    lit = [dr.pi * view.scalar("gel.ambient", c) for c in range(3)]
    for k, light in enumerate(model.lights):
        frame = light_frame(view, k)
        if light.kind == "rectangle":
            direct = rectangle_irradiance(frame, nodes, up)
        else:
            direct = strip_panels(frame, nodes, up).total
        lit = [lit[c] + view.scalar("lights.radiance", 3 * k + c) * direct for c in range(3)]
    return lit


def _mirror_images(parameters: Parameters, model: SensorModel, nodes: Any) -> Any:
    """Table of what the lights send by way of the interfaces; one lane a point of a light."""
    lights, interfaces = len(model.lights), len(model.layers) - 1
    count = dr.width(nodes)
    if not lights:
        return dr.zeros(mi.Float, count * SECTORS * COLUMNS)
    lane = dr.arange(mi.UInt32, count * lights * MIRROR_POINTS)
    view = parameters.view(dr.width(lane))
    places, weights = np.polynomial.legendre.leggauss(MIRROR_POINTS)
    point, light = lane % MIRROR_POINTS, lane // MIRROR_POINTS % lights
    frame = light_frames(view, light)
    source = point_on(frame, dr.gather(mi.Float, _constants(places), point), 0.0)
    node = dr.gather(mi.Point3f, nodes, lane // (MIRROR_POINTS * lights))
    weight = 0.5 * dr.gather(mi.Float, _constants(weights), point)
    radiance = [view.gather("lights.radiance", 3 * light + c) for c in range(3)]
    columns = [mi.Float(0.0)] * (2 * SECTORS)
    for interface in range(1, interfaces + 1):
        parts = _mirrored(view, interface, frame, source, node, weight)
        columns = [column + part for column, part in zip(columns, parts, strict=True)]
    rows = [
        [radiance[c] * columns[2 * sector + k] for k in range(2) for c in range(3)]
        for sector in range(SECTORS)
    ]
    dr.eval(rows)  # at once: a kernel a sector would do the same work four times
    group = lights * MIRROR_POINTS
    return _table([[dr.block_sum(value, group) for value in row] for row in rows])


def _mirrored(
    view: View, interface: int, frame: LightFrame, source: Any, node: Any, weight: Any
) -> list[Any]:
    """Vertical and level part, for each sector, of one point of a light seen by reflection."""
    offset = mi.Vector2f(source.x - node.x, source.y - node.y)
    radius = dr.sqrt(dr.maximum(dr.squared_norm(offset), 1e-4))
    sine = reflected_sine(view, interface, radius, source.z)
    path = reflected_path(view, interface, sine, source.z)
    cosine = dr.safe_sqrt(1.0 - dr.square(sine))
    heading = offset / radius
    # From the light the ray goes up, and level toward the node.
    leaving = mi.Vector3f(-heading.x * sine, -heading.y * sine, -cosine)
    emitted = dr.maximum(dr.dot(frame.aim, leaving), 0.0)
    lobe = dr.exp2((frame.exponent - 1.0) * dr.log2(dr.maximum(emitted, 1e-6)))
    # A level area r dr dphi is seen under sin dtheta dphi; the light's own faces by `emitted`.
    per_level_area = sine / dr.maximum(radius * path.slope, 1e-6)
    projected = 4.0 * frame.half_length * frame.half_width * emitted / dr.maximum(cosine, 1e-3)
    received = weight * projected * per_level_area * lobe * path.share
    parts = []
    for sector in range(SECTORS):
        x, y = _axis(sector)
        along = dr.maximum(x * heading.x + y * heading.y, 0.0)
        parts += [received * cosine * dr.square(along), received * sine * along]
    return parts


def _returned(parameters: Parameters, model: SensorModel, nodes: Any, scattered: list[Any]) -> Any:
    """Table of what comes back of scattered radiance; one lane a direction in a sector."""
    dr.eval(scattered)
    steps = AZIMUTHS // SECTORS
    group = steps * (BELOW_CRITICAL + BEYOND_CRITICAL)
    lane = dr.arange(mi.UInt32, dr.width(nodes) * SECTORS * group)
    view = parameters.view(dr.width(lane))
    sine_squared, weight = _angle(view, lane % group // steps)
    sine, cosine = dr.sqrt(sine_squared), dr.safe_sqrt(1.0 - sine_squared)
    beside = ((mi.Float(lane % steps) + 0.5) / AZIMUTHS - 0.5 / SECTORS) * (2.0 * dr.pi)
    sin_a, cos_a = dr.sincos(beside + mi.Float(lane // group % SECTORS) * (2.0 * dr.pi / SECTORS))
    path = reflected_path(view, len(model.layers) - 1, sine, mi.Float(0.0))
    node = dr.gather(mi.Point3f, nodes, lane // (SECTORS * group))
    start = mi.Point2f(node.x + path.reach * cos_a, node.y + path.reach * sin_a)
    # d omega = sin(theta) d theta d phi = d(sin^2) / (2 cos) d phi
    measure = path.share * weight * (dr.pi / AZIMUTHS) / dr.maximum(cosine, 1e-3)
    measure *= _inside(start.x, model.gel.width_mm, GRID[0])
    measure *= _inside(start.y, model.gel.height_mm, GRID[1])
    index, shares = _bilinear(start, model.gel.width_mm, model.gel.height_mm)
    radiance = [
        measure
        * sum(
            share * dr.gather(mi.Float, channel, place)
            for share, place in zip(shares, index, strict=True)
        )
        for channel in scattered
    ]
    level = sine * dr.cos(beside)
    parts = [value * cosine for value in radiance] + [value * level for value in radiance]
    dr.eval(parts)  # all channels at once
    return _padded([dr.block_sum(part, group) for part in parts])


def _angle(view: View, ring: Any) -> tuple[Any, Any]:
    """Gauss-Legendre points and weights in sin^2 of the angle, split at the critical angle."""
    last = view.count("layers.index") - 1
    critical = dr.square(view.scalar("layers.index", 0) / view.scalar("layers.index", last))
    critical = dr.minimum(critical, 0.9 * MAX_SINE_SQUARED)
    low, low_weight = np.polynomial.legendre.leggauss(BELOW_CRITICAL)
    high, high_weight = np.polynomial.legendre.leggauss(BEYOND_CRITICAL)
    node = dr.gather(mi.Float, _constants(np.concatenate([low, high])), ring)
    weight = dr.gather(mi.Float, _constants(np.concatenate([low_weight, high_weight])), ring)
    beyond = ring >= BELOW_CRITICAL
    start = dr.select(beyond, critical, 0.0)
    end = dr.select(beyond, MAX_SINE_SQUARED, critical)
    return start + (end - start) * 0.5 * (node + 1.0), 0.5 * (end - start) * weight


def _constants(values: NDArray[np.float64]) -> Any:
    return mi.Float(values.astype(np.float32))


def _table(rows: list[list[Any]]) -> Any:
    """Interleave columns that are given per sector, one entry a node."""
    count = dr.width(rows[0][0])
    by_sector = [_padded(row) for row in rows]
    lane = dr.arange(mi.UInt32, count * SECTORS * COLUMNS)
    sector = lane // COLUMNS % SECTORS
    place = lane // (SECTORS * COLUMNS) * COLUMNS + lane % COLUMNS
    values = [dr.gather(mi.Float, part, place) for part in by_sector]
    table = values[0]
    for k in range(1, SECTORS):
        table = dr.select(sector == k, values[k], table)
    return table


def _padded(columns: list[Any]) -> Any:
    """Interleave columns, filled up with zeros."""
    zeros = [dr.zeros(mi.Float, dr.width(columns[0]))] * (COLUMNS - len(columns))
    return dr.ravel(mi.ArrayXf([*columns, *zeros]))


def _upright(table: Any, channel: int) -> Any:
    """Irradiance on the flat pad, from a table."""
    nodes = dr.arange(mi.UInt32, dr.width(table) // (SECTORS * COLUMNS))
    return sum(
        dr.gather(mi.Float, table, (nodes * SECTORS + sector) * COLUMNS + channel)
        for sector in range(SECTORS)
    )


def _inside(place: Any, size_mm: float, cells: int) -> Any:
    """1 on the pad and 0 beside it, over the width of a cell, so that gradients see the border."""
    return dr.clip(0.5 + (0.5 * size_mm - dr.abs(place)) * (cells / size_mm), 0.0, 1.0)


def _bilinear(place: Any, width_mm: float, height_mm: float) -> tuple[list[Any], list[Any]]:
    """Indices and shares of the four nodes around points."""
    columns, rows = GRID
    x = dr.clip((place.x / width_mm + 0.5) * columns - 0.5, 0.0, columns - 1.001)
    y = dr.clip((place.y / height_mm + 0.5) * rows - 0.5, 0.0, rows - 1.001)
    column, row = mi.UInt32(dr.floor(dr.detach(x))), mi.UInt32(dr.floor(dr.detach(y)))
    right, down = x - mi.Float(column), y - mi.Float(row)
    first = row * columns + column
    index = [first, first + 1, first + columns, first + columns + 1]
    shares = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    return index, shares
