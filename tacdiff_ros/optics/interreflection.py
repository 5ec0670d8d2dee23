"""Light that the coating scatters and the layers above the gel reflect, on a coarse grid.

The last interface to the air above the glass reflects totally beyond the critical angle, so about
half of the light that the gel scatters returns. For each node of a coarse grid over the undeformed
pad, this module sums the radiance of the pad points from which reflected light arrives (radiosity
by quadrature over angles) and the mirror images of the lights in the interfaces. The reflected
light is stored for four azimuth sectors, as one vector each, so that a tilted surface loses the
part below its horizon. The same is done for nodes 1 mm nearer to the layers, where the light is
about 30 % stronger; it is linear in the height.

A slope also faces the surrounding pad and receives the light that the pad scatters.

Limits: the light is scattered by a flat pad, with the markers averaged into its reflectance. The
light that a slope scatters onto the pad around it, and the shadow that it casts there, are
neglected.
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
from tacdiff_ros.optics.frozen_calls import FrozenCalls
from tacdiff_ros.optics.parameters import Parameters, View
from tacdiff_ros.optics.reflected_paths import reflected_path, reflected_sine
from tacdiff_ros.sensor.sensor_model import SensorModel

GRID = (22, 18)  # nodes along x and y
SECTORS = 4
SECTOR_AXES = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))  # central directions
LAYER_COLUMNS = 6  # columns of the light that the layers reflect: 3 vertical, 3 horizontal ones
COLUMNS = 8  # of the table: those, 1 for the pad, 1 padding
ENTRIES = 2 * COLUMNS  # per node and sector: the columns at height 0, then their change per mm
DEEP_MM = -1.0  # height of the second grid of nodes
AZIMUTHS = 20
POINTS_BELOW_CRITICAL = 3  # quadrature points in sin^2 of the angle, below the critical angle
POINTS_ABOVE_CRITICAL = 10
MAX_SINE_SQUARED = 0.97
MIRROR_POINTS = 16


@dataclass(frozen=True)
class IndirectLight:
    """Light reflected by the layers onto the nodes of the grid.

    Attributes:
        table: flat (nodes x sectors x 16) table. Columns at height 0: per channel the vertical
            component of the irradiance vector, then per channel its horizontal component along the
            sector's axis, then the irradiance that the flat pad emits: its channel 0, 1 or 2 in the
            entries of sector 0, 1 or 2. Then the changes of these columns per mm of height.
        width_mm: width of the pad, mm.
        height_mm: height of the pad, mm.
    """

    table: Any
    width_mm: float
    height_mm: float

    def irradiance(self, position: Any, normal: Any) -> Any:
        """Return the RGB irradiance at points of the surface.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
        """
        total = mi.Color3f(0.0)
        for sector in range(SECTORS):
            cell = self._cell(position, sector)
            total += _irradiance_on_slope(cell, sector, normal)
            if sector < len(total):
                total[sector] += _pad_view_factor(normal) * cell[6]
        return total

    def from_sector(self, position: Any, normal: Any, sector: Any) -> tuple[Any, Any]:
        """Return the part of `irradiance` that the layers reflect from one sector.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
            sector: sector index; may differ between lanes.

        Returns:
            RGB irradiance, and RGB sin^2 of the mean angle between light and sensor axis.
        """
        cell = self._cell(position, sector)
        squares = [dr.square(cell[c]) for c in range(6)]
        sine_squared = mi.Color3f(
            *(squares[3 + c] / dr.maximum(squares[c] + squares[3 + c], 1e-20) for c in range(3))
        )
        return _irradiance_on_slope(cell, sector, normal), sine_squared

    def from_flat_pad(self, position: Any, normal: Any) -> Any:
        """Return the part of `irradiance` that a flat pad around each point emits.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
        """
        return mi.Color3f(
            *(_pad_view_factor(normal) * self._cell(position, sector)[6] for sector in range(3))
        )

    def _cell(self, position: Any, sector: Any) -> list[Any]:
        """Return the columns of the table at points, by bilinear interpolation."""
        nodes, weights = _bilinear(position, self.width_mm, self.height_mm)
        cells = [
            dr.gather(
                mi.ArrayXf, self.table, node * SECTORS + sector, shape=(ENTRIES, dr.width(node))
            )
            for node in nodes
        ]
        entries = [
            sum(weight * cell[entry] for weight, cell in zip(weights, cells, strict=True))
            for entry in range(ENTRIES)
        ]
        layers = [
            entries[column] + position.z * entries[COLUMNS + column]
            for column in range(LAYER_COLUMNS)
        ]
        return [*layers, entries[LAYER_COLUMNS]]


class IndirectLights:
    """Indirect light of one sensor under changing parameters; traced only once without gradients.

    Attributes:
        parameters: sensor parameters, which may be replaced.
        model: sensor model.
    """

    def __init__(self, parameters: Parameters, model: SensorModel) -> None:
        """Upload the quadrature points.

        Args:
            parameters: sensor parameters.
            model: sensor model.
        """
        self.parameters = parameters
        self.model = model
        self._quadrature = _Quadrature.uploaded()
        self._frozen = FrozenCalls(self)
        self._known: tuple[int, IndirectLight | None] | None = None

    def current(self) -> IndirectLight | None:
        """Return the indirect light, kept until a parameter changes or has gradients."""
        if self.parameters.has_gradients():
            return indirect_light(self.parameters, self.model)
        version = self.parameters.version
        if self._known is None or self._known[0] != version:
            self._known = (version, self._computed())
        return self._known[1]

    def kernel_inputs(self) -> list[Any]:
        """Return all data that kernels read (see `frozen_calls`)."""
        return [self.parameters.kernel_inputs(), self._quadrature.arrays()]

    def _computed(self) -> IndirectLight | None:
        if self.model.interreflection.bounces == 0:
            return None
        return _of_table(self._frozen.call("_traced_table"), self.model)

    def _traced_table(self) -> Any:
        return _indirect_table(self.parameters, self.model, self._quadrature)


def indirect_light(parameters: Parameters, model: SensorModel) -> IndirectLight | None:
    """Return the light that the layers reflect onto the undeformed pad.

    Args:
        parameters: sensor parameters.
        model: sensor model.

    Returns:
        Indirect light; None if the number of bounces is 0.
    """
    if model.interreflection.bounces == 0:
        return None
    table = _indirect_table(parameters, model, _Quadrature.uploaded())
    dr.eval(table)
    return _of_table(table, model)


def _of_table(table: Any, model: SensorModel) -> IndirectLight:
    return IndirectLight(
        table=table,
        width_mm=model.gel.width_mm,
        height_mm=model.gel.height_mm,
    )


@dataclass(frozen=True)
class _Quadrature:
    """Gauss-Legendre points in [-1, 1] and weights, as arrays that kernels read.

    Attributes:
        mirror: points and weights along a light.
        angle: points and weights of the angles below, then above the critical angle.
    """

    mirror: tuple[Any, Any]
    angle: tuple[Any, Any]

    @classmethod
    def uploaded(cls) -> _Quadrature:
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


def _indirect_table(parameters: Parameters, model: SensorModel, quadrature: _Quadrature) -> Any:
    """Return the table of `IndirectLight`; the number of bounces is at least 1."""
    nodes = _nodes(model, 0.0)
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
    deep_nodes = _nodes(model, DEEP_MM)
    deep = _mirror_images(parameters, model, deep_nodes, quadrature)
    deep += _reflected(parameters, model, deep_nodes, scattered, quadrature)
    return _entries(table + pad, (deep - table) / DEEP_MM)


def _entries(columns: Any, changes: Any) -> Any:
    """Return the table of the columns at height 0 and of their changes per mm of height."""
    index = dr.arange(mi.UInt32, 2 * dr.width(columns))
    source, entry = index // ENTRIES * COLUMNS + index % COLUMNS, index % ENTRIES
    return dr.select(
        entry < COLUMNS,
        dr.gather(mi.Float, columns, source),
        dr.gather(mi.Float, changes, source),
    )


def _irradiance_on_slope(cell: list[Any], sector: Any, normal: Any) -> Any:
    """Return the RGB irradiance from a sector, without the part below a slope's horizon.

    Args:
        cell: interpolated columns of the table.
        sector: sector index.
        normal: unit normals toward the camera.
    """
    x, y = _sector_axis(sector)
    facing = x * normal.x + y * normal.y
    return mi.Color3f(
        *(dr.maximum(cell[3 + c] * facing - cell[c] * normal.z, 0.0) for c in range(3))
    )


def _pad_view_factor(normal: Any) -> Any:
    """Return the view factor from a tilted surface to the flat pad around it."""
    return 0.5 * (1.0 + normal.z)


def _sector_axis(sector: Any) -> tuple[Any, Any]:
    """Return the horizontal unit vector at the centre of a sector.

    Args:
        sector: sector index, an `int` or one per lane.
    """
    if isinstance(sector, int):
        return SECTOR_AXES[sector]
    along_x = mi.Float(sector % 2 == 0)
    sign = dr.select(sector < 2, mi.Float(1.0), -1.0)
    return sign * along_x, sign * (1.0 - along_x)


def _nodes(model: SensorModel, height_mm: float) -> Any:
    """Return the nodes of the grid at a height, mm: the centres of equal cells of the pad."""
    columns, rows = GRID
    index = dr.arange(mi.UInt32, columns * rows)
    x = (mi.Float(index % columns) + 0.5) / columns - 0.5
    y = (mi.Float(index // columns) + 0.5) / rows - 0.5
    nodes = mi.Point3f(x * model.gel.width_mm, y * model.gel.height_mm, height_mm)
    dr.eval(nodes)
    return nodes


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
    parameters: Parameters, model: SensorModel, nodes: Any, quadrature: _Quadrature
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
        x, y = _sector_axis(sector)
        along = dr.maximum(x * heading.x + y * heading.y, 0.0)
        components += [received * cosine * dr.square(along), received * sine * along]
    return components


def _reflected(
    parameters: Parameters,
    model: SensorModel,
    nodes: Any,
    scattered: list[Any],
    quadrature: _Quadrature,
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
    neighbours, weights = _bilinear(origin, model.gel.width_mm, model.gel.height_mm)
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


def _angle_quadrature(view: View, index: Any, quadrature: _Quadrature) -> tuple[Any, Any]:
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


def _bilinear(position: Any, width_mm: float, height_mm: float) -> tuple[list[Any], list[Any]]:
    """Return the indices and the bilinear weights of the four nodes around points.

    Args:
        position: (x, y) points, mm.
        width_mm: width of the pad, mm.
        height_mm: height of the pad, mm.
    """
    columns, rows = GRID
    x = dr.clip((position.x / width_mm + 0.5) * columns - 0.5, 0.0, columns - 1.001)
    y = dr.clip((position.y / height_mm + 0.5) * rows - 0.5, 0.0, rows - 1.001)
    column, row = mi.UInt32(dr.floor(dr.detach(x))), mi.UInt32(dr.floor(dr.detach(y)))
    right, down = x - mi.Float(column), y - mi.Float(row)
    first = row * columns + column
    nodes = [first, first + 1, first + columns, first + columns + 1]
    weights = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    return nodes, weights
