"""Preflight checks on the virtual arm: seeded faults of a rig, and the check that must name each.

    python benchmarks/preflight_cases.py

The states come from the simulated arm, with its own faults where it has them; the rest of the rig
is given. A check counts as right if it, and no other one, says bad for its fault.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tables import dump, print_rows

from tacdiff_ros.acquisition.preflight import check_rig
from tacdiff_ros.acquisition.rig_observation import (
    Controller,
    RigExpectation,
    RigObservation,
    SteeredFrames,
    StreamObservation,
)
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.faults import ArmFault
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import VirtualRig

MS = 1_000_000
START_NS, STATES = 1_700_000_000_000 * MS, 500
MOUNT = Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0])
RIG = Rig(MOUNT, Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0]))
START = Pose.from_euler([450.0, 0.0, 180.0], [np.pi, 0.0, 0.0])
LIMITS = SafetyLimits(box_min_mm=(420.0, -30.0, 96.0), box_max_mm=(480.0, 30.0, 180.0))
EXPECTED = RigExpectation("base", "fr3_hand_tcp", MOUNT, LIMITS)
CONTROLLER = "/cartesian_impedance_controller"


def observe(fault: ArmFault | None = None) -> RigObservation:
    """Return the observation of half a second of the virtual arm at rest."""
    arm = VirtualRig(RIG, START, ImpedanceParameters(), StiffContactParameters())
    arm.advance(START_NS - MS)
    arm.inject(fault, 0.0)
    readings = [reading for k in range(STATES) for reading in arm.advance(START_NS + k * MS)]
    states = tuple(reading.reported for reading in readings if reading.reported is not None)
    now_ns = readings[-1].stamp_ns

    def stream(topic: str, stamps: list[int], arrivals: list[int]) -> StreamObservation:
        return StreamObservation(
            topic, np.array(arrivals, np.int64), np.array(stamps, np.int64), now_ns, 1.0
        )

    images = list(range(now_ns - 480 * MS, now_ns, 40 * MS))
    arrivals = [reading.stamp_ns for reading in readings if reading.reported is not None]
    return RigObservation(
        target_topic="/target_pose",
        other_publishers=(),
        subscribers=(CONTROLLER,),
        controllers=(Controller(CONTROLLER[1:], "active", subscribes=True),),
        steered_frames=(SteeredFrames(CONTROLLER, "fr3_hand_tcp"),),
        controlled_pose=arm.arm.end_effector,
        states=stream("/robot_state", [state.stamp_ns for state in states], arrivals),
        robot_states=states[::10],
        state_frames=("base",) if states else (),
        images=stream("/image_raw", images, images),
        image_sizes=("320x240 rgb8",),
        repeated_images=0,
    )


def _shift_stamps(rig: RigObservation) -> RigObservation:
    return replace(rig, images=replace(rig.images, stamp_ns=rig.images.stamp_ns + 3_000 * MS))


def _slow_images(rig: RigObservation) -> RigObservation:
    few = slice(None, None, 12)
    images = replace(
        rig.images, arrival_ns=rig.images.arrival_ns[few], stamp_ns=rig.images.stamp_ns[few]
    )
    return replace(rig, images=images)


Change = Callable[[RigObservation], RigObservation]
# Seeded fault: fault of the arm or change of the good rig, and the check that must name it.
CASES: dict[str, tuple[ArmFault | Change, str]] = {
    "second publisher": (lambda rig: replace(rig, other_publishers=("/teleop",)), "target topic"),
    "nobody subscribes": (
        lambda rig: replace(rig, subscribers=(), controllers=None),
        "target topic",
    ),
    "controller inactive": (
        lambda rig: replace(rig, controllers=(Controller(CONTROLLER[1:], "inactive", True),)),
        "controller",
    ),
    "other end effector": (
        lambda rig: replace(rig, steered_frames=(SteeredFrames(CONTROLLER, "fr3_link8"),)),
        "end effector",
    ),
    "controller computes another pose": (
        lambda rig: replace(rig, controlled_pose=START.shifted([0.0, 0.0, -103.4])),
        "controlled pose",
    ),
    "states silent": (ArmFault.STALE_STATE, "robot states"),
    "states not finite": (ArmFault.NOT_FINITE, "robot states"),
    "user stop": (ArmFault.USER_STOPPED, "robot mode"),
    "robot error": (ArmFault.ROBOT_ERROR, "robot mode"),
    "other frame": (lambda rig: replace(rig, state_frames=("world",)), "robot frame"),
    "arm moves": (
        lambda rig: replace(observe(ArmFault.DRIFT), controlled_pose=None),
        "arm at rest",
    ),
    "outside the box": (
        lambda rig: replace(observe(ArmFault.POSE_JUMP), controlled_pose=None),
        "workspace",
    ),
    "wrench bias": (ArmFault.FORCE_SPIKE, "wrench bias"),
    "camera too slow": (_slow_images, "images"),
    "clock of the robot": (ArmFault.CLOCK_JUMP, "clocks"),
    "clock of the camera": (_shift_stamps, "clocks"),
}


def measure_checks() -> list[dict[str, str | bool]]:
    """Return for every seeded fault, and for the good rig, what the checks call bad."""
    rows: list[dict[str, str | bool]] = []
    good = observe()
    for name, (seed, expected) in {"none": (lambda rig: rig, ""), **CASES}.items():
        observation = observe(seed) if isinstance(seed, ArmFault) else seed(good)
        bad = [f.name for f in check_rig(observation, EXPECTED) if f.state == "bad"]
        rows.append(
            {
                "fault": name,
                "expected": expected,
                "bad": ", ".join(bad),
                "named": bad == ([expected] if expected else []),
            }
        )
    return rows


def main() -> int:
    """Print one row per fault, or with --json the fraction that is named rightly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    rows = measure_checks()
    if options.json:
        dump({"preflight_checks": sum(bool(row["named"]) for row in rows) / len(rows)})
    else:
        print_rows("preflight checks", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
