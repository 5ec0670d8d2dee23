"""Checks of a run's plan against the safety limits, before anything moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacdiff_ros.acquisition.indenter_frame import IndenterFrame
from tacdiff_ros.acquisition.protocol import Protocol, Trial
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.errors import InputError

MAX_SPEED_FRACTION = 0.9  # planned peak speed over the safety limit; the rest is for corrections


def check_speeds(protocol: Protocol, settings: SessionSettings, limits: SafetyLimits) -> None:
    """Refuse planned speeds that the safety limits would stop.

    Raises:
        InputError: a speed is above 90 % of its safety limit; the message names the speed.
    """
    for name, speed, limit in (
        ("travel_speed_mm_s", protocol.travel_speed_mm_s, limits.speed_mm_s),
        ("speed_mm_s", protocol.speed_mm_s, limits.speed_mm_s),
        ("approach.speed_mm_s", protocol.approach.speed_mm_s, limits.speed_mm_s),
        ("retract_speed_mm_s", settings.retract_speed_mm_s, limits.speed_mm_s),
        (
            "rotation_speed_deg_s",
            protocol.rotation_speed_deg_s,
            float(np.degrees(limits.rotation_speed_rad_s)),
        ),
    ):
        if speed > MAX_SPEED_FRACTION * limit:
            raise InputError(f"'{name}' is {speed:g}; the safety limit {limit:g} allows 90 % of it")


def check_positions(
    trials: Sequence[Trial], indenter: IndenterFrame, monitor: SafetyMonitor
) -> None:
    """Refuse a plan that leaves the workspace box.

    Args:
        trials: planned trials.
        indenter: indenter pose of the rig, before any contact.
        monitor: monitor that knows the box.

    Raises:
        InputError: a pose lies outside the box; the message names the trial and the position.
    """
    for number, trial in enumerate(trials):
        targets = [indenter.start_gel(trial.start)]
        targets += [indenter.gel_for(step.target) for step in trial.steps]
        for target in targets:
            if not monitor.is_inside(target.position_mm):
                raise InputError(f"trial {number}: {monitor.outside_detail(target)}")
