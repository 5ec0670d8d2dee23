"""Simulated touch sets: the same touch on several sensors, resumable and reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.simulation.layer_contact import PadGrid
from tacdiff_ros.touch_features.simulation.part_files import simulated_parts
from tacdiff_ros.touch_features.simulation.sensor_renderer import SensorRenderer
from tacdiff_ros.touch_features.simulation.simulated_touch import SimulationSettings, simulate_touch
from tacdiff_ros.touch_features.simulation.simulated_touches import simulate_touches
from tacdiff_ros.touch_features.simulation.varied_sensors import varied_sensor
from tacdiff_ros.touch_features.touch_set import TouchSet, read_touch_set
from tacdiff_ros.touch_features.touch_sheet import contact_sheet

SETTINGS = SimulationSettings(
    objects=2, touches_per_object=1, steps=8, pairs_per_touch=2, sensors=2, sensors_per_touch=2,
    spacing_mm=0.4,
)  # fmt: skip


@pytest.fixture(scope="module")
def touch_set(tmp_path_factory) -> TouchSet:
    folder = tmp_path_factory.mktemp("touches") / "set"
    simulate_touches(SETTINGS, folder)
    return read_touch_set(folder)


def test_sensors_feel_the_same_touch_in_different_images(touch_set):
    for touch in np.unique(touch_set.touch):
        rows = np.flatnonzero(touch_set.touch == touch)
        assert sorted(touch_set.sensor[rows]) == [0, 1]
        first, second = rows
        for name, column in touch_set.labels.items():
            np.testing.assert_array_equal(column[first], column[second], err_msg=name)
        assert (touch_set.images[first] != touch_set.images[second]).mean() > 0.5


def test_earlier_images_are_three_frames_earlier(touch_set):
    has = touch_set.earlier >= 0
    assert 0.3 < has.mean() < 1
    difference = touch_set.frame[has] - touch_set.frame[touch_set.earlier[has]]
    assert (difference == 3).all()


def test_an_interrupted_simulation_resumes_to_the_same_set(touch_set, tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_touches(SETTINGS, tmp_path / "set", interrupt)
    counts = []
    resumed = simulate_touches(
        SETTINGS, tmp_path / "set", lambda done, total: counts.append((done, total))
    )
    assert counts == [(2, 2)]
    np.testing.assert_array_equal(resumed.images, touch_set.images)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_parts_of_other_settings_are_refused(tmp_path):
    parts = tmp_path / "set.parts"
    simulated_parts(simulate_touch, SETTINGS, 0, parts, processes=1)
    with pytest.raises(InputError, match="other settings"):
        simulate_touches(SETTINGS.model_copy(update={"seed": 1}), tmp_path / "set")


def test_the_contact_sheet_shows_images_beside_their_changes(touch_set):
    assert contact_sheet(touch_set, 2, 2).shape == (240, 640, 3)


def test_maps_hold_the_true_depth_slopes_and_displacement():
    grid = PadGrid.over(25.25, 20.75, 0.2)
    renderer = SensorRenderer(varied_sensor(3, False, grid), grid)
    renderer._wear[:] = 0.0
    x, y = grid.positions()
    depth = 0.5 + 0.03 * x + 0.02 * y
    displacement = np.stack([np.full_like(x, 0.1), np.full_like(x, -0.2), -depth], axis=-1)
    _, maps = renderer.picture(displacement, np.random.default_rng(0))
    centre = maps[:, 12:18, 16:24].mean(axis=(1, 2))
    expected = [0.5, -0.03, -0.02, 0.1, -0.2]
    np.testing.assert_allclose(centre[1:], expected[1:], atol=0.003)
    assert centre[0] == pytest.approx(0.5, abs=0.06)


def test_a_sensor_is_reproducible_and_has_markers_only_if_asked():
    grid = PadGrid.over(25.25, 20.75, 0.4)
    plain, again, dotted = (varied_sensor(5, has, grid) for has in (False, False, True))
    assert plain.model.checksum == again.model.checksum
    np.testing.assert_array_equal(plain.wear_mm, again.wear_mm)
    assert plain.model.markers is None
    assert dotted.model.markers is not None
