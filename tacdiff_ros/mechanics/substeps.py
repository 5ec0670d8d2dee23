"""Division of a step into substeps where the whole step cannot be solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.gel_state import GelState, StepFailureError, StepReport


def advance(
    state: GelState,
    goal: IndenterPose,
    min_substep: float,
    solve: Callable[[GelState, IndenterPose, float], GelState],
    first_substep: float = 1.0,
) -> GelState:
    """Return the state at the goal, after as few substeps as can be solved.

    A substep that fails is halved; after one that succeeds, the length is doubled.

    Args:
        state: equilibrium before the step.
        goal: indenter pose at the end of the step.
        min_substep: smallest substep, as a fraction of the step.
        solve: function of the state before a substep, the pose at its end and its length as a
            fraction of the step; returns the state after it or raises `StepFailureError`.
        first_substep: first substep to be tried, as a fraction of the step.

    Raises:
        StepFailureError: a substep failed and half of it is shorter than `min_substep`.
    """
    start, done, substep = state.pose, 0.0, first_substep
    total = StepReport()
    while done < 1.0:
        substep = min(substep, 1.0 - done)
        pose = goal if done + substep >= 1.0 else start.toward(goal, done + substep)
        try:
            state = solve(state, pose, substep)
        except StepFailureError:
            total = replace(total, cuts=total.cuts + 1)
            substep /= 2.0
            if substep < min_substep:
                raise
            continue
        total = total.plus(state.report)
        done += substep
        substep *= 2.0
    return replace(state, report=total)
