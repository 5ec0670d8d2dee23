"""The mount from a run of a virtual rig: images of a virtual sensor, whose true mount is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.mount_fit import fit_mount
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.optics import llvm
from tacdiff_ros.replay.mount_touches import run_touches
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor, virtual_sensor_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
    ),
]
BALL = "sphere:diameter=5"
INDENTER = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
CONFIGURED = Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0])
TRUE = Pose.from_euler([0.6, -0.4, 40.3], [0.02, -0.015, 0.05])
# x, y, depth in mm and yaw in rad of each touch in the true frame `gel`.
TOUCHES = [
    (-5.0, -3.0, 0.9, 0.3),
    (5.0, -3.5, 0.8, -0.2),
    (4.0, 3.5, 1.0, 0.1),
    (-4.5, 3.0, 0.9, -0.3),
]


@dataclass
class Run:
    """What `run_touches` reads of a recorded run."""

    columns: dict[str, Any]
    shown: list[np.ndarray]
    folder: Path = Path("virtual_run")
    bag: Path = Path("virtual_run/bag")
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def sample_count(self) -> int:
        return len(self.shown)

    def images(self):
        return zip(self.columns["stamp_ns"].tolist(), self.shown, strict=True)


def entry(pose: Pose) -> dict[str, Any]:
    return {"position_mm": pose.position_mm, "quaternion_xyzw": pose.quaternion_xyzw}


def pressed(sensor: VirtualSensor) -> Run:
    """A reference image and one touch per trial; the arm believes in the configured mount."""
    shown = [sensor.sense(IndenterPose(depth_mm=0.0)).image]
    gels, trials = [CONFIGURED], [0]
    for trial, (x, y, depth, yaw) in enumerate(TOUCHES):
        true_gel = INDENTER @ Pose.from_euler([x, y, -depth], [0.0, 0.0, yaw]).inverse()
        gels.append(true_gel @ TRUE.inverse() @ CONFIGURED)
        shown.append(sensor.sense(IndenterPose(x, y, depth, yaw)).image)
        sensor.sense(IndenterPose(depth_mm=0.0))
        trials.append(trial)
    numbers = [[*gel.position_mm, *gel.quaternion_xyzw] for gel in gels]
    columns: dict[str, Any] = {
        "stamp_ns": np.arange(1, len(gels) + 1),
        "trial": np.array(trials),
        "phase": np.array(["reference", *["indent"] * len(TOUCHES)]),
        "motion": np.full(len(gels), "dwelling"),
    }
    names = ("x_mm", "y_mm", "z_mm", "qx", "qy", "qz", "qw")
    for name, values in zip(names, np.transpose(numbers), strict=True):
        columns[f"gel_{name}"] = values
    for name in ("x_mm", "y_mm", "depth_mm", "yaw_rad"):
        columns[f"measured_{name}"] = np.zeros(len(gels))
    run = {
        "indenter": BALL,
        "end_effector_to_gel": entry(CONFIGURED),
        "base_to_indenter": entry(INDENTER),
    }
    return Run(columns, shown, run=run)


@pytest.fixture(scope="module")
def sensor():
    return VirtualSensor(virtual_sensor_model(3), BALL, 3, threads=1)


def test_a_known_wrong_mount_is_found_from_images(sensor):
    run = pressed(sensor)
    found = run_touches(run, sensor.model)
    assert found.trials == (0, 1, 2, 3)
    fit = fit_mount(found.touches, found.rig)
    assert fit.undetermined == ()
    mount = fit.rig.end_effector_to_gel
    distance_mm, angle_rad = mount.distance_to(TRUE)
    assert CONFIGURED.distance_to(TRUE)[0] > 0.7
    assert distance_mm < 0.15
    assert np.degrees(angle_rad) < 0.6
    assert fit.before_mm > 0.5
    assert fit.after_mm < 0.1
    truth = np.array([0.6, -0.4, 0.3, 0.02, -0.015, 0.05])
    assert (np.abs(fit.correction - truth) < 3.5 * fit.stddev).all()


def test_a_run_without_its_rig_is_refused(sensor):
    run = Run({}, [])
    with pytest.raises(InputError, match="no valid pose of the sensor"):
        run_touches(run, sensor.model)
