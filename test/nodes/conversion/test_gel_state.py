"""Forces, height maps and the gel's health in SI units."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from builtin_interfaces.msg import Time

from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.nodes.conversion.gel_state import (
    to_contact_forces,
    to_contact_wrench,
    to_gel_health,
)
from tacdiff_ros.nodes.conversion.surface import to_height_map
from tacdiff_ros.sensor.height_map import HeightMap

STAMP = Time(sec=3, nanosec=4)


def forces():
    shape = (2, 3)
    return ContactForces(
        force_n=np.array([0.5, -0.2, -4.0]),
        torque_n_mm=np.array([8.0, 12.0, -1.5]),
        force_stddev_n=np.array([0.1, 0.2, 0.3]),
        torque_stddev_n_mm=np.array([1.0, 2.0, 3.0]),
        modulus_fraction=0.7,
        pressure_mpa=np.full(shape, 0.02),
        traction_mpa=np.zeros((*shape, 2)),
        contact=np.ones(shape, bool),
        outline_mm=(),
        slip_margin=np.ones(shape),
        net_slip_margin=0.73,
        friction=0.5,
    )


def test_forces_are_in_newtons_and_torques_in_newton_metres():
    message = to_contact_forces(forces(), STAMP, "finger_gel")
    assert (message.header.frame_id, message.header.stamp) == ("finger_gel", STAMP)
    assert message.valid
    assert message.wrench.force.z == pytest.approx(-4.0)
    assert message.wrench.torque.y == pytest.approx(0.012)
    assert message.stddev.force.x == pytest.approx(0.1)
    assert message.stddev.torque.z == pytest.approx(0.003)
    assert (message.slip_margin, message.friction) == pytest.approx((0.73, 0.5))
    stamped = to_contact_wrench(forces(), STAMP, "finger_gel")
    assert stamped.wrench == message.wrench
    assert stamped.header == message.header


def test_forces_that_were_not_computed_are_no_zeros():
    message = to_contact_forces(None, STAMP, "gel")
    assert not message.valid
    assert math.isnan(message.wrench.force.z)
    assert math.isnan(message.stddev.torque.x)
    assert math.isnan(message.slip_margin)


def test_a_height_map_is_in_metres_and_keeps_what_was_not_observed():
    heights = np.array([[0.0, -0.5, np.nan], [0.1, -1.0, np.nan]], np.float32)
    message = to_height_map(HeightMap(heights, (-2.0, 1.0), 0.2), STAMP, "gel")
    assert (message.origin.x, message.origin.y) == pytest.approx((-2e-3, 1e-3))
    assert message.spacing == pytest.approx(0.2e-3)
    assert (message.image.height, message.image.width, message.image.encoding) == (2, 3, "32FC1")
    values = np.frombuffer(message.image.data, np.float32).reshape(2, 3)
    np.testing.assert_allclose(values, 1e-3 * heights)


def test_the_health_of_the_gel_carries_its_warnings():
    health = GelHealth(63, 50, 0.2, 17, 0.004, 0.06, (1.0, 0.9, 1.1), 0.15)
    message = to_gel_health(health, STAMP, "gel")
    assert (message.markers_expected, message.markers_detected, message.specks) == (63, 50, 17)
    assert list(message.brightness) == pytest.approx([1.0, 0.9, 1.1])
    assert [line.split(":")[0] for line in message.warnings] == [
        "20 % of the markers are lost",
        "17 specks on the gel",
        "the undeformed gel has changed by 6 % since its calibration",
    ]
