"""Executes the press / translate / rotate protocol and records it: action `acquire`."""

from __future__ import annotations

import gc
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from tacdiff_ros import __version__
from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.preflight import CHECKS, describe, refusal_reason
from tacdiff_ros.acquisition.protocol import Protocol, Trial, load_protocol, plan_trials
from tacdiff_ros.acquisition.rig_observation import RigExpectation
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.acquisition.session import AcquisitionSession, Outcome, SessionSettings
from tacdiff_ros.action import Acquire
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose, cross
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds, to_pose, to_time, to_wrench
from tacdiff_ros.nodes.conversion.images import from_image, stamp_ns_of
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.definitions import read_definitions
from tacdiff_ros.nodes.driver_watch import DriverWatch
from tacdiff_ros.nodes.further_topics import FurtherTopics, require_publishers
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode, decode, refusal
from tacdiff_ros.nodes.lock_step import SECOND_NS, LockStep
from tacdiff_ros.nodes.node_settings import AcquisitionNodeSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, SENSOR_IMAGES, SENSOR_STATES
from tacdiff_ros.nodes.recovery import Recovery
from tacdiff_ros.nodes.rig_observer import RigObserver
from tacdiff_ros.nodes.rig_parameters import declare_rig
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import IMAGE_SOURCES, ROBOT_STATE
from tacdiff_ros.recording.run_cost import RunCost, check_space, run_cost
from tacdiff_ros.recording.run_recorder import RunRecorder, Topic
from tacdiff_ros.recording.stream_gaps import StreamGaps
from tacdiff_ros.resources import config_path

TICK_S = 0.01
STANDSTILL_S = 10.0  # standstill of the virtual clock after which a run can end without it
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}")
MAX_SPEC_CHARACTERS = 500
DEFAULT_IMAGE_BYTES = 320 * 240 * 3
MAX_FAILED_TICKS = 10  # number of failed ticks after which a run is abandoned


class AcquisitionNode(GuardedNode):
    """Connects one `AcquisitionSession` at a time with DDS.

    Robot states and images are passed to the session, and its targets are published. Any exception
    of a callback stops the run: the arm retracts if that is safe, the recording is closed, the
    result contains the cause, and the node accepts the next goal.
    """

    def __init__(self) -> None:
        """Read the parameters, create the topics, and wait for goals."""
        super().__init__("acquisition")
        self._rig = declare_rig(self)
        self._limits = declare_model(self, "limits", SafetyLimits)
        self._settings = declare_model(self, "motion", SessionSettings)
        settings = declare_model(self, "", AcquisitionNodeSettings)
        self._data = Path(settings.data_folder).expanduser()
        folder = settings.protocol_folder
        self._protocols = Path(folder).expanduser() if folder else config_path("protocols")
        self._default_protocol = settings.protocol
        self._base_frame = settings.base_frame
        self._lock_step = LockStep(
            self,
            {"virtual_panda": [ROBOT_STATE], **{name: ["image_raw"] for name in IMAGE_SOURCES}},
            lambda _ns: self._tick(),
            required=["virtual_panda"],
            on_lost=self._on_participant_lost,
        )
        refuse_unknown(self)
        self._further = [name for name in settings.also_record if name]
        self._load_protocol(self._default_protocol)
        self._observer = self._create_observer(settings)
        self._definitions = read_definitions(["franka_msgs", "tacdiff_ros"])
        self._decoder = RobotStateDecoder()
        self._plan: _Plan | None = None
        self._run: _Run | None = None
        self._stopping = False
        self._image_bytes = DEFAULT_IMAGE_BYTES  # size of the last image; initially that of a Mini
        self._create_topics()
        self._create_timer()
        self._target_topic = self.resolve_topic_name("target_pose")  # graph queries do not remap
        self._recovery = Recovery(
            self,
            settings.hardware_component,
            settings.controller,
            self._why_not_recover,
            self._send,
        )
        self._goal = SingleGoal(self, Acquire, "acquire", self._begin, self._cancel)
        self._rig_service = DeferredService(self, Trigger, "check_rig", self._on_check_rig)
        # Objects that exist now are kept: later garbage collections skip them and remain short.
        gc.freeze()

    def _create_observer(self, settings: AcquisitionNodeSettings) -> RigObserver:
        """Return the observer of the rig that the parameters describe.

        Raises:
            InputError: a tolerated check does not exist.
        """
        tolerated = tuple(name for name in settings.tolerated_checks if name)
        if unknown := [name for name in tolerated if name not in CHECKS]:
            raise InputError(
                f"parameter 'tolerated_checks' is '{unknown[0][:40]}', expected some of "
                + ", ".join(CHECKS)
            )
        expected = RigExpectation(
            base_frame=settings.base_frame,
            end_effector_frame=settings.end_effector_frame,
            end_effector_to_gel=self._rig.end_effector_to_gel,
            limits=self._limits,
            tolerated=tolerated,
        )
        return RigObserver(self, self._lock_step, expected, self._settings.wait_for_streams_s)

    def _create_topics(self) -> None:
        self._states = self.create_publisher(AcquisitionState, "acquisition_state", 10)
        self._targets = self.create_publisher(PoseStamped, "target_pose", LATEST_COMMAND)
        states, images = (self._lock_step.qos(qos) for qos in (SENSOR_STATES, SENSOR_IMAGES))
        self.create_subscription(FrankaRobotState, ROBOT_STATE, self._on_state, states, raw=True)
        self.create_subscription(Image, "image_raw", self._on_image, images, raw=True)

    def _create_timer(self) -> None:
        # Steady clock: safety must not depend on a simulated clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        if self._lock_step.is_on:
            self.create_timer(1.0, self._end_at_standstill, clock=steady)
        else:
            self.create_timer(TICK_S, self._tick, clock=steady)

    def request_stop(self, reason: str) -> None:
        """Stop, retract and close the recording before the process ends."""
        self._stopping = True
        if self._run is not None:
            self._run.session.stop(Cause.TERMINATED, f"the node received {reason}")
        elif self._plan is not None:
            self._plan.stop = Fault(Cause.TERMINATED, f"the node received {reason}")

    def is_finished(self) -> bool:
        """Return whether no run is planned or active."""
        return self._run is None and self._plan is None

    def on_unexpected(self, task: str, error: BaseException) -> None:
        """Stop the run; the arm retracts during the next ticks."""
        if self._run is not None:
            detail = f"{task}: {type(error).__name__}: {error}"
            self._run.session.stop(Cause.UNEXPECTED_ERROR, detail)

    def _finish(self, run_: _Run, outcome: Outcome) -> None:
        """Close the recording, end the goal and publish the idle state."""
        self._run = None
        try:
            result = run_.close(outcome)
        except Exception as error:
            line = self.report_unexpected("closing the recording failed", error)
            result = refusal(Acquire.Result(cause=Cause.RECORDING_FAILED.value), line)
        if result.success:
            self.get_logger().info(result.message)
        else:
            self.get_logger().error(result.message)
        self._goal.end(result)
        self._states.publish(self._idle_state())

    def _idle_state(self) -> AcquisitionState:
        """Return the state after a run, on which `arm_watchdog` ends its supervision."""
        message = AcquisitionState(phase=AcquisitionState.PHASE_IDLE, step="idle", motion="stopped")
        message.header.stamp = to_time(self._lock_step.now_ns())
        message.header.frame_id = self._base_frame
        return message

    def _begin(self, request: Acquire.Goal) -> None:
        """Plan a run and check the rig; the run starts if the rig is ready.

        Raises:
            InputError: the request or its protocol is invalid, or the node is shutting down.
        """
        if self._stopping:
            raise InputError("the node is shutting down: restart it")
        if self._recovery.is_active:
            raise InputError("the service `recover` is active: wait for its response")
        if len(request.indenter) > MAX_SPEC_CHARACTERS:
            raise InputError(
                f"the indenter spec has {len(request.indenter)} characters, expected up to "
                f"{MAX_SPEC_CHARACTERS}"
            )
        protocol = self._load_protocol(request.protocol or self._default_protocol)
        seed = None if request.seed < 0 else int(request.seed)
        trials = plan_trials(protocol, int(request.trials), seed)
        cost = run_cost(protocol, trials, self._image_bytes, self._settings.retract_speed_mm_s)
        check_space(self._data, cost)
        require_publishers(self, self._further)
        plan = _Plan(request, protocol, seed, trials, cost)
        self._observer.check(
            lambda findings: self._goal.attempt(lambda: self._on_findings(plan, findings))
        )
        self._plan = plan
        self.get_logger().info("checking the rig before the run")

    def _on_findings(self, plan: _Plan, findings: tuple[Finding, ...]) -> None:
        """Start the planned run if the rig is ready.

        Raises:
            InputError: a finding is bad, or the run cannot be recorded.
        """
        if plan is not self._plan:  # it was cancelled meanwhile
            return
        self._plan = None
        for finding in findings:
            if finding.state == "warning":
                self.get_logger().warning(finding.line)
        if reason := refusal_reason(findings):
            raise InputError(reason)
        self._start(plan)

    def _start(self, plan: _Plan) -> None:
        """Start a planned run.

        Raises:
            InputError: a pose or a speed exceeds the limits, or the run cannot be recorded.
        """
        request, trials = plan.request, plan.trials
        run_ = _Run(self, self._lock_step.now_ns() // SECOND_NS)
        run_.session = AcquisitionSession(
            self._rig,
            plan.protocol,
            trials,
            self._limits,
            self._settings,
            run_.on_sample,
            self._base_frame,
        )
        run_.further = FurtherTopics(self, self._further, self._record)
        try:
            run_.recorder = RunRecorder(
                self._data / _output_name(request.output),
                [*self._topics(), *run_.further.topics],
                self._definitions | run_.further.definitions,
                plan.protocol.model_dump(mode="json"),
                self._describe_run(request, plan.protocol, plan.seed, len(trials)),
            )
        except BaseException:
            run_.further.close()
            raise
        self._run = run_
        self.get_logger().info(
            f"recording {run_.recorder.folder}: {len(trials)} trials, about "
            f"{plan.cost.seconds:.0f} s and {plan.cost.bytes / 1e9:.2f} GB"
        )

    def _load_protocol(self, name: str) -> Protocol:
        if not FILE_NAME.fullmatch(name):
            raise InputError(
                f"protocol '{name[:80]}' is not a file name: expected letters, digits, _ . -"
            )
        return load_protocol(self._protocols / name)

    def _topics(self) -> list[Topic]:
        return [
            Topic(self.resolve_topic_name("image_raw"), "sensor_msgs/msg/Image"),
            Topic(self.resolve_topic_name(ROBOT_STATE), "franka_msgs/msg/FrankaRobotState"),
            Topic(self.resolve_topic_name("target_pose"), "geometry_msgs/msg/PoseStamped"),
            Topic(self.resolve_topic_name("acquisition_state"), "tacdiff_ros/msg/AcquisitionState"),
        ]

    def _describe_run(
        self, request: Acquire.Goal, protocol: Protocol, seed: int | None, trials: int
    ) -> dict[str, Any]:
        """Return the content of run.yaml except for the outcome.

        Args:
            request: goal of the run.
            protocol: protocol of the run.
            seed: seed of the goal; None for that of the protocol.
            trials: number of trials.
        """
        poses = {
            name: {
                "position_mm": pose.position_mm.tolist(),
                "quaternion_xyzw": pose.quaternion_xyzw.tolist(),
            }
            for name, pose in (
                ("end_effector_to_gel", self._rig.end_effector_to_gel),
                ("base_to_indenter", self._rig.base_to_indenter),
            )
        }
        return {
            "tacdiff_ros": __version__,
            "indenter": request.indenter,
            "trials": trials,
            "seed": protocol.seed if seed is None else seed,
            "image_topic": self.resolve_topic_name("image_raw"),
            "base_frame": self._base_frame,
            **poses,
            "limits": self._limits.model_dump(mode="json"),
        }

    def _on_participant_lost(self, name: str) -> None:
        """In lock step, stop the run when the virtual arm has left."""
        if self._run is not None:
            self._run.session.stop(Cause.STALE_STATE, f"{name} has left")

    def _end_at_standstill(self) -> None:
        """In lock step, abandon a stopped run that cannot end because the clock stands still."""
        self._advance_plan()
        run_ = self._run
        if run_ is None or self._lock_step.stalled_for_s() < STANDSTILL_S:
            return
        if not self.count_publishers("/clock"):
            run_.session.stop(Cause.STALE_STATE, "nobody publishes /clock: start virtual_clock")
        if run_.session.is_asked_to_stop:
            self._finish(run_, run_.session.abandoned())

    def _cancel(self) -> None:
        if self._run is not None:
            self._run.session.stop(Cause.CANCELLED, "the client cancelled the goal")
        elif self._plan is not None:
            self._plan.stop = Fault(Cause.CANCELLED, "the client cancelled the goal")

    def _why_not_recover(self) -> str:
        """Return why no recovery may begin now; empty if it may."""
        if self._stopping:
            return "the node is shutting down: restart it"
        is_free = self._run is None and self._plan is None
        return "" if is_free else "a run is active: cancel it or wait for its end"

    def _on_check_rig(self, _request: Trigger.Request, ticket: Ticket) -> None:
        """Check the rig and respond with the findings, one per line."""

        def respond(findings: tuple[Finding, ...]) -> None:
            is_ready = not refusal_reason(findings)
            response = Trigger.Response(success=is_ready, message=describe(findings))
            self._rig_service.respond(ticket, response)

        self._observer.check(respond)

    def _on_state(self, data: bytes) -> None:
        self._observer.on_state(data)
        self._recovery.on_state(data)
        try:
            self._process_state(data)
        finally:
            if self._lock_step.is_on:
                self._lock_step.received("virtual_panda", ROBOT_STATE, stamp_ns_of(data))

    def _process_state(self, data: bytes) -> None:
        if self._run is None or not self._run.has_begun:
            return
        try:
            state = self._decoder.decode(data)
        except InputError as error:
            self._run.session.stop(Cause.NOT_FINITE, str(error))
            raise
        self._run.session.on_state(state, self._lock_step.monotonic_s())
        self._record(ROBOT_STATE, data)

    def _on_image(self, data: bytes) -> None:
        self._image_bytes = len(data)
        self._observer.on_image(data)
        try:
            self._process_image(data)
        finally:
            if self._lock_step.is_on:
                for source in IMAGE_SOURCES:
                    self._lock_step.received(source, "image_raw", stamp_ns_of(data))

    def _process_image(self, data: bytes) -> None:
        if self._run is None or not self._run.has_begun:
            return
        try:
            message = decode(Image, data)
            image = from_image(message)
        except InputError as error:
            self._run.session.stop(Cause.IMAGE_CHANGED_FORMAT, str(error))
            raise
        stamp_ns = to_nanoseconds(message.header.stamp)
        self._run.gaps.add(stamp_ns)
        self._record("image_raw", data)
        self._run.session.on_image(stamp_ns, image, self._lock_step.monotonic_s())
        if warning := self._run.session.monitor.low_rate_warning():
            self.get_logger().warning(warning, once=True)

    def _advance_plan(self) -> None:
        """End a planned run that is not wanted any more; proceed with the checks of the rig."""
        plan = self._plan
        if plan is not None and plan.stop is not None:
            self._plan = None
            line = f"stopped: {plan.stop.cause.value}: {plan.stop.detail}; nothing has moved"
            self._goal.end(refusal(Acquire.Result(cause=plan.stop.cause.value), line))
        self._observer.poll()

    def _tick(self) -> None:
        self._advance_plan()
        run_ = self._run
        if run_ is None or not self._may_begin(run_):
            return
        try:
            self._advance(run_)
        except Exception as error:
            self.report_unexpected("a tick of the run failed", error)
            run_.failed_ticks += 1
            if run_.failed_ticks > MAX_FAILED_TICKS:
                self._finish(run_, run_.session.abandoned())

    def _may_begin(self, run_: _Run) -> bool:
        """Return whether a run may proceed; in lock step it begins at the next full second."""
        is_due = self._lock_step.now_ns() // SECOND_NS > run_.accepted_second
        if not self._lock_step.is_on or is_due or run_.session.is_asked_to_stop:
            run_.has_begun = True
        return run_.has_begun

    def _advance(self, run_: _Run) -> None:
        """Execute one tick of a run: send the next target, or end the run."""
        if run_.recorder.failure is not None:
            run_.session.stop(Cause.RECORDING_FAILED, run_.recorder.failure)
        self._count_publishers(run_)
        target = run_.session.tick(self._lock_step.monotonic_s())
        if target is not None:
            self._send(target)
        has_cause = run_.driver.explain(run_.session)
        if run_.session.outcome is not None and has_cause:
            self._finish(run_, run_.session.outcome)

    def _count_publishers(self, run_: _Run) -> None:
        """Stop the run when another node publishes targets: controllers then ignore all of them."""
        is_alone = self.count_publishers(self._target_topic) <= 1
        run_.session.monitor.is_blocked = not is_alone
        if is_alone or run_.session.is_asked_to_stop:
            return
        infos = self.get_publishers_info_by_topic(self._target_topic)
        names = ", ".join(sorted(info.node_name for info in infos))
        run_.session.stop(
            Cause.SECOND_PUBLISHER,
            f"{self._target_topic} is published by {names}, expected only this node: stop the "
            "others, because crisp_controllers ignores all targets of several publishers",
        )

    def _send(self, target: Pose) -> None:
        message = PoseStamped(pose=to_pose(target))
        now_ns = self._lock_step.now_ns()
        message.header.stamp = to_time(now_ns)
        message.header.frame_id = self._base_frame
        data = serialize_message(message)
        self._targets.publish(data)
        self._lock_step.published(now_ns)
        self._record("target_pose", data)

    def publish_sample(self, sample: Sample, session: AcquisitionSession) -> None:
        """Publish and record the state of a sample, and send it as feedback of the goal.

        Args:
            sample: image with its interpolated robot state.
            session: session of the run.
        """
        message = to_message(sample, session, self._base_frame)
        data = serialize_message(message)
        self._states.publish(data)
        self._record("acquisition_state", data)
        self._goal.feedback(Acquire.Feedback(state=message, progress=float(session.progress)))

    def _record(self, topic: str, data: bytes) -> None:
        if self._run is not None and self._run.has_begun:
            now_ns = self._lock_step.now_ns()
            self._run.recorder.write(self.resolve_topic_name(topic), now_ns, data)


@dataclass
class _Plan:
    """A goal whose rig is being checked.

    Attributes:
        request: goal of the run.
        protocol: protocol of the run.
        seed: seed of the goal; None for that of the protocol.
        trials: planned trials.
        cost: estimated time and size of the run.
        stop: reason to end the goal before its run; None without one.
    """

    request: Acquire.Goal
    protocol: Protocol
    seed: int | None
    trials: list[Trial]
    cost: RunCost
    stop: Fault | None = None


class _Run:
    """State of one goal.

    Attributes:
        session: state machine of the protocol.
        recorder: writer of the recording.
        further: subscriptions of the additional recorded topics.
        accepted_second: second of the node's clock at which the goal was accepted.
        has_begun: whether messages are passed to the session and the recorder.
        driver: finds out why robot states fell silent.
        gaps: counter of the images lost in the stream.
        failed_ticks: number of ticks that raised an exception.
    """

    session: AcquisitionSession
    recorder: RunRecorder
    further: FurtherTopics

    def __init__(self, node: AcquisitionNode, accepted_second: int) -> None:
        self.accepted_second = accepted_second
        self.has_begun = False
        self.gaps = StreamGaps()
        self.driver = DriverWatch(node)
        self.failed_ticks = 0
        self._node = node

    def on_sample(self, sample: Sample) -> None:
        """Record and publish one sample."""
        self.recorder.write_sample(sample)
        self._node.publish_sample(sample, self.session)

    def close(self, outcome: Outcome) -> Acquire.Result:
        """Close the recording and return the result of the goal."""
        fault = outcome.fault
        lost = outcome.images_without_state + self.gaps.lost
        summary = {
            "success": fault is None,
            "message": _describe(outcome, self.recorder.folder, lost),
            "cause": "" if fault is None else fault.cause.value,
            "trials_completed": outcome.trials_completed,
            "samples": outcome.samples,
            "images_lost": lost,
            "pose_gap_max": outcome.pose_gap_max_s,
            "force_max": outcome.force_max_n,
        }
        try:
            self.further.close()
        finally:
            self.recorder.close(summary)
        if self.recorder.failure is not None and fault is None:
            summary |= {
                "success": False,
                "message": self.recorder.failure,
                "cause": Cause.RECORDING_FAILED.value,
            }
        return Acquire.Result(**summary, bag=str(self.recorder.bag))


def to_message(sample: Sample, session: AcquisitionSession, base_frame: str) -> AcquisitionState:
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


def _output_name(requested: str) -> str:
    name = requested or time.strftime("%Y%m%d_%H%M%S")
    if not NAME.fullmatch(name):
        raise InputError(
            f"output '{name[:80]}' is not a valid name: expected 1 to 80 letters, digits, _ and -"
        )
    return name


def _describe(outcome: Outcome, folder: Path, lost: int) -> str:
    recorded = f"recorded {outcome.trials_completed} trials, {outcome.samples} images in {folder}"
    if lost:
        recorded += f" ({lost} images were lost: is the machine too busy?)"
    if outcome.fault is None:
        return recorded
    final_state = "retracted" if outcome.retracted else "the sensor was left where it stopped"
    cause, detail = outcome.fault.cause.value, outcome.fault.detail
    return f"stopped: {cause}: {detail}; {final_state}; {recorded}"


def main() -> int:
    """Run the node."""
    return run(AcquisitionNode)


if __name__ == "__main__":
    raise SystemExit(main())
