"""Frames are due at the camera's images, or at a rate where there is none."""

import numpy as np
import pytest

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.twin.frame_pacing import FramePacing

MS = 1_000_000


def state(milliseconds: float) -> RobotState:
    """An arm that moves 10 mm a second along x."""
    return RobotState(
        stamp_ns=round(milliseconds * MS),
        position_mm=np.array([0.01 * milliseconds, 0.0, 0.0]),
        quaternion_xyzw=np.array([0.0, 0.0, 0.0, 1.0]),
        force_n=np.zeros(3),
        torque_n_m=np.zeros(3),
        mode=1,
    )


def test_without_a_camera_frames_keep_the_rate():
    pacing = FramePacing(40 * MS)
    stamps = [f.stamp_ns // MS for k in range(1000, 1201) for f in pacing.add_state(state(k))]
    assert stamps == [1000, 1040, 1080, 1120, 1160, 1200]


def test_with_a_camera_every_image_has_its_frame_at_its_time():
    pacing = FramePacing(10 * MS)
    due = []
    for k in range(1000, 1400):
        if k % 37 == 0:  # the stamp lies between two states, the later one of which is to come
            due += pacing.add_image(k * MS + MS // 2)
        due += pacing.add_state(state(k))
    images = [k * MS + MS // 2 for k in range(1000, 1400) if k % 37 == 0]
    after = [frame for frame in due if frame.stamp_ns >= images[0]]
    assert [frame.stamp_ns for frame in after] == images
    for frame in after:
        assert frame.end_effector.position_mm[0] == pytest.approx(0.01 * frame.stamp_ns / MS)


def test_a_camera_that_falls_silent_or_has_another_clock_does_not_stop_it():
    pacing = FramePacing(40 * MS)
    pacing.add_state(state(1000))
    assert len(pacing.add_image(1000 * MS)) == 1
    assert [k for k in range(1001, 3001) if pacing.add_state(state(k))] == []
    resumed = [k for k in range(3001, 3101) if pacing.add_state(state(k))]
    assert resumed == [3001, 3041, 3081]
    for k in range(3101, 3200):
        assert pacing.add_image(10**15 + k) == []
    assert pacing.add_state(state(3201))


def test_a_clock_that_jumps_back_begins_anew():
    pacing = FramePacing(40 * MS)
    for k in range(5000, 5100):
        pacing.add_state(state(k))
    assert [f.stamp_ns for f in pacing.add_state(state(1000))] == [1000 * MS]
    pacing.add_state(state(1001))
    assert pacing.add_image(1000 * MS)[0].stamp_ns == 1000 * MS
