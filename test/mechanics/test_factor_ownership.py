"""Factors live in memory that Python does not see: each has an owner that releases it."""

import gc
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import pytest
from scipy import sparse

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics import gel_solver, sensitivity
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import StiffnessPattern, build_pad_mesh
from tacdiff_ros.mechanics.pardiso import CondensedFactor, FactorisationError
from tacdiff_ros.mechanics.touch import NotConvergedError, SolverSettings, Touch
from tacdiff_ros.sensor.sensor_file import default_sensor

COARSE = SolverSettings(rows=11, columns=13, layers=3)
DEEP = IndenterPose(depth_mm=0.5)


@pytest.fixture(autouse=True)
def open_factors() -> Iterator[Callable[[], int]]:
    """Number of factors that the test has open, with the cyclic collector switched off."""
    gc.collect()
    before = CondensedFactor.open_count()
    gc.disable()
    yield lambda: CondensedFactor.open_count() - before
    left = CondensedFactor.open_count() - before
    gc.enable()
    assert left == 0


@pytest.fixture
def no_convergence(monkeypatch):
    """A step is given up after one attempt, since no imbalance is small enough."""
    monkeypatch.setattr(gel_solver, "RELATIVE_TOLERANCE", 0.0)
    monkeypatch.setattr(gel_solver, "ATTEMPTS", gel_solver.ATTEMPTS[:1])


def random_press(indenter: str = "sphere") -> Touch:
    return Touch(default_sensor(), build_indenter(indenter), settings=COARSE)


def make_solver() -> GelSolver:
    mesh = build_pad_mesh(25.25, 20.75, 4.0, 11, 13, 3)
    return GelSolver(mesh, GelMaterial(), build_indenter("sphere:diameter=8"), precise=True)


def test_a_solver_holds_one_factor_however_far_the_indenter_moves(open_factors):
    with random_press() as touch:
        for x in (-6.0, 0.0, 6.0):
            touch.state = None  # a new contact, with other candidates
            touch.move_to(IndenterPose(x_mm=x, depth_mm=0.3))
            assert open_factors() == 1
    assert open_factors() == 0
    touch.close()  # once more does no harm


def test_trajectories_that_fail_leave_no_factor_even_without_an_owner(open_factors, no_convergence):
    """An exception that is kept in its own frame would keep the solver in a reference cycle."""
    for _ in range(3):
        with pytest.raises(NotConvergedError) as failure:
            random_press().move_to(DEEP)
        del failure
        assert open_factors() == 0


def test_an_owner_releases_while_the_failure_is_still_held(open_factors, no_convergence):
    with pytest.raises(NotConvergedError) as failure, random_press() as touch:
        touch.move_to(DEEP)
    assert open_factors() == 0
    assert "no equilibrium" in str(failure.value)


def test_a_failure_that_is_held_holds_no_factor_and_the_next_move_makes_one(
    open_factors, monkeypatch
):
    touch = random_press()
    before = touch.move_to(IndenterPose(depth_mm=0.3))
    with monkeypatch.context() as patch:
        patch.setattr(gel_solver, "RELATIVE_TOLERANCE", 0.0)
        patch.setattr(gel_solver, "ATTEMPTS", gel_solver.ATTEMPTS[:1])
        with pytest.raises(NotConvergedError) as failure:
            touch.move_to(DEEP)
    assert failure.value is not None
    assert open_factors() == 0
    after = touch.move_to(DEEP)
    assert open_factors() == 1
    assert after.force_n[2] < before.force_n[2] < 0.0
    touch.close()
    assert open_factors() == 0


def test_gradients_release_the_factor_of_their_linearisation(open_factors, monkeypatch):
    with make_solver() as solver:
        state = solver.step(solver.rest(), DEEP)
        weight = np.ones((143, 3))
        sensitivity.touch_gradient(solver, state, weight)
        assert open_factors() == 1  # the solver's own
        monkeypatch.setattr(sensitivity, "_adjoint", mock.Mock(side_effect=RuntimeError("bug")))
        with pytest.raises(RuntimeError, match="bug"):
            sensitivity.touch_gradient(solver, state, weight)
        assert open_factors() == 1


def test_a_released_factor_refuses_to_work(open_factors):
    matrix = sparse.triu(sparse.identity(4)).tocsr()
    pattern = StiffnessPattern(
        matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), np.zeros((0, 8, 8))
    )
    with CondensedFactor(pattern, np.array([3])) as factor:
        assert open_factors() == 1
        assert factor.factorise(np.full(4, 2.0)) == pytest.approx(2.0)
        with pytest.raises(FactorisationError):
            factor.factorise(np.full(4, np.nan))
        assert open_factors() == 1
    with pytest.raises(RuntimeError, match="was released"):
        factor.factorise(np.full(4, 2.0))
