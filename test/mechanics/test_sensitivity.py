"""Adjoint gradients against finite differences of whole simulations."""

from dataclasses import asdict

import numpy as np
import pytest

import tacdiff_ros.mechanics.energy_descent as energy_descent
import tacdiff_ros.mechanics.gel_solver as gel_solver
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import build_pad_mesh
from tacdiff_ros.mechanics.sensitivity import touch_gradient

MESH = build_pad_mesh(9.0, 8.0, 4.0, 11, 13, 3)
POSE = {"x_mm": 0.75, "y_mm": 0.3, "depth_mm": 0.62, "yaw_rad": 0.12}


@pytest.fixture(autouse=True)
def tight(monkeypatch):
    monkeypatch.setattr(gel_solver, "RELATIVE_TOLERANCE", 1e-10)
    monkeypatch.setattr(gel_solver, "CONTACT_TOLERANCE_N", 1e-13)
    monkeypatch.setattr(energy_descent, "CONTACT_TOLERANCE_N", 1e-13)


def solve(name, pose, friction=0.0, poisson_ratio=0.48):
    material = GelMaterial(friction=friction, poisson_ratio=poisson_ratio)
    solver = GelSolver(MESH, material, build_indenter(name), precise=True)
    state = solver.rest(IndenterPose(0.6, 0.2, 0.0, 0.1))
    for depth in (0.3, 0.6):
        state = solver.step(state, IndenterPose(0.6, 0.2, depth, 0.1))
    return solver, solver.step(state, IndenterPose(**pose))


def finite_difference(loss, name, step=1e-5):
    sides = [loss({**POSE, name: POSE[name] + sign * step}) for sign in (1, -1)]
    return (sides[0] - sides[1]) / (2 * step)


def test_without_friction_gradients_are_those_of_the_simulation():
    name = "sphere:diameter=6"
    weight = np.random.default_rng(0).normal(size=(11 * 13, 3))
    solver, state = solve(name, POSE)
    found = asdict(touch_gradient(solver, state, weight))

    def loss(pose, ratio=0.48):
        solver, state = solve(name, pose, poisson_ratio=ratio)
        return float((weight * solver.position(state)).sum())

    scale = max(abs(value) for key, value in found.items() if key in ("x", "y", "depth"))
    for key in ("x_mm", "y_mm", "depth_mm", "yaw_rad"):
        expected = finite_difference(loss, key)
        assert found[key.split("_")[0]] == pytest.approx(expected, rel=1e-3, abs=1e-4 * scale)
    poisson = (loss(POSE, 0.48 + 1e-5) - loss(POSE, 0.48 - 1e-5)) / 2e-5
    assert found["poisson_ratio"] == pytest.approx(poisson, rel=2e-3)
    assert found["friction"] == 0.0


def test_with_friction_they_are_close_for_the_last_step():
    """Anchors of points that are met in the step move with the pose; that part is left out."""
    name = "sphere:diameter=6"
    solver, state = solve(name, POSE, friction=0.4)
    weight = np.zeros((11 * 13, 3))
    weight[:, 0] = state.touches
    found = touch_gradient(solver, state, weight)

    def loss(pose):
        solver, state = solve(name, pose, friction=0.4)
        return float((weight * solver.position(state)).sum())

    assert found.x == pytest.approx(finite_difference(loss, "x_mm"), rel=0.1)


def test_what_cannot_be_differentiated_is_refused():
    solver, state = solve("sphere", POSE)
    with pytest.raises(InputError, match="expected \\(143, 3\\)"):
        touch_gradient(solver, state, np.zeros((5, 3)))
    with pytest.raises(InputError, match="finite"):
        touch_gradient(solver, state, np.full((143, 3), np.nan))
    with pytest.raises(InputError, match="does not touch"):
        touch_gradient(solver, solver.rest(), np.ones((143, 3)))
