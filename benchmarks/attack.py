"""Attacks every node over DDS and reports which nodes survive.

    messages   undecodable bytes and absurd fields on every topic that a node subscribes to
    requests   absurd requests of every service, then 200 at once
    goals      storms of goals and cancel requests during the goal of another client
    arm        the same messages while the virtual arm is in contact; then `acquisition` is killed

Each node runs as a separate process on real DDS. A node fails if it ends, does not respond within
`RESPONSE_TIMEOUT_S`, or grows by more than `MAX_GROWTH_MB`. The exit code is 1 if a node fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hostile_messages import hostile_bytes, hostile_messages
from tables import print_rows

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.resources import config_path

NODES = {
    "virtual_panda": [],
    "gelsight_driver": ["-p", "source:=generated"],
    "acquisition": [],
    "arm_watchdog": [],
    "marker_tracker": [],
    "comparator": [],
    "tactile_simulator": ["-p", "indenter:=sphere:diameter=5"],
    "calibration": [],
    "mesh_inversion": [],
    "virtual_gelsight": ["-r", "image_raw:=/world/image_raw"],
    "virtual_clock": ["-p", "participants:=['nobody']"],
    "object_pose_refiner": [],
    "touch_encoder": [],
    "virtual_grasp": [],
}
ARM = ("virtual_panda", "gelsight_driver", "acquisition", "arm_watchdog")
GRAPHS = {  # the arm runs separately, so that it gets enough processor time
    ("arm",): ARM,
    ("goals",): (*ARM, "calibration", "mesh_inversion"),
    ("messages", "requests"): tuple(NODES),
}
OWN_TYPES = ("tacdiff_ros", "std_srvs")
RESPONSE_TIMEOUT_S = 20.0
READY_S = 900.0
BURST = 200
STORM = 40
MAX_GROWTH_MB = 500.0
SETTLE_S = 0.02  # between two messages
PRESS = {  # a slow press, which leaves time for the attacks
    "trials": 1,
    "start": {"offset_x_mm": 0.5, "offset_y_mm": 0.5, "yaw_deg": 2.0, "standoff_mm": 2.0},
    "approach": {"speed_mm_s": 6.0},
    "depth_mm": 0.8,
    "directions": [],
    "rotation_deg": 0.0,
    "speed_mm_s": 6.0,
    "travel_speed_mm_s": 40.0,
    "settle_s": 0.1,
    "dwell_s": 2.0,
}
ARM_STREAMS = {"image_raw": "Image", "robot_state": "FrankaRobotState"}


@dataclass
class Account:
    """Statistics of the attacks on one node."""

    messages: int = 0
    requests: int = 0
    answered: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    start_mb: float = 0.0
    end_mb: float = 0.0


class Attack:
    """Running nodes, a client node, and one account per node."""

    def __init__(self, folder: Path, stack: ExitStack, names: Sequence[str]) -> None:
        """Start the nodes and wait until they are ready."""
        import rclpy

        self.folder, self.names = folder, names
        self.environment = isolated_environment()
        os.environ.update(self.environment)
        self.processes = {
            name: stack.enter_context(
                running_node(name, _arguments(name, folder), folder / f"{name}.log", os.environ)
            )
            for name in names
        }
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        self.node = rclpy.create_node("attacker")
        self.executor = rclpy.executors.SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.accounts = {name: Account() for name in names}
        self._wait_until_ready()
        for name, account in self.accounts.items():
            account.start_mb = self.resident_mb(name)

    def _wait_until_ready(self) -> None:
        """Wait in a separate process, because it spins a node in rclpy's global executor."""
        waiter = [sys.executable, "-m", "tacdiff_ros.nodes.wait_until_ready", *self.names]
        done = subprocess.run(
            [*waiter, "--timeout", str(READY_S)], env=os.environ, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr.splitlines()[-1])

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Process messages for some seconds, or until a condition holds."""
        end_s = time.monotonic() + seconds
        while not until() and time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.01)

    def resident_mb(self, name: str) -> float:
        """Return the resident memory of a node's process, MB; 0 if it has ended."""
        try:
            status = Path(f"/proc/{self.processes[name].pid}/status").read_text(encoding="utf-8")
        except OSError:
            return 0.0
        line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "x 0")
        return int(line.split()[1]) / 1024

    def check(self, name: str, after: str) -> bool:
        """Return whether a node responds; if not, record a failure after the named attack."""
        from rcl_interfaces.srv import GetParameters

        account = self.accounts[name]
        if self.processes[name].poll() is not None:
            if not any("ended" in failure for failure in account.failures):
                account.failures.append(f"ended after {after}")
            return False
        client = self.node.create_client(GetParameters, f"/{name}/get_parameters")
        client.wait_for_service(RESPONSE_TIMEOUT_S)
        future = client.call_async(GetParameters.Request(names=["use_sim_time"]))
        self.spin(RESPONSE_TIMEOUT_S, future.done)
        self.node.destroy_client(client)
        if not future.done():
            account.failures.append(f"no response after {after}")
        return future.done()


def _arguments(name: str, folder: Path) -> list[str]:
    arguments = list(NODES[name])
    if name in ("acquisition", "calibration", "tactile_simulator"):
        arguments += ["-p", f"data_folder:={folder}/data"]
    if name == "arm_watchdog":
        arguments += ["--params-file", str(_watchdog_file(folder))]
    if name == "acquisition":
        arguments += ["-p", f"protocol_folder:={folder}", "-p", "protocol:=press.yaml"]
    return arguments


def _watchdog_file(folder: Path) -> Path:
    """Write limits and rig of `acquisition` as bringup.launch.py passes them to the watchdog."""
    shipped = yaml.safe_load(config_path("tacdiff.yaml").read_text(encoding="utf-8"))
    given = shipped["/**"]["acquisition"]["ros__parameters"]
    limits = {**given["limits"], "state_age_s": 2.0}
    file = folder / "arm_watchdog.yaml"
    rig = shipped["/**/*"]["ros__parameters"]["rig"]
    content = {"/**": {"ros__parameters": {"rig": rig, "limits": limits}}}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def _class_of(type_name: str) -> Any:
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def _compatible_qos() -> Any:
    """Return a quality of service that is compatible with every subscription."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        depth=50,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def attack_topics(attack: Attack) -> None:
    """Publish every kind of hostile message on every subscribed topic of each node."""
    for name in attack.names:
        topics = attack.node.get_subscriber_names_and_types_by_node(name, "/")
        for topic, (type_name, *_) in sorted(topics):
            if topic.startswith("/world"):
                continue
            publisher = attack.node.create_publisher(_class_of(type_name), topic, _compatible_qos())
            attack.spin(1.0, publisher.get_subscription_count)
            for _, data in hostile_bytes(_class_of(type_name)):
                publisher.publish(data)
                attack.accounts[name].messages += 1
                attack.spin(SETTLE_S)
            attack.check(name, f"messages on {topic}")
            attack.node.destroy_publisher(publisher)
        print(f"  {name}: {attack.accounts[name].messages} messages", flush=True)


def attack_services(attack: Attack) -> None:
    """Send every kind of hostile request to each node's own services, then many at once."""
    for name in attack.names:
        services = attack.node.get_service_names_and_types_by_node(name, "/")
        for service, (type_name, *_) in sorted(services):
            if type_name.split("/")[0] not in OWN_TYPES or "/_action/" in service:
                continue
            kind = _class_of(type_name)
            requests = [request for _, request in hostile_messages(kind.Request)]
            _send_requests(attack, name, service, kind, requests, one_by_one=True)
            request = kind.Request()
            if hasattr(request, "with_maps"):
                request.indenter = (
                    "none"  # this request is computed; the other ones are refused as busy
                )
            _send_requests(attack, name, service, kind, [request] * BURST, one_by_one=False)
            attack.check(name, f"requests of {service}")
        print(f"  {name}: {attack.accounts[name].requests} requests", flush=True)


def _send_requests(
    attack: Attack, name: str, service: str, kind: Any, requests: list[Any], one_by_one: bool
) -> None:
    from tacdiff_ros.nodes.qos import REQUESTS

    account = attack.accounts[name]
    client = attack.node.create_client(kind, service, qos_profile=REQUESTS)
    client.wait_for_service(RESPONSE_TIMEOUT_S)
    futures = []
    for request in requests:
        futures.append(client.call_async(request))
        if one_by_one:
            attack.spin(RESPONSE_TIMEOUT_S, futures[-1].done)
        else:
            attack.spin(0.0)
    attack.spin(RESPONSE_TIMEOUT_S, lambda: all(future.done() for future in futures))
    responses = [future.result() for future in futures if future.done()]
    account.requests += len(futures)
    account.answered += len(responses)
    account.refused += sum(not getattr(response, "success", True) for response in responses)
    if len(responses) < len(futures):
        lost = len(futures) - len(responses)
        account.failures.append(f"{lost} of {len(futures)} requests of {service} unanswered")
    attack.node.destroy_client(client)


def attack_goals(attack: Attack) -> None:
    """Send a storm of goals during a run, which must succeed, then to other action servers."""
    from tacdiff_ros.action import Acquire, Calibrate, InvertMesh

    mine = _Goals(attack, Acquire, "acquire")
    running = mine.send(Acquire.Goal(protocol="press.yaml", output="beside_a_storm"))
    _storm(attack, Acquire, "acquire", "acquisition")
    result = mine.result(running, 60.0)
    if result is None or not result.success:
        why = "no result" if result is None else result.message
        attack.accounts["acquisition"].failures.append(f"the run beside the storm: {why}")
    else:
        print(f"  the run beside the storm: {result.message}", flush=True)
    _storm(attack, Calibrate, "calibrate", "calibration")
    _storm(attack, InvertMesh, "invert_mesh", "mesh_inversion")


def _storm(attack: Attack, kind: Any, action: str, node: str) -> None:
    """Send many goals and cancel each one, accepted or refused."""
    goals = _Goals(attack, kind, action)
    handles = [goals.send(kind.Goal()) for _ in range(STORM)]
    cancels = [handle.cancel_goal_async() for handle in handles if handle is not None]
    attack.spin(RESPONSE_TIMEOUT_S, lambda: all(cancel.done() for cancel in cancels))
    account = attack.accounts[node]
    account.requests += 2 * STORM
    account.answered += len(cancels) + sum(cancel.done() for cancel in cancels)
    if not all(cancel.done() for cancel in cancels) or len(cancels) < STORM:
        account.failures.append(f"goals or cancel requests of {action} unanswered")
    attack.check(node, f"a storm of goals of {action}")


class _Goals:
    """Goals of one client of an action."""

    def __init__(self, attack: Attack, kind: Any, name: str) -> None:
        from rclpy.action import ActionClient

        from tacdiff_ros.nodes.qos import REQUESTS

        self._attack = attack
        self._client = ActionClient(
            attack.node,
            kind,
            name,
            goal_service_qos_profile=REQUESTS,
            cancel_service_qos_profile=REQUESTS,
        )
        self._client.wait_for_server(RESPONSE_TIMEOUT_S)

    def send(self, goal: Any) -> Any:
        """Send a goal and return its handle, or None without a response."""
        future = self._client.send_goal_async(goal)
        self._attack.spin(RESPONSE_TIMEOUT_S, future.done)
        return future.result() if future.done() else None

    def result(self, handle: Any, seconds: float) -> Any:
        """Return the result of a goal, or None if it does not arrive in time."""
        future = handle.get_result_async()
        self._attack.spin(seconds, future.done)
        return future.result().result if future.done() else None


def attack_arm(attack: Attack) -> Counter[str]:
    """Publish each hostile message on the arm's streams in contact: it must stop and retract.

    Returns:
        Number of runs by reported cause.
    """
    import sensor_msgs.msg
    from franka_msgs.msg import FrankaRobotState
    from geometry_msgs.msg import PoseStamped
    from tacdiff_ros.action import Acquire

    from tacdiff_ros.nodes.topics import ROBOT_STATE

    account, causes = attack.accounts["acquisition"], Counter()
    latest: dict[str, float] = {}

    def on_indenter(message: PoseStamped) -> None:
        latest["gap_mm"] = 1e3 * message.pose.position.z

    attack.node.create_subscription(PoseStamped, "/ground_truth/indenter", on_indenter, 1)
    goals = _Goals(attack, Acquire, "acquire")
    streams = (("/image_raw", sensor_msgs.msg.Image), (f"/{ROBOT_STATE}", FrankaRobotState))
    for topic, kind in streams:
        publisher = attack.node.create_publisher(kind, topic, 10)
        for number, (name, data) in enumerate(_arm_bytes(kind)):
            output = f"arm_{kind.__name__}_{number}"
            handle = goals.send(Acquire.Goal(protocol="press.yaml", output=output))
            attack.spin(30.0, lambda: latest.get("gap_mm", 1.0) < -0.3)
            publisher.publish(data)
            account.messages += 1
            result = goals.result(handle, 40.0)
            attack.spin(0.3)
            if result is None:
                account.failures.append(f"no result after {name} on {topic} in contact")
            elif latest["gap_mm"] < 0.5:
                account.failures.append(
                    f"the arm is {latest['gap_mm']:.2f} mm off after {name} on {topic}: "
                    f"{result.message}"
                )
            else:
                causes[result.cause or "none: the run succeeded"] += 1
        attack.check("acquisition", f"messages on {topic} in contact")
        attack.node.destroy_publisher(publisher)
    causes[_kill_in_contact(attack, goals, latest)] += 1
    return causes


def _kill_in_contact(attack: Attack, goals: _Goals, latest: dict[str, float]) -> str:
    """Kill `acquisition` in contact; return how long the arm needs to retract."""
    from tacdiff_ros.action import Acquire

    account = attack.accounts.pop("acquisition")
    attack.names = [name for name in attack.names if name != "acquisition"]
    attack.accounts["acquisition, then killed"] = account
    goals.send(Acquire.Goal(protocol="press.yaml", output="killed"))
    attack.spin(30.0, lambda: latest.get("gap_mm", 1.0) < -0.3)
    process = attack.processes["acquisition, then killed"] = attack.processes["acquisition"]
    process.kill()
    started_s = time.monotonic()
    attack.spin(60.0, lambda: latest["gap_mm"] > 1.0)
    if latest["gap_mm"] <= 1.0:
        attack.accounts["arm_watchdog"].failures.append(
            f"the arm is {latest['gap_mm']:.2f} mm off, a minute after acquisition was killed"
        )
    return f"killed: clear after {time.monotonic() - started_s:.0f} s"


def _arm_bytes(kind: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the hostile messages without most mutations, because each one takes a run."""
    for name, data in hostile_bytes(kind):
        if not name.startswith("mutated") or int(name.split()[1]) < 3:
            yield name, data


def _report(attack: Attack) -> list[dict[str, Any]]:
    rows = []
    for name, account in attack.accounts.items():
        alive = name in attack.names and attack.check(name, "all attacks")
        account.end_mb = attack.resident_mb(name)
        growth_mb = account.end_mb - account.start_mb
        if growth_mb > MAX_GROWTH_MB:
            account.failures.append(f"grew by {growth_mb:.0f} MB")
        rows.append(
            {
                "node": name,
                "messages": account.messages,
                "requests": account.requests,
                "answered": account.answered,
                "refused": account.refused,
                "alive": alive,
                "growth_mb": round(growth_mb),
                "failures": account.failures,
            }
        )
    return rows


def _run(
    parts: list[str], names: Sequence[str], folder: Path, causes: Counter[str]
) -> list[dict[str, Any]]:
    """Attack one graph of nodes and return one row per node."""
    with ExitStack() as stack:
        attack = Attack(folder, stack, names)
        for part in parts:
            print(part, flush=True)
            if part == "arm":
                causes.update(attack_arm(attack))
            elif part == "goals":
                attack_goals(attack)
            elif part == "messages":
                attack_topics(attack)
            else:
                attack_services(attack)
        return [{"parts": "+".join(parts), **row} for row in _report(attack)]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main() -> int:
    """Run the attacks; return 1 if a node failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["messages", "requests", "goals", "arm"], action="append")
    parser.add_argument("--keep", type=Path, help="folder for logs and recordings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = options.only or ["messages", "requests", "goals", "arm"]
    rows: list[dict[str, Any]] = []
    causes: Counter[str] = Counter()
    with _folder(options.keep) as folder:
        (folder / "press.yaml").write_text(json.dumps(PRESS), encoding="utf-8")
        for graph, names in GRAPHS.items():
            chosen = [part for part in graph if part in parts]
            if chosen:
                rows += _run(chosen, names, folder, causes)
    if options.json:
        print(json.dumps({"nodes": rows, "causes": dict(causes)}))
    else:
        columns = [name for name in rows[0] if name != "failures"]
        print_rows("attacks", [{name: row[name] for name in columns} for row in rows])
        print(f"the arm in contact: {dict(causes)}")
        for row in rows:
            for failure in row["failures"]:
                print(f"FAILED {row['node']}: {failure}")
    return int(any(row["failures"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
