"""Observation folders: what is written is read, and what is damaged is refused in one line."""

import numpy as np
import pytest
import yaml

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.observation_file import (
    ARRAYS_FILE,
    SETTINGS_FILE,
    read_observation,
    write_observation,
)
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.hand_files import load_hand

START = se3.exp([0.01, 0.02, 0.1, 0.3, 0.2, 0.1])


@pytest.fixture(scope="module")
def hand():
    return load_hand("franka_two_minis")


def observation():
    random = np.random.default_rng(1)
    points = random.normal(size=(7, 3))
    touch = GelTouch(
        "left",
        points,
        np.tile([0.0, 0.0, 1.0], (7, 1)),
        np.arange(7) < 3,
        np.full(7, 1e-4),
        random.normal(size=(7, 3)),
        np.array([0.1, 0.2, -3.0]),
    )
    camera = DepthCamera.looking_at([0.4, 0.0, 0.1], [0.0, 0.0, 0.1], size=(32, 24))
    depth = random.uniform(0.3, 0.5, (24, 32)).astype(np.float32)
    return GraspObservation(
        np.array([0.01, 0.02]), camera, depth, depth > 0.4, None, (touch,), np.array([0, 0, -9.81])
    )


def test_an_observation_is_read_as_it_was_written(hand, tmp_path):
    written = observation()
    write_observation(tmp_path, written, hand, START)
    read, start = read_observation(tmp_path, hand)
    assert start == pytest.approx(START)
    assert read.joint_positions == pytest.approx(written.joint_positions)
    assert np.array_equal(read.depth, written.depth)
    assert np.array_equal(read.mask, written.mask)
    assert read.camera.pose == pytest.approx(written.camera.pose)
    (touch,), (expected,) = read.gel_touches, written.gel_touches
    assert touch.name == "left"
    for field in ("points", "normals", "contact", "stddev", "traction", "force"):
        assert np.array_equal(getattr(touch, field), getattr(expected, field)), field


def test_touches_without_camera_and_start_are_enough(hand, tmp_path):
    seen = observation()
    write_observation(
        tmp_path, GraspObservation(seen.joint_positions, gel_touches=seen.gel_touches), hand
    )
    read, start = read_observation(tmp_path, hand)
    assert read.camera is None
    assert start is None


def changed_settings(folder, **values):
    path = folder / SETTINGS_FILE
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def changed_arrays(folder, **values):
    path = folder / ARRAYS_FILE
    with np.load(path) as stored:
        arrays = {**stored, **values}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


MIRROR = np.diag([1.0, 1.0, -1.0, 1.0]).tolist()
FAULTS = {
    "lack": lambda f: changed_settings(f, joint_positions={"elbow": 1.0}),
    "no rigid transformation": lambda f: changed_settings(f, start=MIRROR),
    "gripper": lambda f: changed_settings(f, gripper=1),
    "expected floating-point": lambda f: changed_arrays(f, depth=np.ones((24, 32), np.uint16)),
    "no array mask": lambda f: changed_arrays(f, mask=None),
    "unknown array": lambda f: changed_arrays(f, colour=np.zeros(3)),
    "needs the arrays": lambda f: changed_arrays(f, gel_left_normals=None),
    "not a .npz file": lambda f: (f / ARRAYS_FILE).write_bytes(b"PK nothing"),
    "of numbers": lambda f: np.savez(f / ARRAYS_FILE, depth=np.array([{}], object)),
    "cannot read": lambda f: (f / SETTINGS_FILE).unlink(),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_refused_with_one_line_that_names_it(message, hand, tmp_path):
    write_observation(tmp_path, observation(), hand, START)
    FAULTS[message](tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_observation(tmp_path, hand)
    assert "\n" not in str(error.value)
