"""Slopes give heights back, and the parts of the linear problem belong together."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import height_prior
from tacdiff_ros.inversion.slope_equations import SlopeEquations, SlopeSolver
from tacdiff_ros.sensor.sensor_file import default_sensor

GRID = HeightGrid.over(default_sensor(), 0.4)


def hill(width_mm=2.0):
    x, y = np.meshgrid(GRID.x_mm, GRID.y_mm)
    return -0.8 * np.exp(-(x**2 + y**2) / width_mm**2)


@pytest.mark.parametrize("kind", ["elastic", "smooth"])
def test_heights_come_back_from_their_slopes(kind):
    solver = SlopeSolver(GRID, height_prior(kind, GRID, 4.0))
    true, flat = hill(), np.zeros(GRID.shape)
    held = np.stack([np.full(GRID.shape, part) for part in (1e4, 2e3, 1e4)])
    x, y = solver.slopes(true)
    pull = -np.stack([held[0] * x + held[1] * y, held[1] * x + held[2] * y])
    calm = np.ones(GRID.shape)
    found = solver.step(SlopeEquations(held, pull), flat, calm, 200, 1e-8)
    away = (found - found.mean()) - (true - true.mean())
    assert np.sqrt(np.mean(away**2)) < 2e-3


def test_what_is_not_seen_is_bridged_smoothly():
    solver = SlopeSolver(GRID, height_prior("smooth", GRID, 4.0))
    true = hill(4.0)
    held = np.stack([np.full(GRID.shape, part) for part in (1e4, 0.0, 1e4)])
    rows, columns = GRID.shape
    held[:, rows // 2 - 2 : rows // 2 + 2, columns // 2 - 2 : columns // 2 + 2] = 0.0
    pull = -held[[0, 2]] * solver.slopes(true)
    step = solver.step(SlopeEquations(held, pull), 0.0 * true, np.ones(GRID.shape), 300, 1e-8)
    away = (step - step.mean()) - (true - true.mean())
    assert np.abs(away).max() < 0.02


def test_the_prior_alone_brings_heights_to_rest():
    solver = SlopeSolver(GRID, height_prior("elastic", GRID, 4.0))
    nothing = SlopeEquations(np.zeros((3, *GRID.shape)), np.zeros((2, *GRID.shape)))
    change = solver.step(nothing, hill(), np.ones(GRID.shape), 300, 1e-10)
    assert np.abs(hill() + change).max() < 1e-3


def test_deviation_falls_with_what_is_seen():
    solver = SlopeSolver(GRID, height_prior("elastic", GRID, 4.0))
    information = np.full(GRID.shape, 1.0)
    information[:, GRID.shape[1] // 2 :] = 100.0
    deviation = solver.stddev(information, np.ones(GRID.shape))
    assert (deviation[:, 0] > 1.5 * deviation[:, -1]).all()
    assert (deviation > 0).all()
