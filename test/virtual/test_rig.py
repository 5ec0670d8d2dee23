"""The virtual arm above an indenter: what it reports."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import STEP_NS, VirtualRig

IDENTITY = Pose(np.zeros(3), np.eye(3))
STANDING = Pose(np.array([400.0, 0.0, 300.0]), np.diag([1.0, -1.0, -1.0]))
SECOND = 1_000_000_000


def force_of_runs(idle_steps: int) -> list[np.ndarray]:
    """Reported force (20, 3) of two runs, each after a time without a target."""
    arm = VirtualRig(Rig(IDENTITY, IDENTITY), STANDING, ImpedanceParameters(), None)
    now_ns = 1000 * SECOND
    runs = []
    for _ in range(2):
        for _ in range(idle_steps):
            now_ns += STEP_NS
            arm.advance(now_ns)
        forces = []
        for _ in range(20):
            arm.follow(STANDING)
            now_ns += STEP_NS
            forces += [reading.reported.force_n for reading in arm.advance(now_ns)]
        runs.append(np.array(forces))
    return runs


def test_noise_of_a_run_does_not_depend_on_when_it_begins():
    early, late = force_of_runs(600), force_of_runs(873)
    np.testing.assert_array_equal(early[0], late[0])
    np.testing.assert_array_equal(early[1], late[1])


def test_two_runs_have_other_noise():
    first, second = force_of_runs(600)
    assert np.abs(first - second).min() > 0.0
