"""Indenters from triangle files agree with analytic ones, and bad files are refused."""

import numpy as np
import pytest
import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters import mesh_file, mesh_indenter, triangle_distance
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.indenters.spline_field import SplineField

STEP_MM = 1e-4


def in_folder(folder, mesh, name="part.stl"):
    path = folder / name
    mesh.export(path)
    return path


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    """A sphere of 5 mm off the origin: 20480 triangles, whose chords are off by 0.001 mm."""
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=2.5)
    mesh.apply_translation([7.0, -3.0, 11.0])
    path = in_folder(tmp_path_factory.mktemp("ball"), mesh)
    return build_indenter(f"mesh:file={path}")


@pytest.fixture
def near_ball():
    """Points within 0.5 mm of the lower half of the sphere, and its analytic field there."""
    sphere = build_indenter("sphere:diameter=5")
    points = np.random.default_rng(0).uniform([-3, -3, -0.5], [3, 3, 2.5], (6000, 3))
    points = points[np.abs(sphere.distance(points)) < 0.5]
    return points, sphere.derivatives(points)


def test_a_sphere_from_a_file_is_a_sphere_whatever_the_smoothing_takes(ball, near_ball):
    """A Gaussian of one cell h alone would lift the distance by h^2 / R = 0.004 mm."""
    points, sphere = near_ball
    field = ball.derivatives(points)
    assert field.distance == pytest.approx(sphere.distance, abs=0.006)
    near = np.abs(sphere.distance) < 0.1
    assert field.distance[near] == pytest.approx(sphere.distance[near], abs=0.001)
    assert field.gradient == pytest.approx(sphere.gradient, abs=0.01)
    assert field.hessian == pytest.approx(sphere.hessian, abs=0.105)
    assert np.median(np.abs(field.hessian - sphere.hessian)) < 0.01


def test_it_stands_on_its_lowest_point_in_the_middle(ball):
    assert ball.bounds == pytest.approx(np.array([(-2.5, -2.5, 0), (2.5, 2.5, 5)]), abs=2e-3)
    assert ball.distance([(0, 0, 0)])[0] == pytest.approx(0.0, abs=0.006)
    body = ball.mesh()
    assert body.is_volume
    body.apply_translation([1, 1, 1])
    assert ball.bounds[0, 2] == pytest.approx(0.0, abs=1e-9)


def test_gradient_and_hessian_are_those_of_the_spline(ball, near_ball):
    points = near_ball[0][:300]
    outside = np.random.default_rng(1).uniform([-8, -8, -6], [8, 8, 12], (300, 3))
    points = np.concatenate([points, outside])
    low, high = ball.field.box
    clear = np.minimum(np.abs(points - low), np.abs(points - high)).min(axis=1) > 2 * STEP_MM
    points = points[clear]
    field = ball.field.derivatives(points)
    gradient, hessian = np.empty((len(points), 3)), np.empty((len(points), 3, 3))
    for i, axis in enumerate(STEP_MM * np.eye(3)):
        after, before = ball.field.derivatives(points + axis), ball.field.derivatives(points - axis)
        gradient[:, i] = (after.distance - before.distance) / (2 * STEP_MM)
        hessian[:, :, i] = (after.gradient - before.gradient) / (2 * STEP_MM)
    assert field.gradient == pytest.approx(gradient, abs=1e-6)
    assert field.hessian == pytest.approx(hessian, abs=2e-3)


def test_the_field_goes_on_outside_of_the_grid(ball):
    """Continuous across the border of the grid, and rising with the distance from it."""
    low, high = ball.field.box
    random = np.random.default_rng(2)
    for axis in range(3):
        for border, out in ((low, -1), (high, 1)):
            points = random.uniform(low, high, (50, 3))
            points[:, axis] = border[axis]
            step = out * np.eye(3)[axis]
            at = ball.field.derivatives(points).distance
            assert ball.field.derivatives(points + 1e-9 * step).distance == pytest.approx(
                at, abs=1e-8
            )
            assert ball.field.derivatives(points + 3.0 * step).distance == pytest.approx(
                at + 3.0, abs=1e-9
            )


def test_a_box_from_a_file_keeps_its_faces_and_rounds_its_edges(tmp_path):
    path = in_folder(tmp_path, trimesh.creation.box((6, 6, 8)))
    box = build_indenter(f"mesh:file={path}")
    face = np.random.default_rng(3).uniform([-2.4, -2.4, 0], [2.4, 2.4, 0], (50, 3))
    assert box.distance(face) == pytest.approx(0.0, abs=3e-6)
    edge = box.distance([(3, 0, 0), (3 - 0.2 * (1 - 0.5**0.5), 0, 0.2 * (1 - 0.5**0.5))])
    assert 0.05 < edge[0] < 0.1
    assert abs(edge[1]) < 0.03


def test_at_the_edges_of_a_box_the_field_is_a_distance_with_unit_normals(tmp_path):
    """The contact law and Newton's method need both: smoothing alone gives gradients of 0.7."""
    path = in_folder(tmp_path, trimesh.creation.box((6, 6, 8)))
    box = build_indenter(f"mesh:file={path}")
    points = np.random.default_rng(7).uniform([2.5, -1, -0.3], [3.3, 1, 0.5], (3000, 3))
    points = points[np.abs(box.distance(points)) < 0.02]
    assert len(points) > 50
    field = box.derivatives(points)
    assert np.linalg.norm(field.gradient, axis=1) == pytest.approx(1.0, abs=1e-9)
    along = np.stack(
        [
            box.distance(points + STEP_MM * axis) - box.distance(points - STEP_MM * axis)
            for axis in np.eye(3)
        ],
        axis=1,
    ) / (2 * STEP_MM)
    assert field.gradient == pytest.approx(along, abs=0.1)
    assert np.einsum("nij,nj->ni", field.hessian, field.gradient) == pytest.approx(0.0, abs=1e-9)
    on_surface = points - field.distance[:, None] * field.gradient
    assert np.abs(box.distance(on_surface)).max() < 5e-4


@pytest.mark.parametrize("suffix", ["stl", "ply", "obj"])
def test_files_in_metres_and_inside_out_are_read_with_a_scale(tmp_path, suffix):
    mesh = trimesh.creation.box((0.004, 0.003, 0.002))
    mesh.invert()
    path = in_folder(tmp_path, mesh, f"part.{suffix}")
    box = build_indenter(f"mesh:file={path},scale=1000,spacing=0.2")
    assert box.spec == f"mesh:file={path},scale=1000,spacing=0.2"
    assert box.mesh().extents == pytest.approx([4, 3, 2])
    assert box.mesh().volume == pytest.approx(24)
    inside, outside = box.distance([(0.3, 0.2, 0.6), (0.3, 0.2, -0.6)])
    assert (inside, outside) == pytest.approx((-0.6, 0.6), abs=1e-2)


def test_distances_to_triangles_agree_with_dense_samples_of_them():
    random = np.random.default_rng(4)
    corners = random.normal(size=(60, 3, 3))
    corners[:5, 2] = corners[:5, 1]  # some have no area
    points = 2 * random.normal(size=(60, 3))
    weights = triangle_distance.nearest_weights(points, corners)
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert weights.min() >= 0
    foot = np.einsum("nc,nci->ni", weights, corners)
    gap = np.linalg.norm(points - foot, axis=1)
    u, v = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
    part = np.stack([u * (1 - v), u * v, 1 - u], axis=-1).reshape(-1, 3)
    for i in range(60):
        dense = np.linalg.norm(part @ corners[i] - points[i], axis=1).min()
        assert gap[i] <= dense + 1e-9
        assert gap[i] == pytest.approx(dense, abs=0.02)


@pytest.mark.parametrize("shape", ["wedge", "slivers", "cavity"])
def test_grid_distances_agree_with_brute_force_over_all_triangles(shape):
    """Sharp tips, where signs are hard, long thin triangles, and a hole inside of a body."""
    if shape == "wedge":
        mesh = trimesh.convex.convex_hull([(0, 0, 0), (2, 0.1, 3), (-0.1, 2, 3), (-1, -1, 3.5)])
    elif shape == "slivers":
        mesh = trimesh.creation.cylinder(1.5, 3.0, sections=200)
    else:
        inner = trimesh.creation.icosphere(subdivisions=2, radius=0.8)
        inner.invert()
        mesh = trimesh.util.concatenate([trimesh.creation.box((3, 3, 3)), inner])
    origin, spacing, count = mesh.bounds[0] - 0.6, 0.2, (24, 24, 26)
    grid = triangle_distance.grid_distance(mesh, origin, count, spacing)
    index = np.random.default_rng(5).integers(0, count, (300, 3))
    points = origin + spacing * index
    expected = np.full(len(points), np.inf)
    for triangle in mesh.triangles:
        corners = np.broadcast_to(triangle, (len(points), 3, 3))
        weights = triangle_distance.nearest_weights(points, corners)
        gap = np.linalg.norm(points - np.einsum("nc,nci->ni", weights, corners), axis=1)
        expected = np.minimum(expected, gap)
    inside = _inside(shape, mesh, points)
    expected[inside] *= -1
    values = grid[tuple(index.T)]
    top = origin[2] + spacing * count[2]
    seen = points[:, 2] + np.abs(expected) < min(top, mesh.bounds[1, 2] + 1)
    clear = np.abs(expected) > 1e-9
    assert np.array_equal(values[clear] < 0, expected[clear] < 0)
    band = seen & (np.abs(expected) < 4 * spacing)
    assert values[band] == pytest.approx(expected[band], abs=2e-4)
    assert values[seen] == pytest.approx(expected[seen], abs=0.1)


def _inside(shape, mesh, points):
    if shape == "cavity":
        ball = trimesh.creation.icosphere(subdivisions=2, radius=0.8)
        return _within_planes(trimesh.creation.box((3, 3, 3)), points) & ~_within_planes(
            ball, points
        )
    return _within_planes(mesh, points)


def _within_planes(convex, points):
    heights = np.einsum(
        "nfi,fi->nf", points[:, None] - convex.triangles[None, :, 0], convex.face_normals
    )
    return (heights < 0).all(axis=1)


def test_splines_go_through_cubics_exactly():
    origin, spacing = np.array([1.0, -2.0, 0.5]), 0.25
    axes = [start + spacing * np.arange(16) for start in origin]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    field = SplineField.from_samples(np.sin(x) * np.cos(y) + 0.1 * z**2, origin, spacing)
    points = np.random.default_rng(6).uniform(origin + 1.2, origin + 2.6, (200, 3))
    x, y, z = points.T
    values = field.derivatives(points)
    assert values.distance == pytest.approx(np.sin(x) * np.cos(y) + 0.1 * z**2, abs=2e-4)
    slope = np.stack([np.cos(x) * np.cos(y), -np.sin(x) * np.sin(y), 0.2 * z], axis=1)
    assert values.gradient == pytest.approx(slope, abs=2e-3)
    assert values.hessian[:, 0, 1] == pytest.approx(-np.cos(x) * np.sin(y), abs=5e-3)
    assert values.hessian[:, 2, 2] == pytest.approx(0.2, abs=2e-2)


def test_of_a_large_body_only_the_part_that_can_touch_is_sampled(tmp_path):
    can = trimesh.creation.cylinder(radius=33.0, height=102.0, sections=64)
    can.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    body = build_indenter(f"mesh:file={in_folder(tmp_path, can)},spacing=0.25")
    points = np.random.default_rng(2).uniform([-13, -13, -0.5], [13, 13, 0.5], (2000, 3))
    expected = np.hypot(points[:, 0], points[:, 2] - 33.0) - 33.0
    # 64 chords, and the smoothing by one cell.
    assert body.distance(points) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("name", ["cube:size=3", "cone", "cross:size=4,arm=1.5"])
def test_a_tilted_primitive_is_its_tilted_mesh(tmp_path, name):
    tilt = "roll=25,pitch=-40"
    primitive = build_indenter(f"{name},{tilt}" if ":" in name else f"{name}:{tilt}")
    mesh = build_indenter(name).mesh(0.25)
    about_x = trimesh.transformations.rotation_matrix(np.radians(25), [1, 0, 0])
    about_y = trimesh.transformations.rotation_matrix(np.radians(-40), [0, 1, 0])
    mesh.apply_transform(about_y @ about_x)
    low, high = mesh.bounds
    mesh.apply_translation([*-(low + high)[:2] / 2, -low[2]])
    assert primitive.bounds == pytest.approx(mesh.bounds, abs=0.02)
    assert primitive.distance(mesh.vertices) == pytest.approx(0.0, abs=0.02)
    points = np.random.default_rng(8).uniform([-2, -2, -1], [2, 2, 4], (200, 3))
    field, step = primitive.derivatives(points), 1e-5 * np.eye(3)
    numeric = [primitive.distance(points + h) - primitive.distance(points - h) for h in step]
    outside = field.distance > 0.05
    assert field.gradient[outside] == pytest.approx(
        np.stack(numeric, axis=1)[outside] / 2e-5, abs=1e-3
    )
    assert build_indenter(primitive.spec).spec == primitive.spec


def test_a_mesh_is_turned_by_roll_and_then_by_pitch(tmp_path):
    path = in_folder(tmp_path, trimesh.creation.box((2, 3, 7)))
    turned = build_indenter(f"mesh:file={path},spacing=0.2,roll=90,pitch=-90")
    # Roll brings z to y, and then pitch brings x to z.
    assert np.diff(turned.bounds, axis=0)[0] == pytest.approx([3, 7, 2])
    assert turned.spec == f"mesh:file={path},scale=1,spacing=0.2,roll=90,pitch=-90"


def test_a_hole_is_closed_on_request_and_the_log_says_so(tmp_path, caplog):
    box = trimesh.creation.box((4, 4, 8))
    box.update_faces(box.face_normals[:, 2] < 0.9)  # no upper face
    tube = trimesh.creation.cylinder(2.0, 8.0, sections=40)
    tube.update_faces(np.abs(tube.face_normals[:, 2]) < 0.9)  # no ends
    for mesh, volume, said in (
        (box, 128.0, "closed 1 hole, with 4 edges"),
        (tube, 8 * 0.5 * 40 * 4 * np.sin(2 * np.pi / 40), "closed 2 holes, with 40, 40 edges"),
    ):
        path = in_folder(tmp_path, mesh)
        with pytest.raises(InputError, match=r"not watertight .* give repair=yes"):
            build_indenter(f"mesh:file={path}")
        body = build_indenter(f"mesh:file={path},repair=yes,spacing=0.2").mesh()
        assert body.is_volume
        assert body.volume == pytest.approx(volume)
        assert said in caplog.text
        caplog.clear()
    with pytest.raises(InputError, match="repair is 'maybe', expected yes or no"):
        build_indenter(f"mesh:file={path},repair=maybe")


def test_what_a_repair_cannot_mend_is_refused(tmp_path):
    mesh = trimesh.creation.box((6, 6, 8))
    _turned(mesh)
    path = in_folder(tmp_path, mesh, "part.ply")
    with pytest.raises(InputError, match="which is not enough"):
        build_indenter(f"mesh:file={path},repair=yes")


def _open(mesh):
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)


def _turned(mesh):
    mesh.faces[0] = mesh.faces[0][::-1]


def _flat(mesh):
    mesh.apply_scale([1, 1, 0.01])


def _large(mesh):
    mesh.apply_scale(200)


def _in_metres(mesh):
    mesh.apply_scale(1e-3)


def _not_finite(mesh):
    mesh.vertices[0, 1] = np.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_open, "not watertight"),
        (_turned, "not watertight with consistently oriented triangles"),
        (_flat, "measures 6 x 6 x 0.08 mm, expected 0.5 to 1000"),
        (_large, "expected 0.5 to 1000 mm each way: give a scale, or a mesh of the part"),
        (_in_metres, "expected 0.5 to 1000 mm each way: give a scale, such as scale=1000"),
        (_not_finite, "not finite"),
    ],
)
def test_bodies_that_cannot_be_pressed_are_refused(tmp_path, spoil, message):
    mesh = trimesh.creation.box((6, 6, 8))
    spoil(mesh)
    path = in_folder(tmp_path, mesh, "part.ply")
    with pytest.raises(InputError, match=message) as caught:
        build_indenter(f"mesh:file={path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.stl", b""),
        ("noise.stl", bytes(range(256)) * 8),
        ("short.stl", b"\0" * 80 + (1000).to_bytes(4, "little") + b"\0" * 50),
        ("text.obj", b"this is\nno mesh\n"),
        ("points.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
        ("beyond.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 9\n"),
        ("header.ply", b"ply\nformat ascii 1.0\nelement vertex 999999999\nend_header\n"),
        (
            "huge.ply",
            b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\n"
            b"property float x\nproperty float y\nproperty float z\nend_header\n",
        ),
    ],
)
def test_files_that_hold_no_body_are_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"mesh '.*'") as caught:
        build_indenter(f"mesh:file={path}")
    assert "\n" not in str(caught.value)


def test_files_that_are_too_much_are_refused_before_the_work(tmp_path, monkeypatch):
    path = in_folder(tmp_path, trimesh.creation.box((6, 6, 8)))
    with pytest.raises(InputError, match=r"is no file"):
        build_indenter(f"mesh:file={tmp_path / 'folder.stl'}")
    with pytest.raises(InputError, match=r"grid of \d+ points, expected up to 6000000"):
        build_indenter(f"mesh:file={path},spacing=0.02")
    with monkeypatch.context() as patch:
        patch.setattr(mesh_file, "MAX_FILE_BYTES", 100)
        with pytest.raises(InputError, match="is over 100 bytes"):
            build_indenter(f"mesh:file={path}")
    with monkeypatch.context() as patch:
        patch.setattr(mesh_file, "MAX_TRIANGLES", 10)
        with pytest.raises(InputError, match="12 triangles, expected 4 to 10"):
            build_indenter(f"mesh:file={path}")
    monkeypatch.setattr(triangle_distance, "MAX_SAMPLES", 1000)
    with pytest.raises(InputError, match="coarser spacing"):
        build_indenter(f"mesh:file={path}")
    assert mesh_indenter.MAX_POINTS == 6_000_000
