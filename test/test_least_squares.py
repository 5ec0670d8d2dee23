"""Least squares against scipy and closed forms."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import least_squares

from tacdiff_ros.least_squares import (
    DampingRule,
    NormalEquations,
    ShortenedStep,
    levenberg_marquardt,
)

RULE = DampingRule(first=1e-2, decrease=5.0, increase=8.0, maximum=1e6)
UNDAMPED = DampingRule(first=0.0, decrease=10.0, increase=10.0, restart=0.3, maximum=10.0)


@dataclass
class Curve:
    """a exp(-b t) + c at times t, in units of the noise."""

    time: np.ndarray
    measured: np.ndarray
    limit: float = np.inf

    def residual(self, point):
        a, b, c = point
        return a * np.exp(-b * self.time) + c - self.measured

    def jacobian(self, point):
        a, b, _ = point
        decay = np.exp(-b * self.time)
        return np.stack([decay, -a * self.time * decay, np.ones_like(decay)], axis=1)

    def linearise(self, point):
        return NormalEquations.of(self.jacobian(point), self.residual(point))

    def cost(self, point):
        return float(np.sum(self.residual(point) ** 2))

    def moved(self, point, step):
        return np.clip(point + step, -self.limit, self.limit)


@pytest.fixture
def curve():
    time = np.linspace(0.0, 4.0, 60)
    noise = np.random.default_rng(5).normal(0.0, 0.1, len(time))
    return Curve(time, 8.0 * np.exp(-1.3 * time) + 2.0 + noise)


def test_a_curve_fit_agrees_with_scipy(curve):
    start = np.array([1.0, 0.1, 0.0])
    expected = least_squares(curve.residual, start, curve.jacobian, method="lm", xtol=1e-12)
    fit = levenberg_marquardt(curve, start, RULE, max_iterations=50, min_gain=1e-12)
    assert fit.converged
    assert fit.iterations < 50
    assert fit.point == pytest.approx(expected.x, rel=1e-6)
    assert fit.cost == pytest.approx(2.0 * expected.cost, rel=1e-10)


def test_the_covariance_is_that_of_scipys_jacobian(curve):
    expected = least_squares(curve.residual, [1.0, 0.1, 0.0], curve.jacobian, method="lm")
    covariance = curve.linearise(expected.x).covariance()
    assert covariance == pytest.approx(np.linalg.inv(expected.jac.T @ expected.jac), rel=1e-9)


def test_a_linear_problem_is_solved_by_one_undamped_step():
    random = np.random.default_rng(1)
    matrix, right = random.normal(size=(20, 4)), random.normal(size=20)
    expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
    assert NormalEquations.of(matrix, -right).step() == pytest.approx(expected)


def test_a_batch_has_the_steps_of_its_single_problems_with_weights_and_priors():
    random = np.random.default_rng(2)
    jacobian, residual = random.normal(size=(5, 20, 3)), random.normal(size=(5, 20))
    weight, prior = random.uniform(size=(5, 20)), np.array([4.0, 1.0, 0.0])
    deviation = random.normal(size=(5, 3))
    equations = NormalEquations.of(jacobian, residual, weight).with_prior(prior, deviation)
    for k, step in enumerate(equations.step()):
        rows = np.concatenate([np.sqrt(weight[k])[:, None] * jacobian[k], np.diag(np.sqrt(prior))])
        errors = np.append(np.sqrt(weight[k]) * residual[k], np.sqrt(prior) * deviation[k])
        assert step == pytest.approx(np.linalg.lstsq(rows, -errors, rcond=None)[0])
    assert equations.cost == pytest.approx(
        np.sum(weight * residual**2) + np.sum(prior * deviation**2)
    )


class ArcTangent:
    """Residual arctan(x), from whose start 3 full steps diverge."""

    def linearise(self, point):
        return NormalEquations.of(1.0 / (1.0 + point[None] ** 2), np.arctan(point))

    def cost(self, point):
        return float(np.arctan(point[0]) ** 2)

    def moved(self, point, step):
        return point + step


def test_steps_that_raise_the_cost_are_damped_until_they_lower_it():
    start = np.array([3.0])
    full = start + ArcTangent().linearise(start).step()
    assert abs(full[0]) > 3.0
    fit = levenberg_marquardt(ArcTangent(), start, UNDAMPED, max_iterations=30, min_gain=1e-9)
    assert fit.point == pytest.approx([0.0], abs=1e-6)


def test_a_line_search_shortens_the_same_step():
    class Searched(ArcTangent):
        lengths = ()

        def linearise(self, point):
            equations = super().linearise(point)
            return ShortenedStep(equations.step(), equations.cost)

        def moved(self, point, step):
            self.lengths += (float(step[0]),)
            return super().moved(point, step)

    rule = DampingRule(first=0.0, decrease=np.inf, increase=4.0, restart=2.0, maximum=20.0)
    problem = Searched()
    fit = levenberg_marquardt(problem, np.array([8.0]), rule, max_iterations=1, min_gain=1e-9)
    full = -np.arctan(8.0) * (1.0 + 8.0**2)
    assert problem.lengths == pytest.approx([full, full / 3.0, full / 9.0])
    assert abs(fit.point[0]) < 8.0


def test_damping_does_not_depend_on_units(curve):
    equations = curve.linearise(np.array([1.0, 0.1, 0.0]))
    units = np.array([1e-3, 1.0, 1e3])
    scaled = NormalEquations(
        equations.matrix * units[:, None] * units, equations.gradient * units, equations.cost
    )
    assert scaled.step(0.5) * units == pytest.approx(equations.step(0.5))


def test_bounds_of_a_problem_are_kept(curve):
    curve.limit = 5.0
    fit = levenberg_marquardt(curve, np.array([1.0, 0.1, 0.0]), RULE, 30, 1e-9)
    assert np.abs(fit.point).max() <= 5.0
    assert fit.cost < curve.cost(np.array([1.0, 0.1, 0.0]))


def test_a_cost_that_is_not_finite_is_not_reported_as_converged(curve):
    curve.measured[3] = np.nan
    fit = levenberg_marquardt(curve, np.array([1.0, 0.1, 0.0]), RULE, 30, 1e-9)
    assert not fit.converged
    assert fit.iterations == 1


def test_progress_rises_to_the_last_iteration(curve):
    fractions = []
    levenberg_marquardt(curve, np.array([1.0, 0.1, 0.0]), RULE, 3, 0.0, fractions.append)
    assert fractions == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_parts_that_depend_on_some_parameters_add_up_to_the_whole_problem():
    random = np.random.default_rng(4)
    parts, whole, residuals = [], [], []
    for index in (np.array([0, 1, 2]), np.array([0, 1, 4, 3])):
        jacobian, residual = random.standard_normal((6, len(index))), random.standard_normal(6)
        parts.append((index, NormalEquations.of(jacobian, residual)))
        whole.append(np.zeros((6, 5)))
        whole[-1][:, index] = jacobian
        residuals.append(residual)
    found = NormalEquations.assembled(5, parts)
    expected = NormalEquations.of(np.concatenate(whole), np.concatenate(residuals))
    np.testing.assert_allclose(found.matrix, expected.matrix)
    np.testing.assert_allclose(found.gradient, expected.gradient)
    assert found.cost == pytest.approx(expected.cost)
