"""Closed-form imprints do what they are drawn for."""

import math

import numpy as np
import pytest

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
