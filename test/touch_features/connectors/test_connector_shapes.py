"""The solids against the measures that standards state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.connectors.connector_shapes import (
    AuxPlug,
    PinRow,
    Stud,
    UsbAPlug,
)
from tacdiff_ros.touch_features.connectors.further_connectors import (
    ALL_CONNECTORS,
    HexBolt,
    Rj45Plug,
    UsbCPlug,
)
from tacdiff_ros.touch_features.connectors.solid_parts import cylinder, hexagon, rounded_bar


def slab_size(connector, first_mm, last_mm):
    """Extents along y and z of the vertices between two distances from the tip."""
    mesh = connector.mesh()
    x = mesh.vertices[:, 0] - mesh.bounds[0, 0]
    inside = mesh.vertices[(x >= first_mm) & (x <= last_mm)]
    return np.ptp(inside[:, 1]), np.ptp(inside[:, 2])


@pytest.mark.parametrize("name", ALL_CONNECTORS)
def test_a_connector_is_closed_and_lies_in_the_middle_of_its_frame(name):
    mesh = ALL_CONNECTORS[name].mesh()
    assert mesh.is_watertight
    assert mesh.volume > 0
    low, high = mesh.bounds
    assert low[2] == pytest.approx(0.0, abs=1e-9)
    assert low[0] == pytest.approx(-high[0], abs=1e-9)


@pytest.mark.parametrize(
    ("connector", "width", "height", "to_mm"),
    [
        (UsbAPlug(), 12.0, 4.5, 11.0),  # USB 2.0 specification, plug's shell
        (UsbCPlug(), 8.25, 2.4, 6.0),  # USB Type-C specification, plug's shell
        (AuxPlug(), 3.5, 3.5, 13.0),  # the name of the plug
        (Stud(), 4.0, 4.0, 15.0),  # M4
        (HexBolt(), 6.0, 6.0, 29.0),  # M6
    ],
)
def test_the_mating_part_has_the_size_of_the_standard(connector, width, height, to_mm):
    measured = slab_size(connector, 0.0, to_mm)
    assert measured == pytest.approx((width, height), rel=5e-3)  # 48 facets around an axis


def test_the_pins_are_a_tenth_of_an_inch_apart_and_a_fortieth_wide():
    mesh = PinRow().mesh()
    ends = mesh.vertices[np.isclose(mesh.vertices[:, 1], mesh.bounds[0, 1])]
    x = np.unique(ends[:, 0].round(6)).reshape(-1, 2)
    assert len(x) == 8
    assert np.diff(x.mean(axis=1)) == pytest.approx(25.4 / 10)
    assert np.ptp(x, axis=1) == pytest.approx(25.4 / 40, abs=0.01)


def test_the_modular_plug_has_eight_slots_of_its_pitch():
    plug = Rj45Plug()
    mesh = plug.mesh()
    x = mesh.bounds[0, 0] + 1.0
    y = np.linspace(-plug.width / 2 + 0.01, plug.width / 2 - 0.01, 2001)
    points = np.stack([np.full_like(y, x), y, np.full_like(y, 0.1)], axis=1)
    ribs = [part for part in plug.parts() if part.extents[2] < 1.0]
    low = np.array([part.bounds[:, 1] for part in ribs if part.extents[0] < 7.0])
    solid = ((y[:, None] >= low[:, 0]) & (y[:, None] <= low[:, 1])).any(axis=1)
    starts = points[1:, 1][np.diff(solid.astype(int)) == -1]
    assert len(starts) == 8
    assert np.diff(starts) == pytest.approx(1.02, abs=0.02)


def test_primitives_have_the_volumes_of_textbooks():
    assert cylinder(0, 10, 4).volume == pytest.approx(math.pi * 40, rel=4e-3)
    assert hexagon(0, 2, 6).volume == pytest.approx(2 * math.sqrt(3) / 2 * 36, rel=1e-6)
    area = 10 * 4 - (4 - math.pi) * 1.5**2
    assert rounded_bar(0, 3, 10, 4, 1.5).volume == pytest.approx(3 * area, rel=2e-3)


def test_a_hexagon_lies_on_a_flat():
    heights = hexagon(0, 2, 6).vertices[:, 2]
    assert heights.min() == pytest.approx(-3.0)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1000.0, "3", True, None])
def test_a_size_that_is_none_is_refused_by_name(value):
    with pytest.raises(InputError, match="AuxPlug: diameter is"):
        AuxPlug(diameter=value)
