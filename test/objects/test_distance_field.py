"""Distance fields agree with closed forms, and their gradients are derivatives."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.distance_field import DistanceField

BOX_M = np.array([0.04, 0.06, 0.10])


def box_distance(points):
    excess = np.abs(points) - BOX_M / 2
    outside = np.linalg.norm(np.maximum(excess, 0), axis=1)
    return outside + np.minimum(excess.max(axis=1), 0)


def test_distances_to_a_box_are_exact_to_a_fraction_of_the_spacing(box):
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3)) * (BOX_M / 2 + 0.013)
    error = np.abs(box.distance.distance(points) - box_distance(points))
    assert np.median(error) < 1e-5
    assert error.max() < box.distance.spacing / 2  # at the edges of the box


def test_gradient_equals_finite_differences_inside_and_outside_of_the_grid(box):
    points = np.random.default_rng(1).uniform(-0.15, 0.15, (3000, 3))
    gradient = box.distance.distance_and_gradient(points)[1]
    step = 1e-7
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        ahead, behind = box.distance.distance(points + shift), box.distance.distance(points - shift)
        error = np.abs((ahead - behind) / (2 * step) - gradient[:, axis])
        assert np.quantile(error, 0.99) < 1e-5  # cell boundaries have two derivatives


def test_distances_beyond_the_grid_are_bounded_by_the_triangle_inequality(box):
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (2000, 3))
    error = box.distance.distance(points) - box_distance(points)
    assert error.min() > -1e-3
    assert error.max() < 2 * 0.015 * np.sqrt(3)


def test_volume_and_centre_of_mass_are_those_of_the_box(box):
    assert box.volume == pytest.approx(BOX_M.prod(), rel=0.03)
    np.testing.assert_allclose(box.centre_of_mass, 0, atol=1e-4)


def test_a_field_that_would_need_too_many_nodes_is_refused():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    with pytest.raises(InputError, match="use a spacing above"):
        DistanceField.from_mesh(corners, np.array([[0, 2, 1]]), spacing=1e-3)
