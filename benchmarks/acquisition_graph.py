"""ROS graph of the acquisition benchmark, with a probe node in place of the camera.

The probe numbers its images, so that losses are counted independently of the code under test. It
subscribes to the targets and the true contact force and receives the result, like any other node.
"""

from __future__ import annotations

import array
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from tacdiff_ros.action import Acquire
from tacdiff_ros.srv import InjectFault

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.cli.processes import running_node
from tacdiff_ros.virtual.frames import GeneratedFrames

BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
IMAGE_PERIOD_S = 0.04
INJECT_ATTEMPTS, INJECT_TIMEOUT_S = 10, 5.0  # a restarted arm loses responses until discovery
DISCOVERY_S = 1.0  # for a new server to discover this client; its response is lost before that
POSE_TOPIC = "franka_robot_state_broadcaster/current_pose"


@dataclass
class Observed:
    """Data received by the probe since the last goal.

    Attributes:
        targets: times and positions [mm] of the commanded end effector.
        poses: times and positions [mm] of the measured end effector.
        forces: times and true contact forces [N].
        state: newest feedback.
    """

    targets: list[tuple[float, np.ndarray]] = field(default_factory=list)
    poses: list[tuple[float, np.ndarray]] = field(default_factory=list)
    forces: list[tuple[float, float]] = field(default_factory=list)
    state: Any = None


class Probe(Node):
    """Node that acts as camera, action client and observer."""

    def __init__(self) -> None:
        super().__init__("probe")
        self.observed = Observed()
        self.images_on = True
        self.image_size = (320, 240)
        self.stamp_offset_ns = 0
        self._pixels = GeneratedFrames().render(IndenterPose())
        self._number = itertools.count()
        self._publisher = self.create_publisher(Image, "image_raw", 10)
        self._client = ActionClient(self, Acquire, "acquire")
        self._faults = self.create_client(InjectFault, "virtual_panda/inject_fault")
        self.create_subscription(PoseStamped, "target_pose", self._on_target, 100)
        self.create_subscription(
            WrenchStamped, "ground_truth/contact_wrench", self._on_wrench, BEST_EFFORT
        )
        self.create_subscription(PoseStamped, POSE_TOPIC, self._on_pose, BEST_EFFORT)
        self.create_timer(IMAGE_PERIOD_S, self._publish_image)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._running = True
        self._thread.start()

    def close(self) -> None:
        """Stop spinning and destroy the node."""
        self._running = False
        self._thread.join()
        self.destroy_node()

    def start(self, goal: Acquire.Goal) -> Any:
        """Send a goal and return its handle."""
        if not self._client.wait_for_server(timeout_sec=20.0):
            raise RuntimeError("the acquisition node did not start; see its log")
        time.sleep(DISCOVERY_S)
        self.observed = Observed()
        return self.request(
            lambda: self._client.send_goal_async(goal, feedback_callback=self._on_feedback)
        )

    def request(self, send: Callable[[], Any]) -> Any:
        """Send a request and return its response.

        The request is sent by the spinning thread: that of another thread loses a response that
        arrives before rclpy has noted the request.
        """
        return wait(wait(self._executor.create_task(send)))

    def wait_for(self, condition: Any, timeout_s: float = 40.0) -> bool:
        """Wait until a condition on the newest feedback holds; return whether it did in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if self.observed.state is not None and condition(self.observed.state):
                return True
            time.sleep(0.005)
        return False

    def inject(self, fault: str, duration_s: float) -> None:
        """Inject a fault into the virtual arm for a duration."""
        self._faults.wait_for_service(timeout_sec=10.0)
        request = InjectFault.Request(fault=fault, duration=duration_s)
        for _ in range(INJECT_ATTEMPTS):
            call = wait(self._executor.create_task(lambda: self._faults.call_async(request)))
            with suppress(RuntimeError):
                response = wait(call, INJECT_TIMEOUT_S)
                break
        else:
            raise RuntimeError("the virtual arm does not respond; see its log")
        if not response.success:
            raise RuntimeError(response.message)

    def _spin(self) -> None:
        while self._running:
            self._executor.spin_once(timeout_sec=0.1)

    def _publish_image(self) -> None:
        number = next(self._number)
        if not self.images_on:
            return
        width, height = self.image_size
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        now_ns = self.get_clock().now().nanoseconds + self.stamp_offset_ns
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
        message.header.frame_id = f"{number:08d}"
        message.data = array.array("B", self._pixels[:height, :width].tobytes())
        self._publisher.publish(message)

    def _on_target(self, message: PoseStamped) -> None:
        position = message.pose.position
        position_mm = 1e3 * np.array([position.x, position.y, position.z])
        self.observed.targets.append((time.monotonic(), position_mm))

    def _on_pose(self, message: PoseStamped) -> None:
        position = message.pose.position
        position_mm = 1e3 * np.array([position.x, position.y, position.z])
        self.observed.poses.append((time.monotonic(), position_mm))

    def _on_wrench(self, message: WrenchStamped) -> None:
        force = message.wrench.force
        size_n = float(np.linalg.norm([force.x, force.y, force.z]))
        self.observed.forces.append((time.monotonic(), size_n))

    def _on_feedback(self, message: Any) -> None:
        self.observed.state = message.feedback.state


class Graph:
    """Virtual arm, acquisition node and probe on an isolated domain."""

    def __init__(self, folder: Path, environment: dict[str, str], settings: list[str]) -> None:
        self._folder = folder
        self._environment = environment
        self._settings = settings
        self._stack = ExitStack()
        self.arm: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Graph:
        """Start all nodes."""
        self.restart_arm()
        self.start_acquisition()
        rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.probe = Probe()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all nodes."""
        self.probe.close()
        rclpy.try_shutdown()
        self._stack.close()

    def restart_arm(self) -> None:
        """Start the virtual arm at its first pose, whatever it did before."""
        if self.arm is not None:
            self.arm.kill()
            self.arm.wait()
        self.arm = self._node("virtual_panda", [])

    def start_acquisition(self) -> None:
        """Start the node under test, or restart it after it has ended."""
        self.acquisition = self._node("acquisition", self._settings)

    def cpu_s(self) -> float:
        """Return the processor time of the acquisition process so far, s."""
        text = Path(f"/proc/{self.acquisition.pid}/stat").read_text()
        user, system = text.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / 100.0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the acquisition process."""
        self.acquisition.send_signal(number)

    def _node(self, name: str, extra: list[str]) -> subprocess.Popen[bytes]:
        log = self._folder / f"{name}.log"
        return self._stack.enter_context(running_node(name, extra, log, self._environment))


def wait(future: Any, timeout_s: float = 200.0) -> Any:
    """Wait for a future that another thread completes, and return its result."""
    end_s = time.monotonic() + timeout_s
    while not future.done():
        if time.monotonic() > end_s:
            raise RuntimeError(f"no response within {timeout_s:g} s")
        time.sleep(0.005)
    return future.result()
