"""The synthetic set is written in the format of `tacdiff pose`, with the truth beside it."""

import json

import numpy as np
import pytest
import trimesh

pytest.importorskip("igl")
pytest.importorskip("pinocchio")

import object_pose_set

from tacdiff_ros.object_pose.observation_file import read_observation
from tacdiff_ros.objects.hand_files import load_hand


def test_a_written_set_is_read_back_with_its_truth_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("TACDIFF_CACHE_DIR", str(tmp_path / "cache"))
    mesh = trimesh.creation.box([0.05, 0.06, 0.11])
    mesh.export(tmp_path / "box.ply")
    arguments = [str(tmp_path / "box.ply"), "--grasps", "1", "--out", str(tmp_path / "set")]
    assert object_pose_set.main(arguments) == 0
    observation, start = read_observation(tmp_path / "set" / "box_000", load_hand("allegro_xela"))
    assert observation.mask.sum() > 100
    truth = json.loads((tmp_path / "set" / "box_000.truth.json").read_text())
    shift = np.linalg.norm(start[:3, 3] - np.array(truth["pose"])[:3, 3])
    assert 0.001 < shift < 0.1
    assert trimesh.load(tmp_path / "set" / "box.ply").volume == pytest.approx(mesh.volume)


def test_an_object_that_no_hand_holds_is_refused_in_one_line(tmp_path, capsys):
    trimesh.creation.box([5.0, 5.0, 5.0]).export(tmp_path / "house.ply")
    arguments = [str(tmp_path / "house.ply"), "--out", str(tmp_path / "set")]
    assert object_pose_set.main(arguments) == 2
    assert "expected 0.005 to 1.5 m" in capsys.readouterr().err
