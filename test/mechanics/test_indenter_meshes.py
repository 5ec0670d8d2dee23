"""Meshes of the analytic indenters: closed, of the nominal sizes, and where the distance is 0."""

import math

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.build import build_indenter

HEXAGON_MM = (6 - 0.4) / math.cos(math.radians(30)) + 0.4
EXTENTS_MM = {
    "sphere:diameter=5": (5, 5, 5),
    "cylinder:diameter=6": (6, 6, 8),
    "cube:size=6,height=5": (6, 6, 5),
    "cross:size=8,arm=2": (8, 8, 8),
    "cone:diameter=8,angle=90": (8, 8, 8),
    "torus:diameter=7,tube=2": (9, 9, 2),
    "edge:length=12,width=6": (12, 6, 8),
    "hexagon:size=6": (HEXAGON_MM, 6, 8),
    "pyramid:size=8": (8, 8, 8),
}
SPACING_MM = 0.4


def winding_numbers(mesh, points):
    """How often a surface goes around points, from solid angles (van Oosterom, Strackee, 1983)."""
    a, b, c = (mesh.triangles[None, :, i] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    volume = np.einsum("nfi,nfi->nf", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("nfi,nfi->nf", u, v) for u, v in ((a, b), (b, c), (c, a)))
    angle = 2 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
    return angle.sum(axis=1) / (4 * np.pi)


@pytest.mark.parametrize("spec", EXTENTS_MM)
def test_meshes_are_closed_and_as_large_as_the_sizes_say(spec):
    """Tips and rounded sides are cut by chords: a bit less."""
    indenter = build_indenter(spec)
    mesh = indenter.mesh(SPACING_MM)
    assert mesh.is_volume
    assert mesh.extents == pytest.approx(EXTENTS_MM[spec], abs=0.06)
    assert np.all(mesh.extents <= np.array(EXTENTS_MM[spec]) + 1e-9)
    assert np.ptp(indenter.bounds, axis=0) == pytest.approx(EXTENTS_MM[spec])
    assert mesh.bounds[0, 2] == pytest.approx(0.0, abs=0.05)
    assert np.all(mesh.bounds[0] >= indenter.bounds[0] - 1e-9)


@pytest.mark.parametrize("spec", [*EXTENTS_MM, "text"])
def test_the_lowest_point_is_at_the_origins_height(spec):
    indenter = build_indenter(spec)
    low, high = indenter.bounds
    x, y = np.meshgrid(np.linspace(low[0], high[0], 201), np.linspace(low[1], high[1], 201))
    distance = indenter.distance(np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1))
    assert distance.min() == pytest.approx(0.0, abs=1e-3)
    assert distance.min() >= -1e-12
    assert low[2] == 0.0


@pytest.mark.parametrize("spec", ["cross", "cone", "torus", "pyramid", "text:word=S,size=5"])
def test_distance_and_sign_are_those_of_the_meshed_body(spec):
    """Brute force: nearest of many samples of the mesh, sign by how it winds around points."""
    indenter = build_indenter(spec)
    mesh = indenter.mesh(0.25)
    samples, _ = trimesh.sample.sample_surface(mesh, 100_000, seed=0)
    low, high = indenter.bounds
    points = np.random.default_rng(1).uniform(low - 1, high + 1, (80, 3))
    points[:, 2] = np.random.default_rng(2).uniform(-1, 4, 80)
    inside = winding_numbers(mesh, points) > 0.5
    gap, _ = cKDTree(samples).query(points)
    clear = gap > 0.05
    distance = indenter.distance(points)
    assert np.array_equal(distance[clear] < 0, inside[clear])
    near = distance > -0.5 * indenter.rounding_mm
    assert np.abs(distance[near]) == pytest.approx(gap[near], abs=0.06)


def test_words_are_one_closed_piece():
    mesh = build_indenter("text:word=A8,size=5,stroke=1").mesh(SPACING_MM)
    assert mesh.is_volume
    assert mesh.body_count == 1
    # 2 letters with 1 and 2 holes are no holes of the piece: they end at the plate.
    assert mesh.euler_number == 2


def test_volumes_are_those_of_the_bodies():
    """A ball, and a square bar less what the rounding takes off its edges (Steiner's formula)."""
    assert build_indenter("sphere:diameter=5").mesh(0.15).volume == pytest.approx(
        4 / 3 * math.pi * 2.5**3, rel=5e-3
    )
    r, a, h = 0.5, 6 - 1.0, 8 - 1.0
    expected = a * a * h + (2 * a * a + 4 * a * h) * r
    expected += math.pi / 4 * r**2 * (8 * a + 4 * h) + 4 / 3 * math.pi * r**3
    bar = build_indenter("cube:size=6,height=8,round=0.5").mesh(0.15)
    assert bar.volume == pytest.approx(expected, rel=2e-3)


def test_vertices_lie_on_the_surface_with_normals_along_the_gradient():
    indenter = build_indenter("cross")
    mesh = indenter.mesh(0.2)
    assert indenter.distance(mesh.vertices) == pytest.approx(0.0, abs=1e-9)
    large = mesh.area_faces > 1e-3
    facing = indenter.derivatives(mesh.triangles_center[large]).gradient
    assert np.median((facing * mesh.face_normals[large]).sum(axis=1)) > 0.999


def test_a_printed_file_comes_back_as_the_same_indenter(tmp_path):
    cross = build_indenter("cross")
    path = tmp_path / "cross.stl"
    cross.mesh(0.2).export(path)
    again = build_indenter(f"mesh:file={path},spacing=0.2")
    points = np.random.default_rng(3).uniform([-5, -5, -0.5], [5, 5, 3.5], (2000, 3))
    distance = cross.distance(points)
    near = np.abs(distance) < 0.3
    assert again.distance(points)[near] == pytest.approx(distance[near], abs=0.12)
    assert np.median(np.abs(again.distance(points) - distance)[near]) < 5e-3


@pytest.mark.parametrize("spacing", [0.0, -1.0, math.nan, math.inf, 1.3, 1e-4])
def test_spacings_that_give_no_mesh_are_refused(spacing):
    with pytest.raises(InputError, match="mesh spacing") as caught:
        build_indenter("sphere:diameter=5").mesh(spacing)
    assert "\n" not in str(caught.value)
