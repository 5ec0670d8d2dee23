"""Simulated touches from the motion to the states of the gel."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.mechanics.layer_compliance import BondedLayer
from tacdiff_ros.touch_features.simulation.layer_contact import PadGrid
from tacdiff_ros.touch_features.simulation.surfaces import TouchedSurface
from tacdiff_ros.touch_features.simulation.touch_motion import TouchMotion
from tacdiff_ros.touch_features.simulation.touch_sequence import (
    FORCE_RANGE_N,
    MAX_DEPTH_MM,
    MAX_WARNING_S,
    Gel,
    simulate_sequence,
)

GRID = PadGrid(53, 63, 0.4)
GEL = Gel(BondedLayer(4.0, 0.2, 0.48), friction=0.4)


def ball(radius_mm: float) -> TouchedSurface:
    return TouchedSurface(
        base="ellipsoid",
        texture="smooth",
        shape=lambda x, y: (x**2 + y**2) / (2 * radius_mm),
        tile=np.zeros((384, 384), np.float32),
        tile_yaw_rad=0.0,
        curvature_per_mm=(1 / radius_mm, 1 / radius_mm),
        texture_rms_mm=0.0,
        wavelength_mm=math.nan,
        modulus_mpa=math.inf,
    )


def slide(speed_mm_s: float, steps: int = 14) -> TouchMotion:
    """Press during three steps, hold during three, slide along x."""
    load = np.minimum(np.arange(steps) / 3, 1.0)
    x = np.maximum(np.arange(steps) - 5, 0) * speed_mm_s * 0.12
    position = np.stack([x, np.zeros(steps)], axis=1)
    return TouchMotion("grasp", 3, position, np.zeros(steps), np.zeros((steps, 2)), load)


@pytest.mark.parametrize("seed", range(3))
def test_the_force_at_full_load_is_in_its_range_and_the_depth_below_its_limit(seed):
    sequence = simulate_sequence(np.random.default_rng(seed), ball(40.0), slide(0.0), GEL, GRID)
    force, depth = -sequence.frames[5].force_n[2], -sequence.frames[5].displacement_mm[..., 2].min()
    assert 0.8 * FORCE_RANGE_N[0] < force < 1.2 * FORCE_RANGE_N[1]
    assert depth < 1.15 * MAX_DEPTH_MM
    assert sequence.frames[0].contact_area_mm2 < sequence.frames[5].contact_area_mm2


def test_the_warning_counts_down_to_the_first_gross_slip():
    sequence = simulate_sequence(np.random.default_rng(0), ball(20.0), slide(2.0), GEL, GRID)
    slips = [frame.gross_slip for frame in sequence.frames]
    assert not any(slips[:6])
    first = slips.index(True)
    assert first < 13
    assert sequence.warning_s[first] == 0
    assert sequence.warning_s[first - 1] == pytest.approx(0.12)
    expected = np.arange(first, -1, -1) * 0.12
    np.testing.assert_allclose(
        sequence.warning_s[: first + 1], np.where(expected <= MAX_WARNING_S, expected, np.nan)
    )


def test_there_is_no_warning_without_a_slip_to_come():
    sequence = simulate_sequence(np.random.default_rng(0), ball(20.0), slide(0.0), GEL, GRID)
    assert np.isnan(sequence.warning_s).all()


def test_the_pressure_follows_the_object_a_little_ahead_of_it():
    """The gel bulges ahead of a sliding object."""
    motion = slide(2.0)
    sequence = simulate_sequence(np.random.default_rng(0), ball(8.0), motion, GEL, GRID)
    x, _ = GRID.positions()
    for k, most_ahead in ((5, 0.02), (13, 0.3)):
        pressure = sequence.frames[k].pressure_mpa
        ahead = float((x * pressure).sum() / pressure.sum()) - motion.position_mm[k, 0]
        assert -0.02 < ahead < most_ahead


def test_a_gripper_holds_its_force_while_the_object_tilts():
    motion = slide(0.0, 24)
    tilt = np.clip(np.arange(24) - 5, 0, 10)[:, None] * (0.006, 0.0)
    wanted = math.exp(np.random.default_rng(1).uniform(*np.log(FORCE_RANGE_N)))
    errors = {}
    for kind in ("grasp", "hand"):
        tilting = replace(motion, kind=kind, tilt=tilt)
        sequence = simulate_sequence(np.random.default_rng(1), ball(40.0), tilting, GEL, GRID)
        errors[kind] = abs(-sequence.frames[-1].force_n[2] / wanted - 1)
    assert errors["grasp"] < 0.03
    assert errors["hand"] > 0.1
