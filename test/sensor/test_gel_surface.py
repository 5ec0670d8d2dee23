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


def doubled_area(corners):
    """Twice the signed area of triangles in the plane, by the shoelace formula."""
    x, y = np.moveaxis(corners[..., :2].astype(np.float64), -1, 0)
    return np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1)


@pytest.mark.parametrize("seed", range(20))
def test_a_surface_is_refused_exactly_when_the_camera_would_see_a_back(seed):
    """A random material point moves along a random way, with any height, until it folds."""
    random = np.random.default_rng(seed)
    vertex = random.integers(35)
    position = FLAT.position.copy()
    position[:, 2] = random.normal(0.0, 3.0, 35)
    way = random.normal(size=2)
    outcomes = set()
    for step in np.linspace(0.0, 4.0, 41):
        position[vertex, :2] = FLAT.position[vertex, :2] + step * way
        back = (doubled_area(position[grid_triangles(5, 7)]) >= 0).sum()
        outcomes.add(back > 0)
        if not back:
            assert np.array_equal(FLAT.moved(position).position, position)
            continue
        with pytest.raises(InputError, match=f"{back} of 48 triangles"):
            FLAT.moved(position)
    assert False in outcomes


def test_some_of_those_moves_do_fold():
    position = FLAT.position.copy()
    position[17, :2] += [1.01, 0.0]
    with pytest.raises(InputError, match="folds onto itself"):
        FLAT.moved(position)
    position[17, :2] -= [0.02, 0.0]
    assert FLAT.moved(position).position[17, 0] == pytest.approx(0.99)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rest_positions_must_be_finite_too(value):
    rest = FLAT.rest.copy()
    rest[11, 1] = value
    with pytest.raises(InputError, match="rest of vertex 11 is not finite"):
        GelSurface(rest, FLAT.position, 5, 7)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_rest_grid_that_does_not_rise_is_refused(axis):
    falling = FLAT.rest.copy()
    falling[:, axis] *= -1.0
    still = FLAT.rest.copy()
    still[still[:, axis] == 1.0, axis] = 0.0
    bent = FLAT.rest.copy()
    bent[17, axis] += 0.01
    for rest in (falling, still, bent):
        with pytest.raises(InputError, match="no grid"):
            GelSurface(rest, FLAT.position, 5, 7)


def test_an_uneven_rest_grid_is_kept():
    x, y = np.array([-3.0, -1.0, 0.5, 4.0]), np.array([-2.0, 0.0, 0.1])
    rest = np.array([[a, b, 0.0] for b in y for a in x])
    surface = GelSurface(rest, rest, 3, 4)
    assert surface.x_mm == pytest.approx(x)
    assert surface.y_mm == pytest.approx(y)
    assert surface.rest.dtype == surface.position.dtype == np.float32


@pytest.mark.parametrize("shape", [(35,), (34, 3), (36, 3), (35, 2), (5, 7, 3), (0, 3)])
@pytest.mark.parametrize("name", ["rest", "position"])
def test_arrays_of_another_shape_are_refused_with_both_shapes(name, shape):
    arrays = {"rest": FLAT.rest, "position": FLAT.position, name: np.zeros(shape, np.float32)}
    with pytest.raises(InputError) as caught:
        GelSurface(**arrays, rows=5, columns=7)
    assert str(caught.value).endswith(f"{name} has shape {shape}, expected (35, 3)")


def test_the_rest_positions_are_kept_from_changes_as_well():
    source = FLAT.rest.copy()
    surface = GelSurface(source, source, 5, 7)
    source[0] = 9.0
    assert np.array_equal(surface.rest, FLAT.rest)
    with pytest.raises(ValueError, match="read-only"):
        surface.rest[0] = 9.0
