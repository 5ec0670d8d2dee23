"""A view shows what is in the file, and refuses what it does not know in one line."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from tacdiff_ros.cli.application import run as tacdiff
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.viewing import page
from tacdiff_ros.viewing.open_view import open_view
from tacdiff_ros.viewing.surface_scene import Arrows, Layer, grid_scene


def data_of(text: str, name: str) -> dict:
    """JSON that the page's script reads."""
    block = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    assert block is not None
    return json.loads(block[1])


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(-1, 3)


@pytest.fixture
def result(tmp_path) -> Path:
    """A folder as `invert` writes it, with a known dent, shear and force."""
    folder = tmp_path / "result"
    folder.mkdir()
    x, y = np.meshgrid(np.linspace(-10, 10, 80), np.linspace(-7.5, 7.5, 60))
    dent = 0.8 * np.exp(-(x**2 + y**2) / 8)
    points = np.stack([x, y, -dent], axis=-1).astype(np.float32)
    points[0, 0] = np.nan
    np.save(folder / "points.npy", points)
    np.save(folder / "indentation.npy", dent.astype(np.float32))
    np.save(folder / "shear.npy", np.stack([0.1 * dent, 0 * dent], axis=-1).astype(np.float32))
    surface = GelSurface.flat(20, 15, 5, 6)
    trimesh.Trimesh(surface.position, surface.triangles, process=False).export(folder / "mesh.ply")
    cv2.imwrite(str(folder / "rgb.png"), np.full((60, 80, 3), 128, np.uint8))
    meta = {
        "sensor_id": "mine",
        "sensor_checksum": "ab" * 32,
        "residuals": {},
        "centroid_mm": [0.0, 0.0],
        "forces": {"force_n": [0.0, 0.0, -2.0]},
        "warnings": ["the gel is stale"],
        "verdict": {"level": "usable", "reasons": ["<residual> 5"], "advice": "press less"},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_a_result_shows_its_surface_shear_force_sensor_and_warnings(result, tmp_path):
    out = tmp_path / "page.html"
    assert tacdiff(["view", str(result), "--out", str(out)]) == 0
    text = out.read_text()
    scene = data_of(text, "scene")
    position = floats(scene["position"])
    assert position[:, 2].min() == pytest.approx(-0.8, abs=0.02)
    assert len(position) == 60 * 80 - 1
    names = [layer["name"] for layer in scene["layers"]]
    assert names[0] == "indentation, mm"
    assert "shear along x, mm" in names
    force = next(group for group in scene["arrows"] if "force" in group["name"])
    start, tip = floats(force["segments"])[:2]
    np.testing.assert_allclose(tip - start, [0, 0, -5], atol=1e-5)
    assert np.linalg.norm(tip - [0, 0, -0.8]) < 0.2
    assert "2.00 N" in force["name"]
    assert "checksum " + "ab" * 8 in text
    assert "the gel is stale" in text
    assert "<b>usable</b>: &lt;residual&gt; 5<br>next: press less" in text


def test_a_page_needs_no_network(result, tmp_path):
    out = tmp_path / "page.html"
    assert tacdiff(["view", str(result), "--out", str(out)]) == 0
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|fetch\(""", out.read_text())


def test_quads_with_an_unknown_corner_are_left_out():
    points = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1)
    points = np.concatenate([points, np.zeros((3, 4, 1))], axis=-1)
    points[1, 1] = np.nan
    scene = grid_scene(points, [Layer("z, mm", points[..., 2].ravel())])
    assert len(scene.triangles) == 2 * 6 - 2 * 4
    assert np.isfinite(scene.position).all()


def test_signed_layers_are_white_at_zero_and_other_values_differ_by_sign():
    colours = Layer("shear, mm", np.array([-0.2, 0.0, 0.1]), is_signed=True).colours().astype(int)
    assert colours[1].min() > 240
    assert colours[0][2] > colours[0][0]
    assert colours[2][0] > colours[2][2]


def test_arrows_end_at_start_plus_vector():
    scene = grid_scene(
        np.zeros((2, 2, 3)), [], [Arrows("a", np.array([[1, 2, 3]]), np.array([[0, 0, 2]]))]
    )
    segments = floats(scene.as_json()["arrows"][0]["segments"])
    np.testing.assert_allclose(segments[:2], [[1, 2, 3], [1, 2, 5]])


def test_a_folder_of_images_shows_each_beside_its_change_from_the_first(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), np.full((48, 64, 3), 100 + 10 * k, np.uint8))
    out = tmp_path / "page.html"
    assert tacdiff(["view", str(folder), "--out", str(out)]) == 0
    frames = data_of(out.read_text(), "frames")
    last = np.frombuffer(base64.b64decode(frames["images"][2]), np.uint8)
    image = cv2.imdecode(last, cv2.IMREAD_COLOR)
    assert image.shape == (48, 128, 3)
    assert abs(float(image[:, :64].mean()) - 120) < 2
    assert abs(float(image[:, 64:].mean()) - (128 + 4 * 20)) < 2


def test_a_long_recording_keeps_evenly_spaced_frames(monkeypatch):
    monkeypatch.setattr(page, "MAX_FRAMES", 8)
    collector = page.FrameCollector("frames")
    for k in range(100):
        if collector.wants_next():
            collector.add(str(k), np.zeros((4, 4, 3), np.uint8))
        else:
            collector.skip()
    kept = [int(caption) for caption in collector.series().captions]
    assert len(kept) <= 8
    assert len(set(np.diff(kept))) == 1
    assert kept[0] == 0
    assert kept[-1] > 80


def test_a_map_shows_its_range_and_unit(tmp_path):
    np.save(tmp_path / "height_map.npy", np.linspace(-1, 0.5, 48).reshape(6, 8))
    view = open_view(tmp_path / "height_map.npy")
    assert "-1 to 0.5" in view.facts["height map, mm"]
    assert view.scene is not None
    assert view.scene.position[:, 2].min() == -1


def test_a_sensor_file_shows_its_checksum_lights_and_markers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tacdiff_ros.optics.fast.fast_renderer", None)
    view = open_view(config_path("sensors/gelsight_mini.yaml"))
    assert view.sensor.sensor_id == "gelsight_mini"
    assert view.facts["markers"].startswith("7 x 9")
    assert "not rendered" in view.notes[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello"),
        ("map.npy", b"no array"),
        ("vector.npy", None),
        ("mesh.ply", b"ply\nno mesh"),
        ("image.png", b"no image"),
        ("sensor.yaml", b"a: [1"),
        ("missing.npy", ...),
        ("empty", "folder"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, name, content
):
    monkeypatch.chdir(tmp_path)
    if content is None:
        np.save(name, np.zeros(3))
    elif content == "folder":
        Path(name).mkdir()
    elif content is not ...:
        Path(name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    assert tacdiff(["view", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
