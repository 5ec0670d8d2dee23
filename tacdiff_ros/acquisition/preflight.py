"""Checks of the rig before the first motion of a run, and on request.

Each check turns an observation into one finding. A bad finding refuses the run, because it would
fail or move the arm in an unexpected way; what cannot be observed is a warning, never good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tacdiff_ros.acquisition.command_checks import (
    check_controlled_pose,
    check_controller,
    check_end_effector,
    check_target_topic,
)
from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.pose_checks import (
    check_arm_at_rest,
    check_workspace,
    check_wrench_bias,
)
from tacdiff_ros.acquisition.rig_observation import RigExpectation, RigObservation
from tacdiff_ros.acquisition.stream_checks import (
    check_clocks,
    check_images,
    check_robot_frame,
    check_robot_mode,
    check_robot_states,
)

CHECKS: dict[str, Callable[[RigObservation, RigExpectation], Finding]] = {
    "target topic": check_target_topic,
    "controller": check_controller,
    "end effector": check_end_effector,
    "controlled pose": check_controlled_pose,
    "robot states": check_robot_states,
    "robot mode": check_robot_mode,
    "robot frame": check_robot_frame,
    "arm at rest": check_arm_at_rest,
    "workspace": check_workspace,
    "wrench bias": check_wrench_bias,
    "images": check_images,
    "clocks": check_clocks,
}


def check_rig(observation: RigObservation, expected: RigExpectation) -> tuple[Finding, ...]:
    """Check an observation of the rig.

    Args:
        observation: observed rig.
        expected: rig according to the parameters.

    Returns:
        One finding per check, in the order of `CHECKS`.
    """
    findings = [check(observation, expected) for check in CHECKS.values()]
    return tuple(
        replace(finding, state="warning", detail=f"{finding.detail} (tolerated)")
        if finding.state == "bad" and finding.name in expected.tolerated
        else finding
        for finding in findings
    )


def refusal_reason(findings: Sequence[Finding]) -> str:
    """Return why a run is refused, in one line; empty if no finding is bad."""
    bad = [finding.line for finding in findings if finding.state == "bad"]
    return f"the rig is not ready: {'; '.join(bad)}" if bad else ""


def describe(findings: Sequence[Finding]) -> str:
    """Return the findings as text, one line each, which starts with its state."""
    return "\n".join(f"{finding.state:8}{finding.line}" for finding in findings)
