"""The cause of silent robot states, from what the ROS graph of franka_ros2 tells."""

from __future__ import annotations

import pytest

from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.silence import BROADCASTER, DriverEvidence, explain_silence

SILENCE = Fault(Cause.STALE_STATE, "no robot state for 101 ms, limit 100 ms")
RUNNING = {BROADCASTER: "active", "cartesian": "active"}
STOPPED = dict.fromkeys(RUNNING, "inactive")


@pytest.mark.parametrize("publishers", [0, 1])
def test_unconfigured_hardware_is_a_reflex_and_the_three_steps_are_named_in_order(publishers):
    evidence = DriverEvidence(publishers, STOPPED, {"FrankaHardwareInterface": "unconfigured"})
    fault = explain_silence(SILENCE, evidence)
    assert fault.cause is Cause.REFLEX
    steps = ("error_recovery", "set_hardware_component_state", "switch_controllers")
    places = [fault.detail.index(step) for step in steps]
    assert places == sorted(places)
    assert SILENCE.detail in fault.detail


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (DriverEvidence(0), "the driver has ended"),
        (DriverEvidence(1), "no controller_manager can be asked"),
        (DriverEvidence(1, RUNNING, {"arm": "active"}), "check network and processor load"),
        (DriverEvidence(1, STOPPED, {"arm": "active"}), f"{BROADCASTER} is inactive"),
    ],
)
def test_other_silences_stay_lost_streams_and_say_what_is_known(evidence, reason):
    fault = explain_silence(SILENCE, evidence)
    assert fault.cause is Cause.STALE_STATE
    assert reason in fault.detail
