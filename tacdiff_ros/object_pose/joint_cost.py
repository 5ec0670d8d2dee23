"""One cost of all data and priors, for `levenberg_marquardt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.least_squares import DampingRule, NormalEquations, levenberg_marquardt
from tacdiff_ros.object_pose import robust_loss
from tacdiff_ros.object_pose.hand_model import HandModel
from tacdiff_ros.object_pose.link_frames import LinkFrames
from tacdiff_ros.object_pose.scene import OBJECT, Scene, Unknowns
from tacdiff_ros.object_pose.terms import Residuals, Term

Floats = NDArray[np.float64]
RULE = DampingRule(first=1e-3, decrease=5.0, increase=6.0, maximum=1e4)
MAX_STEP = np.array([0.03, 0.03, 0.03, 0.5, 0.5, 0.5])  # of the object in one iteration, m and rad


@dataclass(frozen=True)
class Prior:
    """Gaussian prior of all unknowns.

    Attributes:
        mean: mean of the unknowns.
        stddev: (13 + J,) standard deviations of the perturbations; 0 holds an unknown fixed.
    """

    mean: Unknowns
    stddev: Floats

    @property
    def free(self) -> NDArray[np.bool_]:
        """(13 + J,) whether an unknown is estimated."""
        return np.asarray(self.stddev > 0.0)


class JointCost:
    """Sum of the robust losses of all terms and of the prior."""

    def __init__(
        self, hand: HandModel, terms: Sequence[Term], prior: Prior, relaxation: float = 1.0
    ) -> None:
        """Store the terms.

        Args:
            hand: hand.
            terms: all measurements.
            prior: prior of the unknowns.
            relaxation: factor of the standard deviations of all measurements; above 1, far starts
                converge.
        """
        self._hand = hand
        self.terms = tuple(terms)
        self.prior = prior
        self._relaxation = relaxation
        self._columns = np.flatnonzero(prior.free)
        self._object_only = bool(np.all(self._columns < OBJECT.stop))
        self._links: tuple[Floats, LinkFrames] | None = None
        self._inverse_variance = prior.stddev[self._columns] ** -2.0
        self._cached: tuple[Unknowns, list[Residuals]] | None = None

    def linearise(self, point: Unknowns) -> NormalEquations:
        """Return the normal equations of the free unknowns."""
        size = len(self._columns)
        matrix, gradient, cost = np.zeros((size, size)), np.zeros(size), 0.0
        for term, residuals in zip(self.terms, self._residuals(point), strict=True):
            value = residuals.value / self._relaxation
            jacobian = residuals.jacobian[:, self._columns] / self._relaxation
            weight = robust_loss.weight(value, term.scale)
            scaled = weight[:, None] * jacobian
            matrix += scaled.T @ jacobian
            gradient += scaled.T @ value
            cost += robust_loss.loss(value, term.scale)
        equations = NormalEquations(matrix, gradient, cost)
        return equations.with_prior(self._inverse_variance, self._from_prior(point))

    def cost(self, point: Unknowns) -> float:
        """Return the cost; residuals are kept for `linearise` at the same point."""
        total = float(np.sum(self._inverse_variance * self._from_prior(point) ** 2))
        for term, residuals in zip(self.terms, self._residuals(point), strict=True):
            total += robust_loss.loss(residuals.value / self._relaxation, term.scale)
        return total

    def moved(self, point: Unknowns, step: Floats) -> Unknowns:
        """Return the point after a step, shortened to the largest step of the object's pose."""
        full = np.zeros(point.size)
        full[self._columns] = step
        excess = float(np.max(np.abs(full[:6]) / MAX_STEP))
        return point.moved(full / max(excess, 1.0))

    def residuals(self, point: Unknowns) -> dict[str, Floats]:
        """Return the residuals (N,) of each term by name, in standard deviations."""
        values = self._residuals(point)
        return {term.name: r.value for term, r in zip(self.terms, values, strict=True)}

    def _from_prior(self, point: Unknowns) -> Floats:
        return point.difference(self.prior.mean)[self._columns]

    def _residuals(self, point: Unknowns) -> list[Residuals]:
        if self._cached is None or self._cached[0] is not point:
            joints = point.joint_positions
            if self._links is None or not np.array_equal(self._links[0], joints):
                self._links = joints, LinkFrames.of(self._hand, joints)
            scene = Scene(self._hand, point, self._links[1], self._object_only)
            self._cached = point, [term.evaluate(scene) for term in self.terms]
        return self._cached[1]


@dataclass(frozen=True)
class Fit:
    """Minimum of a joint cost.

    Attributes:
        unknowns: estimate.
        cost: cost at the estimate.
        iterations: number of linearisations.
    """

    unknowns: Unknowns
    cost: float
    iterations: int


def minimise(cost: JointCost, start: Unknowns, max_iterations: int, min_gain: float) -> Fit:
    """Return the nearest minimum of a joint cost.

    Args:
        cost: joint cost.
        start: initial unknowns.
        max_iterations: maximum number of linearisations.
        min_gain: relative decrease of the cost below which the fit has converged.
    """
    solution = levenberg_marquardt(cost, start, RULE, max_iterations, min_gain)
    return Fit(solution.point, solution.cost, solution.iterations)
