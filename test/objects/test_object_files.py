"""Objects are read from files, checked, and refused with advice."""

import numpy as np
import pytest
import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.object_files import build_object, load_object, open_fraction


def written(folder, mesh, name="part.ply"):
    folder.mkdir(parents=True, exist_ok=True)
    mesh.export(folder / name)
    return folder / name


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TACDIFF_CACHE_DIR", str(tmp_path / "cache"))


def test_millimetres_are_scaled_to_metres(tmp_path):
    path = written(tmp_path, trimesh.creation.box([40, 60, 100]))
    item = load_object(path, unit="mm", spacing=0.004)
    np.testing.assert_allclose(np.ptp(item.vertices, axis=0), [0.04, 0.06, 0.1])
    assert item.name == "part"


def test_a_wrong_unit_is_refused_with_the_factor_that_fits(tmp_path):
    path = written(tmp_path, trimesh.creation.box([40, 60, 100]))
    with pytest.raises(InputError, match=r"100 m long.*unit=cm \(factor 0.01: 1 m\)"):
        load_object(path)
    tiny = written(tmp_path, trimesh.creation.box([4e-5, 6e-5, 1e-4]), "tiny.ply")
    with pytest.raises(InputError, match="scale the mesh, such as by 1000"):
        load_object(tiny)


def test_a_box_without_two_sides_is_refused_and_one_with_a_small_hole_is_not(tmp_path):
    mesh = trimesh.creation.box([0.04, 0.06, 0.1])
    sides = mesh.face_normals @ [1, 0, 0]
    with pytest.raises(InputError, match="separates an inside from an outside"):
        build_object("open", mesh.vertices, mesh.faces[np.abs(sides) < 0.5], cache=False)
    fine = mesh.subdivide().subdivide().subdivide()
    holed = build_object("holed", fine.vertices, fine.faces[4:], spacing=0.003, cache=False)
    whole = build_object("whole", fine.vertices, fine.faces, spacing=0.003, cache=False)
    assert holed.volume == pytest.approx(whole.volume, rel=0.01)


def test_the_open_fraction_is_that_of_the_missing_faces():
    mesh = trimesh.creation.box([0.04, 0.04, 0.04])
    soup = mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    lids = mesh.face_normals @ [1, 0, 0]
    assert open_fraction(*soup) == pytest.approx(0.0, abs=1e-12)
    assert open_fraction(mesh.vertices, mesh.faces[lids < 0.5]) == pytest.approx(1 / 6)
    assert open_fraction(mesh.vertices, mesh.faces[np.abs(lids) < 0.5]) == pytest.approx(2 / 6)


def test_a_surface_that_is_inside_out_is_turned():
    mesh = trimesh.creation.box([0.04, 0.06, 0.1])
    item = build_object("turned", mesh.vertices, mesh.faces[:, ::-1], spacing=0.004, cache=False)
    assert item.distance.distance([[0, 0, 0]])[0] == pytest.approx(-0.02, abs=2e-3)
    assert (item.face_normals * item.vertices[item.faces].mean(axis=1)).sum() > 0


def test_the_layout_of_ycb_is_read_as_it_is(tmp_path):
    written(tmp_path / "003_box" / "google_16k", trimesh.creation.box([0.05] * 3), "textured.obj")
    assert load_object(tmp_path / "003_box", spacing=0.004).name == "003_box"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no mesh"):
        load_object(tmp_path / "empty")


def test_the_second_reading_uses_the_cached_field_and_a_damaged_cache_is_ignored(tmp_path):
    path = written(tmp_path, trimesh.creation.box([0.04, 0.06, 0.1]))
    first = load_object(path, spacing=0.004)
    (cached,) = (tmp_path / "cache" / "objects").iterdir()
    stamp = cached.stat().st_mtime_ns
    second = load_object(path, spacing=0.004)
    assert cached.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.distance.values, second.distance.values)
    cached.write_bytes(b"damaged")
    third = load_object(path, spacing=0.004)
    np.testing.assert_array_equal(first.distance.values, third.distance.values)
