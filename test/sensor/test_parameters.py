"""Parameters as arrays: there and back, and only what was asked changes."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.virtual.units import random_unit


@pytest.mark.parametrize("seed", range(5))
def test_all_values_put_back_give_the_same_model(seed):
    model = random_unit(seed)
    again = with_parameter_values(model, parameter_values(model))
    before, after = parameter_values(model), parameter_values(again)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", list(parameter_values(random_unit(0))))
def test_a_change_of_one_parameter_changes_that_and_nothing_else(name):
    model = random_unit(0)
    before = parameter_values(model)
    wanted = before[name] * 1.001 + (1e-4 if name.startswith("camera") else 0.0)
    if name == "markers.darkness":
        wanted = before[name] * 0.99
    after = parameter_values(with_parameter_values(model, {name: wanted}))
    for other, value in before.items():
        assert after[other] == pytest.approx(wanted if other == name else value, rel=1e-9, abs=1e-9)


def test_angles_are_radians_here_and_degrees_in_the_file():
    model = random_unit(1)
    values = {"camera.rotation_rad": np.array([0.1, -0.2, 0.05])}
    changed = with_parameter_values(model, values)
    assert changed.camera.rotation_deg == pytest.approx(np.degrees([0.1, -0.2, 0.05]))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"camera.zoom": np.array([1.0])}, "camera.zoom"),
        ({"camera.centre_px": np.array([1.0])}, "expected"),
        ({"gel.base_color": np.array([2.0, 0.5, 0.5])}, "base_color"),
        ({"camera.focal_px": np.array(np.nan)}, "focal_px"),
        ({"lights.centre_mm": np.zeros((3, 3))}, "behind the gel"),
    ],
)
def test_what_the_model_cannot_be_is_refused(values, reason):
    with pytest.raises(InputError, match=reason) as caught:
        with_parameter_values(random_unit(0), values)
    assert "\n" not in str(caught.value)
