"""The run of one goal: its session, its recording and its result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensor_msgs.msg import Image

from tacdiff_ros import __version__
from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.acquisition.session import AcquisitionSession, Outcome, SessionSettings
from tacdiff_ros.action import Acquire
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.driver_watch import DriverWatch
from tacdiff_ros.nodes.further_topics import FurtherTopics
from tacdiff_ros.nodes.guarded_node import GuardedNode, decode
from tacdiff_ros.nodes.lock_step import SECOND_NS, LockStep
from tacdiff_ros.nodes.run_plan import RunPlan, output_name
from tacdiff_ros.nodes.sensor_parameter import sensor_from
from tacdiff_ros.nodes.topics import ROBOT_STATE
from tacdiff_ros.recording.run_recorder import RunRecorder, Topic
from tacdiff_ros.recording.stream_gaps import StreamGaps

HOW_TO_STOP = (
    "to stop: cancel the goal (Ctrl-C in acquire_client), or Ctrl-C in the terminal of the launch; "
    "the arm retracts and the recording is closed"
)


@dataclass(frozen=True)
class RunSetUp:
    """What all runs of a node have in common.

    Attributes:
        node: node of the runs.
        lock_step: clock of the node.
        rig: poses of sensor and indenter.
        rig_settings: the rig as it was configured.
        limits: safety limits.
        settings: settings of the runs.
        base_frame: frame of the robot base.
        further_topics: names of the additional recorded topics.
        definitions: text of the recorded message definitions by full type name.
    """

    node: GuardedNode
    lock_step: LockStep
    rig: Rig
    rig_settings: RigSettings
    limits: SafetyLimits
    settings: SessionSettings
    base_frame: str
    further_topics: list[str]
    definitions: dict[str, str]


class ActiveRun:
    """State of one goal whose rig is ready.

    Attributes:
        session: state machine of the protocol.
        recorder: writer of the recording.
        driver: finds out why robot states fell silent.
        failed_ticks: number of ticks that raised an exception.
    """

    def __init__(
        self,
        set_up: RunSetUp,
        plan: RunPlan,
        data_folder: Path,
        publish_sample: Callable[[Sample, ActiveRun], None],
    ) -> None:
        """Create the recording; nothing moves before the first `next_target`.

        Args:
            set_up: node and rig of the run.
            plan: plan of the run.
            data_folder: folder of the recordings.
            publish_sample: function that publishes and records the state of a sample of this run.

        Raises:
            InputError: a pose or a speed exceeds the limits, or the run cannot be recorded.
        """
        node = set_up.node
        self.driver = DriverWatch(node)
        self.failed_ticks = 0
        self._node, self._lock_step = node, set_up.lock_step
        self._decoder = RobotStateDecoder()
        self._publish_sample = publish_sample
        self._full_name = functools.cache(node.resolve_topic_name)
        self._target_topic = node.resolve_topic_name("target_pose")  # graph queries do not remap
        self._accepted_second = self._lock_step.now_ns() // SECOND_NS
        self._has_begun = False  # messages are passed to the session and the recorder
        self._gaps = StreamGaps()
        self.session = AcquisitionSession(
            set_up.rig,
            plan.protocol,
            plan.trials,
            set_up.limits,
            set_up.settings,
            self._on_sample,
            set_up.base_frame,
        )
        self._further = FurtherTopics(node, set_up.further_topics, self.record)
        try:
            self.recorder = self._open_recording(set_up, plan, data_folder)
        except BaseException:
            self._further.close()
            raise
        node.get_logger().info(
            f"recording {self.recorder.folder}: {len(plan.trials)} trials, about "
            f"{plan.cost.seconds:.0f} s and {plan.cost.bytes / 1e9:.2f} GB; {HOW_TO_STOP}"
        )

    def _open_recording(self, set_up: RunSetUp, plan: RunPlan, data_folder: Path) -> RunRecorder:
        return RunRecorder(
            data_folder / output_name(plan.request.output),
            [*_topics(set_up.node), *self._further.topics],
            set_up.definitions | self._further.definitions,
            plan.protocol.model_dump(mode="json"),
            _describe_run(plan, set_up),
        )

    def may_begin(self) -> bool:
        """Return whether the run may proceed; in lock step it begins at the next full second."""
        is_due = self._lock_step.now_ns() // SECOND_NS > self._accepted_second
        if not self._lock_step.is_on or is_due or self.session.is_asked_to_stop:
            self._has_begun = True
        return self._has_begun

    def next_target(self) -> Pose | None:
        """Advance the session by one tick.

        Returns:
            Target of the end effector; None if none may be sent.
        """
        if self.recorder.failure is not None:
            self.session.stop(Cause.RECORDING_FAILED, self.recorder.failure)
        self._check_publishers()
        return self.session.tick(self._lock_step.monotonic_s())

    def on_state(self, data: bytes) -> None:
        """Handle a serialised robot state.

        Raises:
            InputError: it cannot be decoded.
        """
        if not self._has_begun:
            return
        try:
            state = self._decoder.decode(data)
        except InputError as error:
            self.session.stop(Cause.NOT_FINITE, str(error))
            raise
        self.session.on_state(state, self._lock_step.monotonic_s())
        self.record(ROBOT_STATE, data)

    def on_image(self, data: bytes) -> None:
        """Handle a serialised image.

        Raises:
            InputError: it cannot be decoded.
        """
        if not self._has_begun:
            return
        try:
            message = decode(Image, data)
            image = from_image(message)
        except InputError as error:
            self.session.stop(Cause.IMAGE_CHANGED_FORMAT, str(error))
            raise
        stamp_ns = to_nanoseconds(message.header.stamp)
        self._gaps.add(stamp_ns)
        self.record("image_raw", data)
        self.session.on_image(stamp_ns, image, self._lock_step.monotonic_s())
        if warning := self.session.monitor.low_rate_warning():
            self._node.get_logger().warning(warning, once=True)

    def record(self, topic: str, data: bytes) -> None:
        """Record a serialised message.

        Args:
            topic: topic of the message, before remapping.
            data: serialised message.
        """
        if self._has_begun:
            now_ns = self._lock_step.now_ns()
            self.recorder.write(self._full_name(topic), now_ns, data)

    def _on_sample(self, sample: Sample) -> None:
        self.recorder.write_sample(sample)
        self._publish_sample(sample, self)

    def _check_publishers(self) -> None:
        """Stop the run when another node publishes targets: controllers then ignore all of them."""
        is_alone = self._node.count_publishers(self._target_topic) <= 1
        self.session.monitor.is_blocked = not is_alone
        if is_alone or self.session.is_asked_to_stop:
            return
        infos = self._node.get_publishers_info_by_topic(self._target_topic)
        names = ", ".join(sorted(info.node_name for info in infos))
        self.session.stop(
            Cause.SECOND_PUBLISHER,
            f"{self._target_topic} is published by {names}, expected only this node: stop the "
            "others, because crisp_controllers ignores all targets of several publishers",
        )

    def close(self, outcome: Outcome) -> Acquire.Result:
        """Close the recording and return the result of the goal."""
        fault = outcome.fault
        lost = outcome.images_without_state + self._gaps.lost
        summary = {
            "success": fault is None,
            "message": _describe_outcome(outcome, self.recorder.folder, lost),
            "cause": "" if fault is None else fault.cause.value,
            "trials_completed": outcome.trials_completed,
            "samples": outcome.samples,
            "images_lost": lost,
            "pose_gap_max": outcome.pose_gap_max_s,
            "force_max": outcome.force_max_n,
        }
        try:
            self._further.close()
        finally:
            self.recorder.close(summary)
        if self.recorder.failure is not None and fault is None:
            summary |= {
                "success": False,
                "message": self.recorder.failure,
                "cause": Cause.RECORDING_FAILED.value,
            }
        return Acquire.Result(**summary, bag=str(self.recorder.bag))


def _topics(node: GuardedNode) -> list[Topic]:
    """Return the topics that every run of a node records."""
    types = {
        "image_raw": "sensor_msgs/msg/Image",
        ROBOT_STATE: "franka_msgs/msg/FrankaRobotState",
        "target_pose": "geometry_msgs/msg/PoseStamped",
        "acquisition_state": "tacdiff_ros/msg/AcquisitionState",
    }
    return [Topic(node.resolve_topic_name(name), kind) for name, kind in types.items()]


def _describe_run(plan: RunPlan, set_up: RunSetUp) -> dict[str, Any]:
    """Return the content of run.yaml except for the outcome."""
    rig = set_up.rig
    poses = {
        name: {
            "position_mm": pose.position_mm.tolist(),
            "quaternion_xyzw": pose.quaternion_xyzw.tolist(),
        }
        for name, pose in (
            ("end_effector_to_gel", rig.end_effector_to_gel),
            ("base_to_indenter", rig.base_to_indenter),
        )
    }
    return {
        "tacdiff_ros": __version__,
        "indenter": plan.request.indenter or set_up.rig_settings.indenter,
        "trials": len(plan.trials),
        "seed": plan.protocol.seed if plan.seed is None else plan.seed,
        "image_topic": set_up.node.resolve_topic_name("image_raw"),
        "base_frame": set_up.base_frame,
        "rig": _describe_rig(set_up.rig_settings),
        **poses,
        "limits": set_up.limits.model_dump(mode="json"),
    }


def _describe_rig(rig: RigSettings) -> dict[str, Any]:
    """Return the entry `rig` of run.yaml, with the checksum of its sensor file."""
    content = rig.describe()
    if rig.sensor_file:
        try:
            content["sensor_checksum"] = sensor_from(rig.sensor_file).checksum
        except InputError as error:
            content["sensor_checksum"] = f"unknown: {error}"
    return content


def _describe_outcome(outcome: Outcome, folder: Path, lost: int) -> str:
    recorded = f"recorded {outcome.trials_completed} trials, {outcome.samples} images in {folder}"
    if lost:
        recorded += f" ({lost} images were lost: is the machine too busy?)"
    if outcome.fault is None:
        return recorded
    final_state = "retracted" if outcome.retracted else "the sensor was left where it stopped"
    cause, detail = outcome.fault.cause.value, outcome.fault.detail
    return f"stopped: {cause}: {detail}; {final_state}; {recorded}"
