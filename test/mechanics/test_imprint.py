"""Closed-form imprints do what they are drawn for."""

import math

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.mechanics.indenter_spec import parse_indenter
from tacdiff_ros.sensor.sensor_model import Gel

GEL = Gel()


def test_a_ball_leaves_its_own_shape_inside_of_the_contact():
    surface = imprint_surface(GEL, Imprint("sphere", 8.0, at_mm=(1.0, -2.0), depth_mm=1.0), 0.1)
    away = np.hypot(surface.position[:, 0] - 1.0, surface.position[:, 1] + 2.0)
    inside = away < 1.5
    ball = 1.0 - (4.0 - np.sqrt(16.0 - away[inside] ** 2))
    assert -surface.position[inside, 2] == pytest.approx(ball, abs=0.03)
    assert np.all(surface.position[away > 5.0, 2] > -1e-4)


def test_the_middle_moves_with_the_indenter_and_the_border_stays():
    touch = Imprint("cross", 8.0, depth_mm=0.8, shear_mm=(1.0, -0.5), twist_rad=math.radians(10))
    surface = imprint_surface(GEL, touch, 0.2)
    moved = surface.position - surface.rest
    middle = np.hypot(*surface.rest[:, :2].T) < 0.3
    assert moved[middle, :2] == pytest.approx(np.tile([1.0, -0.5], (middle.sum(), 1)), abs=0.1)
    border = np.abs(surface.rest[:, 0]) > 12.0
    assert np.abs(moved[border]).max() < 0.01


def test_no_indenter_leaves_the_gel_flat():
    surface = imprint_surface(GEL, Imprint())
    assert np.array_equal(surface.position, surface.rest)


@pytest.mark.parametrize(
    "change",
    [
        {"depth_mm": 3.5},
        {"depth_mm": -0.1},
        {"depth_mm": math.nan},
        {"size_mm": 0.0},
        {"arm_mm": 20.0},
        {"at_mm": (20.0, 0.0)},
        {"shear_mm": (4.0, 0.0)},
        {"twist_rad": 1.0},
        {"yaw_rad": math.inf},
        {"shape": "cone"},
    ],
)
def test_touches_that_the_closed_form_does_not_stand_for_are_refused(change):
    with pytest.raises(InputError, match=r"expected|beside"):
        imprint_surface(
            GEL, Imprint(**{"shape": "cross", "size_mm": 8.0, "depth_mm": 0.5} | change)
        )


def test_indenters_are_read_from_text():
    assert parse_indenter("none").sizes_mm == {}
    spec = parse_indenter("cross:size=8.5, arm=2")
    assert (spec.name, spec.sizes_mm) == ("cross", {"size": 8.5, "arm": 2.0})
    assert spec.sizes(size=1.0, arm=1.0, edge=0.1) == {"size": 8.5, "arm": 2.0, "edge": 0.1}
    with pytest.raises(InputError, match="no size 'arm'; it takes size"):
        spec.sizes(size=1.0)


@pytest.mark.parametrize(
    "text", ["", "Sphere", "sphere:5", "sphere:diameter=-1", "a:b=nan", "a" * 300]
)
def test_other_text_is_refused_in_one_line(text):
    with pytest.raises(InputError) as caught:
        parse_indenter(text)
    assert "\n" not in str(caught.value)


def heights(surface):
    """Indentation over the grid of a surface that is not sheared."""
    assert np.array_equal(surface.position[:, :2], surface.rest[:, :2])
    return -surface.position[:, 2].reshape(surface.rows, surface.columns)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["sphere", "cross"])
def test_the_given_depth_is_reached_where_the_indenter_is_and_nowhere_exceeded(shape, seed):
    random = np.random.default_rng(seed)
    touch = Imprint(
        shape,
        random.uniform(5.0, 9.0),
        at_mm=tuple(random.uniform([-8.0, -6.0], [8.0, 6.0])),
        yaw_rad=random.uniform(-np.pi, np.pi),
        depth_mm=random.uniform(0.1, 1.5),
    )
    surface = imprint_surface(GEL, touch)
    depth = heights(surface)
    sample = RegularGridInterpolator((surface.y_mm, surface.x_mm), depth)
    assert sample([touch.at_mm[::-1]])[0] == pytest.approx(touch.depth_mm, abs=0.03)
    assert depth.max() < touch.depth_mm + 1e-3
    assert depth.min() > -1e-3


def test_a_ball_in_the_middle_looks_the_same_from_all_sides():
    square = Gel(width_mm=20.0, height_mm=20.0)
    depth = heights(imprint_surface(square, Imprint("sphere", 6.0, depth_mm=1.0, yaw_rad=0.7), 0.1))
    assert depth.max() > 0.95
    for turned in (depth[::-1], depth[:, ::-1], depth.T):
        assert turned == pytest.approx(depth, abs=1e-5)


def test_a_cross_looks_the_same_after_a_quarter_turn_and_its_arms_turn_with_it():
    """Arms of 8 mm by 2 mm: 3 mm out it is pressed along an arm, and free halfway between two."""
    for yaw in (0.0, 0.4, -1.1):
        touch = Imprint("cross", 8.0, depth_mm=0.5, yaw_rad=yaw)
        surface = imprint_surface(GEL, touch)
        depth = heights(surface)
        quarter = Imprint("cross", 8.0, depth_mm=0.5, yaw_rad=yaw + math.pi / 2)
        assert heights(imprint_surface(GEL, quarter)) == pytest.approx(depth, abs=1e-6)
        sample = RegularGridInterpolator((surface.y_mm, surface.x_mm), depth)
        for arm in range(4):
            along, between = (yaw + (arm + part) * math.pi / 2 for part in (0.0, 0.5))
            assert sample([3 * math.sin(along), 3 * math.cos(along)])[0] > 0.48
            assert sample([3 * math.sin(between), 3 * math.cos(between)])[0] < 0.01


@pytest.mark.parametrize("shear", [(1.5, 0.0), (-0.7, 1.9), (0.0, -2.5)])
def test_the_deepest_point_travels_with_the_indenter(shear):
    touch = Imprint("sphere", 5.0, at_mm=(-1.0, 2.0), depth_mm=1.0, shear_mm=shear)
    surface = imprint_surface(GEL, touch)
    deep = surface.position[:, 2] < 0.97 * surface.position[:, 2].min()
    expected = np.array([-1.0, 2.0]) + shear
    assert surface.position[deep, :2].mean(axis=0) == pytest.approx(expected, abs=0.1)
    contact = np.hypot(*(surface.rest[:, :2] - touch.at_mm).T) < 0.2
    moved = (surface.position - surface.rest)[contact, :2]
    assert moved == pytest.approx(np.tile(shear, (contact.sum(), 1)), abs=0.02)


@pytest.mark.parametrize("twist", [-25.0, 10.0, 30.0])
def test_material_at_the_contact_turns_with_the_indenter(twist):
    """Toward y for positive angles; the axis itself stays."""
    touch = Imprint("cross", 8.0, depth_mm=0.5, at_mm=(1.0, 1.0), twist_rad=math.radians(twist))
    surface = imprint_surface(GEL, touch, 0.1)
    away = surface.rest[:, :2] - touch.at_mm
    near = (np.hypot(*away.T) < 0.5) & (np.hypot(*away.T) > 0.2)
    now = (surface.position[:, :2] - touch.at_mm)[near]
    angle = np.angle((now[:, 0] + 1j * now[:, 1]) / (away[near, 0] + 1j * away[near, 1]))
    assert np.degrees(angle) == pytest.approx(np.full(near.sum(), twist), abs=0.6)


def test_far_from_the_contact_nothing_moves():
    """At 11 mm the drag's weight exp(-(r / 4)^2) is below 1 in 1900."""
    touch = Imprint(
        "sphere", 4.0, at_mm=(-8.0, 0.0), depth_mm=1.0, shear_mm=(2.0, 2.0), twist_rad=0.5
    )
    surface = imprint_surface(GEL, touch)
    far = np.hypot(*(surface.rest[:, :2] - touch.at_mm).T) > 11.0
    assert far.sum() > 1000
    assert np.abs(surface.position - surface.rest)[far].max() < 0.005


@pytest.mark.parametrize("seed", range(10))
def test_no_touch_that_is_allowed_folds_the_gel(seed):
    """Farthest shear with the largest twist, in any direction, anywhere on the pad."""
    random = np.random.default_rng(seed)
    way = random.uniform(0.0, 2 * np.pi)
    touch = Imprint(
        "sphere",
        5.0,
        at_mm=tuple(random.uniform([-12.6, -10.3], [12.6, 10.3])),
        depth_mm=2.0,
        shear_mm=(2.999 * math.cos(way), 2.999 * math.sin(way)),
        twist_rad=math.radians(random.choice([-30.0, 30.0])),
    )
    surface = imprint_surface(GEL, touch)
    moved = np.hypot(*(surface.position - surface.rest)[:, :2].T)
    assert moved.max() > 2.5


def test_the_surface_has_about_the_asked_for_spacing_and_the_size_of_the_pad():
    for spacing in (0.1, 0.33, 1.0):
        surface = imprint_surface(GEL, Imprint(), spacing)
        assert np.diff(surface.x_mm) == pytest.approx(spacing, rel=0.1)
        assert np.diff(surface.y_mm) == pytest.approx(spacing, rel=0.1)
        assert np.ptp(surface.rest, axis=0) == pytest.approx([25.25, 20.75, 0.0])


@pytest.mark.parametrize("spacing", [0.0, -0.1, 1e-6, math.nan, 50.0])
def test_a_spacing_that_makes_no_mesh_is_refused(spacing):
    with pytest.raises(InputError, match="spacing"):
        imprint_surface(GEL, Imprint(), spacing)
