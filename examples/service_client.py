"""Predict a touch with the service `simulate_touch`: what would the sensor feel?

ros2 run tacdiff_ros tactile_simulator      # in another terminal
python examples/service_client.py [--indenter sphere:diameter=5]
"""

from __future__ import annotations

import argparse
import sys

import rclpy
from geometry_msgs.msg import Point
from rclpy.node import Node
from tacdiff_ros.srv import SimulateTouch

TIMEOUT_S = 60.0


def predict_touch(
    node: Node, indenter: str, x_m: float, y_m: float, depth_m: float
) -> SimulateTouch.Response:
    """Response of the simulator for an indenter; RuntimeError if nobody responds."""
    client = node.create_client(SimulateTouch, "simulate_touch")
    if not client.wait_for_service(TIMEOUT_S):
        raise RuntimeError("no service simulate_touch: start tactile_simulator")
    request = SimulateTouch.Request(indenter=indenter, depth=depth_m)
    request.position = Point(x=x_m, y=y_m)
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=TIMEOUT_S)
    if not future.done():
        raise RuntimeError("tactile_simulator did not respond in time")
    return future.result()


def main() -> int:
    """Print the predicted force."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indenter", default="cylinder:diameter=6,height=12")
    indenter = parser.parse_args().indenter
    rclpy.init()
    response = predict_touch(Node("grasp_planner"), indenter, x_m=0.002, y_m=0.0, depth_m=0.0008)
    print(response.message)
    if response.success:
        # The force acts on the gel, whose z axis points away from the camera.
        normal_n = -response.wrench.force.z
        print(f"normal force {normal_n:.2f} N, image {response.image.width} px wide")
    rclpy.shutdown()
    return 0 if response.success else 1


if __name__ == "__main__":
    sys.exit(main())
