"""A height map is what an orthographic camera measures: truth by closed form."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.height_map import height_map

RADIUS_MM, DEPTH_MM = 3.0, 0.8


def ball_height(x, y):
    """Height of a ball that is pressed into a gel without skirt."""
    return -np.sqrt(np.maximum(RADIUS_MM**2 - x**2 - y**2, 0.0)) + RADIUS_MM - DEPTH_MM


def sheared_ball(spacing_mm=0.2):
    """A ball pressed into a gel whose points have moved by up to 0.6 mm in the plane."""
    flat = GelSurface.flat(12.0, 8.0, round(8.0 / spacing_mm) + 1, round(12.0 / spacing_mm) + 1)
    position = flat.rest.astype(float)
    decay = np.exp(-np.sum(flat.rest[:, :2] ** 2, axis=1) / 9.0)
    position[:, :2] += decay[:, None] * (0.6, -0.4)
    position[:, 2] = np.minimum(ball_height(position[:, 0], position[:, 1]), 0.0)
    return flat.moved(position)


def grid(result):
    rows, columns = np.indices(result.height_mm.shape)
    x, y = result.origin_mm
    return x + result.spacing_mm * columns, y + result.spacing_mm * rows


def test_heights_are_those_at_the_grid_wherever_the_material_points_have_moved():
    surface = sheared_ball()
    result = height_map(surface, np.ones((surface.rows, surface.columns), bool))
    assert result.height_mm.dtype == np.float32
    assert result.spacing_mm == pytest.approx(0.2)
    x, y = grid(result)
    inside = np.hypot(x, y) < 1.8
    assert np.abs(result.height_mm - ball_height(x, y))[inside].max() < 0.006  # sag of a chord
    by_vertex = surface.position[:, 2].reshape(surface.rows, surface.columns)
    assert np.nanmax(np.abs(by_vertex - result.height_mm)) > 0.1  # indices are no positions
    assert np.isfinite(result.height_mm).mean() > 0.95


def test_a_plane_comes_back_exactly_at_every_spacing():
    flat = GelSurface.flat(9.0, 7.0, 36, 31)
    position = flat.rest.astype(float)
    position[:, 2] = -0.3 + 0.02 * position[:, 0] - 0.01 * position[:, 1]
    for spacing in (None, 0.1, 0.25):
        result = height_map(flat.moved(position), np.ones((36, 31), bool), spacing)
        x, y = grid(result)
        np.testing.assert_allclose(result.height_mm, -0.3 + 0.02 * x - 0.01 * y, atol=1e-6)
        assert x.mean() == pytest.approx(0.0, abs=1e-6)
        assert y.mean() == pytest.approx(0.0, abs=1e-6)


def test_what_was_not_observed_is_nan():
    surface = sheared_ball()
    observed = surface.rest[:, 0].reshape(surface.rows, surface.columns) < 3.0
    result = height_map(surface, observed)
    x, _ = grid(result)
    assert np.isnan(result.height_mm[x > 3.0]).all()
    assert np.isfinite(result.height_mm[3:-3][:, x[0] < 2.0][:, 3:]).all()
