"""Quadratic minimisation over a convex set by projected gradients.

The step lengths are those of Barzilai and Borwein (IMA J. Numer. Anal. 8, 1988; projected: Dai and
Fletcher, Numer. Math. 100, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Operator = Callable[[Floats], Floats]

MAX_ITERATIONS = 150


def projected_gradient(
    product: Operator,
    target: Floats,
    project: Operator,
    start: Floats,
    first_step: float,
    tolerance: float,
) -> tuple[Floats, bool]:
    """Minimise x.Ax/2 - x.target over a convex set.

    Args:
        product: x -> A x, for a symmetric positive definite A.
        target: right-hand side.
        project: projection onto the set.
        start: first estimate.
        first_step: length of the first step.
        tolerance: root mean square of the projected gradient over the elements that are not 0, in
            the unit of the right-hand side.

    Returns:
        Solution, and whether it is within the tolerance; if not, the best estimate.
    """
    trial = np.float32(first_step)
    x = project(start)
    gradient = product(x) - target
    step = trial
    best, best_error = x, math.inf
    for k in range(MAX_ITERATIONS):
        violation = (x - project(x - trial * gradient)) / trial
        error = math.sqrt(float((violation**2).sum()) / max(int(np.count_nonzero(x)), 1))
        if error <= tolerance:
            return x, True
        if error < best_error:
            best, best_error = x, error
        new = project(x - step * gradient)
        new_gradient = product(new) - target
        step = _step_length(new - x, new_gradient - gradient, k) or trial
        x, gradient = new, new_gradient
    return best, False


def _step_length(dx: Floats, dg: Floats, k: int) -> np.float32 | None:
    """Return the long or the short step of Barzilai and Borwein, in turn; None without one."""
    curvature = float((dx * dg).sum())
    if curvature <= 0:
        return None
    if k % 2:
        return np.float32(float((dx * dx).sum()) / curvature)
    return np.float32(curvature / float((dg * dg).sum()))
