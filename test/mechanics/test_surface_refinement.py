"""Finer surfaces: the given vertices are kept, nothing overshoots."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.surface_refinement import monotone_cubics, refine_surface
from tacdiff_ros.sensor.gel_surface import GelSurface


def dented():
    flat = GelSurface.flat(8.0, 6.0, 13, 17)
    position = flat.rest.astype(np.float64)
    position[:, 2] -= 0.8 * (np.hypot(position[:, 0], position[:, 1]) < 1.2)
    position[:, 0] += 0.1 * np.exp(-(position[:, 1] ** 2))
    return flat.moved(position)


def test_given_vertices_are_kept_and_no_vertex_is_deeper():
    coarse = dented()
    fine = refine_surface(coarse, 25, 33)
    grid = fine.position.reshape(25, 33, 3)[::2, ::2]
    assert grid.reshape(-1, 3) == pytest.approx(coarse.position, abs=1e-5)
    assert fine.position[:, 2].min() >= coarse.position[:, 2].min() - 1e-6
    assert fine.position[:, 2].max() <= 1e-6


def test_an_even_stretch_stays_one():
    flat = GelSurface.flat(8.0, 6.0, 5, 5)
    stretched = flat.moved(flat.rest * np.array([1.1, 0.9, 1.0]))
    fine = refine_surface(stretched, 41, 47)
    assert fine.position == pytest.approx(fine.rest * np.array([1.1, 0.9, 1.0]), abs=1e-5)


def test_coarser_is_refused():
    with pytest.raises(InputError, match="at least as many"):
        refine_surface(dented(), 12, 33)


def test_monotone_cubics_are_those_of_scipy():
    random = np.random.default_rng(0)
    x = np.cumsum(random.uniform(0.5, 1.5, 9))
    values = random.normal(size=(9, 4, 3))
    values[3:5] = 0.0
    fine_x = np.linspace(x[0], x[-1], 57)
    fine = np.empty((57, 4, 3))
    monotone_cubics(x, values, fine_x, fine)
    assert np.allclose(fine, PchipInterpolator(x, values, axis=0)(fine_x), atol=1e-12)
