"""Numbers of a contact whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.inversion.contact_summary import summarise
from tacdiff_ros.sensor.gel_surface import GelSurface


def pressed(turn_rad=0.0, slide_mm=(0.0, 0.0)):
    flat = GelSurface.flat(20.0, 16.0, 81, 101)
    x, y = flat.rest[:, 0] - 2.0, flat.rest[:, 1] + 1.0
    inside = np.hypot(x, y) < 3.0
    position = flat.rest.copy()
    position[inside, 2] = -0.5
    position[inside, 0] += slide_mm[0] - turn_rad * y[inside]
    position[inside, 1] += slide_mm[1] + turn_rad * x[inside]
    return GelSurface(flat.rest, position, 81, 101, True), inside.reshape(81, 101)


def test_area_centre_depth_and_motion():
    surface, inside = pressed(0.03, (0.2, -0.1))
    contact = summarise(surface, 0.2 * inside, np.ones(inside.shape, bool))
    assert contact.area_mm2 == pytest.approx(np.pi * 9.0, rel=0.03)
    assert contact.centroid_mm == pytest.approx((2.0, -1.0), abs=0.02)
    assert contact.depth_mm == pytest.approx(0.5)
    assert contact.shear_mm == pytest.approx((0.2, -0.1), abs=1e-3)
    assert contact.twist_rad == pytest.approx(0.03, abs=1e-3)
    assert np.array_equal(contact.mask, inside)


def test_nothing_touches():
    flat = GelSurface.flat(20.0, 16.0, 81, 101)
    contact = summarise(flat, np.zeros((81, 101)), np.ones((81, 101), bool))
    assert not contact.in_contact
    assert (contact.area_mm2, contact.depth_mm, contact.shear_mm) == (0.0, 0.0, (0.0, 0.0))


def test_what_is_not_seen_does_not_count():
    surface, inside = pressed()
    contact = summarise(surface, 0.2 * inside, np.zeros(inside.shape, bool))
    assert not contact.in_contact
    assert contact.depth_mm == 0.0


def test_a_steep_skirt_beside_the_contact_is_not_part_of_it():
    """Its pressure looks like a quarter of the usual one, over a third of the contact's area."""
    surface, inside = pressed()
    columns = np.arange(101)
    skirt = ~inside & (np.abs(np.arange(81) - 35)[:, None] < 15) & (columns > 70) & (columns < 90)
    position = surface.position.copy()
    position[skirt.ravel(), 2] = -0.2
    surface = surface.moved(position, may_overhang=True)
    pressure = np.where(inside, 0.7, 0.0) + np.where(skirt, 0.18, 0.0)
    pressure[inside & (np.random.default_rng(0).random(inside.shape) < 0.02)] = 1.0  # peaks
    contact = summarise(surface, pressure, np.ones(inside.shape, bool))
    assert np.array_equal(contact.mask, inside)
    assert contact.centroid_mm == pytest.approx((2.0, -1.0), abs=0.02)
