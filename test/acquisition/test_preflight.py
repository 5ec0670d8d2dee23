"""Every check of the rig names its seeded fault, and only that one; a good rig is good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tacdiff_ros.acquisition.preflight import CHECKS, check_rig, describe, refusal_reason
from tacdiff_ros.acquisition.rig_observation import (
    Controller,
    RigExpectation,
    RigObservation,
    SteeredFrames,
    StreamObservation,
)
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose

S, MS = 1_000_000_000, 1_000_000
NOW = 1_700_000_000 * S
END_EFFECTOR = Pose.from_euler([450.0, 0.0, 180.0], [np.pi, 0.0, 0.0])
EXPECTED = RigExpectation(
    base_frame="base",
    end_effector_frame="fr3_hand_tcp",
    end_effector_to_gel=Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0]),
    limits=SafetyLimits(box_min_mm=(420.0, -30.0, 96.0), box_max_mm=(480.0, 30.0, 180.0)),
)
NODE = "/cartesian_impedance_controller"


def stream(topic: str, rate_hz: float, seconds: float = 1.0, delay_ms: float = 1.0, **changes: Any):
    period_ns = round(S / rate_hz)
    arrival = NOW - np.arange(round(seconds * rate_hz))[::-1] * period_ns
    stamps = arrival - round(delay_ms * MS)
    return StreamObservation(
        **{
            "topic": topic,
            "arrival_ns": arrival,
            "stamp_ns": stamps,
            "now_ns": NOW,
            "waited_s": 1.0,
            **changes,
        }
    )


def states(**changes: Any) -> tuple[RobotState, ...]:
    random = np.random.default_rng(0)
    return tuple(
        RobotState(
            **{
                "stamp_ns": NOW + number * MS,
                "position_mm": END_EFFECTOR.position_mm + random.normal(0.0, 0.01, 3),
                "quaternion_xyzw": END_EFFECTOR.quaternion_xyzw,
                "force_n": np.array([1.0, -0.5, 2.0]) + random.normal(0.0, 0.1, 3),
                "torque_n_m": np.zeros(3),
                "mode": int(RobotMode.IDLE),
                **changes,
            }
        )
        for number in range(50)
    )


GOOD = RigObservation(
    target_topic="/target_pose",
    other_publishers=(),
    subscribers=(NODE,),
    controllers=(
        Controller("joint_state_broadcaster", "active", subscribes=False),
        Controller(NODE[1:], "active", subscribes=True),
    ),
    steered_frames=(SteeredFrames(NODE, "fr3_hand_tcp"),),
    controlled_pose=END_EFFECTOR,
    states=stream("/robot_state", 1000.0),
    robot_states=states(),
    state_frames=("base",),
    images=stream("/image_raw", 25.0, delay_ms=10.0),
    image_sizes=("320x240 rgb8",),
    repeated_images=0,
)
DRIFTING = tuple(
    replace(state, position_mm=state.position_mm + np.array([0.2 * number, 0.0, 0.0]))
    for number, state in enumerate(states())
)
LATE = stream("/robot_state", 1000.0)
LATE.arrival_ns[500:] += 300 * MS
NONE = np.zeros(0, np.int64)

# Name of the check, changes of the good rig, state, words that the line must have.
FAULTS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("target topic", {"other_publishers": ("/teleop",)}, "bad", ["/teleop", "stop the others"]),
    (
        "target topic",
        {"other_publishers": ("/acquisition",)},
        "bad",
        ["also published by /acquisition"],
    ),
    (
        "target topic",
        {"subscribers": (), "controllers": None},
        "bad",
        ["nobody subscribes", "start it"],
    ),
    (
        "controller",
        {"controllers": (Controller(NODE[1:], "inactive", subscribes=True),)},
        "bad",
        ["inactive", "expected active", "switch_controllers --activate", "while it was inactive"],
    ),
    (
        "controller",
        {"controllers": (Controller("joint_impedance", "active", subscribes=False),)},
        "bad",
        ["no controller subscribes", "joint_impedance (active)"],
    ),
    ("controller", {"controllers": None}, "warning", ["not known", "list_controllers"]),
    (
        "end effector",
        {"steered_frames": (SteeredFrames(NODE, "fr3_link8"),)},
        "bad",
        ["'fr3_link8'", "expected 'fr3_hand_tcp'", "Desk"],
    ),
    ("end effector", {"steered_frames": ()}, "warning", ["not known", "'fr3_hand_tcp'"]),
    (
        "controlled pose",
        {"controlled_pose": END_EFFECTOR.shifted([0.0, 0.0, -103.4])},
        "bad",
        ["103.4 mm", "O_T_EE", "end_effector_frame"],
    ),
    (
        "controlled pose",
        {"controlled_pose": Pose(END_EFFECTOR.position_mm, np.diag([-1.0, 1.0, -1.0]))},
        "bad",
        ["180.0 degrees"],
    ),
    ("controlled pose", {"controlled_pose": None}, "warning", ["not known", "pose_broadcaster"]),
    (
        "robot states",
        {"states": replace(GOOD.states, arrival_ns=NONE, stamp_ns=NONE)},
        "bad",
        ["no message on /robot_state within 1.0 s", "1000 Hz", "reflex"],
    ),
    ("robot states", {"states": LATE}, "bad", ["301 ms of silence", "stops after 100 ms"]),
    (
        "robot states",
        {"robot_states": states(position_mm=np.full(3, np.nan))},
        "bad",
        ["not finite"],
    ),
    (
        "robot states",
        {"states": stream("/robot_state", 100.0)},
        "warning",
        ["100 Hz", "SCHED_FIFO"],
    ),
    (
        "robot states",
        {"errors": ("a message on /robot_state cannot be read: 4 bytes",)},
        "bad",
        ["4 bytes"],
    ),
    (
        "robot mode",
        {"robot_states": states(mode=int(RobotMode.USER_STOPPED))},
        "bad",
        ["USER_STOPPED", "expected IDLE or MOVE"],
    ),
    (
        "robot mode",
        {"robot_states": states(errors=("cartesian_reflex",))},
        "bad",
        ["cartesian_reflex", "error recovery"],
    ),
    (
        "robot frame",
        {"state_frames": ("fr3_link0",)},
        "bad",
        ["'fr3_link0'", "targets in 'base'", "set base_frame"],
    ),
    (
        "robot frame",
        {"steered_frames": (SteeredFrames(NODE, "fr3_hand_tcp", "world"),)},
        "warning",
        ["'world'", "does not transform targets"],
    ),
    (
        "arm at rest",
        {"robot_states": DRIFTING, "controlled_pose": None},
        "bad",
        ["moved by 9.79 mm", "stop what moves it"],
    ),
    (
        "workspace",
        {
            "robot_states": states(position_mm=np.array([450.0, 0.0, 300.0])),
            "controlled_pose": None,
        },
        "bad",
        ["(450.0, 0.0, 260.0)", "(480.0, 30.0, 180.0)", "move the arm into it"],
    ),
    (
        "workspace",
        {
            "robot_states": states(position_mm=np.array([450.0, 0.0, 219.0])),
            "controlled_pose": Pose(np.array([450.0, 0.0, 219.0]), END_EFFECTOR.matrix),
        },
        "warning",
        ["1.0 mm to its edge"],
    ),
    (
        "wrench bias",
        {"robot_states": states(force_n=np.array([0.0, 0.0, 12.0]))},
        "bad",
        ["12.0 N", "limit 10 N", "load"],
    ),
    ("wrench bias", {"robot_states": states(force_n=np.zeros(3))}, "bad", ["exactly 0 N"]),
    (
        "images",
        {"images": replace(GOOD.images, arrival_ns=NONE, stamp_ns=NONE)},
        "bad",
        ["no message on /image_raw within 1.0 s", "start gelsight_driver"],
    ),
    (
        "images",
        {"images": stream("/image_raw", 10.0)},
        "warning",
        ["10.0 Hz", "pauses after 80 ms"],
    ),
    ("images", {"images": stream("/image_raw", 2.0)}, "bad", ["2.0 Hz", "stops after 400 ms"]),
    (
        "images",
        {"images": replace(GOOD.images, stamp_ns=np.full(25, GOOD.images.stamp_ns[0]))},
        "bad",
        ["repeat", "one node publishes /image_raw"],
    ),
    (
        "images",
        {"image_sizes": ("320x240 rgb8", "another of 57600 bytes")},
        "bad",
        ["320x240", "57600", "one camera"],
    ),
    ("images", {"repeated_images": 12}, "warning", ["12 of 25 repeat", "restart the camera"]),
    (
        "images",
        {"errors": ("a message on /image_raw cannot be read: encoding",)},
        "bad",
        ["encoding"],
    ),
    (
        "clocks",
        {"images": stream("/image_raw", 25.0, delay_ms=-3000.0)},
        "bad",
        ["images 3000 ms ahead", "synchronise the clocks"],
    ),
    (
        "clocks",
        {"states": stream("/robot_state", 1000.0, delay_ms=5000.0)},
        "bad",
        ["robot states 5000 ms ago", "use_sim_time"],
    ),
    (
        "clocks",
        {"images": stream("/image_raw", 25.0, delay_ms=120.0)},
        "warning",
        ["images 120 ms ago", "camera's delay"],
    ),
]


def test_a_good_rig_passes_with_one_line_per_check():
    findings = check_rig(GOOD, EXPECTED)
    assert [finding.name for finding in findings] == list(CHECKS)
    assert {finding.state for finding in findings} == {"good"}, describe(findings)
    assert refusal_reason(findings) == ""
    lines = describe(findings).splitlines()
    assert len(lines) == len(CHECKS)
    assert all(line.startswith("good    ") for line in lines)


@pytest.mark.parametrize(("name", "changes", "state", "words"), FAULTS)
def test_a_seeded_fault_is_named_by_its_own_check_only(name, changes, state, words):
    findings = check_rig(replace(GOOD, **changes), EXPECTED)
    (finding,) = [finding for finding in findings if finding.name == name]
    assert finding.state == state
    for word in words:
        assert word in finding.line
    others = [other for other in findings if other.state != "good" and other.name != name]
    assert all("not known" in other.line for other in others), describe(findings)
    assert bool(refusal_reason(findings)) == (state == "bad")


def test_every_check_has_a_seeded_fault():
    assert {name for name, *_ in FAULTS} == set(CHECKS)


def test_stamps_of_zero_are_named():
    images = replace(GOOD.images, stamp_ns=np.zeros(25, np.int64))
    findings = {f.name: f for f in check_rig(replace(GOOD, images=images), EXPECTED)}
    assert findings["images"].state == "bad"
    assert "stamps are 0" in findings["images"].line


def test_a_rig_of_which_nothing_is_known_is_refused_and_nothing_is_good():
    silent = {"arrival_ns": NONE, "stamp_ns": NONE}
    observation = replace(
        GOOD,
        subscribers=(),
        controllers=None,
        steered_frames=(),
        controlled_pose=None,
        states=replace(GOOD.states, **silent),
        robot_states=(),
        state_frames=(),
        images=replace(GOOD.images, **silent),
        image_sizes=(),
    )
    findings = check_rig(observation, EXPECTED)
    assert all(finding.state != "good" for finding in findings), describe(findings)
    assert "robot states" in refusal_reason(findings)


def test_a_tolerated_check_only_warns():
    observation = replace(GOOD, other_publishers=("/teleop",))
    findings = check_rig(observation, replace(EXPECTED, tolerated=("target topic",)))
    assert not refusal_reason(findings)
    (finding,) = [finding for finding in findings if finding.state == "warning"]
    assert finding.name == "target topic" and finding.line.endswith("(tolerated)")
