"""`tacdiff invert`: an image in, files and numbers out; refusals in one line."""

import io
import json
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
import trimesh
from scipy.optimize import least_squares

from tacdiff_ros.cli.application import run
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.mechanics.touch import Touch
from tacdiff_ros.mechanics.trajectory import plan_touch
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor

RADIUS_MM = 6.0


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Rendered image of a ball's press by the full solver."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image

    model = default_sensor()
    with Touch(model, build_indenter(f"sphere:diameter={2.0 * RADIUS_MM}")) as touch:
        *_, state = touch.run(plan_touch(IndenterPose(1.0, -1.0), 1.0, (0.0, 0.0), 0.0))
    surface = refine_surface(state.surface, 139, 169)
    path = tmp_path_factory.mktemp("touch") / "rgb.png"
    shown = simulate_image(Renderer(model), surface).image
    cv2.imwrite(str(path), shown[..., ::-1])
    return path


@pytest.fixture(scope="module")
def inverted(image, tmp_path_factory):
    """Folder with the inverted image, and the printed object."""
    folder, printed = tmp_path_factory.mktemp("inverted"), io.StringIO()
    with redirect_stdout(printed):
        assert run(["invert", "--image", str(image), "--out", str(folder), "--json"]) == 0
    return folder, json.loads(printed.getvalue())


def test_the_files_belong_together(image, inverted):
    tmp_path, printed = inverted
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert printed == {**meta, "out": str(tmp_path)}
    assert meta["sensor_checksum"] == default_sensor().checksum
    assert meta["mm_per_px"] == pytest.approx(default_sensor().mm_per_px)
    assert meta["in_contact"]
    assert meta["depth_mm"] == pytest.approx(1.0, abs=0.06)
    assert meta["centroid_mm"] == pytest.approx([1.0, -1.0], abs=0.2)
    indentation = np.load(tmp_path / "indentation.npy")
    assert indentation.shape == (240, 320)
    assert indentation.dtype == np.float32
    assert indentation.max() == pytest.approx(meta["depth_mm"], abs=0.05)
    assert np.load(tmp_path / "shear.npy").shape == (240, 320, 2)
    mesh = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert len(mesh.vertices) == meta["rows"] * meta["columns"]
    shown = cv2.imread(str(tmp_path / "rgb.png")).astype(float)
    assert np.abs(shown - cv2.imread(str(image))).mean() < 3.0
    names = {"height_map.npy", "points.npy", "indentation.npy", "shear.npy", "mesh.ply"}
    assert {path.name for path in tmp_path.iterdir()} == {
        *names,
        "rgb.png",
        "force.png",
        "meta.json",
    }
    forces, health = meta["forces"], meta["gel_health"]
    assert forces["force_n"][2] < -1.0  # a press
    assert all(stddev > 0.0 for stddev in forces["force_stddev_n"])
    assert 0.5 < forces["slip_margin"] <= 1.0
    assert cv2.imread(str(tmp_path / "force.png")).std() > 5.0
    assert health["markers_lost"] == 0.0
    assert health["specks"] < 5
    assert health["brightness"] == pytest.approx([1.0, 1.0, 1.0], abs=0.02)


def fitted_radius(points, meta):
    """Radius of a sphere fitted to the points of nearly the whole contact, mm."""
    centre, reach = meta["centroid_mm"], 0.9 * np.sqrt(meta["area_mm2"] / np.pi)
    near = points[np.linalg.norm(points[:, :2] - centre, axis=1) < reach].astype(float)
    start = [*centre, near[:, 2].min() + 2.0, 2.0]
    return least_squares(lambda s: np.linalg.norm(near - s[:3], axis=1) - s[3], start).x[3]


def test_height_map_points_and_mesh_show_the_same_ball_and_the_pixel_map_another(inverted):
    folder, meta = inverted
    heights, points = (np.load(folder / f"{name}.npy") for name in ("height_map", "points"))
    assert (heights.dtype, points.dtype) == (np.float32, np.float32)
    rows, columns = np.indices(heights.shape)
    x, y = meta["height_map_origin_mm"]
    spacing = meta["height_map_mm_per_px"]
    on_grid = np.stack([x + spacing * columns, y + spacing * rows, heights], axis=-1)
    assert np.isnan(heights).any()  # what the camera does not show
    assert points.shape == (240, 320, 3)
    mesh = trimesh.load(folder / "mesh.ply", process=False).vertices
    radius = fitted_radius(np.asarray(mesh), meta)
    assert radius == pytest.approx(RADIUS_MM, rel=0.02)
    for cloud in (on_grid, points):
        known = cloud.reshape(-1, 3)
        known = known[np.isfinite(known[:, 2])]
        assert fitted_radius(known, meta) == pytest.approx(radius, rel=0.005)
    v, u = np.indices((240, 320))
    scale, middle = (
        meta["mm_per_px"],
        points[120, 160, :2] - meta["mm_per_px"] * np.array([160, 120]),
    )
    pixels = np.stack(
        [middle[0] + scale * u, middle[1] + scale * v, -np.load(folder / "indentation.npy")],
        axis=-1,
    )
    assert fitted_radius(pixels.reshape(-1, 3), meta) > 1.01 * radius


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--image": "missing.png"}, "cannot read"),
        ({"--sensor": "missing.yaml"}, "cannot read"),
        ({"--prior": "wavy"}, "prior"),
        ({"--steps": "0"}, "steps"),
        ({"--spacing": "0"}, "spacing"),
        ({"--young-modulus": "0"}, "young_modulus"),
        ({"--young-modulus-stddev": "-0.1"}, "expected 0 to 0.2"),
        ({"--reference": "missing.png"}, "cannot read"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(image, tmp_path, capsys, change, message):
    capsys.readouterr()
    options = {"--image": str(image), "--out": str(tmp_path / "out"), **change}
    assert run(["invert", *(word for pair in options.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_black_image_and_a_file_as_folder_are_refused(image, tmp_path, capsys):
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((240, 320, 3), np.uint8))
    assert run(["invert", "--image", str(black), "--out", str(tmp_path / "out")]) == 2
    assert "blank" in capsys.readouterr().err
    assert run(["invert", "--image", str(image), "--out", str(black)]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_touched_reference_image_makes_the_surface_a_bad_one(image, tmp_path, capsys):
    options = ["--image", str(image), "--reference", str(image), "--out", str(tmp_path / "out")]
    assert run(["invert", *options, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"]["level"] == "bad"
    assert any("touch the gel" in line for line in printed["warnings"])
