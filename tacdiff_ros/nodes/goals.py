"""How goals of actions end."""

from __future__ import annotations

from typing import Any


def end_goal(goal: Any, result: Any) -> Any:
    """Tell the action server how the goal ended."""
    if goal.is_cancel_requested:
        goal.canceled()
    elif result.success:
        goal.succeed()
    else:
        goal.abort()
    return result
