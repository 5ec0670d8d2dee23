"""Levenberg-Marquardt and Gauss-Newton steps for nonlinear least squares.

One loop serves all fits whose points are more than vectors: a point may carry its rendered images
and the gel under a press, weights may change from one iteration to the next, and a problem may
solve its normal equations by elimination. Fits of plain vectors use `scipy.optimize.least_squares`.

Source: Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963; the
damping is scaled by the diagonal of the normal matrix, so that units do not matter.

Limits: minima are local; parameters have no bounds, except those that a problem's `moved` enforces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = TypeVar("Point")


class Linearisation(Protocol):
    """Least-squares problem, linearised at a point."""

    @property
    def cost(self) -> float:
        """Sum of squared residuals at the point."""
        ...

    def step(self, damping: float) -> Floats:
        """Return the damped Gauss-Newton step; a damping of 0 gives the full step."""
        ...


class Problem(Protocol[Point]):
    """Least-squares problem."""

    def linearise(self, point: Point) -> Linearisation:
        """Linearise the residuals; weights may be adapted to the point here, and only here."""
        ...

    def cost(self, point: Point) -> float:
        """Return the sum of squared residuals."""
        ...

    def moved(self, point: Point, step: Floats) -> Point:
        """Return the point after a step, limited to what the problem allows."""
        ...


@dataclass(frozen=True)
class NormalEquations:
    """Gauss-Newton matrices and gradients of one problem, or of a batch of independent ones.

    Attributes:
        matrix: (..., n, n) Gauss-Newton matrix.
        gradient: (..., n) gradient of half the cost.
        cost: sum of squared residuals, of the whole batch.
    """

    matrix: Floats
    gradient: Floats
    cost: float

    @classmethod
    def of(
        cls, jacobian: Floats, residual: Floats, weight: Floats | None = None
    ) -> NormalEquations:
        """Return the normal equations of residuals.

        Args:
            jacobian: (..., m, n) derivatives of the residuals.
            residual: (..., m) residuals.
            weight: (..., m) weights of the squared residuals; None for 1.
        """
        scaled = jacobian if weight is None else weight[..., None] * jacobian
        squared = residual**2 if weight is None else weight * residual**2
        if jacobian.ndim == 2:  # one large problem: BLAS
            matrix, gradient = scaled.T @ jacobian, scaled.T @ residual
        else:
            matrix = np.einsum("...mi,...mj->...ij", scaled, jacobian)
            gradient = np.einsum("...mi,...m->...i", scaled, residual)
        return cls(np.asarray(matrix), np.asarray(gradient), float(np.sum(squared)))

    @classmethod
    def assembled(
        cls, size: int, parts: Sequence[tuple[NDArray[np.intp], NormalEquations]]
    ) -> NormalEquations:
        """Return the equations of residuals of which each part depends on some parameters only.

        Args:
            size: number of parameters.
            parts: indices of the parameters of each part, and its equations.
        """
        matrix, gradient = np.zeros((size, size)), np.zeros(size)
        for index, part in parts:
            matrix[np.ix_(index, index)] += part.matrix
            gradient[index] += part.gradient
        return cls(matrix, gradient, sum(part.cost for _, part in parts))

    def with_prior(self, weight: Floats, from_prior: Floats) -> NormalEquations:
        """Return the equations with a prior on the parameters.

        Args:
            weight: (n,) inverse prior variances; 0 for parameters without a prior.
            from_prior: (..., n) parameters minus their prior means.
        """
        return NormalEquations(
            matrix=self.matrix + np.diag(weight),
            gradient=self.gradient + weight * from_prior,
            cost=self.cost + float(np.sum(weight * from_prior**2)),
        )

    def step(self, damping: float = 0.0) -> Floats:
        """Return the step (..., n) that solves the damped equations.

        Args:
            damping: factor of the diagonal that is added to the matrix.

        Raises:
            numpy.linalg.LinAlgError: a matrix is singular.
        """
        damped = self.matrix + damping * self.matrix * np.eye(self.matrix.shape[-1])
        return np.asarray(-np.linalg.solve(damped, self.gradient[..., None])[..., 0])

    def covariance(self) -> Floats:
        """Return the covariance (..., n, n) of the parameters, to first order.

        The residuals must be in units of their standard deviations.
        """
        return np.asarray(np.linalg.inv(self.matrix))


@dataclass(frozen=True)
class ShortenedStep:
    """Linearisation whose full step is shortened instead of damped: a line search.

    Attributes:
        full: (n,) Gauss-Newton step.
        cost: sum of squared residuals.
    """

    full: Floats
    cost: float

    def step(self, damping: float) -> Floats:
        """Return the full step divided by 1 + damping."""
        return self.full / (1.0 + damping)


@dataclass(frozen=True)
class DampingRule:
    """Damping as a function of success.

    Attributes:
        first: damping of the first step.
        decrease: divisor after a step that lowers the cost.
        increase: factor after a step that does not.
        maximum: damping at which no further step is tried from a point.
        restart: least damping after a step that does not lower the cost, for a first damping of 0.
    """

    first: float
    decrease: float
    increase: float
    maximum: float
    restart: float = 0.0


@dataclass(frozen=True)
class Solution(Generic[Point]):
    """Result of `levenberg_marquardt`.

    Attributes:
        point: point with the lowest cost.
        cost: sum of squared residuals at that point.
        iterations: number of linearisations.
        converged: whether the last iteration lowered the cost by less than the smallest gain.
    """

    point: Point
    cost: float
    iterations: int
    converged: bool


def levenberg_marquardt(
    problem: Problem[Point],
    start: Point,
    rule: DampingRule,
    max_iterations: int,
    min_gain: float,
    progress: Callable[[float], None] | None = None,
) -> Solution[Point]:
    """Minimise a sum of squared residuals.

    Args:
        problem: least-squares problem.
        start: initial point.
        rule: damping of the steps.
        max_iterations: maximum number of linearisations, at least 1.
        min_gain: relative decrease of the cost in one iteration below which the fit has converged.
        progress: callback on the completed fraction of the iterations.
    """
    point, cost, damping = start, math.inf, rule.first
    for iteration in range(1, max_iterations + 1):
        equations = problem.linearise(point)
        cost = equations.cost
        while damping < rule.maximum:
            trial = problem.moved(point, equations.step(damping))
            trial_cost = problem.cost(trial)
            if trial_cost < cost:
                point, cost, damping = trial, trial_cost, damping / rule.decrease
                break
            damping = max(rule.increase * damping, rule.restart)
        if progress is not None:
            progress(iteration / max_iterations)
        if not equations.cost - cost > min_gain * equations.cost:
            return Solution(point, cost, iteration, converged=math.isfinite(cost))
    return Solution(point, cost, max_iterations, converged=False)
