"""Estimates of simulated grasps: the truth comes from the simulation, not from the estimator."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.object_pose import (
    closest_symmetric_truth,
    orientation_error_deg,
    position_error,
)
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.refiner import PoseRefiner, PoseTracker
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.grasp_sensing import HARD
from tacdiff_ros.objects.grasp_set import GraspSetSettings, generate_cases
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.near_symmetry import NearSymmetry
from tacdiff_ros.objects.object_files import build_object

# An L of two boxes, counter-clockwise from outside: a prism over a six-cornered outline.
OUTLINE = np.array([[0, 0], [0.09, 0], [0.09, 0.035], [0.035, 0.035], [0.035, 0.11], [0, 0.11]])
WIDTH = 0.04
# A plate as a prism, whose normal is z, and its frame at the middle with the normal along y.
SQUARE = 0.03 * np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [0, 2]])
CENTRE = np.array([0.03, 0.03, 0.01])
TILTED = se3.rotation([-np.pi / 2, 0.0, 0.0])
PLATE_TO_CENTRE = se3.pose_of(-TILTED @ CENTRE, TILTED)


def prism(outline, width):
    """Return the mesh of a prism over an L-shaped outline."""
    count = len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(count, z)]) for z in (0, width)])
    bottom = np.array([[0, 2, 1], [0, 3, 2], [0, 5, 3], [5, 4, 3]])
    sides = [
        [a, b, b + count, a, b + count, a + count]
        for a, b in zip(range(count), np.roll(range(count), -1), strict=True)
    ]
    faces = np.concatenate([bottom, bottom[:, ::-1] + count, np.reshape(sides, (-1, 3))])
    return vertices, faces


@pytest.fixture(scope="module")
def hand():
    return load_hand("allegro_xela")


@pytest.fixture(scope="module")
def item():
    return build_object("angle", *prism(OUTLINE, WIDTH), cache=False)


@pytest.fixture(scope="module")
def refiner(hand, item):
    return PoseRefiner(item, hand)


@pytest.fixture(scope="module")
def case(hand, item):
    return next(iter(generate_cases(hand, item, GraspSetSettings(1, HARD), seed=1)))


@pytest.fixture(scope="module")
def estimate(refiner, case):
    return refiner.refine(case.observation, case.starts[0])


def errors(item, case, pose):
    truth = closest_symmetric_truth(pose, case.truth.pose, item.symmetry_transforms())
    return 1e3 * position_error(pose, truth), orientation_error_deg(pose, truth)


def test_a_start_two_centimetres_off_is_refined_to_millimetres_despite_all_errors(
    estimate, item, case
):
    before = errors(item, case, case.starts[0])
    millimetres, degrees = errors(item, case, estimate.best.object_pose)
    assert before[0] > 10.0
    assert millimetres < 2.5
    assert degrees < 2.5
    assert estimate.is_identified
    assert estimate.best.weight > 0.9


def test_the_joint_offsets_are_nearer_to_the_true_ones_than_none(estimate, case):
    true_offset = case.truth.joint_positions - case.observation.joint_positions
    left = estimate.joint_offsets - true_offset
    assert np.linalg.norm(left) < 0.8 * np.linalg.norm(true_offset)


def test_without_any_pose_the_search_finds_the_same(refiner, item, case, estimate):
    stages = []
    found = refiner.refine(case.observation, progress=lambda *report: stages.append(report))
    millimetres, degrees = errors(item, case, found.best.object_pose)
    assert millimetres < 2.5
    assert degrees < 2.5
    assert list(dict.fromkeys(stage for stage, *_ in stages)) == [
        "search",
        "coarse",
        "fine",
        "assess",
    ]
    assert all(0.0 <= fraction <= 1.0 for _, fraction, _ in stages)


def test_a_cancelled_search_ends_at_once(refiner, case):
    class CancelledError(Exception):
        pass

    def cancel(stage, _fraction, _cost):
        if stage == "coarse":
            raise CancelledError

    with pytest.raises(CancelledError):
        refiner.refine(case.observation, case.starts[0], cancel)


def test_a_frame_is_followed_in_few_steps(refiner, item, case, estimate):
    tracker = PoseTracker(refiner, estimate)
    shifted = estimate.best.object_pose @ se3.exp([0.004, -0.003, 0.002, 0.03, -0.05, 0.04])
    best = estimate.best
    moved = replace(best.fit, unknowns=best.fit.unknowns.with_object(shifted))
    tracker._last = replace(estimate, hypotheses=(replace(best, fit=moved),))
    for _ in range(2):
        followed = tracker.track(case.observation)
    millimetres, degrees = errors(item, case, followed.best.object_pose)
    assert millimetres < 2.5
    assert degrees < 2.5


def test_an_estimate_is_told_in_json_with_a_symmetric_covariance(estimate):
    told = estimate.as_json()
    covariance = np.array(told["hypotheses"][0]["covariance_hand_axes"])
    assert covariance == pytest.approx(covariance.T)
    assert np.all(np.linalg.eigvalsh(covariance) > 0.0)
    assert math.isclose(sum(each["weight"] for each in told["hypotheses"]), 1.0)


def test_joints_of_another_posture_make_the_pose_not_identified(refiner, case):
    other = replace(case.observation, joint_positions=np.zeros(16))
    estimate = refiner.refine(other, case.starts[0])
    assert estimate.verdict in ("not identified", "colliding")


def test_a_mask_of_something_else_makes_the_pose_not_identified(refiner, case):
    depth = case.observation.depth
    wrong = replace(case.observation, mask=depth > 0.0)
    estimate = refiner.refine(wrong, case.starts[0])
    assert not estimate.is_identified
    assert "mask" in estimate.reason
    settings = refiner.settings
    stddev = np.sqrt(np.diag(estimate.best.object_covariance))
    assert (stddev[:3] >= settings.start_position_stddev).all()
    assert (stddev[3:] >= settings.start_rotation_stddev).all()


def test_without_touches_the_estimate_warns(refiner, case):
    untouched = replace(case.observation, taxel_force=None)
    estimate = refiner.refine(untouched, case.starts[0])
    assert any("no sensor touches" in line for line in estimate.warnings)


def test_a_mesh_of_which_a_part_is_missing_makes_the_estimate_warn(refiner, case):
    item = replace(refiner.item, open_fraction=0.1)
    estimate = PoseRefiner(item, refiner.hand).refine(case.observation, case.starts[0])
    assert any("10% of the surface" in line for line in estimate.warnings)


def test_a_search_from_nothing_warns_of_an_object_that_looks_alike_in_two_poses(
    refiner, case, monkeypatch
):
    found = NearSymmetry(60.0, np.array([0.0, 0.0, 1.0]), 0.004)
    monkeypatch.setattr("tacdiff_ros.object_pose.refiner.near_symmetry", lambda _item: found)
    alike = PoseRefiner(refiner.item, refiner.hand)
    assert any("turned by 60 degrees" in line for line in alike.refine(case.observation).warnings)
    started = alike.refine(case.observation, case.starts[0])
    assert not any("turned by" in line for line in started.warnings)


def test_a_mesh_that_is_too_large_is_not_taken_for_the_object(refiner, item, case):
    right = refiner.refine(case.observation, case.starts[0])
    assert right.is_identified
    assert not any("too large" in line for line in right.warnings)
    large = build_object("large", 1.3 * item.vertices, item.faces, cache=False)
    estimate = PoseRefiner(large, refiner.hand).refine(case.observation, case.starts[0])
    doubtful = estimate.verdict in ("not identified", "colliding")
    assert doubtful or any("too large" in line for line in estimate.warnings)


@pytest.mark.parametrize(
    ("changes", "start", "message"),
    [
        ({"camera": None, "taxel_force": None}, None, "neither seen nor touched"),
        ({}, np.diag([1.0, 1.0, -1.0, 1.0]), "no rigid transformation"),
        ({"taxel_force": np.zeros((5, 3))}, np.eye(4), "368 taxels"),
        ({"joint_positions": np.zeros(2)}, np.eye(4), "expected 16"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(refiner, case, changes, start, message):
    with pytest.raises(InputError, match=message):
        refiner.refine(replace(case.observation, **changes), start)


def flat_touch(pad):
    """Return the surface of a gel that lies flat on a plate, all of it in contact."""
    x, y = np.meshgrid(np.linspace(-0.008, 0.008, 17), np.linspace(-0.008, 0.008, 17))
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    normals = np.tile([0.0, 0.0, 1.0], (x.size, 1))
    contact, stddev = np.ones(x.size, bool), np.full(x.size, 1e-4)
    return GelTouch(pad.name, points, normals, contact, stddev)


def test_two_gels_on_a_plate_leave_its_sliding_open_and_say_so():
    jaws = load_hand("franka_two_minis")
    gap = [np.linalg.norm(np.diff(jaws.gel_poses([q, q])[:, :3, 3], axis=0)) for q in (0, 0.01)]
    joint = 0.01 * (0.02 - gap[0]) / (gap[1] - gap[0])  # the gels lie 20 mm apart
    joints = np.array([joint, joint])
    gels = jaws.gel_poses(joints)
    across = gels[0, :3, 2]
    side = np.cross(across, [0.0, 0.0, 1.0])
    turn = np.stack([side, across, np.cross(side, across)], axis=1)
    truth = se3.pose_of(gels[:, :3, 3].mean(axis=0), turn)
    plate = build_object("plate", *prism(SQUARE, 0.02), cache=False)
    truth = truth @ PLATE_TO_CENTRE
    touches = tuple(flat_touch(pad) for pad in jaws.gel_pads)
    start = truth @ se3.exp([0.001, 0.002, 0.0015, 0.03, -0.02, 0.02])
    estimate = PoseRefiner(plate, jaws).refine(GraspObservation(joints, gel_touches=touches), start)
    names = [each.words for each in estimate.open_directions[:3]]
    error = (estimate.best.object_pose - truth)[:3]
    assert sum(name.startswith("translation") for name in names) == 2, names
    assert sum("the object's z axis" in name for name in names) == 1
    assert abs(across @ error @ [*CENTRE, 1.0]) < 0.0005  # across the plate the gels measure
    assert abs(np.degrees(np.arccos(across @ estimate.best.object_pose[:3, 2]))) < 1.0
