"""Checks of the streams of robot states and images: rate, stamps, frames, clocks."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tacdiff_ros.acquisition.arm_control import MOTION_MODES
from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.rig_observation import (
    RigExpectation,
    RigObservation,
    StreamObservation,
)
from tacdiff_ros.acquisition.robot_state import RobotMode

MIN_STATE_HZ = 800.0  # franka_ros2 publishes at 1 kHz; below, states were merged or lost
MAX_REPEATED_FRACTION = 0.1  # of the images; a camera's noise makes every image different
CLOCK_WARNING_S = 0.05  # offset that displaces a pose by 0.5 mm at 10 mm/s


def check_robot_states(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that robot states arrive, and how regularly."""
    name, states, limits = "robot states", observation.states, expected.limits
    if not len(states.arrival_ns):
        return Finding(
            name,
            "bad",
            f"{_none_came(states)}, expected 1000 Hz: start the state broadcaster; after a reflex "
            "it is silent until the error recovery",
        )
    if errors := [line for line in observation.errors if states.topic in line]:
        return Finding(name, "bad", errors[0])
    if not all(state.is_usable for state in observation.robot_states):
        detail = "a number is not finite, or the orientation is 0: restart the state broadcaster"
        return Finding(name, "bad", detail)
    silence = _silence(states, limits.state_age_s, limits.state_pause_s)
    if silence is not None:
        state, detail = silence
        return Finding(name, state, f"{detail}: is the machine or the network too busy?")
    if states.rate_hz < MIN_STATE_HZ:
        return Finding(
            name,
            "warning",
            f"{states.rate_hz:.0f} Hz, expected 1000 Hz: give the broadcaster real-time priority "
            "(SCHED_FIFO)",
        )
    return Finding(name, "good", f"{states.rate_hz:.0f} Hz on {states.topic}")


def check_robot_mode(observation: RigObservation, _expected: RigExpectation) -> Finding:
    """Check that the robot reports no error and a mode in which it can move."""
    name = "robot mode"
    if not observation.robot_states:
        return Finding(name, "warning", "not known without robot states")
    state = observation.robot_states[-1]
    if state.errors:
        errors = ", ".join(state.errors)
        detail = f"the robot reports {errors}, expected no error: clear it and run error recovery"
        return Finding(name, "bad", detail)
    known = state.mode in list(RobotMode)
    mode = RobotMode(state.mode).name if known else str(state.mode)
    if state.mode not in MOTION_MODES:
        detail = f"{mode}, expected IDLE or MOVE: bring the robot into execution mode"
        return Finding(name, "bad", detail)
    return Finding(name, "good", f"{mode}, no error")


def check_robot_frame(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that states, controller and targets are in the same base frame."""
    name, frame = "robot frame", expected.base_frame
    if not observation.state_frames:
        return Finding(name, "warning", "not known without robot states")
    others = [observed for observed in observation.state_frames if observed != frame]
    if others:
        return Finding(
            name,
            "bad",
            f"the robot states are in '{others[0]}', targets in '{frame}' (base_frame): set "
            f"base_frame to '{others[0]}' if that is the frame that the rig was measured in",
        )
    for frames in observation.steered_frames:
        if frames.base not in ("", frame):
            return Finding(
                name,
                "warning",
                f"{frames.node} has base_frame '{frames.base}', targets are in '{frame}': check "
                "that both are the same, because the controller does not transform targets",
            )
    return Finding(name, "good", f"states and targets are in '{frame}'")


def check_images(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that images arrive regularly, stamped, all of one size and all different."""
    name, images, limits = "images", observation.images, expected.limits
    if not len(images.arrival_ns):
        detail = f"{_none_came(images)}, expected a camera: start gelsight_driver"
        return Finding(name, "bad", detail)
    if errors := [line for line in observation.errors if images.topic in line]:
        return Finding(name, "bad", errors[0])
    if fault := _stamp_fault(images):
        return Finding(name, "bad", fault)
    if len(observation.image_sizes) > 1:
        sizes = " and ".join(observation.image_sizes)
        return Finding(name, "bad", f"of {sizes}, expected one size: is there one camera only?")
    silence = _silence(images, limits.image_age_s, limits.image_pause_s)
    if silence is not None:
        state, detail = silence
        return Finding(name, state, f"{detail}: check the camera's rate and exposure")
    repeated = observation.repeated_images
    if repeated > MAX_REPEATED_FRACTION * len(images.arrival_ns):
        return Finding(
            name,
            "warning",
            f"{repeated} of {len(images.arrival_ns)} repeat the one before, expected new pixels in "
            "each: restart the camera, or lower its rate",
        )
    size = ", ".join(observation.image_sizes)
    return Finding(name, "good", f"{images.rate_hz:.1f} Hz, {size}, on {images.topic}")


def check_clocks(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that stamps of states and images are on the clock of the acquisition.

    The shortest delay of a message is taken for the offset of its clock.
    """
    name, limits = "clocks", expected.limits
    streams = (
        ("robot states", observation.states, limits.state_age_s),
        ("images", observation.images, limits.image_age_s),
    )
    delays_s = {what: s.delay_s for what, s, _ in streams if len(s.stamp_ns)}
    if not delays_s:
        return Finding(name, "warning", "not known without robot states and images")
    observed = ", ".join(f"{what} {_age(delay_s)}" for what, delay_s in delays_s.items())
    late = {what: limit_s for what, _, limit_s in streams}
    if any(not -limits.clock_jump_s <= delay_s <= late[w] for w, delay_s in delays_s.items()):
        return Finding(
            name,
            "bad",
            f"stamps of {observed}, expected the time of this node: synchronise the clocks "
            "(chrony), or check use_sim_time",
        )
    if any(abs(delay_s) > CLOCK_WARNING_S for delay_s in delays_s.values()):
        return Finding(
            name,
            "warning",
            f"stamps of {observed}, expected up to {1e3 * CLOCK_WARNING_S:.0f} ms: synchronise the "
            "clocks, or check the camera's delay",
        )
    return Finding(name, "good", f"stamps of {observed}")


def _none_came(stream: StreamObservation) -> str:
    return f"no message on {stream.topic} within {stream.waited_s:.1f} s"


def _silence(
    stream: StreamObservation, age_s: float, pause_s: float
) -> tuple[Literal["warning", "bad"], str] | None:
    """Return state and detail of a stream whose silence would stop or pause the motion."""
    if len(stream.arrival_ns) > 1 and stream.gap_s <= pause_s:
        return None
    observed = f"{stream.rate_hz:.1f} Hz with {1e3 * stream.gap_s:.0f} ms of silence"
    if len(stream.arrival_ns) < 2 or stream.gap_s > age_s:
        return "bad", f"{observed}, and a run stops after {1e3 * age_s:.0f} ms"
    return "warning", f"{observed}, and the motion pauses after {1e3 * pause_s:.0f} ms"


def _stamp_fault(images: StreamObservation) -> str:
    if not images.stamp_ns.all():
        return "their stamps are 0, expected the time of the image: the camera must stamp them"
    if (np.diff(images.stamp_ns) <= 0).any():
        return (
            "their stamps repeat or run backward, expected increasing ones: check that one node "
            f"publishes {images.topic}, and its clock"
        )
    return ""


def _age(delay_s: float) -> str:
    return f"{1e3 * abs(delay_s):.0f} ms {'ago' if delay_s >= 0 else 'ahead'}"
