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
from scipy import fft, ndimage

Floats = NDArray[np.float32]
Random = np.random.Generator
Texture = Callable[[Random, float], Floats]

TILE_POINTS = 384
TILE_MM = 38.4
SPACING_MM = TILE_MM / TILE_POINTS


def smooth(random: Random, wavelength_mm: float) -> Floats:
    """No texture."""
    return np.zeros((TILE_POINTS, TILE_POINTS), np.float32)


def self_affine(random: Random, wavelength_mm: float) -> Floats:
    """Fractal roughness with a random Hurst exponent, flat above the wavelength."""
    return _noise(random, wavelength_mm, random.uniform(0.2, 1.0))


def grain(random: Random, wavelength_mm: float) -> Floats:
    """Wood: noise that is stretched along one axis, with pores."""
    noise = _noise(random, wavelength_mm, 0.6, stretch=random.uniform(5.0, 25.0))
    pores = _noise(random, wavelength_mm / 2, 0.3, stretch=random.uniform(4.0, 10.0))
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
    return np.float32(sign) * _blurred(image, min(max(width, 0.08), 0.4))


def weave(random: Random, wavelength_mm: float) -> Floats:
    """Woven fabric (plain, twill, herringbone, satin or basket) with random yarns."""
    count = _waves(wavelength_mm)
    columns = max(2, round(count * random.uniform(0.6, 1.0)))
    warp, weft = _coordinates(columns, count)
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
    return _blurred(_warped(random, height, 0.15 * wavelength_mm), 0.12 * wavelength_mm)


def knit(random: Random, wavelength_mm: float) -> Floats:
    """Knitted fabric: columns of loops."""
    count = _waves(wavelength_mm)
    x, y = _coordinates(count, max(2, round(count * random.uniform(0.8, 1.6))))
    side = np.abs((x % 1.0) - 0.5)
    legs = np.cos(2 * np.pi * (y + random.uniform(0.4, 0.9) * side)) * 0.5 + 0.5
    height = np.sqrt(np.maximum(1.0 - (4.0 * side - 1.0) ** 2, 0.0)) * (0.4 + 0.6 * legs)
    return _blurred(_warped(random, height, 0.15 * wavelength_mm), 0.1 * wavelength_mm)


def ridges(random: Random, wavelength_mm: float) -> Floats:
    """Parallel ridges or grooves with a round, sharp or flat profile."""
    x, _ = _coordinates(_waves(wavelength_mm), 1)
    return _blurred(_profile(random, x), 0.05 * wavelength_mm)


def bars(random: Random, wavelength_mm: float) -> Floats:
    """Short parallel bars, in rows."""
    count, rows = _waves(wavelength_mm), _waves(wavelength_mm * random.uniform(2.0, 5.0))
    x, y = _coordinates(count, rows)
    if random.uniform() < 0.5:
        x, y = _coordinates(count, rows, shift=0.5)
    gap = random.uniform(0.15, 0.4)
    ends = np.clip((0.5 - gap / 2 - np.abs(y % 1.0 - 0.5)) * rows, 0.0, 1.0)
    return _blurred(np.sqrt(np.maximum(_profile(random, x), 0.0)) * ends, 0.08 * wavelength_mm)


def knurl(random: Random, wavelength_mm: float) -> Floats:
    """Diamond knurl: two families of crossed grooves."""
    count = _waves(wavelength_mm)
    x, y = _coordinates(count, max(1, round(count * random.uniform(0.4, 1.0))))
    first, second = _triangle(x + y), _triangle(x - y)
    height = np.minimum(first, second) if random.uniform() < 0.7 else first * second
    return _blurred(np.minimum(height, random.uniform(0.5, 1.0)), 0.06 * wavelength_mm)


def mesh(random: Random, wavelength_mm: float) -> Floats:
    """Crossed wires: a strainer or a net."""
    x, y = _coordinates(_waves(wavelength_mm), _waves(wavelength_mm * random.uniform(0.8, 1.3)))
    radius = random.uniform(0.1, 0.25)
    wave = 0.5 * radius * np.cos(np.pi * np.floor(x)) * np.sin(np.pi * y)
    first = _wire(np.abs(x % 1.0 - 0.5), radius) + wave
    second = _wire(np.abs(y % 1.0 - 0.5), radius) - wave
    return _blurred(np.maximum(np.maximum(first, second), 0.0), 0.03 * wavelength_mm)


def holes(random: Random, wavelength_mm: float) -> Floats:
    """Perforated sheet: round holes on a square or hexagonal lattice."""
    distance = _lattice_distance(random, wavelength_mm)
    radius = random.uniform(0.2, 0.4)
    return _blurred(np.clip((distance - radius) / 0.08, 0.0, 1.0), 0.04 * wavelength_mm)


def bumps(random: Random, wavelength_mm: float) -> Floats:
    """Equal bumps (domes, pins or cones) on a lattice, or dimples."""
    distance = _lattice_distance(random, wavelength_mm)
    radius = random.uniform(0.2, 0.45)
    inside = np.maximum(1.0 - (distance / radius) ** 2, 0.0) ** random.choice([0.5, 1.0, 0.25])
    sign = 1.0 if random.uniform() < 0.75 else -1.0
    return _blurred(sign * inside, 0.05 * wavelength_mm)


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
    return _blurred(height * random.choice([1.0, 1.0, -1.0]), 0.05 * wavelength_mm)


def facets(random: Random, wavelength_mm: float) -> Floats:
    """Crumpled foil: flat facets between sharp folds."""
    height = np.zeros((TILE_POINTS, TILE_POINTS), np.float32)
    for k in range(3):
        fold = np.abs(_noise(random, wavelength_mm * 1.6 / 1.7**k, 2.5))
        height -= fold / np.float32(1.7**k)
    return height


def wrinkles(random: Random, wavelength_mm: float) -> Floats:
    """Wrinkles of cloth, bags and skin: stretched ridges with gaps."""
    stretch = random.uniform(2.0, 6.0)
    fold = np.exp(-3.0 * np.abs(_noise(random, wavelength_mm * 1.5, 2.0, stretch)))
    weight = np.clip(_noise(random, wavelength_mm * 4.0, 2.0) + 0.5, 0.0, 1.0)
    return np.asarray(fold * weight, np.float32)


def tufts(random: Random, wavelength_mm: float) -> Floats:
    """Rug, towel and fur: strands in locally similar directions."""
    noise = random.standard_normal((TILE_POINTS, TILE_POINTS)).astype(np.float32)
    angle = np.pi * _noise(random, wavelength_mm * 6.0, 2.0) * random.uniform(0.1, 0.8)
    step = 0.5 * wavelength_mm / SPACING_MM / 4
    y, x = np.mgrid[:TILE_POINTS, :TILE_POINTS].astype(np.float32)
    total = np.zeros_like(noise)
    for k in range(-8, 9):
        moved = (x + np.cos(angle) * np.float32(k * step), y + np.sin(angle) * np.float32(k * step))
        total += sample_tile(noise, *(part * np.float32(SPACING_MM) for part in moved))
    return _blurred(total, 0.12 * wavelength_mm)


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
    return _blurred(sign * image.astype(np.float32), 0.12)


TEXTURES: dict[str, Texture] = {
    function.__name__: function
    for function in (
        smooth, self_affine, grain, scratches, weave, knit, ridges, bars, knurl, mesh, holes,
        bumps, scattered, cells, facets, wrinkles, tufts, letters,
    )
}  # fmt: skip


def sample_tile(tile: Floats, x_mm: Floats, y_mm: Floats) -> Floats:
    """Interpolate a periodic tile linearly.

    Args:
        tile: (TILE_POINTS, TILE_POINTS) heights.
        x_mm: positions, any two-dimensional shape, mm.
        y_mm: positions, same shape, mm.
    """
    column = np.asarray(x_mm / np.float32(SPACING_MM), np.float32)
    row = np.asarray(y_mm / np.float32(SPACING_MM), np.float32)
    return cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def mean_wavelength_mm(tile: Floats) -> float:
    """Return the wavelength of the mean wave number, weighted by power, mm; NaN if flat."""
    power = np.abs(fft.rfft2(tile - tile.mean())) ** 2
    k = _wave_numbers()
    total = float((power * k).sum())
    return float(power.sum()) / total if total > 1e-12 else math.nan


def _wave_numbers() -> NDArray[np.float64]:
    """Return the wave numbers of a half spectrum, 1/mm."""
    ky = fft.fftfreq(TILE_POINTS, SPACING_MM)[:, None]
    return np.hypot(ky, fft.rfftfreq(TILE_POINTS, SPACING_MM)[None, :])


def _waves(wavelength_mm: float) -> int:
    """Return the number of waves along the tile that is nearest to a wavelength."""
    return max(2, 2 * round(TILE_MM / wavelength_mm / 2))


def _coordinates(
    columns: int, rows: int, shift: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x in cells of `columns` and y in cells of `rows`; odd columns shifted along y."""
    line = np.arange(TILE_POINTS) / TILE_POINTS
    x, y = np.meshgrid(line * columns, line * rows)
    return x, y + shift * (np.floor(x) % 2)


def _noise(random: Random, wavelength_mm: float, hurst: float, stretch: float = 1.0) -> Floats:
    """Return self-affine noise of unit variance, flat above a wavelength; stretched along x."""
    ky = fft.fftfreq(TILE_POINTS, SPACING_MM)[:, None]
    kx = fft.rfftfreq(TILE_POINTS, SPACING_MM)[None, :] * stretch
    k = np.hypot(kx, ky) * wavelength_mm
    amplitude = np.where(k > 0.2, np.maximum(k, 1.0) ** (-1.0 - hurst), 0.0)
    white = fft.rfft2(random.standard_normal((TILE_POINTS, TILE_POINTS)))
    noise = fft.irfft2(white * amplitude, (TILE_POINTS, TILE_POINTS))
    return np.asarray(noise / (noise.std() + 1e-12), np.float32)


def _blurred(height: NDArray[np.floating], width_mm: float) -> Floats:
    """Round a tile with a Gaussian of a standard deviation."""
    sigma = min(max(width_mm, 0.5 * SPACING_MM) / SPACING_MM, 20.0)
    return ndimage.gaussian_filter(height.astype(np.float32), sigma, mode="wrap")


def _warped(random: Random, height: NDArray[np.floating], size_mm: float) -> Floats:
    """Displace a tile by smooth noise, as yarns and loops are irregular."""
    y, x = np.mgrid[:TILE_POINTS, :TILE_POINTS].astype(np.float32) * np.float32(SPACING_MM)
    size = np.float32(size_mm * random.uniform(0.0, 1.0))
    x, y = x + size * _noise(random, 6.0, 1.0), y + size * _noise(random, 6.0, 1.0)
    return sample_tile(height.astype(np.float32), x, y)


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
    count = _waves(wavelength_mm)
    is_hexagonal = random.uniform() < 0.6
    rows = _waves(wavelength_mm * (2 / math.sqrt(3) if is_hexagonal else 1.0))
    x, y = _coordinates(count, rows)
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
