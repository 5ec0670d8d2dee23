"""Call the service `check_rig` of the node `acquisition` and print its response as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time

import rclpy
from rclpy.node import Node
from std_srvs.srv import Trigger

# A client discovers a service before the service discovers the client; a response sent in between
# is lost.
SETTLE_S = 0.3


def call(node: Node, server_timeout_s: float, response_timeout_s: float) -> dict[str, object]:
    """Call the service.

    Args:
        node: node in the namespace of the service.
        server_timeout_s: maximum time to wait for the service, s.
        response_timeout_s: maximum time to wait for its response, s.

    Returns:
        `success` and `message` of the response, and `error`: why there is none, else empty.
    """
    client, name = node.create_client(Trigger, "check_rig"), node.resolve_service_name("check_rig")
    if not client.wait_for_service(timeout_sec=server_timeout_s):
        return _failure(f"no node offers {name}")
    end_s = time.monotonic() + SETTLE_S
    while time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.05)
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=response_timeout_s)
    response = future.result() if future.done() else None
    if response is None:
        return _failure(f"{name} did not respond within {response_timeout_s:g} s")
    return {"success": response.success, "message": response.message, "error": ""}


def _failure(line: str) -> dict[str, object]:
    return {"success": False, "message": "", "error": line}


def main() -> int:
    """Run the command line program; the exit code is 0 if the rig is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--server-timeout", type=float, default=8.0, help="maximum time to wait for the service, s"
    )
    parser.add_argument(
        "--response-timeout",
        type=float,
        default=15.0,
        help="maximum time to wait for its response, s",
    )
    options, ros_arguments = parser.parse_known_args()
    rclpy.init(args=[sys.argv[0], *ros_arguments])
    node = Node("check_rig_client")
    result = call(node, options.server_timeout, options.response_timeout)
    print(json.dumps(result))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0 if result["success"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
