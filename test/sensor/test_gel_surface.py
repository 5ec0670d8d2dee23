"""Surfaces are refused when they cannot be drawn."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface, grid_triangles

FLAT = GelSurface.flat(6.0, 4.0, 5, 7)


def test_the_grid_runs_right_and_down_and_faces_the_camera():
    assert FLAT.rest[0].tolist() == [-3.0, -2.0, 0.0]
    assert FLAT.rest[6].tolist() == [3.0, -2.0, 0.0]
    assert FLAT.rest[-1].tolist() == [3.0, 2.0, 0.0]
    assert FLAT.x_mm.tolist() == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    assert FLAT.y_mm.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    corners = FLAT.position[FLAT.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normal[:, 2] < 0).all()
    assert np.sum(np.linalg.norm(normal, axis=1)) / 2 == pytest.approx(24.0)


def test_triangles_use_every_vertex_and_every_edge_at_most_twice():
    triangles = grid_triangles(5, 7)
    assert set(triangles.ravel()) == set(range(35))
    edges = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    )
    assert np.unique(edges, axis=0, return_counts=True)[1].max() == 2


def broken(change):
    position = FLAT.position.copy()
    change(position)
    return position


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        (FLAT.position[:-1], "shape"),
        (broken(lambda p: p.__setitem__((3, 1), np.nan)), "vertex 3 is not finite"),
        (broken(lambda p: p.__setitem__((3, 2), np.inf)), "vertex 3 is not finite"),
        (broken(lambda p: p.__setitem__((8, 0), 2.0)), "folds"),
        (FLAT.position * [0.0, 1.0, 1.0], "no area"),
        (FLAT.position * [-1, 1, 1], "folds"),
    ],
)
def test_positions_that_cannot_be_drawn_are_refused(position, reason):
    with pytest.raises(InputError, match=reason):
        FLAT.moved(position)


@pytest.mark.parametrize("rows", [2, 6])
def test_a_grid_of_the_wrong_size_is_refused(rows):
    with pytest.raises(InputError, match="gel surface"):
        GelSurface(FLAT.rest, FLAT.position, rows, 7)


def test_rest_points_that_are_no_grid_are_refused():
    shuffled = np.roll(FLAT.rest, 3, axis=0)
    with pytest.raises(InputError, match="no grid"):
        GelSurface(shuffled, shuffled, 5, 7)


def test_a_surface_cannot_be_changed_behind_its_back():
    source = FLAT.position.copy()
    surface = FLAT.moved(source)
    source[0] = 9.0
    assert surface.position[0, 0] == -3.0
    with pytest.raises(ValueError, match="read-only"):
        surface.position[0] = 9.0
