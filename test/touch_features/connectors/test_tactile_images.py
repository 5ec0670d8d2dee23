"""Tactile images of connectors on virtual sensors."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.touch_features.connectors.connector_poses import ConnectorPoses
from tacdiff_ros.touch_features.connectors.connector_shapes import PAPER_CONNECTORS
from tacdiff_ros.touch_features.connectors.tactile_images import (
    IMAGE_PX,
    pressed_surface,
    smoothed_imprint,
    tactile_images,
    virtual_sensors,
)

USB = PAPER_CONNECTORS["usb_a"].mesh()


def poses(along):
    count = len(along)
    grip = np.column_stack([along, np.zeros(count)])
    return ConnectorPoses(np.zeros(count, np.int64), np.zeros(count), grip)


def test_the_gel_follows_a_flat_contact_and_decays_beside_it():
    overlap = np.zeros((161, 161))
    overlap[40:121, 40:121] = 0.8
    indentation = smoothed_imprint(overlap, 0.125)
    assert indentation[80, 80] == pytest.approx(0.8, abs=1e-6)
    beside = indentation[80, 121:]
    assert (np.diff(beside) <= 1e-12).all()
    assert beside[-1] < 0.01


def test_the_surface_is_as_deep_as_the_connector_is_pressed():
    surface = pressed_surface(default_sensor().gel, USB, poses([0.0]).in_gripper(0), 0.7)
    assert -surface.position[:, 2].min() == pytest.approx(0.7, abs=0.02)


def test_only_the_touched_side_of_an_image_changes_and_seeds_repeat_it():
    sensors = virtual_sensors([5])
    touched = poses([-18.0, 18.0])  # the gripper is before the tip, then behind the housing
    images = tactile_images([USB], touched, sensors, 1)
    again = tactile_images([USB], touched, sensors, 1)
    assert np.array_equal(images.change, again.change)
    change = np.abs(images.change.astype(int)).mean(axis=1)
    left, right = change[:, :, :30].mean((1, 2)), change[:, :, 50:].mean((1, 2))
    assert right[0] > 5 * left[0]
    assert images.change.shape == (2, 3, *IMAGE_PX)


def test_a_connector_beside_the_pad_no_sensor_or_too_deep_is_refused():
    gel = default_sensor().gel
    with pytest.raises(InputError, match="beside the pad"):
        pressed_surface(gel, USB, poses([60.0]).in_gripper(0), 0.5)
    with pytest.raises(InputError, match="depth is 9"):
        pressed_surface(gel, USB, poses([0.0]).in_gripper(0), 9.0)
    with pytest.raises(InputError, match="no sensor"):
        tactile_images([USB], poses([0.0]), [], 0)
