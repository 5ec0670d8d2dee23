"""Plays a touch repeatedly to the twin's nodes: images at the camera rate, states at 1 kHz."""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import rclpy
from franka_msgs.msg import FrankaRobotState
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from tacdiff_ros.msg import SimRealMetrics

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.cli.virtual_graph import parameters
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_trajectory
from tacdiff_ros.nodes.conversion.cdr_layout import find_layout
from tacdiff_ros.nodes.conversion.geometry import to_pose
from tacdiff_ros.nodes.topics import ROBOT_STATE
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor

MOUNT = Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0])  # as in config/tacdiff.yaml
INDENTER_IN_BASE = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
TRAJECTORY = Trajectory(depth_mm=1.0, translation_mm=1.5, step_mm=0.15, step_deg=1.5)
REFERENCE_FRAMES = 10  # frames of the undeformed gel before each touch
BEST_EFFORT = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
START_S, LINGER_S = 90.0, 3.0
SAMPLE_S = 5.0


@dataclass
class StreamStatistics:
    """Statistics of one stream.

    Attributes:
        sent: number of images sent.
        compared: number of comparisons received.
        seconds: duration of the stream, s.
        times_s: arrival time of each comparison, s.
        latencies_s: latency of each comparison from the image stamp, s.
        contact_psnr_db: PSNR in the contact of each comparison, dB.
        memory_mib: pairs of time (s) and resident memory of both nodes (MiB).
        cpu: processor load of each node, cores.
    """

    sent: int = 0
    compared: int = 0
    seconds: float = 0.0
    times_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    contact_psnr_db: list[float] = field(default_factory=list)
    memory_mib: list[tuple[float, float]] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Touch:
    """One touch: indenter poses and the images of the virtual sensor."""

    poses: list[IndenterPose]
    images: list[NDArray[np.uint8]]


def play(
    model: Path | None,
    indenter: str,
    seconds: float,
    rate_hz: float,
    threads: int,
    is_local: bool = False,
) -> StreamStatistics:
    """Start the nodes, stream for some seconds, and stop them.

    Args:
        model: folder of a network; None for the renderer.
        indenter: spec of the indenter.
        seconds: duration of the stream, s.
        rate_hz: images per second.
        threads: number of threads of network or renderer.
        is_local: whether the renderer computes local inter-reflection.
    """
    with streaming(model, indenter, rate_hz, threads, is_local) as (nodes, player):
        return player.run(nodes, seconds)


@contextmanager
def streaming(
    model: Path | None, indenter: str, rate_hz: float, threads: int, is_local: bool = False
) -> Iterator[tuple[dict[str, NodeProcess], Player]]:
    """Run both nodes of the twin, and a player to which they have responded once."""
    touch = simulated_touch(indenter)
    environment = isolated_environment()
    os.environ.update(environment)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "untouched.png"), touch.images[0][..., ::-1])
        arguments = {
            "tactile_simulator": parameters(
                indenter=f"'{indenter}'",
                threads=threads,
                local_interreflection=is_local,
                **(
                    {"simulator": "renderer"}
                    if model is None
                    else {"model": model.resolve(), "half_precision": True}
                ),
            ),
            "comparator": parameters(reference_image=folder / "untouched.png"),
        }
        nodes = {
            node: NodeProcess(node, extra, folder / f"{node}.log", environment)
            for node, extra in arguments.items()
        }
        for node in nodes.values():
            stack.callback(node.end)
        player = Player(touch, rate_hz)
        stack.callback(player.close)
        try:
            player.wait()
        except TimeoutError as error:
            logs = " ".join(path.read_text()[-300:] for path in folder.glob("*.log"))
            raise SystemExit(f"{error}: {logs}") from error
        yield nodes, player


class NodeProcess:
    """Node process that can be killed and restarted."""

    def __init__(self, name: str, extra: list[str], log: Path, environment: Any) -> None:
        self._start = lambda: running_node(name, extra, log, environment)
        self.start()

    def start(self) -> None:
        """Start the process."""
        self._context = self._start()
        self.process = self._context.__enter__()

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Stop the process."""
        self._context.__exit__(None, None, None)


def simulated_touch(indenter: str) -> Touch:
    """Simulate a press, four slides and two rotations with a virtual default sensor."""
    start = IndenterPose(0.4, -0.3, 0.0, 0.2)
    steps = [step.pose for step in plan_trajectory(TRAJECTORY, start)]
    poses = [IndenterPose(depth_mm=-1.0)] * REFERENCE_FRAMES + steps
    sensor = VirtualSensor(default_sensor(), indenter, seed=5)
    return Touch(poses, [sensor.sense(pose).image for pose in poses])


class Player:
    """Node that publishes both streams and receives the comparisons."""

    def __init__(self, touch: Touch, rate_hz: float) -> None:
        rclpy.init()
        self._node = rclpy.create_node("player")
        self._touch, self._period_ns = touch, round(1e9 / rate_hz)
        self._states = self._node.create_publisher(FrankaRobotState, ROBOT_STATE, BEST_EFFORT)
        self._images = self._node.create_publisher(Image, "image_raw", BEST_EFFORT)
        self.streamed = StreamStatistics()
        self.silent: set[str] = set()
        self.late_ns = 0
        self._node.create_subscription(SimRealMetrics, "comparison", self._on_metrics, 100)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        self._executor = executor
        threading.Thread(target=executor.spin, daemon=True).start()
        self._state_bytes = [bytearray(_state(pose)) for pose in touch.poses]
        layout = find_layout(FrankaRobotState, bytes(self._state_bytes[0]))
        self._stamp_at = layout.offsets["header.stamp.sec"]
        self._image_bytes = [bytearray(_image(image)) for image in touch.images]

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait(self) -> None:
        """Stream until a comparison is received."""
        self._play(START_S, lambda: bool(self.streamed.latencies_s))
        if not self.streamed.latencies_s:
            raise TimeoutError(f"no comparison within {START_S:g} s")
        time.sleep(LINGER_S)

    def run(self, nodes: dict[str, NodeProcess], seconds: float) -> StreamStatistics:
        """Stream for some seconds and return the statistics."""
        self.streamed = StreamStatistics()
        watched = {name: psutil.Process(node.process.pid) for name, node in nodes.items()}
        before = {name: sum(process.cpu_times()[:2]) for name, process in watched.items()}
        self.streamed.seconds = self._play(seconds, lambda: False, watched)
        for name, process in watched.items():
            used = sum(process.cpu_times()[:2]) - before[name]
            self.streamed.cpu[name] = used / self.streamed.seconds
        time.sleep(LINGER_S)
        self.streamed.compared = len(self.streamed.latencies_s)
        return self.streamed

    def run_beside(self, seconds: float) -> threading.Thread:
        """Stream in a thread, so that the caller can inject faults."""
        self.streamed = StreamStatistics()
        thread = threading.Thread(target=self._play, args=(seconds, lambda: False), daemon=True)
        thread.start()
        return thread

    def _play(self, seconds: float, until: Any, watched: dict[str, Any] | None = None) -> float:
        """Publish both streams in real time and return the duration, s."""
        laps = len(self._touch.poses)
        begin_ns = next_image_ns = now_ns = time.time_ns()
        next_sample_s, frame = 0.0, 0
        while (now_ns - begin_ns) * 1e-9 < seconds and not until():
            lap = frame % laps
            if now_ns >= next_image_ns:
                if "images" not in self.silent:
                    stamp_ns = next_image_ns - self.late_ns * (frame % 2)
                    self._send(self._images, self._image_bytes[lap], 4, stamp_ns)
                    self.streamed.sent += 1
                frame += 1
                next_image_ns += self._period_ns
            if "states" not in self.silent:
                self._send(self._states, self._state_bytes[lap], self._stamp_at, now_ns)
            elapsed_s = (now_ns - begin_ns) * 1e-9
            if watched is not None and elapsed_s >= next_sample_s:
                resident = sum(process.memory_info().rss for process in watched.values())
                self.streamed.memory_mib.append((elapsed_s, resident / 2**20))
                next_sample_s += SAMPLE_S
            time.sleep(0.001)
            now_ns = time.time_ns()
        return (now_ns - begin_ns) * 1e-9

    @staticmethod
    def _send(publisher: Any, data: bytearray, at: int, stamp_ns: int) -> None:
        struct.pack_into("<iI", data, at, *divmod(stamp_ns, 1_000_000_000))
        publisher.publish(bytes(data))

    def _on_metrics(self, message: SimRealMetrics) -> None:
        self.streamed.times_s.append(time.monotonic())
        self.streamed.latencies_s.append(message.latency)
        self.streamed.contact_psnr_db.append(message.contact.psnr_db)


def _state(pose: IndenterPose) -> bytes:
    """Return the serialised robot state in which the sensor is at an indenter pose."""
    indenter = Pose.from_euler([pose.x_mm, pose.y_mm, -pose.depth_mm], [0.0, 0.0, pose.yaw_rad])
    gel = INDENTER_IN_BASE @ indenter.inverse()
    message = FrankaRobotState()
    message.o_t_ee.pose = to_pose(gel @ MOUNT.inverse())
    message.robot_mode = 2
    return bytes(serialize_message(message))


def _image(image: NDArray[np.uint8]) -> bytes:
    from tacdiff_ros.nodes.conversion.images import to_image

    stamp = rclpy.time.Time().to_msg()
    return bytes(serialize_message(to_image(image, stamp, "gelsight_optical_frame")))
