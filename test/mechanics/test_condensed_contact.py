"""The factor, the contact law and the condensed contact problem, each against something plainer."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.condensed_contact import CondensedProblem
from tacdiff_ros.mechanics.contact_law import Anchors, ContactLaw, step_anchors
from tacdiff_ros.mechanics.contact_points import SurfaceFaces
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.linear_gel import CondensedGel
from tacdiff_ros.mechanics.pad_mesh import StiffnessPattern, build_pad_mesh
from tacdiff_ros.mechanics.pardiso import CondensedFactor, FactorisationError


def random_matrix(size, shift, seed=0):
    rng = np.random.default_rng(seed)
    half = sparse.random(size, size, 0.1, random_state=rng).toarray()
    matrix = half + half.T + shift * np.eye(size)
    upper = sparse.csr_matrix(np.triu(matrix))
    upper.sort_indices()
    pattern = StiffnessPattern(
        upper.indptr.astype(np.int32), upper.indices.astype(np.int32), np.zeros((0, 300), np.int32)
    )
    return matrix, pattern, upper.data


@pytest.mark.parametrize("shift", [6.0, 0.05], ids=["definite", "indefinite"])
def test_a_condensed_factor_solves_like_a_dense_one(shift):
    matrix, pattern, entries = random_matrix(60, shift)
    chosen = np.array([3, 4, 20, 59])
    factor = CondensedFactor(pattern, chosen)
    for scale in (1.0, 2.0):  # the analysis serves for more than one matrix
        schur = factor.factorise(scale * entries)
        rest = np.setdiff1d(np.arange(60), chosen)
        inner = np.linalg.solve(matrix[np.ix_(rest, rest)], matrix[np.ix_(rest, chosen)])
        expected = matrix[np.ix_(chosen, chosen)] - matrix[np.ix_(chosen, rest)] @ inner
        assert schur == pytest.approx(scale * expected, abs=1e-8)
        right = np.random.default_rng(1).normal(size=60)
        half = factor.forward(right)
        solution = factor.backward(half, np.linalg.solve(schur, half[chosen]))
        assert scale * matrix @ solution == pytest.approx(right, abs=1e-8)


def test_a_factor_in_single_precision_differs_by_rounding_and_stays_symmetric():
    matrix, pattern, entries = random_matrix(60, 6.0)
    factor = CondensedFactor(pattern, np.array([3, 4, 20, 59]), precise=False)
    schur = factor.factorise(entries)
    assert np.array_equal(schur, schur.T)
    right = np.random.default_rng(1).normal(size=60)
    half = factor.forward(right)
    solution = factor.backward(half, np.linalg.solve(schur, half[factor.chosen]))
    away = np.abs(matrix @ solution - right).max()
    assert 1e-12 < away < 1e-5


def test_a_matrix_that_is_not_finite_is_refused():
    _, pattern, entries = random_matrix(20, 5.0)
    factor = CondensedFactor(pattern, np.array([1]))
    with pytest.raises(FactorisationError, match="not finite"):
        factor.factorise(np.where(np.arange(len(entries)) == 3, np.nan, entries))


def law_on_a_ball(friction, count, valid=True):
    indenter = build_indenter("sphere:diameter=4")
    pose = IndenterPose(0.1, -0.2, 0.4, 0.3)
    rng = np.random.default_rng(7)
    place = pose.tip_mm + np.array([0.0, 0.0, 2.0])
    outward = rng.normal(size=(count, 3)) * [1, 1, 0] - [0, 0, 1.5]
    place = place + 1.98 * outward / np.linalg.norm(outward, axis=1)[:, None]
    anchors = Anchors(
        pose.to_indenter(place + 0.05 * rng.normal(size=(count, 3))), np.full(count, valid)
    )
    law = ContactLaw(indenter, pose, anchors, friction, np.zeros(count))
    return law, place, 0.05 * rng.normal(size=(count, 3)) - [0.0, 0.0, 0.1]


@pytest.mark.parametrize("friction", [0.0, 0.3, 5.0], ids=["smooth", "slipping", "sticking"])
def test_derivatives_of_the_law_are_those_of_finite_differences(friction):
    law, place, force = law_on_a_ball(friction, 12)
    scale = np.full(12, 0.7)
    at = law.project(force, place, scale)
    assert at.touches.sum() > 6
    if friction == 0.3:
        assert at.slips.sum() > 3
    for axis in range(3):
        step = 1e-6 * np.eye(3)[axis]
        by_position = (
            law.project(force, place + step, scale).force
            - law.project(force, place - step, scale).force
        )
        assert at.by_position[:, :, axis] == pytest.approx(by_position / 2e-6, abs=1e-6)
        by_force = (
            law.project(force + step, place, scale).force
            - law.project(force - step, place, scale).force
        )
        assert at.by_force[:, :, axis] == pytest.approx(by_force / 2e-6, abs=1e-6)


def test_friction_is_bounded_and_points_without_anchor_have_none():
    law, place, force = law_on_a_ball(0.3, 12)
    at = law.project(force, place, np.full(12, 0.7))
    along = np.einsum("ni,ni->n", at.force, at.normal)
    across = np.linalg.norm(at.force - along[:, None] * at.normal, axis=1)
    assert along == pytest.approx(at.normal_force_n)
    assert (across <= 0.3 * at.normal_force_n + 1e-12).all()
    free, place, force = law_on_a_ball(0.3, 12, valid=False)
    at = free.project(force, place, np.full(12, 0.7))
    assert np.cross(at.force, at.normal) == pytest.approx(np.zeros((12, 3)), abs=1e-12)


def test_points_are_anchored_where_a_falling_indenter_meets_them():
    indenter = build_indenter("sphere:diameter=4")
    place = np.array([[0.3, 0.0, 0.0], [3.0, 0.0, 0.0]])
    anchors = step_anchors(
        indenter, IndenterPose(), IndenterPose(depth_mm=0.2), place, np.zeros(2, bool)
    )
    assert anchors.valid.tolist() == [True, False]
    assert indenter.distance(anchors.position[:1]) == pytest.approx([0.0], abs=2e-3)
    assert anchors.position[0, :2] == pytest.approx([0.3, 0.0])


def springs(mesh, faces, stiffness=0.5):
    points = SurfaceFaces(mesh).select(np.asarray(faces))
    gel = CondensedGel.from_stiffness(stiffness * np.eye(3 * len(points.chosen)))
    return points, gel, mesh.nodes()[mesh.surface_nodes][points.chosen]


def test_frictionless_contact_is_the_least_energy_of_a_bounded_problem():
    """A flat punch on coupled springs: non-negative least squares gives the same pressures."""
    mesh = build_pad_mesh(6.0, 6.0, 4.0, 7, 7, 2)
    points, _, position = springs(mesh, [14, 15, 20, 21])
    rng = np.random.default_rng(2)
    half = rng.normal(size=(3 * len(position),) * 2) * 0.1
    gel = CondensedGel.from_stiffness(half @ half.T + 0.6 * np.eye(len(half)))
    law = ContactLaw(
        build_indenter("cylinder:diameter=20"),
        IndenterPose(depth_mm=0.3),
        Anchors(np.zeros((points.count, 3)), np.zeros(points.count, bool)),
        0.0,
        np.zeros(points.count),
    )
    load = 0.4 * rng.normal(size=3 * len(position))  # lifts some vertices, lowers others
    softness = 0.2
    problem = CondensedProblem(gel, load, law, points, position, softness, 1e-10)
    found = problem.solve(np.zeros_like(position), np.zeros((points.count, 3)))
    assert found.converged
    # Pressures p >= 0 minimise p A p / 2 + b p, with A the compliance at the points and b the gap.
    heights = np.zeros((points.count, 3 * len(position)))
    for column in range(len(position)):
        unit = np.zeros_like(position)
        unit[column, 2] = 1.0
        heights[:, 3 * column + 2] = points.interpolate(unit)[:, 2]
    compliance = heights @ gel.compliance @ heights.T + softness * np.eye(points.count)
    gap = -0.3 - points.interpolate(position + (-gel.compliance @ load).reshape(-1, 3))[:, 2]
    root = np.linalg.cholesky(compliance)
    expected, _ = nnls(root.T, np.linalg.solve(root, -gap), maxiter=10_000)
    assert 0 < (expected > 0).sum() < points.count
    assert -found.force[:, 2] == pytest.approx(expected, abs=1e-8)


def test_a_dragged_punch_sticks_then_slides_at_mu_n():
    mesh = build_pad_mesh(6.0, 6.0, 4.0, 7, 7, 2)
    points, gel, position = springs(mesh, [14, 15, 20, 21])
    punch = build_indenter("cylinder:diameter=20")
    for shift, slips in ((0.05, False), (1.0, True)):
        pose = IndenterPose(x_mm=shift, depth_mm=0.3)
        before = points.interpolate(position)
        anchors = Anchors(
            IndenterPose(depth_mm=0.3).to_indenter(before), np.ones(len(before), bool)
        )
        law = ContactLaw(punch, pose, anchors, 0.5, np.zeros(points.count))
        problem = CondensedProblem(
            gel, np.zeros(3 * len(position)), law, points, position, 0.01, 1e-10
        )
        found = problem.solve(np.zeros_like(position), np.zeros((points.count, 3)))
        assert found.converged
        pull, push = found.force[:, 0].sum(), -found.force[:, 2].sum()
        assert found.contact.slips.any() == slips
        if slips:
            assert pull == pytest.approx(0.5 * push, rel=1e-6)
        else:
            assert found.increment[:, 0] == pytest.approx(shift, rel=0.02)
