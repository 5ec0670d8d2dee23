"""Distances of the analytic indenters are distances, and their derivatives are derivatives."""

import math

import numpy as np
import pytest
from scipy.optimize import nnls

from tacdiff_ros.mechanics.indenters.build import build_indenter

SPECS = [
    "sphere",
    "sphere:diameter=12",
    "cylinder",
    "cube",
    "cross",
    "cross:size=12,arm=4,round=1,fillet=1.5",
    "cone",
    "cone:angle=130,diameter=10,round=0.1",
    "torus",
    "edge",
    "hexagon",
    "pyramid",
    "pyramid:angle=60,height=12,round=1",
    "text",
    "text:word=QR-58,size=5,stroke=1,round=0.1",
]
STEP_MM = 1e-5


def points_around(indenter, count=1500, seed=0, margin_mm=1.5):
    """Random points in and around the lowest 5 mm of a body."""
    low, high = indenter.bounds
    high = np.minimum(high, [np.inf, np.inf, 5.0])
    return np.random.default_rng(seed).uniform(low - margin_mm, high + margin_mm, (count, 3))


def outside_core(indenter, points, distance):
    return distance > 0.02 - indenter.rounding_mm


def central_differences(function, points):
    return np.stack(
        [
            (function(points + STEP_MM * axis) - function(points - STEP_MM * axis)) / (2 * STEP_MM)
            for axis in np.eye(3)
        ],
        axis=-1,
    )


@pytest.mark.parametrize("spec", SPECS)
def test_gradient_and_hessian_are_those_of_the_distance(spec):
    """The Hessian jumps where the nearest feature changes: differences across that are few."""
    indenter = build_indenter(spec)
    points = points_around(indenter)
    field = indenter.derivatives(points)
    assert indenter.distance(points) == pytest.approx(field.distance, abs=1e-12)
    outside = outside_core(indenter, points, field.distance)
    gradient = central_differences(indenter.distance, points)
    wrong = np.abs(gradient - field.gradient).max(axis=1) > 1e-6
    assert wrong[outside].mean() < 0.002
    hessian = central_differences(lambda at: indenter.derivatives(at).gradient, points)
    wrong = np.abs(hessian - field.hessian).max(axis=(1, 2)) > 1e-4
    assert wrong[outside].mean() < 0.005


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_are_of_unit_length_and_hessians_are_symmetric_and_know_no_change_along_it(spec):
    indenter = build_indenter(spec)
    field = indenter.derivatives(points_around(indenter, seed=1))
    assert np.linalg.norm(field.gradient, axis=1) == pytest.approx(1.0, abs=1e-12)
    assert field.hessian == pytest.approx(field.hessian.transpose(0, 2, 1), abs=1e-12)
    along = np.einsum("nij,nj->ni", field.hessian, field.gradient)
    assert np.abs(along).max() < 1e-9 * np.abs(field.hessian).max()


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("text")])
def test_the_gradient_is_continuous_where_the_nearest_feature_changes(spec):
    """Close pairs of points near the surface: the gradient turns by no more than their way allows.

    But for words, whose strokes meet in kinks.
    """
    indenter = build_indenter(spec)
    points = points_around(indenter, 8000, seed=2, margin_mm=0.3)
    distance = indenter.distance(points)
    points = points[np.abs(distance) < 0.5 * min(indenter.rounding_mm, 0.3)]
    way = np.random.default_rng(3).normal(size=points.shape)
    way *= 1e-6 / np.linalg.norm(way, axis=1, keepdims=True)
    turned = indenter.derivatives(points + way).gradient - indenter.derivatives(points).gradient
    sharpest = 1.0 / (0.5 * min(indenter.rounding_mm, 0.3))
    assert np.linalg.norm(turned, axis=1).max() < 1.01e-6 * sharpest


@pytest.mark.parametrize("spec", SPECS)
def test_distance_changes_by_no_more_than_the_way_gone(spec):
    indenter = build_indenter(spec)
    a, b = points_around(indenter, 4000, seed=4), points_around(indenter, 4000, seed=5)
    b[::2] = a[::2] + 0.1 * (b[::2] - a[::2])
    change = np.abs(indenter.distance(a) - indenter.distance(b))
    assert np.all(change <= np.linalg.norm(a - b, axis=1) + 1e-12)


@pytest.mark.parametrize("spec", SPECS)
def test_everything_is_finite_on_symmetry_planes_axes_and_inside(spec):
    indenter = build_indenter(spec)
    low, high = indenter.bounds
    axes = [np.unique(np.r_[np.linspace(a, b, 9), 0.0]) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    centres = [[0, 0, high[2] / 2], [0, 0, indenter.rounding_mm], [0, 0, 0]]
    field = indenter.derivatives(np.concatenate([points, centres]))
    for values in (field.distance, field.gradient, field.hessian):
        assert np.isfinite(values).all()
    assert np.linalg.norm(field.gradient, axis=1) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_point_out_of_the_body_inside_of_the_core_too(spec):
    """Going against the gradient leads deeper, until the middle of the body."""
    indenter = build_indenter(spec)
    points = points_around(indenter, 6000, seed=6)
    field = indenter.derivatives(points)
    core = field.distance < -indenter.rounding_mm - 0.01
    ahead = indenter.distance(points[core] + 0.005 * field.gradient[core])
    assert np.all(ahead > field.distance[core])


def ball(points, radius, centre):
    return np.linalg.norm(points - centre, axis=1) - radius


def box(points, low, high, rounding):
    """Rounded box in closed form."""
    low, high = np.array(low) + rounding, np.array(high) - rounding
    beyond = np.maximum(low - points, points - high)
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    return outside + np.minimum(beyond.max(axis=1), 0) - rounding


def test_a_sphere_a_torus_a_cylinder_and_a_cube_agree_with_closed_forms():
    points = np.random.default_rng(7).uniform([-6, -6, -2], [6, 6, 10], (3000, 3))
    x, y, z = points.T
    ring = np.hypot(np.hypot(x, y) - 3.5, z - 1.0) - 1.0
    walls = np.hypot(x, y) - 3.0
    turned = box(np.stack([walls, 0 * z, z], axis=1), [-9, -9, 0], [0, 9, 8], 0.2)
    bar = box(points, [-3, -3, 0], [3, 3, 8], 0.2)
    for spec, expected in (
        ("sphere:diameter=5", ball(points, 2.5, (0, 0, 2.5))),
        ("torus:diameter=7,tube=2", ring),
        ("cylinder:diameter=6", turned),
        ("cube:size=6", bar),
    ):
        assert build_indenter(spec).distance(points) == pytest.approx(expected, abs=1e-9), spec


def test_a_cross_is_two_bars_but_for_its_fillets():
    points = points_around(build_indenter("cross"), 4000, seed=8)
    bars = np.minimum(
        box(points, [-4, -1, 0], [4, 1, 8], 0.2), box(points, [-1, -4, 0], [1, 4, 8], 0.2)
    )
    distance = build_indenter("cross:size=8,arm=2,fillet=0.3").distance(points)
    folded = np.sort(np.abs(points[:, :2]), axis=1)
    # Feet of the fillets are at 1 + 0.3; the strip beside them belongs to the arcs.
    plain = (folded[:, 1] > 1.3) & (bars > 0)
    straight = plain & ((folded[:, 0] < 1.0) | (folded[:, 1] > 1.0 + folded[:, 0]))
    assert straight.sum() > 500
    assert distance[straight] == pytest.approx(bars[straight], abs=1e-9)
    assert np.all(distance[bars > 0] <= bars[bars > 0] + 1e-12)
    middle = np.array([[1.3, 1.3, 4.0], [1.3 - 0.2, 1.3 - 0.2, 4.0]])
    from_centre = np.linalg.norm(middle[:, :2] - 1.3, axis=1)
    cross = build_indenter("cross:size=8,arm=2,fillet=0.3")
    assert cross.distance(middle) == pytest.approx(0.3 - from_centre, abs=1e-8)
    arc = cross.derivatives(middle[1:])
    assert np.linalg.eigvalsh(arc.hessian[0])[0] == pytest.approx(-1 / from_centre[1])


def distance_to_hull(points, corners):
    """Nearest point of a convex hull, by least squares over weights that are not negative."""
    heavy = 1e4
    matrix = np.vstack([corners.T, heavy * np.ones(len(corners))])
    return np.array([nnls(matrix, np.append(point, heavy))[1] for point in points])


def core_corners(name, rounding):
    square = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    if name == "pyramid":  # 90 degrees: as high as half as wide
        half = 4 - rounding
        ring = np.column_stack([half * square, np.full(4, rounding + half)])
        lid = np.column_stack([half * square, np.full(4, 8 - rounding)])
        return np.concatenate([[(0, 0, rounding)], ring, lid])
    if name == "edge":
        half = 3 - rounding
        rise = rounding + half / math.tan(math.radians(30))
        profile = [(0, rounding), (half, rise), (-half, rise), (half, 8 - rounding)]
        profile.append((-half, 8 - rounding))
        return np.array([(x, *p) for p in profile for x in (-6 + rounding, 6 - rounding)])
    flat = 3 - rounding
    angles = np.radians(60) * np.arange(6)
    ring = flat / math.cos(math.radians(30)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.array([(*p, z) for p in ring for z in (rounding, 8 - rounding)])


@pytest.mark.parametrize("name", ["pyramid", "edge", "hexagon"])
def test_convex_bodies_are_their_corners_hull_grown_by_a_ball(name):
    indenter = build_indenter(name)
    points = points_around(indenter, 250, seed=9)
    expected = distance_to_hull(points, core_corners(name, indenter.rounding_mm))
    outside = expected > 1e-3
    assert outside.sum() > 50
    distance = indenter.distance(points) + indenter.rounding_mm
    assert distance[outside] == pytest.approx(expected[outside], abs=1e-6)
    assert np.all(distance[~outside] < 2e-3)


def test_a_cone_has_the_slope_of_its_angle_and_the_radius_of_its_tip():
    cone = build_indenter("cone:diameter=8,angle=120,round=0.5")
    on_axis = cone.derivatives([(0, 0, -1.0), (0, 0, 0.0)])
    assert on_axis.distance == pytest.approx([1.0, 0.0], abs=1e-12)
    assert on_axis.hessian[1] == pytest.approx(np.diag([2.0, 2.0, 0.0]), abs=1e-6)
    flank = cone.derivatives([(2.0, 0.0, 0.2)])
    slope = (math.sin(math.radians(30)), 0, -math.cos(math.radians(30)))
    assert flank.gradient[0] == pytest.approx(slope, abs=1e-12)


def test_words_are_capsules_along_their_strokes():
    """An L: a pen of 0.8 mm along two lines; its letter is 4 mm high and 0.55 of that wide."""
    letter = build_indenter("text:word=L,size=4,stroke=0.8,round=0.2")
    height, width = 3.2, 0.55 * 3.2
    corner = np.array([-width / 2, height / 2])
    ends = corner + np.array([[0, -height], [width, 0]])
    points = np.random.default_rng(10).uniform([-3, -4, 0.3], [3, 4, 3.0], (2000, 3))
    to_lines = []
    for end in ends:
        span = end - corner
        part = np.clip((points[:, :2] - corner) @ span / (span @ span), 0, 1)
        to_lines.append(np.linalg.norm(points[:, :2] - corner - part[:, None] * span, axis=1))
    expected = np.min(to_lines, axis=0) - 0.4
    # To the letter's wall, at heights at which neither its end nor the plate is nearer.
    near = (np.abs(expected) < 0.15) & (points[:, 2] > 0.6)
    assert near.sum() > 50
    assert letter.distance(points)[near] == pytest.approx(expected[near], abs=1e-9)


def test_the_camera_reads_words_the_right_way_round():
    """x to the right and y down: the foot of an L is at y > 0 and goes toward +x."""
    letter = build_indenter("text:word=L,size=4,stroke=0.8")
    foot, mirrored = letter.distance([(0.6, 1.6, 0.0), (0.6, -1.6, 0.0)])
    assert foot == pytest.approx(0.0, abs=1e-12)
    assert mirrored > 0.5


@pytest.mark.parametrize("rounding", [0.05, 0.2, 1.0])
def test_rounded_edges_have_the_curvature_of_their_radius(rounding):
    """At the middle of the lower edge of a bar, on the surface: 1 / round across it, 0 along."""
    bar = build_indenter(f"cube:size=6,round={rounding}")
    out = rounding * (1 - math.sqrt(0.5))
    edge = bar.derivatives([(3 - out, 0.3, out)])
    assert edge.distance[0] == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.eigvalsh(edge.hessian[0]) == pytest.approx([0, 0, 1 / rounding], abs=1e-6)


def test_spheres_and_rings_have_the_curvatures_of_their_radii():
    ball = build_indenter("sphere:diameter=5").derivatives([(0, 0, 0), (2.5, 0, 2.5)])
    assert ball.hessian[0] == pytest.approx(np.diag([0.4, 0.4, 0]), abs=1e-6)
    assert ball.hessian[1] == pytest.approx(np.diag([0, 0.4, 0.4]), abs=1e-9)
    ring = build_indenter("torus:diameter=7,tube=2").derivatives([(2.5, 0, 1), (4.5, 0, 1)])
    assert ring.hessian[0] == pytest.approx(np.diag([0, -1 / 2.5, 1]), abs=1e-9)
    assert ring.hessian[1] == pytest.approx(np.diag([0, 1 / 4.5, 1]), abs=1e-9)
