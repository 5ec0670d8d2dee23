"""The line `ready` of a node says with what it works."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy

from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.marker_tracker import MarkerTrackerNode
from tacdiff_ros.nodes.readiness import ReadinessReport


@pytest.fixture
def ros():
    rclpy.init(domain_id=79)
    yield
    rclpy.shutdown()


def lines_of(node: GuardedNode, monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(
        ReadinessReport, "_publish_diagnostics", lambda _self, line, *_: lines.append(line)
    )
    ReadinessReport(node)
    return lines


def test_a_ready_node_names_its_files_and_rates(ros, monkeypatch):
    node = MarkerTrackerNode()
    assert lines_of(node, monkeypatch) == ["ready: 7x9 markers"]
    node.destroy_node()


def test_a_node_without_a_summary_is_just_ready(ros, monkeypatch):
    node = GuardedNode("plain")
    assert lines_of(node, monkeypatch) == ["ready"]
    node.destroy_node()
