"""Checks of the way from the targets to the arm: topic, controller, and the frame it steers."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.rig_observation import RigExpectation, RigObservation
from tacdiff_ros.geometry.pose import Pose

# Tolerances of the controller's pose: its model and the robot's own differ by rounding only.
POSE_TOLERANCE_MM, POSE_TOLERANCE_RAD = 2.0, 0.02


def check_target_topic(observation: RigObservation, _expected: RigExpectation) -> Finding:
    """Check that only the acquisition publishes targets, and that somebody subscribes to them."""
    name, topic = "target topic", observation.target_topic
    if observation.other_publishers:
        others = ", ".join(observation.other_publishers)
        return Finding(
            name,
            "bad",
            f"{topic} is also published by {others}, expected only this node: stop the others, "
            "because crisp_controllers ignores all targets of several publishers",
        )
    if not observation.subscribers:
        detail = f"nobody subscribes to {topic}, expected a Cartesian controller: start it"
        return Finding(name, "bad", detail)
    subscribers = ", ".join(observation.subscribers)
    return Finding(name, "good", f"{topic} has one publisher; subscribed by {subscribers}")


def check_controller(observation: RigObservation, _expected: RigExpectation) -> Finding:
    """Check that a controller that subscribes to the targets is active."""
    name, controllers = "controller", observation.controllers
    if controllers is None:
        return Finding(
            name,
            "warning",
            "not known, because no controller_manager can be asked; expected an active Cartesian "
            "controller: see `ros2 control list_controllers`",
        )
    nodes = {node.rpartition("/")[2] for node in observation.subscribers}
    steering = [controller for controller in controllers if controller.name in nodes]
    active = [controller.name for controller in steering if controller.state == "active"]
    if active:
        return Finding(name, "good", f"{', '.join(active)} is active")
    if steering:
        first = steering[0]
        return Finding(
            name,
            "bad",
            f"{first.name} is {first.state}, expected active: with the arm clear of everything, "
            f"`ros2 control switch_controllers --activate {first.name}`; crisp_controllers then "
            "moves to a target that it received while it was inactive",
        )
    loaded = ", ".join(f"{controller.name} ({controller.state})" for controller in controllers)
    return Finding(
        name,
        "bad",
        f"no controller subscribes to {observation.target_topic}, loaded are {loaded or 'none'}: "
        "load a Cartesian controller and activate it",
    )


def check_end_effector(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that the controller steers the link whose pose the robot state reports."""
    name, frame = "end effector", expected.end_effector_frame
    if not observation.steered_frames:
        return Finding(
            name,
            "warning",
            "not known, because no subscriber of the targets has the parameter "
            f"end_effector_frame; expected '{frame}': compare the controller's parameters with "
            "the end effector in Desk",
        )
    for frames in observation.steered_frames:
        if frames.end_effector != frame:
            return Finding(
                name,
                "bad",
                f"{frames.node} steers '{frames.end_effector}', expected '{frame}' "
                "(end_effector_frame): set both, and the end effector in Desk, to the same link, "
                "because the first target would move the arm by their distance",
            )
    return Finding(name, "good", f"{observation.steered_frames[0].node} steers '{frame}'")


def check_controlled_pose(observation: RigObservation, _expected: RigExpectation) -> Finding:
    """Check that the controller computes the pose that the robot state reports as `O_T_EE`.

    crisp_controllers reads targets in the root frame of the URDF, whatever frame they name; this
    check therefore also detects a base frame that is not this root.
    """
    name = "controlled pose"
    if observation.controlled_pose is None or not observation.robot_states:
        return Finding(
            name,
            "warning",
            "not known, because nobody publishes current_pose or robot states: load the "
            "pose_broadcaster of crisp_controllers to compare its pose with O_T_EE",
        )
    state = observation.robot_states[-1]
    if not state.is_usable:
        return Finding(name, "warning", "not known, because the robot state is not finite")
    measured = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
    distance_mm, angle_rad = observation.controlled_pose.distance_to(measured)
    difference = f"{distance_mm:.1f} mm and {np.degrees(angle_rad):.1f} degrees"
    if distance_mm > POSE_TOLERANCE_MM or angle_rad > POSE_TOLERANCE_RAD:
        return Finding(
            name,
            "bad",
            f"current_pose of the controller differs from O_T_EE by {difference}, expected up to "
            f"{POSE_TOLERANCE_MM:g} mm: set the controller's end_effector_frame to the end "
            "effector in Desk, and check that the root of the URDF is the robot base",
        )
    return Finding(name, "good", f"current_pose of the controller is O_T_EE within {difference}")
