"""Rate, latency and processor load of `touch_encoder` beside the driver, over real DDS."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import rclpy
from sensor_msgs.msg import Image
from tacdiff_ros.msg import TouchEmbedding

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.cli.virtual_graph import parameters
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.qos import SENSOR_IMAGES
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor

DEPTHS_MM = (0.0, 0.0, 0.3, 0.6, 0.9, 0.6, 0.3, 0.0)
START_S, QUICK_S, WHOLE_S = 300.0, 5.0, 120.0


def node_figures(quick: bool) -> dict[str, float]:
    """Play a press repeatedly at 25 Hz and return the node's figures.

    Args:
        quick: whether to measure a few seconds only.
    """
    environment = isolated_environment()
    os.environ.update(environment)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = folder / "frames"
        frames.mkdir()
        sensor = VirtualSensor(default_sensor(), "sphere:diameter=5", seed=5)
        for number, depth_mm in enumerate(DEPTHS_MM):
            image = sensor.sense(IndenterPose(depth_mm=depth_mm)).image
            cv2.imwrite(str(frames / f"{number}.png"), image[..., ::-1])
        arguments = {
            "gelsight_driver": parameters(source=frames),
            "touch_encoder": parameters(reference_image=frames / "0.png"),
        }
        processes = {
            node: psutil.Process(
                stack.enter_context(
                    running_node(node, extra, folder / f"{node}.log", environment)
                ).pid
            )
            for node, extra in arguments.items()
        }
        return _measured(processes, QUICK_S if quick else WHOLE_S)


def _measured(processes: dict[str, psutil.Process], seconds: float) -> dict[str, float]:
    rclpy.init()
    node = rclpy.create_node("touch_watch")
    latencies_s: list[float] = []
    images = [0]

    def on_embedding(message: Any) -> None:
        now_ns = node.get_clock().now().nanoseconds
        latencies_s.append(1e-9 * (now_ns - to_nanoseconds(message.header.stamp)))

    def on_image(_message: Any) -> None:
        images[0] += 1

    node.create_subscription(TouchEmbedding, "touch_embedding", on_embedding, SENSOR_IMAGES)
    node.create_subscription(Image, "image_raw", on_image, SENSOR_IMAGES)
    end_s = time.monotonic() + START_S
    while not latencies_s:
        rclpy.spin_once(node, timeout_sec=0.1)
        if time.monotonic() > end_s:
            raise SystemExit("touch_encoder publishes nothing")
    _spin(node, 2.0)
    latencies_s.clear()
    images[0] = 0
    for process in processes.values():
        process.cpu_percent()
    started_s = time.monotonic()
    _spin(node, seconds)
    passed_s = time.monotonic() - started_s
    loads = {name: process.cpu_percent() / 100.0 for name, process in processes.items()}
    node.destroy_node()
    rclpy.try_shutdown()
    return {
        "node_images_hz": round(images[0] / passed_s, 2),
        "node_hz": round(len(latencies_s) / passed_s, 2),
        "node_latency_ms_median": round(1e3 * float(np.median(latencies_s)), 1),
        "node_latency_ms_p99": round(1e3 * float(np.quantile(latencies_s, 0.99)), 1),
        **{f"{name}_cores": round(load, 2) for name, load in loads.items()},
    }


def _spin(node: Any, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.05)
