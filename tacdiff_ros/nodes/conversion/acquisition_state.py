"""Conversion of samples into `AcquisitionState` messages."""

from __future__ import annotations

from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.acquisition.session import AcquisitionSession
from tacdiff_ros.geometry.pose import cross
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.conversion.geometry import to_pose, to_time, to_wrench


def to_acquisition_state(
    sample: Sample, session: AcquisitionSession, base_frame: str
) -> AcquisitionState:
    """Convert a sample into a message in SI units.

    Args:
        sample: image with its interpolated robot state.
        session: session of the run.
        base_frame: frame of the robot base.

    Returns:
        Message whose torque is about the origin of the frame `gel`.
    """
    activity = sample.activity
    end_effector = sample.gel @ session.rig.end_effector_to_gel.inverse()
    lever_m = 1e-3 * (end_effector.position_mm - sample.gel.position_mm)
    torque_n_m = sample.torque_n_m + cross(lever_m, sample.force_n)  # about the origin of `gel`
    message = AcquisitionState(
        phase=int(activity.phase),
        step=activity.step,
        motion=activity.motion,
        trial=activity.trial,
        trials=session.trial_count,
        sample=sample.index,
        in_contact=activity.in_contact,
        commanded_indenter=to_pose(sample.commanded),
        measured_indenter=to_pose(sample.measured),
        measured_gel=to_pose(sample.gel),
        wrench=to_wrench(sample.force_n, torque_n_m),
        depth=1e-3 * sample.depth_mm,
        pose_gap=sample.gap_s,
    )
    message.header.stamp = to_time(sample.stamp_ns)
    message.header.frame_id = base_frame
    return message


def idle_state(stamp_ns: int, base_frame: str) -> AcquisitionState:
    """Return the state after a run, on which `arm_watchdog` ends its supervision.

    Args:
        stamp_ns: end of the run, ns.
        base_frame: frame of the robot base.
    """
    message = AcquisitionState(phase=AcquisitionState.PHASE_IDLE, step="idle", motion="stopped")
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = base_frame
    return message
