"""Executes the press / translate / rotate protocol and records it: action `acquire`."""

from __future__ import annotations

import gc

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.preflight import refusal_reason
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.acquisition.session import Outcome, SessionSettings
from tacdiff_ros.action import Acquire
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.active_run import ActiveRun, RunSetUp
from tacdiff_ros.nodes.conversion.acquisition_state import idle_state, to_acquisition_state
from tacdiff_ros.nodes.conversion.geometry import to_pose, to_time
from tacdiff_ros.nodes.conversion.images import stamp_ns_of
from tacdiff_ros.nodes.definitions import read_definitions
from tacdiff_ros.nodes.further_topics import require_publishers
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode, refusal
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import AcquisitionNodeSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, SENSOR_IMAGES, SENSOR_STATES
from tacdiff_ros.nodes.recovery import Recovery
from tacdiff_ros.nodes.rig_check_service import RigCheckService
from tacdiff_ros.nodes.rig_observer import RigObserver
from tacdiff_ros.nodes.rig_parameters import declare_rig, expected_rig
from tacdiff_ros.nodes.run_plan import RunPlan, RunPlanner
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import IMAGE_SOURCES, ROBOT_STATE
from tacdiff_ros.recording.run_recorder import make_typestore

TICK_S = 0.01
STANDSTILL_S = 10.0  # standstill of the virtual clock after which a run can end without it
DEFAULT_IMAGE_BYTES = 320 * 240 * 3
STREAMS_LATE_S = 10.0  # time without a stream after which a warning comes
SILENT = {
    ROBOT_STATE: "is the arm's state broadcaster active, and the namespace right?",
    "image_raw": "does the driver run, and does it have its camera?",
}
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
        self._rig_settings = declare_rig(self)
        self._rig = self._rig_settings.rig
        self._limits = declare_model(self, "limits", SafetyLimits)
        self._settings = declare_model(self, "motion", SessionSettings)
        settings = declare_model(self, "", AcquisitionNodeSettings)
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
        self._planner = RunPlanner(settings, self._settings.retract_speed_mm_s)
        self.summary = (
            f"rig {self._rig_settings.line}; protocol {settings.protocol}; recordings go to "
            f"{self._planner.data_folder}"
        )
        expected = expected_rig(settings, self._rig, self._limits)
        wait_s = self._settings.wait_for_streams_s
        self._observer = RigObserver(self, self._lock_step, expected, wait_s)
        self._definitions = read_definitions(["franka_msgs", "tacdiff_ros"])
        make_typestore(self._definitions)
        self._plan: RunPlan | None = None
        self._run: ActiveRun | None = None
        self._stopping = False
        self._image_bytes = DEFAULT_IMAGE_BYTES  # size of the last image; initially that of a Mini
        self._create_topics_and_timer()
        hardware, controller = settings.hardware_component, settings.controller
        self._recovery = Recovery(self, hardware, controller, self._why_not_recover, self._send)
        self._goal = SingleGoal(self, Acquire, "acquire", self._begin, self._cancel)
        self._checks = RigCheckService(
            self, self._observer, self._rig_settings, lambda: self._run is not None
        )
        # Objects that exist now are kept: later garbage collections skip them and remain short.
        gc.freeze()

    def _create_topics_and_timer(self) -> None:
        self._states = self.create_publisher(AcquisitionState, "acquisition_state", 10)
        self._targets = self.create_publisher(PoseStamped, "target_pose", LATEST_COMMAND)
        states, images = (self._lock_step.qos(qos) for qos in (SENSOR_STATES, SENSOR_IMAGES))
        self.create_subscription(FrankaRobotState, ROBOT_STATE, self._on_state, states, raw=True)
        self.create_subscription(Image, "image_raw", self._on_image, images, raw=True)
        # Steady clock: safety must not depend on a simulated clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._silent = {ROBOT_STATE, "image_raw"}  # topics of which nothing has arrived
        self._silence_timer = self.create_timer(STREAMS_LATE_S, self._warn_of_silence, clock=steady)
        if self._lock_step.is_on:
            self.create_timer(1.0, self._end_at_standstill, clock=steady)
        else:
            self.create_timer(TICK_S, self._tick, clock=steady)

    def request_stop(self, reason: str) -> None:
        """Stop, retract and close the recording before the process ends."""
        self._stopping = True
        self._stop(Cause.TERMINATED, f"the node received {reason}")

    def is_finished(self) -> bool:
        """Return whether no run is planned or active."""
        return self._run is None and self._plan is None

    def on_unexpected(self, task: str, error: BaseException) -> None:
        """Stop the run; the arm retracts during the next ticks."""
        if self._run is not None:
            detail = f"{task}: {type(error).__name__}: {error}"
            self._run.session.stop(Cause.UNEXPECTED_ERROR, detail)

    def _finish(self, run_: ActiveRun, outcome: Outcome) -> None:
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
        self._states.publish(idle_state(self._lock_step.now_ns(), self._base_frame))

    def _begin(self, request: Acquire.Goal) -> None:
        """Plan a run and check the rig; the run starts if the rig is ready.

        Raises:
            InputError: the request or its protocol is invalid, or the node is shutting down.
        """
        if self._stopping:
            raise InputError("the node is shutting down: restart it")
        if self._recovery.is_active:
            raise InputError("the service `recover` is active: wait for its response")
        plan = self._planner.plan(request, self._image_bytes)
        require_publishers(self, self._further)
        self._observer.check(
            lambda findings: self._goal.attempt(lambda: self._on_findings(plan, findings))
        )
        self._plan = plan
        self.get_logger().info("checking the rig before the run")

    def _on_findings(self, plan: RunPlan, findings: tuple[Finding, ...]) -> None:
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

    def _start(self, plan: RunPlan) -> None:
        """Start a planned run.

        Raises:
            InputError: a pose or a speed exceeds the limits, or the run cannot be recorded.
        """
        set_up = RunSetUp(
            node=self,
            lock_step=self._lock_step,
            rig=self._rig,
            rig_settings=self._rig_settings,
            limits=self._limits,
            settings=self._settings,
            base_frame=self._base_frame,
            further_topics=self._further,
            definitions=self._definitions,
        )
        self._run = ActiveRun(set_up, plan, self._planner.data_folder, self._publish_sample)

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
        self._stop(Cause.CANCELLED, "the client cancelled the goal")

    def _stop(self, cause: Cause, detail: str) -> None:
        """Stop the run, or end the goal before its run."""
        if self._run is not None:
            self._run.session.stop(cause, detail)
        elif self._plan is not None:
            self._plan.stop = Fault(cause, detail)

    def _why_not_recover(self) -> str:
        """Return why no recovery may begin now; empty if it may."""
        if self._stopping:
            return "the node is shutting down: restart it"
        is_free = self._run is None and self._plan is None
        return "" if is_free else "a run is active: cancel it or wait for its end"

    def _warn_of_silence(self) -> None:
        """Warn once of streams of which nothing has arrived; a goal would be refused."""
        self._silence_timer.cancel()
        for topic in sorted(self._silent):
            self.get_logger().warning(
                f"nothing on {self.resolve_topic_name(topic)} within {STREAMS_LATE_S:g} s: "
                + SILENT[topic]
            )

    def _on_state(self, data: bytes) -> None:
        self._silent.discard(ROBOT_STATE)
        self._observer.on_state(data)
        self._recovery.on_state(data)
        try:
            if self._run is not None:
                self._run.on_state(data)
        finally:
            if self._lock_step.is_on:
                self._lock_step.received("virtual_panda", ROBOT_STATE, stamp_ns_of(data))

    def _on_image(self, data: bytes) -> None:
        self._silent.discard("image_raw")
        self._image_bytes = len(data)
        self._observer.on_image(data)
        try:
            if self._run is not None:
                self._run.on_image(data)
        finally:
            if self._lock_step.is_on:
                for source in IMAGE_SOURCES:
                    self._lock_step.received(source, "image_raw", stamp_ns_of(data))

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
        if run_ is None or not run_.may_begin():
            return
        try:
            self._advance(run_)
        except Exception as error:
            self.report_unexpected("a tick of the run failed", error)
            run_.failed_ticks += 1
            if run_.failed_ticks > MAX_FAILED_TICKS:
                self._finish(run_, run_.session.abandoned())

    def _advance(self, run_: ActiveRun) -> None:
        """Execute one tick of a run: send the next target, or end the run."""
        target = run_.next_target()
        if target is not None:
            self._send(target)
        has_cause = run_.driver.explain(run_.session)
        if run_.session.outcome is not None and has_cause:
            self._finish(run_, run_.session.outcome)

    def _send(self, target: Pose) -> None:
        message = PoseStamped(pose=to_pose(target))
        now_ns = self._lock_step.now_ns()
        message.header.stamp = to_time(now_ns)
        message.header.frame_id = self._base_frame
        data = serialize_message(message)
        self._targets.publish(data)
        self._lock_step.published(now_ns)
        if self._run is not None:
            self._run.record("target_pose", data)

    def _publish_sample(self, sample: Sample, run_: ActiveRun) -> None:
        """Publish and record the state of a sample, and send it as feedback of the goal."""
        session = run_.session
        message = to_acquisition_state(sample, session, self._base_frame)
        data = serialize_message(message)
        self._states.publish(data)
        run_.record("acquisition_state", data)
        self._goal.feedback(Acquire.Feedback(state=message, progress=float(session.progress)))


def main() -> int:
    """Run the node."""
    return run(AcquisitionNode)


if __name__ == "__main__":
    raise SystemExit(main())
