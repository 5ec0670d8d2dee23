"""Random surfaces to be touched: a base shape with a texture and a compliance, with labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.layer_compliance import BondedLayer
from tacdiff_ros.touch_features.simulation.periodic_tile import mean_wavelength_mm, sample_tile
from tacdiff_ros.touch_features.simulation.textures import TEXTURES

Floats = NDArray[np.float32]
Random = np.random.Generator
Shape = Callable[[Floats, Floats], Floats]

MIN_WAVELENGTH_MM, MAX_WAVELENGTH_MM = 0.4, 6.0
MIN_AMPLITUDE_MM, MAX_AMPLITUDE_MM = 0.02, 0.8  # peak to valley
MAX_STEEPNESS = 0.5  # amplitude per wavelength
MAX_DEPTH_MM = 4.0  # height at which base shapes end: deeper than any press
SOFT_FRACTION = 0.4  # of the objects
BODY_THICKNESS_MM = 10.0
BODY_POISSON_RATIO = 0.3


@dataclass(frozen=True)
class TouchedSurface:
    """Surface of an object, in its own frame: z = 0 at its highest point, z > 0 behind it.

    Attributes:
        base: name of the base shape.
        texture: name of the texture.
        shape: base shape, heights by x and y, mm.
        tile: texture, mm; 0 at its peaks, negative in its valleys.
        tile_yaw_rad: yaw of the texture on the base shape, rad.
        curvature_per_mm: larger and smaller principal curvature of the base at its highest point,
            1/mm; NaN at corners and on hills.
        texture_rms_mm: standard deviation of the texture, mm.
        wavelength_mm: mean wavelength of the texture, mm; NaN without a texture.
        modulus_mpa: Young's modulus of the object; infinite if it is rigid.
    """

    base: str
    texture: str
    shape: Shape
    tile: Floats
    tile_yaw_rad: float
    curvature_per_mm: tuple[float, float]
    texture_rms_mm: float
    wavelength_mm: float
    modulus_mpa: float

    def heights(self, x_mm: Floats, y_mm: Floats) -> Floats:
        """Return the distance of the surface from its highest point, along z.

        Args:
            x_mm: positions in the object's frame, mm.
            y_mm: positions, same shape, mm.
        """
        cos, sin = np.float32(math.cos(self.tile_yaw_rad)), np.float32(math.sin(self.tile_yaw_rad))
        texture = sample_tile(self.tile, cos * x_mm + sin * y_mm, cos * y_mm - sin * x_mm)
        return np.asarray(self.shape(x_mm, y_mm) - texture, np.float32)

    @property
    def body(self) -> BondedLayer | None:
        """Elastic layer of the object; None if it is rigid."""
        if math.isinf(self.modulus_mpa):
            return None
        return BondedLayer(BODY_THICKNESS_MM, self.modulus_mpa, BODY_POISSON_RATIO)

    def compliance(self, gel_modulus_mpa: float) -> float:
        """Return the object's part of the compliance of both bodies: 0 rigid, 1 much softer.

        Args:
            gel_modulus_mpa: Young's modulus of the gel, MPa.
        """
        return gel_modulus_mpa / (gel_modulus_mpa + self.modulus_mpa)


def random_surface(random: Random) -> TouchedSurface:
    """Return a random surface.

    Args:
        random: random generator.
    """
    base = str(random.choice(list(SHAPES), p=_probabilities(SHAPE_WEIGHTS)))
    texture = str(random.choice(list(TEXTURES), p=_probabilities(TEXTURE_WEIGHTS)))
    shape, curvature = SHAPES[base](random)
    wavelength = _log_uniform(random, MIN_WAVELENGTH_MM, MAX_WAVELENGTH_MM)
    amplitude = _log_uniform(random, MIN_AMPLITUDE_MM, MAX_AMPLITUDE_MM)
    tile = _scaled(
        TEXTURES[texture](random, wavelength), min(amplitude, MAX_STEEPNESS * wavelength)
    )
    if texture != "smooth" and random.uniform() < 0.3:  # fine roughness on the texture
        tile = tile + _scaled(TEXTURES["self_affine"](random, 0.5), random.uniform(0.005, 0.04))
    is_soft = random.uniform() < SOFT_FRACTION
    return TouchedSurface(
        base=base,
        texture=texture,
        shape=shape,
        tile=tile,
        tile_yaw_rad=float(random.uniform(0, 2 * math.pi)),
        curvature_per_mm=curvature,
        texture_rms_mm=float(tile.std()),
        wavelength_mm=mean_wavelength_mm(tile),
        modulus_mpa=_log_uniform(random, 0.02, 2.0) if is_soft else math.inf,
    )


def _flat(random: Random) -> tuple[Shape, tuple[float, float]]:
    return lambda x, y: np.zeros_like(x), (0.0, 0.0)


def _ellipsoid(random: Random) -> tuple[Shape, tuple[float, float]]:
    a = _log_uniform(random, 2.0, 80.0)
    b = min(a * _log_uniform(random, 1.0, 8.0), 300.0) if random.uniform() < 0.7 else a
    return lambda x, y: _arc(x, a) + _arc(y, b), (1 / a, 1 / b)


def _cylinder(random: Random) -> tuple[Shape, tuple[float, float]]:
    a = _log_uniform(random, 1.0, 60.0)
    return lambda x, y: _arc(x, a), (1 / a, 0.0)


def _edge(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Wedge with a rounded edge and two different faces."""
    left, right = random.uniform(0.15, 1.5, 2)
    radius = _log_uniform(random, 0.03, 1.5)

    def shape(x: Floats, y: Floats) -> Floats:
        skew = 0.5 * (right - left) * x
        return _rounded(x, radius) * np.float32(0.5 * (left + right)) + skew

    return shape, (0.5 * (left + right) / radius, 0.0)


def _corner(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Rounded corner of three to five faces."""
    count, steepness = int(random.integers(3, 6)), random.uniform(0.2, 1.0)
    angles = 2 * np.pi * (np.arange(count) + random.uniform(-0.25, 0.25, count)) / count
    softness = _log_uniform(random, 0.05, 0.6)

    def shape(x: Floats, y: Floats) -> Floats:
        planes = np.stack([math.cos(a) * x + math.sin(a) * y for a in angles])
        return _soft_maximum(planes * np.float32(steepness / softness)) * np.float32(softness)

    return shape, (math.nan, math.nan)


def _step(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Flat face that ends at a straight line or at a corner."""
    second = random.uniform(0.4, 2.2) if random.uniform() < 0.5 else math.pi
    rim, steepness = _log_uniform(random, 0.05, 1.0), random.uniform(0.8, 3.0)

    def shape(x: Floats, y: Floats) -> Floats:
        other = math.cos(second) * x + math.sin(second) * y
        outside = np.maximum(x, other) if second < math.pi else x
        return _falling(outside, rim, steepness)

    return shape, (0.0, 0.0)


def _plate(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Flat or domed face with a round, polygonal, cross-shaped or ring-shaped outline."""
    size, rim = _log_uniform(random, 0.8, 7.0), _log_uniform(random, 0.05, 0.8)
    steepness = random.uniform(0.8, 3.0)
    outline = _outline(random, size)
    curvature = random.uniform(0.0, 0.06) if random.uniform() < 0.5 else 0.0

    def shape(x: Floats, y: Floats) -> Floats:
        dome = np.float32(0.5 * curvature) * (x * x + y * y)
        return dome + _falling(outline(x, y), rim, steepness)

    return shape, (curvature, curvature)


def _ring(random: Random) -> tuple[Shape, tuple[float, float]]:
    size, wire = random.uniform(1.5, 7.0), _log_uniform(random, 0.3, 4.0)
    return lambda x, y: _arc(np.hypot(x, y) - np.float32(size), wire), (1 / wire, 0.0)


def _rods(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Two to four round rods at random angles: cables, fingers, handles."""
    count = int(random.integers(2, 5))
    angles, offsets = random.uniform(0, np.pi, count), random.uniform(-5.0, 5.0, count)
    radii = [_log_uniform(random, 0.4, 6.0) for _ in range(count)]
    drops = random.uniform(0.0, 0.3, count) * (np.arange(count) > 0)

    def shape(x: Floats, y: Floats) -> Floats:
        rods = [
            _arc(math.cos(a) * x + math.sin(a) * y - o * (k > 0), r) + d
            for k, (a, o, r, d) in enumerate(zip(angles, offsets, radii, drops, strict=True))
        ]
        return np.asarray(np.minimum.reduce(rods), np.float32)

    return shape, (1 / radii[0], 0.0)


def _hills(random: Random) -> tuple[Shape, tuple[float, float]]:
    """Smooth random hills."""
    count = int(random.integers(3, 12))
    centres, widths = random.uniform(-9, 9, (count, 2)), random.uniform(0.8, 4.0, count)
    heights = random.uniform(0.2, 1.5, count)
    centres[0], heights[0] = 0.0, 1.5

    def hill(x: Floats, y: Floats) -> Floats:
        total = np.zeros_like(x)
        for (cx, cy), w, h in zip(centres, widths, heights, strict=True):
            total += np.float32(h) * np.exp(
                -((x - cx) ** 2 + (y - cy) ** 2) / np.float32(2 * w * w)
            )
        return total

    line = np.linspace(-9, 9, 91, dtype=np.float32)
    top = float(hill(*np.meshgrid(line, line)).max())
    return lambda x, y: np.float32(top) - hill(x, y), (math.nan, math.nan)


SHAPES: dict[str, Callable[[Random], tuple[Shape, tuple[float, float]]]] = {
    "flat": _flat, "ellipsoid": _ellipsoid, "cylinder": _cylinder, "edge": _edge,
    "corner": _corner, "step": _step, "plate": _plate, "ring": _ring, "rods": _rods,
    "hills": _hills,
}  # fmt: skip
SHAPE_WEIGHTS = (5, 4, 3, 1.5, 1, 2, 2, 0.7, 0.8, 1.2)
TEXTURE_WEIGHTS = (5, 2, 1, 1, 3, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1.5, 1.5, 2, 1)


def _outline(random: Random, size: float) -> Shape:
    """Return the signed distance from a random outline, negative inside, mm."""
    kind = random.choice(["disc", "polygon", "box", "cross", "ring"])
    if kind in ("disc", "ring"):
        hole = size * random.uniform(0.3, 0.8) if kind == "ring" else -1e3
        return lambda x, y: np.maximum(np.hypot(x, y) - size, hole - np.hypot(x, y))
    if kind == "polygon":
        angles = 2 * np.pi * np.arange(count := int(random.integers(3, 9))) / count
        return lambda x, y: np.maximum.reduce(
            [math.cos(a) * x + math.sin(a) * y - size for a in angles]
        )
    width = size * random.uniform(0.15, 1.0)
    if kind == "box":
        return lambda x, y: np.maximum(np.abs(x) - size, np.abs(y) - width)
    width = min(width, 0.5 * size)
    return lambda x, y: np.minimum(
        np.maximum(np.abs(x) - size, np.abs(y) - width),
        np.maximum(np.abs(y) - size, np.abs(x) - width),
    )


def _arc(x: Floats, radius: float) -> Floats:
    """Return the depth of a circle below its top; continued as a steep parabola."""
    inside = np.minimum(np.abs(x), np.float32(0.9 * radius))
    depth = np.float32(radius) - np.sqrt(np.float32(radius**2) - inside**2)
    return np.asarray(depth + 3.0 * (np.abs(x) - inside), np.float32)


def _rounded(x: Floats, radius: float) -> Floats:
    """Return |x| with a rounded minimum, 0 at x = 0."""
    return np.asarray(np.sqrt(x * x + np.float32(radius**2)) - np.float32(radius), np.float32)


def _falling(outside: Floats, rim: float, steepness: float) -> Floats:
    """Return the depth behind a rounded rim, by the distance outside of the outline."""
    outer = np.maximum(outside + np.float32(0.5 * rim), np.float32(0.0))
    round_part = np.minimum(outer, np.float32(rim))
    depth = steepness * (round_part**2 / (2 * rim) + (outer - round_part))
    return np.minimum(depth, MAX_DEPTH_MM).astype(np.float32)


def _soft_maximum(planes: Floats) -> Floats:
    """Return a smooth maximum along the first axis, 0 where all are 0."""
    top = planes.max(axis=0)
    total = np.log(np.exp(planes - top).sum(axis=0)) + top - math.log(len(planes))
    return np.asarray(total, np.float32)


def _scaled(tile: Floats, amplitude_mm: float) -> Floats:
    """Scale a tile to a height from its 1st to its 99th percentile; 0 at its top."""
    low, high = np.percentile(tile, [1.0, 99.0])
    if high - low < 1e-9:
        return np.zeros_like(tile)
    scaled = (tile - tile.max()) * np.float32(amplitude_mm / (high - low))
    return np.maximum(scaled, np.float32(-MAX_DEPTH_MM))


def _log_uniform(random: Random, low: float, high: float) -> float:
    return float(math.exp(random.uniform(math.log(low), math.log(high))))


def _probabilities(weights: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(weights) / sum(weights)
