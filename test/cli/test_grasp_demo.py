"""`tacdiff demo --grasp`: real nodes, real DDS, a virtual arm; and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("rclpy")
pytest.importorskip("tacdiff_ros.msg")
pytest.importorskip("manifold3d")

from tacdiff_ros.cli import grasp_demo as module
from tacdiff_ros.cli.application import run
from tacdiff_ros.object_pose.observation_file import read_observation
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model


@pytest.mark.alone
def test_the_object_is_found_by_camera_and_gels(tmp_path, monkeypatch):
    # Calibration is tested elsewhere, and takes half a minute.
    monkeypatch.setattr(module, "calibrated_sensor", virtual_sensor_model)
    (tmp_path / "logs").mkdir()
    figures = module.grasp_demo(tmp_path, 0, Console(stderr=True))
    assert figures["success"], figures["message"]
    assert figures["position_error_mm"] < 1.5
    assert figures["orientation_error_deg"] < 4.0
    json.dumps(figures)
    observation, start = read_observation(tmp_path / "observation", load_hand("franka_two_minis"))
    assert start is None
    assert [touch.name for touch in observation.gel_touches] == ["left", "right"]
    for touch in observation.gel_touches:
        assert touch.contact.any()
        assert touch.points[:, 2].min() < -3e-4
        assert touch.force is not None
        assert touch.force[2] < -0.3
    assert np.allclose(observation.gravity, [0.0, 0.0, 9.81], atol=0.05)
    page = (tmp_path / "report.html").read_text()
    assert "camera alone" in page
    assert "nan" not in page.split("<img")[0]


def test_frames_do_not_go_with_a_grasp(tmp_path, capsys):
    assert run(["demo", "--grasp", "--frames", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "--grasp and --frames" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
