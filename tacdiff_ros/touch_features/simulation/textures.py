"""Random textures as periodic height maps.

Each texture is a function of a random generator and a wavelength that returns a tile of
`TILE_MM` x `TILE_MM`, periodic along both axes, with peaks toward the gel (largest value on top).
The caller scales it: only the shape matters here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.touch_features.simulation.periodic_tile import (
    SPACING_MM,
    TILE_MM,
    TILE_POINTS,
    blurred,
    cell_coordinates,
    random_noise,
    sample_tile,
    warped,
    waves_per_tile,
)

Floats = NDArray[np.float32]
Random = np.random.Generator
Texture = Callable[[Random, float], Floats]


def smooth(random: Random, wavelength_mm: float) -> Floats:
    """No texture."""
    return np.zeros((TILE_POINTS, TILE_POINTS), np.float32)


def self_affine(random: Random, wavelength_mm: float) -> Floats:
    """Fractal roughness with a random Hurst exponent, flat above the wavelength."""
    return random_noise(random, wavelength_mm, random.uniform(0.2, 1.0))


def grain(random: Random, wavelength_mm: float) -> Floats:
    """Wood: noise that is stretched along one axis, with pores."""
    noise = random_noise(random, wavelength_mm, 0.6, stretch=random.uniform(5.0, 25.0))
    pores = random_noise(random, wavelength_mm / 2, 0.3, stretch=random.uniform(4.0, 10.0))
    return noise - np.float32(random.uniform(0.0, 1.5)) * np.maximum(pores - 1.0, 0.0)


def scratches(random: Random, wavelength_mm: float) -> Floats:
    """Straight scratches and fibres at similar angles."""
    spread, sign = random.uniform(0.05, 1.6), random.choice([-1.0, 1.0])
    image = np.zeros((TILE_POINTS, TILE_POINTS), np.float32)
    for _ in range(int(min(600, 6 * TILE_MM / wavelength_mm * random.uniform(1.0, 4.0)))):
        start = random.uniform(0, TILE_POINTS, 2)
        angle = random.normal(0.0, spread)
        end = start + random.uniform(20, 250) * np.array([math.cos(angle), math.sin(angle)])
        line = np.zeros_like(image)
        points = (start.astype(int).tolist(), end.astype(int).tolist())
        cv2.line(line, *points, float(random.uniform(0.3, 1.0)), 1, cv2.LINE_8)
        image = np.maximum(image, line)
    width = random.uniform(0.1, 0.25) * wavelength_mm
    return np.float32(sign) * blurred(image, min(max(width, 0.08), 0.4))


def weave(random: Random, wavelength_mm: float) -> Floats:
    """Woven fabric (plain, twill, herringbone, satin or basket) with random yarns."""
    count = waves_per_tile(wavelength_mm)
    columns = max(2, round(count * random.uniform(0.6, 1.0)))
    warp, weft = cell_coordinates(columns, count)
    i, j = np.floor(warp).astype(int), np.floor(weft).astype(int)
    over = _weave_pattern(random, i, j, columns)
    warp_yarn = np.sqrt(np.maximum(1.0 - (2.0 * (warp % 1.0) - 1.0) ** 2, 0.0))
    weft_yarn = np.sqrt(np.maximum(1.0 - (2.0 * (weft % 1.0) - 1.0) ** 2, 0.0))
    crown_warp = warp_yarn * (0.4 + 0.6 * np.abs(np.sin(np.pi * (weft % 1.0))))
    crown_weft = weft_yarn * (0.4 + 0.6 * np.abs(np.sin(np.pi * (warp % 1.0))))
    low = random.uniform(0.0, 0.5)
    height = np.where(over, np.maximum(crown_warp, low * crown_weft), crown_weft * 0.9)
    size = random.uniform(0.0, 0.3, (2, max(columns, count)))
    height = height * (1.0 - size[0][i % columns] * over - size[1][j % count] * ~over)
    return blurred(warped(random, height, 0.15 * wavelength_mm), 0.12 * wavelength_mm)


def knit(random: Random, wavelength_mm: float) -> Floats:
    """Knitted fabric: columns of loops."""
    count = waves_per_tile(wavelength_mm)
    x, y = cell_coordinates(count, max(2, round(count * random.uniform(0.8, 1.6))))
    side = np.abs((x % 1.0) - 0.5)
    legs = np.cos(2 * np.pi * (y + random.uniform(0.4, 0.9) * side)) * 0.5 + 0.5
    height = np.sqrt(np.maximum(1.0 - (4.0 * side - 1.0) ** 2, 0.0)) * (0.4 + 0.6 * legs)
    return blurred(warped(random, height, 0.15 * wavelength_mm), 0.1 * wavelength_mm)


def ridges(random: Random, wavelength_mm: float) -> Floats:
    """Parallel ridges or grooves with a round, sharp or flat profile."""
    x, _ = cell_coordinates(waves_per_tile(wavelength_mm), 1)
    return blurred(_profile(random, x), 0.05 * wavelength_mm)


def bars(random: Random, wavelength_mm: float) -> Floats:
    """Short parallel bars, in rows."""
    count, rows = (
        waves_per_tile(wavelength_mm),
        waves_per_tile(wavelength_mm * random.uniform(2.0, 5.0)),
    )
    x, y = cell_coordinates(count, rows)
    if random.uniform() < 0.5:
        x, y = cell_coordinates(count, rows, shift=0.5)
    gap = random.uniform(0.15, 0.4)
    ends = np.clip((0.5 - gap / 2 - np.abs(y % 1.0 - 0.5)) * rows, 0.0, 1.0)
    return blurred(np.sqrt(np.maximum(_profile(random, x), 0.0)) * ends, 0.08 * wavelength_mm)


def knurl(random: Random, wavelength_mm: float) -> Floats:
    """Diamond knurl: two families of crossed grooves."""
    count = waves_per_tile(wavelength_mm)
    x, y = cell_coordinates(count, max(1, round(count * random.uniform(0.4, 1.0))))
    first, second = _triangle(x + y), _triangle(x - y)
    height = np.minimum(first, second) if random.uniform() < 0.7 else first * second
    return blurred(np.minimum(height, random.uniform(0.5, 1.0)), 0.06 * wavelength_mm)


def mesh(random: Random, wavelength_mm: float) -> Floats:
    """Crossed wires: a strainer or a net."""
    x, y = cell_coordinates(
        waves_per_tile(wavelength_mm), waves_per_tile(wavelength_mm * random.uniform(0.8, 1.3))
    )
    radius = random.uniform(0.1, 0.25)
    wave = 0.5 * radius * np.cos(np.pi * np.floor(x)) * np.sin(np.pi * y)
    first = _wire(np.abs(x % 1.0 - 0.5), radius) + wave
    second = _wire(np.abs(y % 1.0 - 0.5), radius) - wave
    return blurred(np.maximum(np.maximum(first, second), 0.0), 0.03 * wavelength_mm)


def holes(random: Random, wavelength_mm: float) -> Floats:
    """Perforated sheet: round holes on a square or hexagonal lattice."""
    distance = _lattice_distance(random, wavelength_mm)
    radius = random.uniform(0.2, 0.4)
    return blurred(np.clip((distance - radius) / 0.08, 0.0, 1.0), 0.04 * wavelength_mm)


def bumps(random: Random, wavelength_mm: float) -> Floats:
    """Equal bumps (domes, pins or cones) on a lattice, or dimples."""
    distance = _lattice_distance(random, wavelength_mm)
    radius = random.uniform(0.2, 0.45)
    inside = np.maximum(1.0 - (distance / radius) ** 2, 0.0) ** random.choice([0.5, 1.0, 0.25])
    sign = 1.0 if random.uniform() < 0.75 else -1.0
    return blurred(sign * inside, 0.05 * wavelength_mm)


def scattered(random: Random, wavelength_mm: float) -> Floats:
    """Balls of random sizes at random positions: sand, grains, beads, studs."""
    count = int(min(2500, random.uniform(0.3, 1.2) * (TILE_MM / wavelength_mm) ** 2))
    spread = random.uniform(0.0, 0.6)
    height = np.full((TILE_POINTS, TILE_POINTS), -np.inf, np.float32)
    for _ in range(max(count, 3)):
        radius = 0.5 * wavelength_mm * math.exp(random.normal(0.0, spread))
        radius = min(max(radius, 2 * SPACING_MM), TILE_MM / 4)
        _add_ball(random, height, radius)
    return np.maximum(height, np.float32(-0.3 * wavelength_mm))


def cells(random: Random, wavelength_mm: float) -> Floats:
    """Leather: convex cells of a Voronoi diagram, separated by valleys."""
    nearest, second = _voronoi(random, wavelength_mm)
    rim = np.clip((second - nearest) / (0.35 * wavelength_mm), 0.0, 1.0)
    height = np.sqrt(rim) - random.uniform(0.0, 0.4) * (nearest / wavelength_mm) ** 2
    return blurred(height * random.choice([1.0, 1.0, -1.0]), 0.05 * wavelength_mm)


def facets(random: Random, wavelength_mm: float) -> Floats:
    """Crumpled foil: flat facets between sharp folds."""
    height = np.zeros((TILE_POINTS, TILE_POINTS), np.float32)
    for k in range(3):
        fold = np.abs(random_noise(random, wavelength_mm * 1.6 / 1.7**k, 2.5))
        height -= fold / np.float32(1.7**k)
    return height


def wrinkles(random: Random, wavelength_mm: float) -> Floats:
    """Wrinkles of cloth, bags and skin: stretched ridges with gaps."""
    stretch = random.uniform(2.0, 6.0)
    fold = np.exp(-3.0 * np.abs(random_noise(random, wavelength_mm * 1.5, 2.0, stretch)))
    weight = np.clip(random_noise(random, wavelength_mm * 4.0, 2.0) + 0.5, 0.0, 1.0)
    return np.asarray(fold * weight, np.float32)


def tufts(random: Random, wavelength_mm: float) -> Floats:
    """Rug, towel and fur: strands in locally similar directions."""
    noise = random.standard_normal((TILE_POINTS, TILE_POINTS)).astype(np.float32)
    angle = np.pi * random_noise(random, wavelength_mm * 6.0, 2.0) * random.uniform(0.1, 0.8)
    step = 0.5 * wavelength_mm / SPACING_MM / 4
    y, x = np.mgrid[:TILE_POINTS, :TILE_POINTS].astype(np.float32)
    total = np.zeros_like(noise)
    for k in range(-8, 9):
        moved = (x + np.cos(angle) * np.float32(k * step), y + np.sin(angle) * np.float32(k * step))
        total += sample_tile(noise, *(part * np.float32(SPACING_MM) for part in moved))
    return blurred(total, 0.12 * wavelength_mm)


def letters(random: Random, wavelength_mm: float) -> Floats:
    """Raised or engraved characters."""
    image = np.zeros((TILE_POINTS, TILE_POINTS), np.uint8)
    size = max(wavelength_mm, 2.0) / SPACING_MM
    fonts = [cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]
    font = int(random.choice(fonts))
    alphabet = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    for row in np.arange(size, TILE_POINTS, 1.8 * size):
        text = "".join(random.choice(alphabet, int(TILE_POINTS / size) + 1))
        thickness = max(1, round(size * 0.14))
        cv2.putText(image, text, (2, int(row)), font, size / 22.0, 1, thickness, cv2.LINE_8)
    sign = 1.0 if random.uniform() < 0.7 else -1.0
    return blurred(sign * image.astype(np.float32), 0.12)


TEXTURES: dict[str, Texture] = {
    function.__name__: function
    for function in (
        smooth, self_affine, grain, scratches, weave, knit, ridges, bars, knurl, mesh, holes,
        bumps, scattered, cells, facets, wrinkles, tufts, letters,
    )
}  # fmt: skip


def _weave_pattern(
    random: Random, i: NDArray[np.int_], j: NDArray[np.int_], columns: int
) -> NDArray[np.bool_]:
    """Return where the warp i is over the weft j."""
    kind = random.choice(["plain", "twill", "herringbone", "satin", "basket"])
    if kind == "plain":
        return np.asarray((i + j) % 2 == 0)
    if kind == "basket":
        return np.asarray((i // 2 + j // 2) % 2 == 0)
    if kind == "satin":
        return np.asarray((i * 2 + j) % 5 != 0)
    if kind == "twill":
        return np.asarray((i + j) % 4 < random.choice([1, 2, 3]))
    width = max(2, columns // int(random.integers(3, 10)))
    return np.asarray((np.where((i // width) % 2 == 0, i, -i) + j) % 4 < 2)


def _profile(random: Random, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a random profile of period 1, between 0 and 1."""
    kind = random.choice(["sine", "round", "sharp", "flat"])
    wave = _triangle(x)
    if kind == "sine":
        return 0.5 - 0.5 * np.cos(2 * np.pi * x)
    if kind == "round":
        return np.sqrt(np.maximum(1.0 - (1.0 - wave) ** 2 / random.uniform(0.2, 1.0) ** 2, 0.0))
    if kind == "sharp":
        return wave ** random.uniform(1.0, 3.0)
    return np.clip((wave - random.uniform(0.2, 0.8)) / 0.12, 0.0, 1.0)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 - 2.0 * np.abs(x % 1.0 - 0.5)


def _wire(distance: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(radius**2 - distance**2, 0.0))


def _lattice_distance(random: Random, wavelength_mm: float) -> NDArray[np.float64]:
    """Return the distance from the nearest lattice point, in wavelengths."""
    count = waves_per_tile(wavelength_mm)
    is_hexagonal = random.uniform() < 0.6
    rows = waves_per_tile(wavelength_mm * (2 / math.sqrt(3) if is_hexagonal else 1.0))
    x, y = cell_coordinates(count, rows)
    x = x + 0.5 * (np.floor(y) % 2) * is_hexagonal
    dx = (x % 1.0 - 0.5) * TILE_MM / count / wavelength_mm
    dy = (y % 1.0 - 0.5) * TILE_MM / rows / wavelength_mm
    return np.hypot(dx, dy)


def _add_ball(random: Random, height: Floats, radius_mm: float) -> None:
    """Raise a tile to the upper half of a ball at a random position."""
    reach = int(radius_mm / SPACING_MM)
    line = np.arange(-reach, reach + 1) * SPACING_MM
    squared = np.maximum(radius_mm**2 - line[:, None] ** 2 - line[None, :] ** 2, 0.0)
    ball = np.where(squared > 0, np.sqrt(squared) - 0.2 * radius_mm, -np.inf)
    row, column = random.integers(0, TILE_POINTS, 2)
    rows = np.arange(row - reach, row + reach + 1) % TILE_POINTS
    columns = np.arange(column - reach, column + reach + 1) % TILE_POINTS
    index = np.ix_(rows, columns)
    height[index] = np.maximum(height[index], ball)


def _voronoi(
    random: Random, wavelength_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances from the nearest and second nearest of random points, mm."""
    from scipy.spatial import cKDTree

    count = int(min(6000, max(4, (TILE_MM / wavelength_mm) ** 2)))
    tree = cKDTree(random.uniform(0, TILE_MM, (count, 2)), boxsize=TILE_MM)
    line = (np.arange(TILE_POINTS) + 0.5) * SPACING_MM
    x, y = np.meshgrid(line, line)
    distance, _ = tree.query(np.stack([x, y], axis=-1).reshape(-1, 2), k=2)
    nearest, second = distance.T.reshape(2, TILE_POINTS, TILE_POINTS)
    return nearest, second
