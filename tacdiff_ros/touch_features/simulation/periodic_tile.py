"""Periodic height maps and what textures are made of: noise, cells, blur and distortion."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.float32]
Random = np.random.Generator

TILE_POINTS = 384
TILE_MM = 38.4
SPACING_MM = TILE_MM / TILE_POINTS


def sample_tile(tile: Floats, x_mm: Floats, y_mm: Floats) -> Floats:
    """Interpolate a periodic tile linearly.

    Args:
        tile: (TILE_POINTS, TILE_POINTS) heights.
        x_mm: positions, any two-dimensional shape, mm.
        y_mm: positions, same shape, mm.
    """
    column = np.asarray(x_mm / np.float32(SPACING_MM), np.float32)
    row = np.asarray(y_mm / np.float32(SPACING_MM), np.float32)
    sampled = cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(sampled, np.float32)


def mean_wavelength_mm(tile: Floats) -> float:
    """Return the wavelength of the mean wave number, weighted by power, mm; NaN if flat."""
    power = np.abs(fft.fft2(tile - tile.mean())) ** 2
    line = fft.fftfreq(TILE_POINTS, SPACING_MM)
    k = np.hypot(line[:, None], line[None, :])
    total = float((power * k).sum())
    return float(power.sum()) / total if total > 1e-12 else math.nan


def random_noise(
    random: Random, wavelength_mm: float, hurst: float, stretch: float = 1.0
) -> Floats:
    """Return self-affine noise of unit variance, flat above a wavelength; stretched along x."""
    ky = fft.fftfreq(TILE_POINTS, SPACING_MM)[:, None]
    kx = fft.rfftfreq(TILE_POINTS, SPACING_MM)[None, :] * stretch
    k = np.hypot(kx, ky) * wavelength_mm
    amplitude = np.where(k > 0.2, np.maximum(k, 1.0) ** (-1.0 - hurst), 0.0)
    white = fft.rfft2(random.standard_normal((TILE_POINTS, TILE_POINTS)))
    noise = fft.irfft2(white * amplitude, (TILE_POINTS, TILE_POINTS))
    return np.asarray(noise / (noise.std() + 1e-12), np.float32)


def blurred(height: NDArray[np.floating], width_mm: float) -> Floats:
    """Round a tile with a Gaussian of a standard deviation."""
    sigma = min(max(width_mm, 0.5 * SPACING_MM) / SPACING_MM, 20.0)
    return ndimage.gaussian_filter(height.astype(np.float32), sigma, mode="wrap")


def warped(random: Random, height: NDArray[np.floating], size_mm: float) -> Floats:
    """Displace a tile by smooth noise, as yarns and loops are irregular."""
    y, x = np.mgrid[:TILE_POINTS, :TILE_POINTS].astype(np.float32) * np.float32(SPACING_MM)
    size = np.float32(size_mm * random.uniform(0.0, 1.0))
    x, y = x + size * random_noise(random, 6.0, 1.0), y + size * random_noise(random, 6.0, 1.0)
    return sample_tile(height.astype(np.float32), x, y)


def cell_coordinates(
    columns: int, rows: int, shift: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x in cells of `columns` and y in cells of `rows`; odd columns shifted along y."""
    line = np.arange(TILE_POINTS) / TILE_POINTS
    x, y = np.meshgrid(line * columns, line * rows)
    return x, y + shift * (np.floor(x) % 2)


def waves_per_tile(wavelength_mm: float) -> int:
    """Return the number of waves along the tile that is nearest to a wavelength."""
    return max(2, 2 * round(TILE_MM / wavelength_mm / 2))
