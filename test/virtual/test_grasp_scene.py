"""The virtual grasp: what presses the gels, where the object is, what the camera sees."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("manifold3d")
pytest.importorskip("pinocchio")

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.virtual.grasp_scene import (
    APPROACH_M,
    GRIP_MM,
    OPENING_M,
    GraspScene,
    HandMotion,
    write_bracket,
)
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

START = np.eye(4)
AT_GRASP = se3.pose_of([0.0, 0.0, APPROACH_M], np.eye(3))
DOWN = np.array([0.0, 0.0, 9.81])  # gravity in a hand that points down


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grasp")
    write_bracket(folder / "bracket.stl")
    models = [virtual_sensor_model(seed) for seed in (0, 1)]
    return GraspScene(folder / "bracket.stl", load_hand("franka_two_minis"), models, 0, folder)


def brightness_change(scene, motion):
    """Mean change of each gel's image against the open hand, grey levels."""
    open_hand = HandMotion(START, OPENING_M)
    return [
        np.abs(scene.touch(gel, motion).astype(int) - scene.touch(gel, open_hand)).mean()
        for gel in (0, 1)
    ]


def test_only_closed_fingers_at_the_object_touch_it(scene):
    assert max(brightness_change(scene, HandMotion(AT_GRASP, 0.5 * OPENING_M))) < 2.0
    assert max(brightness_change(scene, HandMotion(START, 1e-4))) < 2.0
    assert min(brightness_change(scene, HandMotion(AT_GRASP, 1e-4))) > 3.0


def test_the_deepest_point_of_each_gel_is_the_object_at_this_depth(scene):
    joints = scene.grasp.joint_positions
    inside = []
    for pose, pad in zip(scene.hand.gel_poses(joints), scene.hand.gel_pads, strict=True):
        to_gel = se3.inverse(pose) @ scene.grasp.pose
        points, _ = scene.item.surface_points(60_000, 0)
        local = 1e3 * se3.apply(to_gel, points)
        on_pad = np.all(np.abs(local[:, :2]) < 500 * np.array(pad.size), axis=1)
        inside.append(-local[on_pad, 2].min())
    assert inside == pytest.approx([GRIP_MM, GRIP_MM], abs=0.05)


def test_an_object_in_the_fixture_does_not_follow_the_hand(scene):
    at_start = scene.object_in_hand(HandMotion(START, OPENING_M))
    at_grasp = scene.object_in_hand(HandMotion(AT_GRASP, OPENING_M))
    assert np.allclose(START @ at_start, AT_GRASP @ at_grasp)
    assert np.allclose(at_grasp, scene.grasp.pose)


def test_a_held_object_follows_the_hand_and_sags_along_gravity(scene):
    scene.hang(DOWN)
    held = scene.object_in_hand(HandMotion(START, 0.0))
    sag = held[:3, 3] - scene.grasp.pose[:3, 3]
    assert np.allclose(held[:3, :3], scene.grasp.pose[:3, :3])
    assert 1e-6 < sag[2] < 3e-4
    assert np.allclose(sag[:2], 0.0)


def test_the_camera_stands_still_and_sees_the_object(scene):
    motions = [HandMotion(START, 0.0), HandMotion(AT_GRASP, OPENING_M)]
    poses = [motion.moved @ scene.reported_camera(motion).pose for motion in motions]
    assert np.allclose(poses[0], poses[1])
    depth, mask = scene.depth_and_mask(motions[0])
    assert depth.shape == mask.shape == (480, 640)
    centre = se3.apply(scene.object_in_hand(motions[0]), scene.item.centre_of_mass[None])
    pixel, distance = scene.reported_camera(motions[0]).project(centre)
    rows, columns = np.nonzero(mask)
    assert np.hypot(*(np.mean([columns, rows], axis=1) - pixel[0])) < 40.0
    assert np.median(depth[mask & (depth > 0)]) == pytest.approx(distance[0], abs=0.05)


def test_an_open_mesh_is_refused(tmp_path):
    import trimesh

    box = trimesh.creation.box([0.03, 0.02, 0.06])
    box.update_faces(np.arange(len(box.faces)) > 0)
    box.export(tmp_path / "open.stl")
    models = [virtual_sensor_model(seed) for seed in (0, 1)]
    with pytest.raises(InputError, match="open mesh"):
        GraspScene(tmp_path / "open.stl", load_hand("franka_two_minis"), models, 0, tmp_path)
