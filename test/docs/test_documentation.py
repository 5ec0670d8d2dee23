"""Every code block of README.md and docs/ is executed, or at least its command is understood."""

from __future__ import annotations

import ast
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.main
import yaml
from documentation_blocks import Block, Command, blocks, commands

from tacdiff_ros.cli.application import application, run

ROOT = Path(__file__).resolve().parents[2]
# Programs of other packages: their commands are not executed.
OTHER_PROGRAMS = {
    "sudo": "changes the machine",
    "git": "needs the repository's address",
    "rosdep": "comes with a ROS installation",
    "colcon": "builds for minutes, with a ROS installation",
    "pip": "installs packages",
    "cp": "names the workspace of the page",
    "mkdir": "names the workspace of the page",
    "cd": "names the workspace of the page",
    "source": "names the workspace of the page",
    "python3": "makes the virtual environment of the page",
    "export": "sets variables of the shell",
    "podman": "needs a container image",
    "docker": "needs a container engine",
    "mount": "needs root",
    "umount": "needs root",
    "setpriv": "needs root",
}
# Other tools of ROS, not installed by `make setup`.
OTHER_ROS = {("ros2", "security"), ("ros2", "topic"), ("ros2", "control"), ("ros2", "action")}
PROGRAMS = {"tacdiff", ".venv/bin/tacdiff", "ros2", "make", "python", ".venv/bin/python"}
PROGRAMS |= set(OTHER_PROGRAMS)
# Commands of `tacdiff` that are not executed here: only their options are checked.
NOT_RUN = {
    "demo": "minutes; `make demo`",
    "record": "needs a camera; test/cli/test_record.py",
    "view": "test/viewing",
    "export": "test/export",
    "calibrate": "half a minute; test/docs/long_snippets.py",
    "pose": "needs a grasp; test/cli/test_pose.py",
    "rig": "needs a run; test/machine/test_rig_checks.py, test/replay/test_mount_touches.py",
    "simulate": "half a minute; test/docs/long_snippets.py",
    "identify": "a minute or two; test/cli/test_identify.py",
    "train": "hours",
    "touch": "needs touches; test/cli/test_touch.py",
    "evaluate": "needs a trained network; test/dataset/test_learning.py",
    "translate": "needs the maps of `simulate`; test/docs/long_snippets.py",
    "virtual-sensors": "minutes for each sensor",
    "doctor": "depends on the machine; test/machine/test_checks.py",
}
# Recordings and clusters that only the reader has.
NOT_HERE = {
    *("my_bag", "my_bag/my_bag_0.mcap", "old.bag", "RECORDING", "~/tacdiff_data/first_run"),
    *("touches", "/data", "tls://head:8786", "later/background.png"),
}
# Python blocks that are only compiled here, by words in them, with the reason.
NOT_RUN_PYTHON = {
    "calibrate(default_sensor()": "half a minute; test/docs/long_snippets.py",
    "SampleReader": "needs a dataset; test/docs/long_snippets.py",
    "with Touch(": "minutes; test/docs/long_snippets.py",
    "import rclpy": "needs running nodes",
    "import h5py": "needs an export; test/export/test_export.py",
}

COMMANDS = commands(PROGRAMS)
PYTHON = [block for block in blocks() if block.language == "python"]


def by_name(entry: Command | Block) -> str:
    return entry.name


def programs_of(*names: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[0] in names]


TACDIFF = [command for command in COMMANDS if command.tacdiff is not None]


def test_every_command_begins_with_a_known_program():
    unknown = [command.name for command in COMMANDS if command.words[0] not in PROGRAMS]
    assert unknown == []
    assert len(TACDIFF) > 20


@pytest.mark.parametrize("command", TACDIFF, ids=by_name)
def test_tacdiff_knows_the_command_and_its_options(command):
    parser = typer.main.get_command(application)
    words = list(command.tacdiff)
    if words[0].startswith("-"):
        return  # `tacdiff --version`
    context = parser.make_context("tacdiff", list(words), resilient_parsing=False)
    name, found, rest = parser.resolve_command(context, words)
    sub = found.make_context(name, list(rest), parent=context)
    assert sub.params is not None


@pytest.fixture(scope="module")
def folder(unit_folder, tmp_path_factory) -> Path:
    """The files that the pages name, of one virtual sensor."""
    from tacdiff_ros.sensor.sensor_file import write_sensor

    made = tmp_path_factory.mktemp("docs")
    write_sensor(unit_folder.truth, made / "my_sensor.yaml")
    for name in ("ref.png", "REF.png"):
        shutil.copy(unit_folder.reference, made / name)
    for name, number in (("p1", 0), ("p2", 1), ("touch", 0), ("SIM", 0), ("REAL", 0)):
        shutil.copy(unit_folder.press(number), made / f"{name}.png")
    frames = [cv2.imread(str(made / name)) for name in ("ref.png", "touch.png", "p2.png")]
    (made / "frames").mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(made / "frames" / f"{number}.png"), frame)
    for name in ("my_gelsight_video.avi", "slip.avi"):
        writer = cv2.VideoWriter(
            str(made / name), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (320, 240)
        )
        for frame in frames:
            writer.write(frame)
        writer.release()
    (made / "plan.yaml").write_text("{trials: 20, mechanics: live}")
    (made / "slurm.yaml").write_text("{jobs: 2}")
    return made


def is_executed(command: Command) -> bool:
    words = command.tacdiff
    if words is None or words[0] in NOT_RUN or NOT_HERE & set(words):
        return False
    return words[0] != "dataset" or "--dry-run" in words


EXECUTED = list({tuple(c.tacdiff): c for c in TACDIFF if is_executed(c)}.values())


@pytest.mark.slow
@pytest.mark.parametrize("command", EXECUTED, ids=by_name)
def test_the_command_succeeds_on_the_files_of_a_sensor(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = list(command.tacdiff)
    if words[0] == "markers" and "8x10" in words:
        words[words.index("8x10")] = "7x9"  # older gels are not at hand
    assert run(words) == 0, capsys.readouterr().err


@pytest.mark.parametrize("block", PYTHON, ids=by_name)
def test_the_python_block_compiles(block):
    compile(block.text, block.name, "exec")


QUICK_PYTHON = [
    block for block in PYTHON if not any(words in block.text for words in NOT_RUN_PYTHON)
]


@pytest.mark.slow
@pytest.mark.parametrize("block", QUICK_PYTHON, ids=by_name)
def test_the_python_block_runs(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})  # noqa: S102


def launch_arguments(file: str) -> dict[str, list[str]]:
    """Arguments that a launch file takes, with their choices; the shared ones included."""
    names = [file] + (["bringup.launch.py"] if file == "demo.launch.py" else [])
    paths = [ROOT / "launch" / name for name in names]
    arguments: dict[str, list[str]] = {}
    for path in (*paths, ROOT / "tacdiff_ros" / "launching" / "arguments.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(call, "func", None), "id", "")
            if name not in ("DeclareLaunchArgument", "flag"):
                continue
            first = call.args[0] if call.args else None
            if isinstance(first, ast.Constant):
                given = {k.arg: k.value for k in call.keywords}
                choices = ast.literal_eval(given["choices"]) if "choices" in given else []
                arguments[first.value] = ["true", "false"] if name == "flag" else choices
    return arguments


@pytest.mark.parametrize(
    "command", [c for c in programs_of("ros2") if c.words[1] == "launch"], ids=by_name
)
def test_the_launch_file_has_these_arguments(command):
    assert command.words[2] == "tacdiff_ros"
    known = launch_arguments(command.words[3])
    for argument in command.words[4:]:
        name, _, value = argument.partition(":=")
        assert name in known, argument
        assert not known[name] or value in known[name], argument


@pytest.mark.parametrize(
    "command", [c for c in programs_of("ros2") if c.words[1] == "run"], ids=by_name
)
def test_the_executable_exists_and_knows_its_options(command):
    assert command.words[2] == "tacdiff_ros"
    name, arguments = command.words[3], command.words[4:]
    nodes = (ROOT / "tacdiff_ros" / "nodes" / "nodes.txt").read_text().split()
    assert name == "tacdiff" or name in nodes
    if name != "tacdiff":
        source = (ROOT / "tacdiff_ros" / "nodes" / f"{name}.py").read_text()
        for option in (word for word in arguments if word.startswith("--")):
            assert option == "--ros-args" or f'"{option}"' in source, option


@pytest.mark.parametrize(
    "command", [c for c in programs_of("ros2") if c.words[1] == "service"], ids=by_name
)
def test_the_service_has_this_type_and_these_fields(command):
    _, _, call, name, kind, *request = command.words
    assert call == "call"
    package, _, kind_name = kind.partition("/srv/")
    sources = "".join(path.read_text() for path in (ROOT / "tacdiff_ros" / "nodes").glob("*.py"))
    assert f'"{name.rsplit("/")[-1]}"' in sources or f'"~/{name.rsplit("/")[-1]}"' in sources, name
    if package == "std_srvs":
        assert kind_name in ("Trigger", "Empty")
        return
    assert package == "tacdiff_ros"
    text = (ROOT / "srv" / f"{kind_name}.srv").read_text().split("---")[0]
    fields = set(re.findall(r"^[\w/\[\]]+\s+(\w+)\s*(?:#.*)?$", text, re.MULTILINE))
    assert set(yaml.safe_load(request[0]) if request else {}) <= fields


@pytest.mark.parametrize("command", programs_of("make"), ids=by_name)
def test_make_has_the_target(command):
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in command.words[1:] if "=" not in word]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("command", programs_of("python", ".venv/bin/python"), ids=by_name)
def test_the_program_exists_and_knows_its_options(command):
    path = ROOT / command.words[1]
    assert path.is_file()
    source = "".join(file.read_text() for file in path.parent.glob("*.py"))
    for option in (word for word in command.words[2:] if word.startswith("--")):
        assert f'"{option}"' in source, option


def test_other_programs_of_ros_are_listed():
    for command in programs_of("ros2"):
        assert command.words[1] in ("launch", "run", "service", "pkg") or (
            command.words[:2] in OTHER_ROS
        ), command.name


def test_parameters_in_yaml_blocks_are_those_of_the_shipped_file():
    shipped = yaml.safe_load((ROOT / "config" / "tacdiff.yaml").read_text())
    found = [block for block in blocks() if block.language == "yaml"]
    assert found
    for block in found:
        content = yaml.safe_load(block.text)
        assert content, block.name
        if "/**" in content or "/**/*" in content:
            assert not list(unknown_keys(content, shipped)), block.name


def unknown_keys(given: Any, known: Any, path: str = "") -> Any:
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(known, dict) or key not in known:
                yield f"{path}/{key}"
            else:
                yield from unknown_keys(value, known[key], f"{path}/{key}")
    elif type(given) is not type(known) or np.shape(given) != np.shape(known):
        yield path


def test_xml_blocks_are_well_formed_and_include_existing_files():
    for block in (block for block in blocks() if block.language == "xml"):
        ElementTree.fromstring(f'<a xmlns:xacro="http://ros.org/wiki/xacro">{block.text}</a>')  # noqa: S314
        for name in re.findall(r"\$\(find tacdiff_ros\)/([^\"]+)", block.text):
            assert (ROOT / name).is_file(), name


def test_links_between_pages_have_a_target():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", page.read_text()):
            if link and "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
