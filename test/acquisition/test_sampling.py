"""Every image becomes one sample with the pose the arm had then, or is counted as lost."""

from itertools import pairwise

import numpy as np
import pytest

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.sampling import (
    STATE_GAP_LIMIT_S,
    STATE_WAIT_S,
    Activity,
    Sample,
    Sampler,
)
from tacdiff_ros.geometry.pose import Pose

MS = 1_000_000
INDENTER = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
MOUNT = Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0])
BIAS_N, BIAS_N_M = np.array([1.0, -2.0, 3.0]), np.array([0.1, 0.2, -0.3])
DESCENT_MM_S = 20.0


def descending(stamp_ns: int) -> RobotState:
    """The arm comes straight down; the gel touches the indenter at stamp 0."""
    height_mm = 100.0 + 40.0 - DESCENT_MM_S * stamp_ns * 1e-9
    down = Pose.from_euler([450.0, 0.0, height_mm], [np.pi, 0.0, 0.0])
    return RobotState(
        stamp_ns, down.position_mm, down.quaternion_xyzw, BIAS_N, BIAS_N_M, RobotMode.MOVE
    )


def activity(in_contact: bool = True, trial: int = 0) -> Activity:
    commanded = INDENTER.shifted([0.0, 0.0, 0.5])  # the gel pressed by 0.5 mm
    return Activity(trial, Phase.INDENT, "indent", "moving", in_contact, commanded, INDENTER)


def make_sampler() -> tuple[Sampler, list[Sample]]:
    samples: list[Sample] = []
    return Sampler(MOUNT, lambda f, t: (f - BIAS_N, t - BIAS_N_M), samples.append), samples


def test_measured_depth_is_that_of_the_arm_at_the_images_stamp():
    """20 mm/s for 37.3 ms is 0.746 mm, between two states."""
    sampler, samples = make_sampler()
    for k in range(60):
        sampler.add_state(descending(k * MS), 1e-3 * k)
    sampler.add_image(37_300_000, activity(), 0.06)
    (sample,) = samples
    assert sample.depth_mm == pytest.approx(0.746, abs=1e-9)
    np.testing.assert_allclose(sample.measured.position_mm, [0.0, 0.0, -0.746], atol=1e-9)
    np.testing.assert_allclose(sample.commanded.position_mm, [0.0, 0.0, -0.5], atol=1e-9)
    np.testing.assert_allclose(sample.gel.position_mm, [450.0, 0.0, 99.254], atol=1e-9)
    np.testing.assert_allclose(sample.force_n, 0.0, atol=1e-12)
    np.testing.assert_allclose(sample.torque_n_m, 0.0, atol=1e-12)
    assert sample.gap_s == pytest.approx(0.7e-3)


def test_there_is_no_depth_before_contact_was_found():
    sampler, samples = make_sampler()
    sampler.add_state(descending(0), 0.0)
    sampler.add_state(descending(40 * MS), 0.04)
    sampler.add_image(20 * MS, activity(in_contact=False), 0.04)
    assert samples[0].depth_mm == 0.0


def test_an_image_that_is_ahead_of_the_states_waits_for_them():
    sampler, samples = make_sampler()
    sampler.add_state(descending(0), 0.0)
    sampler.add_image(5 * MS, activity(), 0.001)
    assert samples == []
    sampler.add_state(descending(4 * MS), 0.004)
    assert samples == []
    sampler.add_state(descending(6 * MS), 0.006)
    assert [sample.stamp_ns for sample in samples] == [5 * MS]


@pytest.mark.parametrize(("waited_s", "lost"), [(STATE_WAIT_S - 1e-3, 0), (STATE_WAIT_S + 1e-3, 1)])
def test_an_image_waits_for_so_long_and_is_then_counted_as_lost(waited_s, lost):
    sampler, samples = make_sampler()
    sampler.add_state(descending(0), 0.0)
    sampler.add_image(5 * MS, activity(), 1.0)
    sampler.flush(1.0 + waited_s)
    assert sampler.images_without_state == lost
    sampler.add_state(descending(6 * MS), 1.0 + waited_s)
    assert len(samples) == 1 - lost


def test_images_come_out_in_the_order_they_came_in_with_what_was_done_then():
    sampler, samples = make_sampler()
    sampler.add_state(descending(0), 0.0)
    for trial, stamp_ms in enumerate((30, 10, 20)):
        sampler.add_image(stamp_ms * MS, activity(trial=trial), 0.001)
    sampler.add_state(descending(40 * MS), 0.04)
    assert [(s.stamp_ns // MS, s.activity.trial, s.index) for s in samples] == [
        (30, 0, 0),
        (10, 1, 1),
        (20, 2, 2),
    ]


@pytest.mark.parametrize("side", [0.99, 1.01])
def test_states_too_far_from_the_image_are_not_used(side):
    sampler, samples = make_sampler()
    far_ns = int(side * STATE_GAP_LIMIT_S * 1e9)
    sampler.add_state(descending(0), 0.0)
    sampler.add_image(MS, activity(), 0.001)
    sampler.add_state(descending(MS + far_ns), 0.05)
    assert (len(samples), sampler.images_without_state) == ((1, 0) if side < 1 else (0, 1))


def test_images_older_than_every_state_are_lost_not_attached_to_a_wrong_pose():
    sampler, samples = make_sampler()
    sampler.add_state(descending(100 * MS), 0.1)
    sampler.add_image(50 * MS, activity(), 0.1)
    sampler.add_state(descending(101 * MS), 0.101)
    sampler.flush(0.1 + STATE_WAIT_S + 0.01)
    assert (len(samples), sampler.images_without_state) == (0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_no_image_is_lost_or_doubled_in_jittered_25_hz_and_1_khz_streams(seed):
    """Images are delivered 5 to 45 ms late and states 0 to 8 ms, each stream in order."""
    random = np.random.default_rng(seed)
    images_ns = (
        np.arange(200) * 40 * MS + random.integers(-3 * MS, 3 * MS, 200) + 500 * MS
    ).tolist()
    states_ns = (np.arange(9000) * MS + random.integers(-MS // 3, MS // 3, 9000)).tolist()
    image_times = np.maximum.accumulate(images_ns + random.uniform(5, 45, 200) * MS)
    state_times = np.maximum.accumulate(states_ns + random.uniform(0, 8, 9000) * MS)
    arrivals = [(t, "image", s) for t, s in zip(image_times, images_ns, strict=True)]
    arrivals += [(t, "state", s) for t, s in zip(state_times, states_ns, strict=True)]
    sampler, samples = make_sampler()
    for time_ns, kind, stamp_ns in sorted(arrivals):
        if kind == "image":
            sampler.add_image(stamp_ns, activity(), time_ns * 1e-9)
        else:
            sampler.add_state(descending(stamp_ns), time_ns * 1e-9)
    assert [sample.stamp_ns for sample in samples] == images_ns
    assert [sample.index for sample in samples] == list(range(200))
    assert sampler.images_without_state == 0
    for sample in samples:
        assert sample.depth_mm == pytest.approx(DESCENT_MM_S * sample.stamp_ns * 1e-9, abs=1e-6)
        assert sample.gap_s < 2e-3
    assert sampler.gap_max_s == max(sample.gap_s for sample in samples)
    assert all(a.depth_mm < b.depth_mm for a, b in pairwise(samples))


def test_newest_gel_hangs_below_the_flange_by_the_mount():
    sampler, _ = make_sampler()
    with pytest.raises(LookupError):
        sampler.newest_gel()
    sampler.add_state(descending(0), 0.0)
    np.testing.assert_allclose(sampler.newest_gel().position_mm, [450.0, 0.0, 100.0], atol=1e-9)
