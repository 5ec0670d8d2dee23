"""`tacdiff pose`: an observation in, files and numbers out; refusals in one line."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace

import cv2
import numpy as np
import pytest
import trimesh

from tacdiff_ros.cli.application import run
from tacdiff_ros.object_pose.observation_file import write_observation
from tacdiff_ros.objects.grasp_sensing import HARD
from tacdiff_ros.objects.grasp_set import GraspSetSettings, generate_cases
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import load_object

SIDES = (0.05, 0.07, 0.12)


@pytest.fixture(scope="module")
def grasp(tmp_path_factory):
    """Folder of an observation of a box with a mesh file, and the true pose."""
    folder = tmp_path_factory.mktemp("grasp")
    trimesh.creation.box(SIDES).export(folder / "box.obj")
    item, hand = load_object(folder / "box.obj"), load_hand("allegro_xela")
    case = next(iter(generate_cases(hand, item, GraspSetSettings(1, HARD), seed=3)))
    write_observation(folder, case.observation, hand, case.starts[0])
    return folder, item, hand, case


def options(folder, out, *more):
    mesh = str(folder / "box.obj")
    return [
        *("pose", str(folder), "--object", mesh, "--hand", "allegro_xela", "--out", str(out)),
        *more,
    ]


def test_pose_report_and_overlay_belong_together(grasp, tmp_path):
    folder, item, _, case = grasp
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = run(options(folder, tmp_path, "--json"))
    told = json.loads(printed.getvalue())
    assert code == (0 if told["verdict"] != "not identified" else 1)
    assert told == {**json.loads((tmp_path / "pose.json").read_text()), "out": str(tmp_path)}
    copies = case.truth.pose @ item.symmetry_transforms()
    nearest = min(np.linalg.norm(np.array(told["pose"])[:3] - copy[:3]) for copy in copies)
    assert nearest < 0.06  # 2 degrees of rotation, 2 mm of position
    assert cv2.imread(str(tmp_path / "overlay.png")).shape[1] >= 640
    page = (tmp_path / "report.html").read_text()
    assert told["reason"] in page
    assert page.count("data:image/png") == 2


def test_bad_input_is_refused_in_one_line_and_nothing_is_written(grasp, tmp_path, capsys):
    folder, _, hand, case = grasp
    bad = tmp_path / "bad"
    observation = replace(case.observation, mask=np.zeros_like(case.observation.mask))
    write_observation(bad, observation, hand)
    mesh = ["--object", str(folder / "box.obj"), "--hand", "allegro_xela"]
    out = tmp_path / "out"
    for arguments, message in (
        ([str(bad), *mesh], "mask marks 0 pixels"),
        ([str(folder), *mesh[:2], "--hand", "franka_two_minis"], "joint positions lack"),
        ([str(folder), *mesh, "--unit", "mm"], "unit"),
        ([str(folder), *mesh, "--mass", "-1"], "expected positive"),
        ([str(tmp_path / "none"), *mesh], "cannot read"),
    ):
        assert run(["pose", *arguments, "--out", str(out)]) == 2, arguments
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert not out.exists()
