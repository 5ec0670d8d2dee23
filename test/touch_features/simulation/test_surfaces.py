"""Random touched surfaces: geometry, labels and reproducibility."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.touch_features.simulation.periodic_tile import (
    SPACING_MM,
    TILE_MM,
    mean_wavelength_mm,
    sample_tile,
)
from tacdiff_ros.touch_features.simulation.surfaces import SHAPES, random_surface
from tacdiff_ros.touch_features.simulation.textures import TEXTURES


@pytest.mark.parametrize("name", TEXTURES)
def test_every_texture_is_finite_and_continues_over_the_tiles_border(name):
    tile = TEXTURES[name](np.random.default_rng(1), 2.0)
    assert np.isfinite(tile).all()
    steps = np.abs(np.diff(tile, axis=0)).max()
    if name != "letters":  # rows of text end at the border
        assert np.abs(tile[0] - tile[-1]).max() <= 1.5 * steps + 1e-6


@pytest.mark.parametrize("name", SHAPES)
def test_every_base_shape_has_its_highest_point_at_height_zero(name):
    shape, _ = SHAPES[name](np.random.default_rng(3))
    line = np.linspace(-8, 8, 321, dtype=np.float32)
    heights = shape(*np.meshgrid(line, line))
    assert heights.min() > -0.05
    assert heights.min() < 0.1


@pytest.mark.parametrize("name", ["ellipsoid", "cylinder", "edge", "ring"])
def test_the_curvature_label_is_the_second_derivative_at_the_top(name):
    shape, (larger, _) = SHAPES[name](np.random.default_rng(5))
    step = min(0.02 / larger, 0.05)
    x = np.linspace(-8, 8, 20001, dtype=np.float32) if name == "ring" else np.zeros(1, np.float32)
    top = float(x[np.argmin(shape(x, np.zeros_like(x)))])
    at = np.array([top - step, top, top + step], np.float32)
    low, middle, high = shape(at, np.zeros_like(at)).astype(float)
    assert (low - 2 * middle + high) / step**2 == pytest.approx(larger, rel=0.05)


def test_the_mean_wavelength_of_a_sine_is_its_wavelength():
    x = np.arange(384) * SPACING_MM
    tile = np.tile(np.sin(2 * np.pi * x / (TILE_MM / 16)), (384, 1)).astype(np.float32)
    assert mean_wavelength_mm(tile) == pytest.approx(TILE_MM / 16, rel=1e-3)
    assert math.isnan(mean_wavelength_mm(np.zeros((384, 384), np.float32)))


def test_a_tile_repeats():
    tile = np.random.default_rng(0).random((384, 384), np.float32)
    at = np.full((1, 1), 1.234, np.float32)
    shifted = sample_tile(tile, at + np.float32(TILE_MM), at - np.float32(TILE_MM))
    assert shifted == pytest.approx(sample_tile(tile, at, at), abs=1e-3)


def test_surfaces_are_reproducible_different_and_labelled():
    first, again, other = (random_surface(np.random.default_rng(k)) for k in (7, 7, 8))
    x, y = np.meshgrid(*[np.linspace(-5, 5, 41, dtype=np.float32)] * 2)
    np.testing.assert_array_equal(first.heights(x, y), again.heights(x, y))
    assert not np.array_equal(first.heights(x, y), other.heights(x, y))
    assert first.tile.max() <= 0
    assert first.texture_rms_mm == pytest.approx(float(first.tile.std()))


def test_compliance_is_zero_for_rigid_and_a_half_for_equal_moduli():
    rigid = replace(random_surface(np.random.default_rng(7)), modulus_mpa=math.inf)
    soft = replace(rigid, modulus_mpa=0.3)
    assert rigid.compliance(0.2) == 0
    assert rigid.body is None
    assert soft.compliance(0.3) == pytest.approx(0.5)
    assert soft.body.young_modulus_mpa == 0.3
