"""The mount from touches of a rig whose true mount is known: recovered, or said to be unknown."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.mount_fit import DIRECTIONS, MountTouch, fit_mount
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig

INDENTER = Pose.from_euler([450.0, 10.0, 100.0], [np.pi, 0.0, 0.0])
TRUE_MOUNT = Pose.from_euler([0.6, -0.4, 40.3], [0.02, -0.015, 0.05])
CONFIGURED = Rig(Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0]), INDENTER)
TRUTH = [*TRUE_MOUNT.position_mm - [0.0, 0.0, 40.0], 0.02, -0.015, 0.05]
YAW_RAD = 0.35


def touches(count, x_mm=5.0, y_mm=4.0, yaw_rad=YAW_RAD, noise_mm=0.02, seed=0):
    """Touches at random positions, depths and yaws; poses from the true rig, noisy tips."""
    random = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        tip = random.uniform([-x_mm, -y_mm, -1.2], [x_mm, y_mm, -0.6])
        gel_to_indenter = Pose.from_euler(tip, [0.0, 0.0, random.uniform(-yaw_rad, yaw_rad)])
        gel = INDENTER @ gel_to_indenter.inverse()
        measured = tip + random.normal(0.0, noise_mm, 3)
        result.append(MountTouch(gel @ TRUE_MOUNT.inverse(), measured))
    return result


def test_all_six_directions_are_recovered_within_their_deviations():
    errors = []
    for seed in range(20):
        fit = fit_mount(touches(10, seed=seed), CONFIGURED)
        assert fit.undetermined == ()
        errors.append((fit.correction - TRUTH) / fit.stddev)
        mount = fit.rig.end_effector_to_gel
        assert mount.distance_to(TRUE_MOUNT)[0] < 0.1
        assert np.degrees(mount.distance_to(TRUE_MOUNT)[1]) < 0.6
    assert np.abs(errors).max() < 3.5
    assert fit.before_mm > 0.5
    assert fit.after_mm < 0.06


def test_an_unknown_indenter_is_separated_by_yaw_except_for_the_height():
    fit = fit_mount(touches(30), CONFIGURED, indenter_stddev_mm=5.0)
    assert fit.undetermined == ("height",)
    others = [k for k, name in enumerate(DIRECTIONS) if name != "height"]
    assert (np.abs(fit.correction - TRUTH) < 3.5 * fit.stddev)[others].all()
    assert fit.correction[2] == 0.0
    # The twin needs only both together, and that is right.
    assert fit.after_mm < 0.06


def test_an_unknown_indenter_without_yaw_leaves_all_translations_unknown():
    fit = fit_mount(touches(10, yaw_rad=0.0), CONFIGURED, indenter_stddev_mm=5.0)
    assert fit.undetermined == ("translation along x", "translation along y", "height")
    assert fit.after_mm < 0.06


def test_touches_on_a_line_leave_the_tilt_about_it_unknown():
    fit = fit_mount(touches(10, y_mm=0.0), CONFIGURED)
    assert fit.undetermined == ("tilt about x",)


def test_one_wrong_touch_of_ten_does_no_harm():
    given = touches(10)
    given[4] = MountTouch(given[4].end_effector, given[4].tip_mm + np.array([3.0, -2.0, 0.5]))
    fit = fit_mount(given, CONFIGURED)
    assert (np.abs(fit.correction - TRUTH) < 3.5 * fit.stddev).all()
    assert fit.rig.end_effector_to_gel.distance_to(TRUE_MOUNT)[0] < 0.3


def test_two_touches_are_refused():
    with pytest.raises(InputError, match="2 touches, expected 3"):
        fit_mount(touches(2), CONFIGURED)
