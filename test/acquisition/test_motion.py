"""Motion starts and ends at rest, as fast as asked; the correction cancels a spring's give."""

import numpy as np
import pytest

from tacdiff_ros.acquisition.motion import ComplianceCorrection, MinimumJerkMotion, plan_motion
from tacdiff_ros.geometry.pose import Pose

START = Pose.from_euler([430.0, -20.0, 120.0], [3.0, 0.1, -0.4])
GOAL = Pose.from_euler([455.0, 10.0, 101.0], [3.1, 0.0, 0.5])


def travelled(motion: MinimumJerkMotion, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm and angle in rad from the start, over time."""
    pairs = [motion.start.distance_to(motion.at(time)) for time in times_s]
    return np.array(pairs).T


@pytest.mark.parametrize(
    ("goal", "speed_mm_s", "rotation_rad_s"),
    [
        (GOAL, 20.0, 10.0),
        (GOAL, 1000.0, 0.3),
        (Pose(GOAL.position_mm, START.matrix), 7.0, 0.1),
        (Pose(START.position_mm, GOAL.matrix), 7.0, 0.1),
    ],
)
def test_peak_speed_is_the_asked_one_and_the_motion_starts_and_ends_at_rest(
    goal, speed_mm_s, rotation_rad_s
):
    motion = plan_motion(START, goal, speed_mm_s, rotation_rad_s)
    steps = 4000
    times_s = np.linspace(0.0, motion.duration_s, steps + 1)
    interval_s = times_s[1]
    shares = []
    for path, limit in zip(travelled(motion, times_s), (speed_mm_s, rotation_rad_s), strict=True):
        speed = np.diff(path) / interval_s
        acceleration = np.diff(speed) / interval_s
        shares.append(speed.max() / limit)
        if path[-1] > 0:
            assert speed[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-4 * speed.max())
            assert np.abs(acceleration[[0, -1]]) == pytest.approx(
                [0.0, 0.0], abs=1e-2 * np.abs(acceleration).max()
            )
            assert speed.min() >= -1e-9  # never back
    assert max(shares) == pytest.approx(1.0, rel=1e-3)


def test_the_path_is_the_straight_line_and_ends_exactly_at_the_goal():
    motion = plan_motion(START, GOAL, 30.0, 1.0)
    line = (GOAL.position_mm - START.position_mm) / START.distance_to(GOAL)[0]
    for time_s in np.linspace(0.0, motion.duration_s, 50):
        offset = motion.at(time_s).position_mm - START.position_mm
        np.testing.assert_allclose(offset, (offset @ line) * line, atol=1e-9)
    for time_s in (motion.duration_s, motion.duration_s + 1.0, 1e9):
        assert motion.at(time_s).distance_to(GOAL) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert motion.at(-1.0).distance_to(START) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_jerk_is_the_least_that_such_a_motion_can_have():
    """Flash and Hogan (1985): the least mean square jerk of a rest-to-rest motion is 720 d^2/T^6.

    Any other profile with the same ends has more; the quintic reaches the bound.
    """
    motion = plan_motion(START, Pose(GOAL.position_mm, START.matrix), 20.0, 1.0)
    steps = 2000
    times_s = np.linspace(0.0, motion.duration_s, steps + 1)
    distance_mm, _ = travelled(motion, times_s)
    jerk = np.diff(distance_mm, 3) / times_s[1] ** 3
    bound = 720.0 * distance_mm[-1] ** 2 / motion.duration_s**6
    assert np.mean(jerk**2) == pytest.approx(bound, rel=0.02)


def test_duration_follows_from_distance_and_peak_speed():
    """Peak over mean speed of the quintic is 15/8."""
    goal = START.shifted([0.0, 0.0, 16.0])
    assert plan_motion(START, goal, 10.0, 1.0).duration_s == pytest.approx(1.6 * 15 / 8)


def test_going_nowhere_takes_a_moment_and_stays_put():
    motion = plan_motion(START, START, 10.0, 1.0)
    assert 0.0 < motion.duration_s < 0.1
    assert motion.at(0.5 * motion.duration_s).distance_to(START) == pytest.approx((0, 0), abs=1e-9)


class SpringArm:
    """An impedance controller at rest stands off its target by force over stiffness."""

    def __init__(self, force_n, stiffness_n_mm: float) -> None:
        self.offset_mm = np.asarray(force_n) / stiffness_n_mm

    def reach(self, target: Pose) -> Pose:
        return Pose(target.position_mm + self.offset_mm, target.matrix)


def settle(correction: ComplianceCorrection, arm: SpringArm, seconds: float, interval_s=0.01):
    measured = arm.reach(START)
    for _ in range(round(seconds / interval_s)):
        measured = arm.reach(correction.apply(START, measured, interval_s))
    return measured


def test_correction_brings_a_spring_arm_to_the_wanted_position():
    arm = SpringArm([1.0, -2.0, 6.0], 1.5)
    measured = settle(ComplianceCorrection(6.0, 8.0), arm, 2.0)
    np.testing.assert_allclose(measured.position_mm, START.position_mm, atol=1e-3)


def test_error_decays_with_the_integrators_time_constant():
    """Against a pure spring the error obeys e' = -gain e."""
    arm = SpringArm([0.0, 0.0, 3.0], 1.5)
    for seconds in (0.1, 0.3, 0.5):
        measured = settle(ComplianceCorrection(4.0, 8.0), arm, seconds, interval_s=0.001)
        error_mm = measured.position_mm[2] - START.position_mm[2]
        assert error_mm == pytest.approx(2.0 * np.exp(-4.0 * seconds), rel=0.01)


def test_shift_never_exceeds_its_bound():
    arm = SpringArm([0.0, 30.0, -40.0], 1.5)  # 33 mm would be needed
    correction = ComplianceCorrection(20.0, 8.0)
    measured = arm.reach(START)
    for _ in range(500):
        target = correction.apply(START, measured, 0.01)
        assert START.distance_to(target)[0] <= 8.0 + 1e-9
        measured = arm.reach(target)
    left_mm = START.distance_to(measured)[0]
    assert left_mm == pytest.approx(50.0 / 1.5 - 8.0, rel=1e-6)


def test_without_gain_or_after_a_reset_the_target_is_the_wanted_pose():
    arm = SpringArm([0.0, 0.0, 6.0], 1.5)
    off = ComplianceCorrection(0.0, 8.0)
    assert off.apply(START, arm.reach(START), 0.01).distance_to(START)[0] == 0.0
    correction = ComplianceCorrection(6.0, 8.0)
    settle(correction, arm, 1.0)
    correction.reset()
    assert correction.apply(START, START, 0.01).distance_to(START)[0] == 0.0
