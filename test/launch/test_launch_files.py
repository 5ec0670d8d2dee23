"""Launch files: without `launch` what their text says, with it what they would start."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from tacdiff_ros.acquisition.rig_file import write_rig
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import default_sensor, write_sensor

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
ARGUMENTS = ROOT / "tacdiff_ros" / "launching" / "arguments.py"
NODES = set((ROOT / "tacdiff_ros" / "nodes" / "nodes.txt").read_text().split())
OTHER_EXECUTABLES = {"robot_state_publisher", "rviz2", "spawner"}
FREE_TEXT = {"robot_ip", "namespace", "params_file", "rig_file", "source", "data_folder"}
FREE_TEXT |= {"bag", "rate"}
FREE_TEXT |= {"sensor_file", "virtual_sensor_file", "indenter", "controller_file"}
FREE_TEXT |= {"robot_type", "arm_prefix"}  # checked with advice, by launching.franka.Arm

REAL = {"gelsight_driver", "marker_tracker", "acquisition", "calibration", "mesh_inversion"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def declared(*files: Path) -> dict[str, dict[str, str]]:
    """Default and description by the name of each argument that the files declare."""
    found = {}
    for tree in (ast.parse(file.read_text()) for file in files):
        for call in calls(tree, "flag"):
            name, default, description = (ast.literal_eval(part) for part in call.args)
            found[name] = {"default": default, "description": description, "choices": "flag"}
        for call in calls(tree, "DeclareLaunchArgument"):
            given = {key: ast.unparse(part) for key, part in keywords(call).items()}
            if isinstance(call.args[0], ast.Constant):  # else: in `flag`
                default = given.get("default_value", "").strip("'")
                found[call.args[0].value] = {"default": default, **given}
    return found


@pytest.mark.parametrize("file", [*FILES, ARGUMENTS], ids=lambda file: file.name)
def test_every_argument_is_described_and_lists_its_choices(file):
    compile(file.read_text(), str(file), "exec")
    for name, given in declared(file).items():
        assert len(given["description"].split()) >= 3, name
        assert ("choices" in given) is (name not in FREE_TEXT), name


@each_file
def test_executables_named_in_it_exist(file):
    tree = ast.parse(file.read_text())
    named = [keywords(call)["executable"] for call in calls(tree, "Node")]
    assert named
    for executable in named:  # bringup's others: see the next test
        assert executable.value in NODES | OTHER_EXECUTABLES


def test_nodes_that_bringup_configures_exist():
    tree = ast.parse((ROOT / "launch" / "bringup.launch.py").read_text())
    names = set()
    functions = {"node_overrides", "choose_source", "twin_overrides"}
    for function in (part for part in tree.body if getattr(part, "name", "") in functions):
        tables = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
        names |= {key.value for table in tables for key in table.keys if key} & NODES
        names |= {
            node.slice.value
            for node in ast.walk(function)
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "overrides"
        }
    started_alone = {"acquire_client", "wait_until_ready", "virtual_clock", "object_pose_refiner"}
    assert names == NODES - started_alone - {"virtual_grasp"}
    assert "virtual_clock" in NODES and 'CLOCK = "virtual_clock"' in ast.unparse(tree).replace(
        "'", '"'
    )


def test_docs_promise_no_argument_that_bringup_lacks():
    arguments = declared(ROOT / "launch" / "bringup.launch.py", ARGUMENTS)
    [table] = re.findall(r"\| argument of `bringup.launch.py`.*?\n\n", _page(), re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", table, re.MULTILINE)
    assert {name for name, _ in rows} == set(arguments)
    for name, default in rows:
        if name not in ("params_file", "controller_file"):  # there: the path in the repository
            assert arguments[name]["default"] == default.replace("empty", ""), name


def controller() -> dict:
    content = yaml.safe_load((ROOT / "config" / "crisp_controller.yaml").read_text())
    return content["/**"]["cartesian_impedance_controller"]["ros__parameters"]


def test_a_target_that_stays_presses_with_less_than_the_force_limit():
    shipped = yaml.safe_load((ROOT / "config" / "tacdiff.yaml").read_text())
    limits = shipped["/**"]["acquisition"]["ros__parameters"]["limits"]
    task = controller()["task"]
    for axis in "xyz":
        clip_m = task["error_clip"][axis]
        assert clip_m * task[f"k_pos_{axis}"] < limits["force_n"]
        assert clip_m > 1e-3 * limits["tracking_mm"]  # acquisition sees the error before it clips


def test_parameters_of_the_controller_exist_in_crisp_controllers():
    """Names in cartesian_controller.yaml of crisp_controllers v2.2.0; `type` is the manager's."""
    task = {f"{kind}_{axis}" for kind in ("k_pos", "k_rot", "d_pos", "d_rot") for axis in "xyz"}
    known = {
        "task": task | {"error_clip"},
        "nullspace": {
            *("stiffness", "damping", "weights", "regularization", "projector_type", "max_tau")
        },
        "filter": {"target_pose", "q", "dq", "q_ref", "output_torque"},
    }
    switches = {f"use_{name}_compensation" for name in ("gravity", "coriolis")}
    switches |= {"use_local_jacobian", "limit_error", "limit_torques", "max_delta_tau"}
    given = controller()
    assert set(given) <= {"type", "joints", "base_frame", "end_effector_frame", *known, *switches}
    assert all(set(given[group]) <= names for group, names in known.items())


def test_configured_files_are_installed():
    """What the files look up below share/ is what CMake installs there."""
    cmake = (ROOT / "CMakeLists.txt").read_text()
    [installed] = re.findall(r"install\(DIRECTORY (.+) DESTINATION share", cmake)
    for file in (*FILES, ARGUMENTS):
        for folder, name in re.findall(r'/ "(\w+)" / "([\w./]+)"', file.read_text()):
            if folder in ("config", "urdf"):
                assert folder in installed.split() and (ROOT / folder / name).exists()


def _page() -> str:
    return (ROOT / "docs" / "ros.md").read_text()


class Launched:
    """A launch file loaded by the real `launch`."""

    def __init__(self, name: str):
        pytest.importorskip("launch.actions", reason="`launch` comes with a ROS installation only")
        specification = importlib.util.spec_from_file_location(name, ROOT / "launch" / name)
        self.module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.module)

    def start(self, **arguments: str):
        """Actions for the arguments, defaults included."""
        from launch import LaunchContext
        from launch.actions import DeclareLaunchArgument

        context = LaunchContext()
        context.launch_configurations.update(arguments)
        for entity in self.module.generate_launch_description().entities:
            if isinstance(entity, DeclareLaunchArgument):
                entity.execute(context)
        self.context = context
        return self.module.start(context)

    def parameters(self, node) -> list:
        """Parameters as the node will get them: values by name, or the path of a file."""
        from launch_ros.utilities import evaluate_parameters

        return list(evaluate_parameters(self.context, node._Node__parameters))


@pytest.fixture
def bringup():
    return Launched("bringup.launch.py")


@pytest.fixture
def replay():
    return Launched("replay.launch.py")


@each_file
def test_launch_loads_it(file):
    assert Launched(file.name).module.generate_launch_description().entities


def test_demo_stays_on_this_machine_unless_told_otherwise(monkeypatch):
    demo = Launched("demo.launch.py")
    from launch import LaunchContext
    from launch.actions import SetEnvironmentVariable

    name, profiles = "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE"
    for given, expected in (("", "LOCALHOST"), ("SUBNET", "SUBNET")):
        monkeypatch.delenv(profiles, raising=False)
        monkeypatch.setenv(name, given) if given else monkeypatch.delenv(name, raising=False)
        context = LaunchContext()
        for entity in demo.module.generate_launch_description().entities:
            if isinstance(entity, SetEnvironmentVariable):
                entity.execute(context)
        assert context.environment[name] == expected
        assert (profiles in context.environment) == (given == "")


def executables(actions) -> dict[str, object]:
    nodes = [action for action in actions if hasattr(action, "node_executable")]
    return {node.node_executable: node for node in nodes}


def merged(parameters) -> dict[str, object]:
    return {k: v for part in parameters if isinstance(part, dict) for k, v in part.items()}


def test_fake_hardware_brings_a_virtual_arm_and_generated_images(bringup):
    real = executables(bringup.start())
    assert set(real) == REAL
    assert merged(bringup.parameters(real["gelsight_driver"])) == {"use_sim_time": False}
    fake = executables(bringup.start(use_fake_hardware="true"))
    assert set(fake) == {*real, "virtual_panda"}
    assert merged(bringup.parameters(fake["gelsight_driver"]))["source"] == "generated"


def test_the_watchdog_keeps_to_the_limits_of_the_acquisition(bringup):
    shipped = yaml.safe_load((ROOT / "config" / "tacdiff.yaml").read_text())
    acquisition = shipped["/**"]["acquisition"]["ros__parameters"]
    rig = shipped["/**/*"]["ros__parameters"]["rig"]
    nodes = executables(bringup.start(robot_type="fer", watchdog="true"))
    assert set(nodes) == REAL | {"arm_watchdog"}
    watchdog = merged(bringup.parameters(nodes["arm_watchdog"]))
    assert watchdog["limits.box_min_mm"] == tuple(acquisition["limits"]["box_min_mm"])
    assert watchdog["rig.mount_position_mm"] == tuple(rig["mount_position_mm"])
    assert watchdog["base_frame"] == rig["base_frame"]


def test_the_touch_encoder_keeps_its_memory_in_the_data_folder(bringup):
    nodes = executables(bringup.start(touch="true", data_folder="/data"))
    assert set(nodes) == REAL | {"touch_encoder"}
    assert merged(bringup.parameters(nodes["touch_encoder"]))["data_folder"] == "/data"


def test_a_virtual_sensor_takes_the_drivers_place_and_motion_waits_for_it(bringup):
    arguments = {"use_fake_hardware": "true", "source": "virtual", "indenter": "cross:size=4.4"}
    nodes = executables(bringup.start(**arguments))
    assert set(nodes) == REAL - {"gelsight_driver"} | {"virtual_panda", "virtual_gelsight"}
    sensor = merged(bringup.parameters(nodes["virtual_gelsight"]))
    assert sensor["indenter"] == "cross:size=4.4"
    assert "sensor_file" not in sensor
    assert merged(bringup.parameters(nodes["acquisition"]))["limits.image_pause_s"] == 1.0
    with pytest.raises(InputError, match="use_fake_hardware:=true"):
        bringup.start(source="virtual")


def test_the_twin_is_of_the_unit_and_the_indenter_that_are_named(bringup):
    nodes = executables(
        bringup.start(twin="true", sensor_file="unit.yaml", indenter="sphere:diameter=5")
    )
    assert set(nodes) == REAL | {"tactile_simulator", "comparator"}
    for name in ("tactile_simulator", "comparator", "mesh_inversion"):
        assert merged(bringup.parameters(nodes[name]))["sensor_file"] == "unit.yaml"
    simulator = merged(bringup.parameters(nodes["tactile_simulator"]))
    assert (simulator["indenter"], simulator["simulator"]) == ("sphere:diameter=5", "renderer")
    nodes = executables(bringup.start(twin="true", indenter="sphere:diameter=5"))
    assert merged(bringup.parameters(nodes["comparator"]))["simulator"] == "pix2pix"


def test_a_twin_needs_an_indenter_and_one_rig(bringup, tmp_path):
    with pytest.raises(InputError, match="indenter:=SPEC"):
        bringup.start(twin="true")
    own = tmp_path / "my_rig.yaml"
    shipped = (ROOT / "config" / "tacdiff.yaml").read_text()
    acquisition = "  acquisition:\n    ros__parameters:\n"
    own.write_text(
        shipped.replace(acquisition, acquisition + "      rig: {mount_position_mm: [0, 0, 80.0]}\n")
    )
    with pytest.raises(InputError, match=r"rigs of acquisition and tactile_simulator differ"):
        bringup.start(twin="true", indenter="cube", params_file=str(own))


def test_a_rig_file_takes_precedence_and_names_indenter_and_sensor(bringup, tmp_path):
    rig = tmp_path / "my_rig.yaml"
    sensor = default_sensor().model_copy(update={"sensor_id": "my_mini"})
    write_sensor(sensor, tmp_path / "mini.yaml")
    settings = RigSettings(
        mount_position_mm=(0.0, 0.0, 80.0),
        indenter="sphere:diameter=5",
        sensor_file=str(tmp_path / "mini.yaml"),
    )
    write_rig(rig, settings)
    arguments = {"twin": "true", "watchdog": "true", "rig_file": str(rig)}
    nodes = executables(bringup.start(**arguments))
    assert bringup.parameters(nodes["acquisition"])[1] == rig
    watchdog = merged(bringup.parameters(nodes["arm_watchdog"]))
    assert watchdog["rig.mount_position_mm"] == (0.0, 0.0, 80.0)
    # No network is trained for this sensor, so that the renderer draws it.
    assert merged(bringup.parameters(nodes["tactile_simulator"]))["simulator"] == "renderer"
    with pytest.raises(InputError, match=r"rig_file .* does not exist"):
        bringup.start(rig_file="missing.yaml")


def test_bringup_says_what_the_twin_simulates_and_who_draws_it(bringup):
    def said(**arguments: str) -> str:
        from launch.actions import LogInfo

        lines = [a for a in bringup.start(twin="true", **arguments) if isinstance(a, LogInfo)]
        return "".join(part.perform(bringup.context) for part in lines[0].msg)

    line = said(sensor_file="unit.yaml", indenter="cube")
    assert line == (
        "twin: sensor file unit.yaml, images by renderer (no network of this sensor is named), "
        "indenter cube"
    )
    assert "sensor file of the package, images by pix2pix, indenter cube" in said(indenter="cube")


def test_two_fingers_share_the_arm_and_only_one_commands_it(tmp_path):
    pytest.importorskip("launch.actions", reason="`launch` comes with a ROS installation only")
    from launch.actions import IncludeLaunchDescription
    from launch_ros.actions import SetRemap

    example = Launched("../examples/two_fingers.launch.py")
    fingers = example.start(left_rig="left.yaml", right_rig="right.yaml")
    remapped, started = [], []
    for finger in fingers:
        parts = finger.get_sub_entities()
        remapped.append(
            [
                "".join(p.perform(example.context) for p in part.dst)
                for part in parts
                if isinstance(part, SetRemap)
            ]
        )
        [included] = [part for part in parts if isinstance(part, IncludeLaunchDescription)]
        started.append(dict(included.launch_arguments))
    state = "/franka_robot_state_broadcaster/robot_state"
    assert remapped == [[state, "/target_pose"], [state]]
    assert [given["namespace"] for given in started] == ["left", "right"]
    assert [given["rig_file"] for given in started] == ["left.yaml", "right.yaml"]


def test_arguments_stay_text_and_win_over_the_files(bringup):
    nodes = executables(bringup.start(source="0", data_folder="2026", robot_type="fer"))
    assert merged(bringup.parameters(nodes["gelsight_driver"]))["source"] == "0"
    parameters = bringup.parameters(nodes["acquisition"])
    assert isinstance(parameters[0], Path)
    assert merged(parameters)["data_folder"] == "2026"


def test_end_effector_frame_of_a_file_stands_unless_another_arm_is_named(bringup):
    nodes = executables(bringup.start())
    assert "end_effector_frame" not in merged(bringup.parameters(nodes["acquisition"]))
    nodes = executables(bringup.start(robot_type="fer", load_gripper="false"))
    acquisition = merged(bringup.parameters(nodes["acquisition"]))
    assert acquisition["end_effector_frame"] == "fer_link8"


def test_published_mount_is_the_one_of_the_parameters(bringup, tmp_path):
    pytest.importorskip("xacro")
    pinocchio = pytest.importorskip("pinocchio")
    shipped = (ROOT / "config" / "tacdiff.yaml").read_text()
    own = tmp_path / "my_rig.yaml"
    own.write_text(
        shipped.replace(
            "mount_position_mm: [0.0, 0.0, 40.0]", "mount_position_mm: [5.0, 0.0, 70.0]"
        )
    )
    model = pinocchio.buildModelFromXML(bringup.module.describe_mount([own], "fer_hand_tcp"))
    gel = model.frames[model.getFrameId("gel")]
    assert gel.placement.translation == pytest.approx([0.005, 0.0, 0.07])
    assert model.existFrame("fer_hand_tcp")


def test_a_file_without_mount_is_refused_with_advice(bringup, tmp_path):
    own = tmp_path / "my_rig.yaml"
    own.write_text("acquisition: {ros__parameters: {protocol: demo.yaml}}")
    with pytest.raises(InputError, match="mount_position_mm"):
        bringup.module.describe_mount([own], "fr3_hand_tcp")


def test_what_is_missing_is_named(bringup, replay, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        bringup.start(params_file=str(tmp_path / "no_such.yaml"))
    with pytest.raises(InputError, match="not a recorded run or a rosbag2"):
        replay.module.find_bag(tmp_path)
    if not _is_installed("franka_bringup"):
        with pytest.raises(InputError, match="install franka_ros2"):
            Launched("arm.launch.py").start(robot_ip="172.16.0.3")
    if not _is_installed("ros2bag"):
        with pytest.raises(InputError, match="ros-jazzy-ros2bag"):
            replay.start(bag=str(tmp_path))


def _is_installed(name: str) -> bool:
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return bool(get_package_share_directory(name))
    except PackageNotFoundError:
        return False


@pytest.mark.parametrize(("folder", "namespace", "root"), [("", "", ""), ("bag", "left", "/left")])
def test_replay_plays_a_run_or_a_bag_and_never_commands_the_arm(
    replay, tmp_path, monkeypatch, folder, namespace, root
):
    monkeypatch.setattr(replay.module, "require_player", lambda: None)
    bag = tmp_path / folder
    bag.mkdir(exist_ok=True)
    (bag / "metadata.yaml").touch()
    tracker, waiting, handler = replay.start(
        bag=str(tmp_path), namespace=namespace, loop="true", rate="2.0"
    )
    assert waiting.node_executable == "wait_until_ready"
    [player] = after_wait(replay, handler, 0)
    words = [part[0].perform(replay.context) for part in player.cmd]
    assert words[:4] == ["ros2", "bag", "play", str(bag)]
    assert {"--clock", "--loop"} <= set(words)
    assert words[words.index("--rate") + 1] == "2.0"
    target = f"{root}/target_pose"
    remapped = words[words.index("--remap") + 1 :]
    assert f"{target}:={root}/recorded/target_pose" in remapped
    assert f"{root}/comparison:={root}/recorded/comparison" in remapped
    assert merged(replay.parameters(tracker))["use_sim_time"] is True


def after_wait(replay, handler, returncode: int):
    """What follows when the wait for readiness has ended."""
    from types import SimpleNamespace

    event = SimpleNamespace(returncode=returncode)
    return handler.event_handler.handle(event, replay.context)


def test_replay_ends_where_a_node_never_gets_ready(replay, tmp_path, monkeypatch):
    from launch.actions import Shutdown

    monkeypatch.setattr(replay.module, "require_player", lambda: None)
    (tmp_path / "metadata.yaml").touch()
    *_, handler = replay.start(bag=str(tmp_path))
    [ending] = after_wait(replay, handler, 1)
    assert isinstance(ending, Shutdown)


def test_virtual_nodes_wait_for_each_other_on_a_virtual_clock(bringup):
    arguments = {"use_fake_hardware": "true", "source": "virtual", "twin": "true"}
    arguments["indenter"] = "cube"
    nodes = executables(bringup.start(**arguments, use_sim_time="true"))
    clock = merged(bringup.parameters(nodes["virtual_clock"]))
    assert clock["use_sim_time"] is False
    assert set(clock["participants"]) == {"virtual_panda", "virtual_gelsight", "acquisition"}
    assert set(clock["followers"]) == {"tactile_simulator", "comparator"}
    for name in (*clock["participants"], *clock["followers"]):
        values = merged(bringup.parameters(nodes[name]))
        assert values["lock_step"] is True and values["use_sim_time"] is True, name
    real = executables(bringup.start(use_sim_time="true"))
    assert "virtual_clock" not in real
    assert "lock_step" not in merged(bringup.parameters(real["acquisition"]))


def test_replay_has_a_twin_under_the_indenter_of_the_run(replay, tmp_path, monkeypatch):
    monkeypatch.setattr(replay.module, "require_player", lambda: None)
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").touch()
    with pytest.raises(InputError, match="give indenter:=SPEC"):
        replay.start(bag=str(tmp_path), twin="true")
    (tmp_path / "run.yaml").write_text("indenter: cross:size=4.4")
    *nodes, waiting, _handler = replay.start(
        bag=str(tmp_path), twin="true", sensor_file="unit.yaml"
    )
    assert waiting.node_executable == "wait_until_ready"
    found = executables(nodes)
    assert set(found) == {"marker_tracker", "tactile_simulator", "comparator"}
    simulator = merged(replay.parameters(found["tactile_simulator"]))
    assert simulator["indenter"] == "cross:size=4.4"
    assert all(merged(replay.parameters(node))["use_sim_time"] for node in nodes)


def test_views_name_topics_that_the_nodes_publish():
    sources = "".join(path.read_text() for path in (ROOT / "tacdiff_ros" / "nodes").glob("*.py"))
    layout = json.loads((ROOT / "config" / "foxglove_layout.json").read_text())
    view = yaml.safe_load((ROOT / "config" / "tacdiff.rviz").read_text())
    displays = view["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"] for d in displays if "Topic" in d}
    topics |= {t[1:] for t in layout["configById"]["3D!gel"]["topics"]}
    for panel in layout["configById"].values():
        topics |= {path["value"].split(".")[0][1:] for path in panel.get("paths", [])}
        topics |= {t[1:] for t in panel.get("imageMode", {}).values()}
    for topic in topics:
        tail = topic.removeprefix("simulated/") if "gel_points" not in topic else topic
        assert f'"{topic}"' in sources or f'"{tail}"' in sources, topic
