"""Runs of nodes as processes: what a person is told when one of them ends."""

import io

import pytest
from rich.console import Console

from tacdiff_ros.cli.virtual_graph import GraphRun, parameters, run_graph

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")


def test_parameters_are_ros_arguments():
    assert parameters(seed=3, limits__force_n=2.5) == [
        *["-p", "seed:=3"],
        *["-p", "limits.force_n:=2.5"],
    ]


def test_a_node_that_ends_is_named_with_its_last_line(tmp_path):
    run = GraphRun("broken", "demo.yaml", "", {"acquisition": parameters(no_such_limit=1)})
    result = run_graph(run, tmp_path, Console(file=io.StringIO()))
    assert not result["success"]
    assert result["message"].startswith("broken_acquisition ended: error: unknown parameter")
