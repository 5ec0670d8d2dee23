"""Sends or receives test images for the DDS check of `tacdiff doctor`; no node of the graph."""

from __future__ import annotations

import argparse
import array
import json
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

WIDTH, HEIGHT = 320, 240
PERIOD_S = 0.05
ENOUGH_IMAGES = 3
PROFILES = {
    "best_effort": QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT),
    "reliable": QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE),
}


def send(node: rclpy.node.Node, timeout_s: float) -> None:
    """Publish images repeatedly on both topics, until the time is up or the process is ended.

    Args:
        node: node that publishes.
        timeout_s: duration, s.
    """
    publishers = [node.create_publisher(Image, name, qos) for name, qos in PROFILES.items()]
    image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    image.data = array.array("B", bytes(HEIGHT * WIDTH * 3))
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        for publisher in publishers:
            publisher.publish(image)
        time.sleep(PERIOD_S)


def receive(node: rclpy.node.Node, timeout_s: float) -> dict[str, float]:
    """Count the complete images of both topics, until there are enough of each or the time is up.

    Args:
        node: node that subscribes.
        timeout_s: maximum duration, s.

    Returns:
        Number of images by topic, and the elapsed time, s, under "seconds".
    """
    counts = dict.fromkeys(PROFILES, 0)

    def count(name: str, image: Image) -> None:
        counts[name] += len(image.data) == HEIGHT * WIDTH * 3

    for name, qos in PROFILES.items():
        node.create_subscription(Image, name, lambda image, name=name: count(name, image), qos)
    start = time.monotonic()
    while min(counts.values()) < ENOUGH_IMAGES and time.monotonic() - start < timeout_s:
        rclpy.spin_once(node, timeout_sec=0.1)
    return {**counts, "seconds": round(time.monotonic() - start, 3)}


def main() -> int:
    """Send or receive for some seconds; the receiver prints its counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["send", "receive"])
    parser.add_argument("timeout_s", type=float)
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node(f"dds_probe_{options.job}")
    if options.job == "send":
        send(node, options.timeout_s)
    else:
        print(json.dumps(receive(node, options.timeout_s)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
