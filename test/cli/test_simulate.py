"""`tacdiff simulate`: files as documented, the touch where it was asked for, clear refusals."""

import json
import math

import cv2
import numpy as np
import pytest
import trimesh

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.optics import llvm
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor

FILES = ["depth.npy", "indentation.npy", "mesh.ply", "meta.json", "nocs.npy", "rgb.png"]
COARSE = ["--vertices", "21x25"]
needs_mitsuba = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)


@needs_mitsuba
def test_a_touch_is_written_where_it_was_asked_for(tmp_path, capsys):
    out = tmp_path / "touch"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    arguments = ["--indenter", "sphere:diameter=6", "--at-px", "200", "90", "--depth", "0.8"]
    arguments += ["--shear", "0.25", "0", *COARSE]
    assert run(["simulate", *arguments, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "notes.txt"])
    indentation = np.load(out / "indentation.npy")
    assert indentation.shape == (240, 320)
    assert indentation.dtype == np.float32
    assert indentation.max() == pytest.approx(0.8, abs=0.08)
    deep = np.argwhere(indentation > 0.95 * indentation.max()).mean(axis=0)
    assert deep == pytest.approx([90, 204], abs=5.0)  # 0.25 mm further after the shear
    assert np.load(out / "nocs.npy").shape == (240, 320, 3)
    assert np.load(out / "depth.npy").shape == (240, 320)
    assert cv2.imread(str(out / "rgb.png")).shape == (240, 320, 3)
    meta = json.loads((out / "meta.json").read_text())
    assert meta == {key: value for key, value in printed.items() if key != "out"}
    assert meta["sensor_checksum"] == default_sensor().checksum
    assert meta["solver_status"]["converged"] is True
    assert meta["solver_status"]["penetration_mm"] <= 0.02
    assert -5.0 < meta["force_n"][2] < -0.2
    assert 0.02 < meta["force_n"][0] < 0.5 * -meta["force_n"][2]
    mesh = trimesh.load(out / "mesh.ply", process=False)
    assert -mesh.vertices[:, 2].min() == pytest.approx(0.8, abs=0.08)
    assert (mesh.face_normals[:, 2] < 0).all()


@needs_mitsuba
def test_the_untouched_sensor_of_a_file_is_flat(tmp_path, capsys):
    sensor = default_sensor().model_copy(update={"sensor_id": "mine", "markers": None})
    write_sensor(sensor, tmp_path / "mine.yaml")
    out = tmp_path / "flat"
    assert run(["simulate", "--sensor", str(tmp_path / "mine.yaml"), "--out", str(out)]) == 0
    assert "flat" in capsys.readouterr().out
    assert json.loads((out / "meta.json").read_text())["sensor_id"] == "mine"
    assert np.load(out / "indentation.npy").max() < 1e-5


BAD = [
    ["--indenter", "blob", "--depth", "1"],
    ["--indenter", "sphere"],
    ["--indenter", "sphere", "--depth", "2.8"],
    ["--indenter", "sphere", "--depth", "-1"],
    ["--indenter", "sphere", "--depth", "1", "--shear", "9", "0"],
    ["--indenter", "sphere", "--depth", "1", "--twist", "90"],
    ["--indenter", "sphere", "--depth", "1", "--friction", "-1"],
    ["--indenter", "sphere", "--depth", "1", "--young-modulus", "1e9"],
    ["--indenter", "sphere", "--depth", "1", "--vertices", "many"],
    ["--indenter", "sphere", "--depth", "1", "--vertices", "3x3"],
    ["--indenter", "sphere", "--depth", "1", "--at-mm", "12", "0", "--shear", "3", "0"],
    ["--indenter", "mesh:file=absent.stl", "--depth", "1"],
    ["--indenter", "none", "--depth", "1"],
    ["--indenter", "sphere:radius=3", "--depth", "1"],
    ["--indenter", "sphere:diameter=0", "--depth", "1"],
    ["--indenter", "sphere", "--depth", "9"],
    ["--indenter", "sphere", "--depth", "nan"],
    ["--indenter", "sphere", "--depth", "1", "--at-mm", "90", "0"],
    ["--indenter", "sphere", "--depth", "1", "--at-mm", "1", "0", "--at-px", "5", "5"],
    ["--indenter", "sphere", "--depth", "1", "--shear", "inf", "0"],
    ["--sensor", "absent.yaml"],
    ["--depth", "deep"],
    ["--unknown"],
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(arguments, tmp_path, capsys):
    out = tmp_path / "touch"
    assert run(["simulate", "--out", str(out), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_a_file_in_the_way_is_refused(tmp_path, capsys):
    (tmp_path / "touch").write_text("mine")
    assert run(["simulate", "--out", str(tmp_path / "touch")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "touch").read_text() == "mine"


@needs_mitsuba
def test_a_touch_far_from_the_middle_of_a_turned_camera_is_seen_at_its_pixel(tmp_path, capsys):
    """Not the untouched surface there: pressed, that appears nearer the border."""
    model = default_sensor()
    camera = model.camera.model_copy(
        update={"rotation_deg": (2.0, -3.0, 8.0), "distortion": (0.05, -0.02)}
    )
    write_sensor(model.model_copy(update={"camera": camera}), tmp_path / "turned.yaml")
    out = tmp_path / "new" / "touch"
    arguments = ["--sensor", str(tmp_path / "turned.yaml"), "--indenter", "sphere:diameter=4"]
    arguments += ["--at-px", "68", "187", "--depth", "0.6", "--json", "--out", str(out), *COARSE]
    assert run(["simulate", *arguments]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err == ""
    meta = json.loads(captured.out)
    assert meta["depth_mm"] == 0.6
    assert meta["largest_indentation_mm"] == pytest.approx(0.6, abs=0.08)
    assert sorted(path.name for path in out.iterdir()) == FILES
    indentation = np.load(out / "indentation.npy")
    values = parameter_values(read_sensor(tmp_path / "turned.yaml"))
    assert project(values, [*meta["at_mm"], -0.6]) == pytest.approx([68, 187], abs=1e-6)
    deep = np.argwhere(indentation > 0.97 * indentation.max()).mean(axis=0)
    assert np.hypot(*(deep[::-1] - [68, 187])) < 5.0  # vertices are 1 mm, 13 px, apart
    nocs, depth = np.load(out / "nocs.npy"), np.load(out / "depth.npy")
    assert (nocs.shape, nocs.dtype) == ((240, 320, 3), np.float32)
    assert (depth.shape, depth.dtype) == ((240, 320), np.float32)
    image = cv2.imread(str(out / "rgb.png"), cv2.IMREAD_UNCHANGED)
    assert (image.shape, image.dtype) == ((240, 320, 3), np.uint8)
    assert image.std(axis=(0, 1)).min() > 1.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--indenter", "sphere", "--depth", "-1"], "depth is -1 mm"),
        (["--indenter", "sphere", "--depth", "1", "--twist", "90"], "twist is 90 deg"),
        (["--indenter", "sphere", "--depth", "1", "--shear", "3", "3"], "shear is (3.0, 3.0) mm"),
        (["--indenter", "sphere", "--depth", "1", "--yaw", "nan"], "not finite"),
        (["--indenter", "none:diameter=5"], "'none' has no size 'diameter'"),
        (["--indenter", "cross:size=2,arm=3", "--depth", "1"], "arm 3 mm"),
        (["--at-px", "nan", "5"], "not finite"),
        (["--at-px", "1e200", "5"], "outside the image"),
        (["--depth", "99"], "'none' leaves the sensor untouched"),
        (["--at-px", "5000", "5000"], "outside the image"),
        (["--at-px", "5"], "--at-px"),
        (["--sensor", "{}"], "it is a folder, expected a file"),
        (["--sensor", "{}/bad.yaml"], "'gel.width_mm' is '25 mm'"),
    ],
)
def test_what_is_wrong_is_named_in_the_one_line(arguments, named, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text('lights: []\ngel: {width_mm: "25 mm"}')
    arguments = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    assert run(["simulate", "--out", str(tmp_path / "touch"), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert not (tmp_path / "touch").exists()


@needs_mitsuba
@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["--depth", "2.5"], {"depth_mm": 2.5}),
        (["--depth", "-1"], {"depth_mm": -1.0}),
        (["--depth", "1", "--at-mm", "50", "0"], {"start": IndenterPose(50.0)}),
        (["--depth", "1", "--shear", "9", "0"], {"shear_mm": (9.0, 0.0)}),
        (["--depth", "1", "--twist", "90"], {"twist_rad": math.pi / 2}),
        (["--depth", "1", "--yaw", "1000"], {"start": IndenterPose(yaw_rad=math.radians(1000))}),
        (["--depth", "1", "--yaw", "inf"], {"start": IndenterPose(yaw_rad=math.inf)}),
    ],
    ids=" ".join,
)
def test_command_and_service_refuse_a_touch_in_the_same_line(arguments, changes, tmp_path, capsys):
    from tacdiff_ros.twin.touch_simulation import simulate_touch

    content = {"indenter": "sphere", "start": IndenterPose(), "depth_mm": 1.0, **changes}
    with pytest.raises(InputError) as caught:
        simulate_touch(default_sensor(), TouchRequest(**content), renderer=None)
    command = ["simulate", "--out", str(tmp_path / "touch"), "--indenter", "sphere", *arguments]
    assert run(command) == 2
    assert capsys.readouterr().err == f"error: {caught.value}\n"


def test_a_folder_in_the_place_of_a_file_leaves_the_last_touch_whole(tmp_path, capsys):
    (tmp_path / "rgb.png").mkdir()
    (tmp_path / "meta.json").write_text("the last touch")
    assert run(["simulate", "--out", str(tmp_path)]) == 2
    assert "rgb.png is a folder" in capsys.readouterr().err
    assert (tmp_path / "meta.json").read_text() == "the last touch"
    assert len(list(tmp_path.iterdir())) == 2
