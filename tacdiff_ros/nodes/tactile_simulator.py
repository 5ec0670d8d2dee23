"""The twin as a node: robot states, NOCS maps, surfaces or requests in, `simulated/*` out.

The gel and the renderer have one thread each, which process only the newest frames. Requests are
computed in a third thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from franka_msgs.msg import FrankaRobotState
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2
from shape_msgs.msg import Mesh

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pose_path import PosePath
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.nodes.conversion.geometry import to_indenter
from tacdiff_ros.nodes.conversion.images import from_map, stamp_ns_of, to_image
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.conversion.surface import METRES_PER_MM, from_mesh, to_points
from tacdiff_ros.nodes.conversion.touch import fill_response, from_request
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import TactileSimulatorSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import (
    LATEST_COMMAND,
    RELIABLE_IMAGES,
    SENSOR_IMAGES,
    SENSOR_STATES,
)
from tacdiff_ros.nodes.rig_parameters import declare_rig
from tacdiff_ros.nodes.sensor_parameter import describe_sensor, sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import IMAGE_SOURCES, ROBOT_STATE
from tacdiff_ros.nodes.worker import Progress, Worker
from tacdiff_ros.preparation import Preparation
from tacdiff_ros.resources import shipped_model
from tacdiff_ros.sensor.surface_points import surface_of_points
from tacdiff_ros.srv import SimulateTouch
from tacdiff_ros.translation.translator import Precision
from tacdiff_ros.twin.cpu_budget import CpuBudget
from tacdiff_ros.twin.frame_pacing import DueFrame, FramePacing
from tacdiff_ros.twin.live_twin import LiveTwin
from tacdiff_ros.twin.network_renderer import NetworkRenderer, RenderedSurface
from tacdiff_ros.twin.newest_worker import NewestWorker
from tacdiff_ros.twin.shared_renderer import SharedRenderer
from tacdiff_ros.twin.touch_simulation import simulate_touch
from tacdiff_ros.warm_up import touch_stages, twin_stages

TICK_S = 0.02
MAX_WAITING = 3  # frames that may wait for the gel, and for the renderer
# In lock step no frame may be dropped; the clock waits long before so many frames are pending.
MAX_IN_LOCK_STEP = 5000
REHEARSAL_TOUCH = TouchRequest("sphere:diameter=5", IndenterPose(depth_mm=0.0), 0.2)
# Resolution that two cores can simulate at the rate of a camera.
LIVE_SIZES: dict[str, Any] = {"grid": (41, 51), "surface_mm": 0.3}
# Python's thread switch interval: states at 1 kHz must not wait for the computing threads.
SWITCH_INTERVAL_S = 5e-4
STATE_PERIOD_NS = 4_000_000  # period of the states used; the arm moves 20 micrometres meanwhile
PATH_PERIOD_NS = 20_000_000  # period of the way-points between frames
OUTPUTS = ("image_raw", "nocs", "depth")
NOT_FOLLOWED = "does not follow the robot, because the parameter indenter is empty"
STATES_LATE_S = 10.0  # time without robot states after which a warning comes
BUSY = "another touch is being simulated: wait for its end"


class _RunningTouch(NamedTuple):
    """A requested touch that is being simulated.

    Attributes:
        worker: computation of the touch.
        request: request of the service.
        ticket: ticket for the deferred response.
    """

    worker: Worker
    request: Any
    ticket: Ticket


class TactileSimulatorNode(GuardedNode):
    """Simulates tactile images of robot motions, NOCS maps, surfaces and requested touches."""

    def __init__(self) -> None:
        """Read the parameters, load the network and the gel, and start the preparation."""
        super().__init__("tactile_simulator")
        settings = declare_model(self, "", TactileSimulatorSettings)
        self._data = Path(settings.data_folder).expanduser()
        self._frame, self._gel_frame = settings.frame_id, settings.gel_frame_id
        images = {name: ["image_raw"] for name in IMAGE_SOURCES}
        sources = {"virtual_panda": [ROBOT_STATE], **images}
        self._lock_step = LockStep(self, sources if settings.indenter else {}, may_lag=True)
        self._rig = declare_rig(self).rig
        self._material = declare_model(self, "material", GelMaterial)
        refuse_unknown(self)
        self._model = sensor_from(settings.sensor_file)
        self._renderer = self._create_renderer(settings)
        # In lock step the clock waits, so that nothing has to be left out.
        self._budget = CpuBudget(0.0 if self._lock_step.is_on else settings.max_cores)
        follows = NOT_FOLLOWED
        if settings.indenter:
            rate = f"at the stamps of image_raw, else at {settings.rate_hz:g} Hz"
            follows = f"follows the robot on {settings.indenter} {rate}"
        described = describe_sensor(self._model, settings.sensor_file)
        self.summary = f"{described}; images by {settings.simulator}; {follows}"
        self._touch: _RunningTouch | None = None
        self._stopping = False
        max_waiting = MAX_IN_LOCK_STEP if self._lock_step.is_on else MAX_WAITING
        self._frames: NewestWorker[Callable[[], None]] = NewestWorker(
            lambda render: render(), self._drop_frame, max_waiting
        )
        self._render_worker: NewestWorker[Callable[[], None]] = NewestWorker(
            lambda render: render(), self._drop_frame, max_waiting
        )
        self._create_topics()
        self._service = DeferredService(self, SimulateTouch, "simulate_touch", self._on_request)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        stages = touch_stages(self._rehearse)
        if settings.indenter:
            self._follow_robot(settings.indenter, 1.0 / settings.rate_hz)
            stages = [*twin_stages(self._twin), *stages]
        self.preparation = Preparation("simulation", stages)

    def _create_renderer(self, settings: TactileSimulatorSettings) -> SharedRenderer:
        network = None
        if settings.simulator == "pix2pix":
            folder = Path(settings.model).expanduser() if settings.model else shipped_model()
            precision: Precision = "fast" if settings.half_precision else "exact"
            try:
                network = NetworkRenderer(self._model, folder, settings.threads or None, precision)
            except InputError as error:
                advice = "the parameter simulator:=renderer draws any sensor"
                raise InputError(f"{error}; {advice}") from error
        threads = settings.threads or os.cpu_count()
        is_differentiable = settings.simulator == "differentiable"
        return SharedRenderer(
            self._model, network, threads, is_differentiable, settings.local_interreflection
        )

    def _create_topics(self) -> None:
        self._images = {
            name: self.create_publisher(Image, f"simulated/{name}", RELIABLE_IMAGES)
            for name in OUTPUTS
        }
        self._points = self.create_publisher(PointCloud2, "simulated/gel_points", RELIABLE_IMAGES)
        self.create_subscription(Image, "nocs", self._on_nocs, LATEST_COMMAND)
        self.create_subscription(PointCloud2, "gel_points", self._on_points, LATEST_COMMAND)
        self.create_subscription(Mesh, "gel_mesh", self._on_mesh, LATEST_COMMAND)

    def request_stop(self, _reason: str) -> None:
        """Stop all computations before the process ends."""
        self._stopping = True
        self._frames.close(0.0)
        self._render_worker.close(0.0)
        if self._touch is not None:
            self._touch.worker.cancel()

    def is_finished(self) -> bool:
        """Return whether no computation is running."""
        closed = self._frames.close(0.0) and self._render_worker.close(0.0)
        return self._touch is None and closed

    def _follow_robot(self, indenter: str, period_s: float) -> None:
        """Subscribe to the robot's states, to simulate the sensor as the robot moves it.

        Args:
            indenter: spec of the indenter.
            period_s: frame period without a camera, s.
        """
        # In lock step the clock waits for the simulation, which therefore has full resolution.
        sizes = {} if self._lock_step.is_on else LIVE_SIZES
        self._twin = LiveTwin(self._model, indenter, self._renderer, self._material, **sizes)
        self._decoder = RobotStateDecoder()
        self._path, self._path_ns, self._state_ns = PosePath(), 0, 0
        self._pacing = FramePacing(round(1e9 * period_s))
        self._late_timer = self.create_timer(
            STATES_LATE_S, self._warn_of_silence, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        states, images = (self._lock_step.qos(qos) for qos in (SENSOR_STATES, SENSOR_IMAGES))
        self.create_subscription(FrankaRobotState, ROBOT_STATE, self._on_state, states, raw=True)
        self.create_subscription(Image, "image_raw", self._on_camera, images, raw=True)

    def _warn_of_silence(self) -> None:
        """Warn once if no robot state has arrived."""
        self._late_timer.cancel()
        if not self._state_ns:
            topic = self.resolve_topic_name(ROBOT_STATE)
            self.get_logger().warning(
                f"no robot state on {topic} within {STATES_LATE_S:g} s, so nothing is rendered: is "
                "the arm's state broadcaster active, and the namespace right?"
            )

    def _rehearse(self) -> None:
        """Simulate a touch with both renderers that requests can select, to compile the kernels."""
        for use_renderer in (False, True):
            renderer = self._renderer.for_requests(use_renderer)
            simulate_touch(self._model, REHEARSAL_TOUCH, renderer, self._material)

    def _on_state(self, data: bytes) -> None:
        """Use a robot state, unless it follows the last used one within `STATE_PERIOD_NS`."""
        stamp_ns = stamp_ns_of(data)
        try:
            if not 0 <= stamp_ns - self._state_ns < STATE_PERIOD_NS:
                self._state_ns = stamp_ns
                self._add_state(self._decoder.decode(data))
        finally:
            self._lock_step.received("virtual_panda", ROBOT_STATE, stamp_ns)

    def _add_state(self, state: RobotState) -> None:
        if not state.is_usable:
            raise InputError("robot state with a zero quaternion or a number that is not finite")
        if state.stamp_ns >= self._path_ns or state.stamp_ns < self._path_ns - PATH_PERIOD_NS:
            self._path_ns = state.stamp_ns + PATH_PERIOD_NS
            effector = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
            self._path.add(state.stamp_ns, self._indenter_at(effector))
        self._offer_frames(self._pacing.add_state(state))

    def _on_camera(self, data: bytes) -> None:
        stamp_ns = stamp_ns_of(data)
        try:
            self._offer_frames(self._pacing.add_image(stamp_ns))
        finally:
            for source in IMAGE_SOURCES:
                self._lock_step.received(source, "image_raw", stamp_ns)

    def _offer_frames(self, frames: list[DueFrame]) -> None:
        if not frames or not self.preparation.is_ready or not self._budget.allows():
            return
        for frame in frames:
            self._lock_step.begin(frame.stamp_ns)
            self._frames.offer(partial(self._move, frame))

    def _move(self, due: DueFrame) -> None:
        """Simulate the gel for a frame; the previous frame is rendered meanwhile."""
        try:
            pose = self._indenter_at(due.end_effector)
            result = self._twin.move(pose, self._path.take(due.stamp_ns, pose))
            self._render_worker.offer(partial(self._render, result, due.stamp_ns))
        except BaseException:
            self._lock_step.end(due.stamp_ns)
            raise

    def _render(self, result: LiveResult, stamp_ns: int) -> None:
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        try:
            if self._points.get_subscription_count() and not self._stopping:
                self._points.publish(to_points(result.surface, stamp, self._gel_frame))
            self._publish(self._twin.render(result, self._wants_maps()), stamp)
            self._lock_step.published(stamp_ns)
        finally:
            self._lock_step.end(stamp_ns)

    def _indenter_at(self, end_effector: Pose) -> IndenterPose:
        """Return the indenter pose in the frame `gel`.

        An indenter that does not touch gets a fixed pose, because it need not be above the pad.
        """
        gel = end_effector @ self._rig.end_effector_to_gel
        pose = to_indenter(gel.inverse() @ self._rig.base_to_indenter)
        return pose if pose.depth_mm > 0 else IndenterPose(depth_mm=-1.0)

    def _on_nocs(self, message: Image) -> None:
        def render() -> None:
            image = self._renderer.render_nocs(from_map(message, 3))
            self._send("image_raw", image, message.header.stamp)

        self._render_worker.offer(render)

    def _on_points(self, message: PointCloud2) -> None:
        """Render a stamped surface, such as `mesh_inversion` publishes."""

        def render() -> None:
            surface = surface_of_points(message, self._model.gel)
            self._publish(self._renderer.render_surface(surface), message.header.stamp)

        self._render_worker.offer(render)

    def _on_mesh(self, message: Mesh) -> None:
        """Render a mesh; it has no stamp, so that its images get the time of its arrival."""
        stamp = self.get_clock().now().to_msg()

        def render() -> None:
            surface = from_mesh(message, self._model.gel)
            self._publish(self._renderer.render_surface(surface), stamp)

        self._render_worker.offer(render)

    def _publish(self, rendered: RenderedSurface, stamp: Any) -> None:
        """Publish the image, and those maps that have subscribers, because maps are large."""
        self._send("image_raw", rendered.image, stamp)
        if rendered.maps is None:
            return
        if self._images["nocs"].get_subscription_count():
            self._send("nocs", rendered.maps.nocs, stamp)
        if self._images["depth"].get_subscription_count():
            self._send("depth", (METRES_PER_MM * rendered.maps.depth_mm).astype(np.float32), stamp)

    def _wants_maps(self) -> bool:
        return any(self._images[name].get_subscription_count() for name in ("nocs", "depth"))

    def _send(self, name: str, image: NDArray[Any], stamp: Any) -> None:
        if not self._stopping:
            self._images[name].publish(to_image(image, stamp, self._frame))

    def _drop_frame(self, cause: str) -> None:
        self.drop("renderer", cause)

    def _on_request(self, request: Any, ticket: Ticket) -> Any:
        """Start the simulation of a touch and return None; or return a refusal.

        Raises:
            InputError: the node is not ready, or the request is invalid.
        """
        self.preparation.require_ready()
        if self._touch is not None or self._stopping:
            return SimulateTouch.Response(message=BUSY)
        touch = from_request(request, self._data)
        renderer = self._renderer.for_requests(request.use_renderer)

        def work(progress: Progress) -> Any:
            def report(fraction: float) -> None:
                progress("touching", fraction)

            return simulate_touch(self._model, touch, renderer, self._material, report)

        self._touch = _RunningTouch(Worker(work, "the touch"), request, ticket)
        return None

    def _tick(self) -> None:
        if self._touch is None or not self._touch.worker.is_done:
            return
        (worker, request, ticket), self._touch = self._touch, None
        response = SimulateTouch.Response()
        with self.refuse_on_error(response):
            if worker.result is None:
                raise InputError(worker.failure)
            fill_response(
                response,
                worker.result,
                with_maps=request.with_maps,
                stamp=self.get_clock().now().to_msg(),
                frame_id=self._frame,
                gel_frame_id=self._gel_frame,
            )
        self._service.respond(ticket, response)


def main() -> int:
    """Run the node."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return run(TactileSimulatorNode)


if __name__ == "__main__":
    raise SystemExit(main())
