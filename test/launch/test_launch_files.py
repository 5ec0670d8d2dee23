"""Launch files without a ROS installation: what they name exists, and every argument is described.

Where `launch` is installed, they are loaded for real.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
NODES = (ROOT / "tacdiff_ros" / "nodes" / "nodes.txt").read_text().split()
BRINGUP_ARGUMENTS = {
    *["use_fake_hardware", "robot_ip", "namespace", "params_file", "use_sim_time", "log_level"],
}


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def test_there_are_three_launch_files():
    assert [file.name for file in FILES] == [
        *["bringup.launch.py", "demo.launch.py", "replay.launch.py"]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_argument_has_a_description(file):
    declared = calls(ast.parse(file.read_text()), "DeclareLaunchArgument")
    assert declared
    for call in declared:
        assert "description" in keywords(call), ast.unparse(call)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_executables_named_in_it_are_nodes_of_the_package(file):
    tree = ast.parse(file.read_text())
    for call in calls(tree, "Node"):
        executable = keywords(call)["executable"]
        if isinstance(executable, ast.Constant):
            assert executable.value in NODES
        else:  # bringup starts those that it has parameters for
            tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
            names = {key.value for table in tables for key in table.keys if _is_text(key)}
            assert {"gelsight_driver", "marker_tracker", "acquisition"} <= names & set(NODES)


def test_bringup_has_the_arguments_that_the_readme_promises():
    tree = ast.parse((ROOT / "launch" / "bringup.launch.py").read_text())
    names = {call.args[0].value for call in calls(tree, "DeclareLaunchArgument")}
    assert names >= BRINGUP_ARGUMENTS
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_launch_loads_it(file):
    pytest.importorskip("launch.actions", reason="`launch` comes with a ROS installation only")
    specification = importlib.util.spec_from_file_location("launch_file", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.generate_launch_description().entities


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
