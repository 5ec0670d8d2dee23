"""The virtual arm above an indenter: what it reports."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.acquisition.robot_state import RobotMode
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.virtual.driver import BROADCASTER, CONTROLLER
from tacdiff_ros.virtual.faults import ArmFault
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import STEP_NS, RigReading, VirtualRig

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


class Arm:
    """A virtual arm in free space and its simulated clock."""

    def __init__(self) -> None:
        self.rig = VirtualRig(Rig(IDENTITY, IDENTITY), STANDING, ImpedanceParameters(), None)
        self.now_ns = SECOND
        self.run(0.01)

    def run(self, seconds: float, target: Pose | None = None) -> list[RigReading]:
        """Advance, with one target per 10 ms if there is one; return the readings."""
        readings: list[RigReading] = []
        for millisecond in range(round(1000 * seconds)):
            if target is not None and millisecond % 10 == 0:
                self.rig.follow(target)
            self.now_ns += STEP_NS
            readings += self.rig.advance(self.now_ns)
        return readings

    def distance_mm(self, pose: Pose) -> float:
        return float(np.linalg.norm(self.rig.arm.end_effector.position_mm - pose.position_mm))


@pytest.fixture
def arm() -> Arm:
    pytest.importorskip("pinocchio")
    return Arm()


UP = Pose(np.array([400.0, 0.0, 320.0]), STANDING.matrix)


def test_after_a_silent_reflex_states_return_only_by_three_steps_in_order(arm):
    arm.rig.inject(ArmFault.SILENT_REFLEX, 0.0)
    driver = arm.rig.driver
    assert all(reading.reported is None for reading in arm.run(0.05))
    assert driver.hardware == "unconfigured"
    assert not driver.set_hardware("active")
    assert "unconfigured" in driver.switch([BROADCASTER], [])
    arm.rig.error_recovery()
    assert driver.set_hardware("active")
    assert all(reading.reported is None for reading in arm.run(0.05))
    assert driver.switch([BROADCASTER], []) == ""
    assert arm.run(0.05)[-1].reported.mode == RobotMode.IDLE
    assert driver.switch([CONTROLLER], []) == ""
    assert arm.run(0.05)[-1].reported.mode == RobotMode.MOVE
    assert arm.rig.fault is None


def test_a_target_sent_to_an_inactive_controller_runs_at_its_activation(arm):
    arm.rig.driver.switch([], [CONTROLLER])
    arm.run(0.3, UP)
    assert arm.distance_mm(STANDING) < 0.1
    arm.rig.driver.switch([CONTROLLER], [])
    arm.run(1.5)
    assert arm.distance_mm(UP) < 0.5


def test_a_released_user_stop_leaves_an_idle_arm_without_flags_that_does_not_move(arm):
    arm.rig.inject(ArmFault.RELEASED_USER_STOP, 0.0)
    modes = [reading.reported.mode for reading in arm.run(0.3, UP)]
    assert (modes[0], modes[-1]) == (RobotMode.USER_STOPPED, RobotMode.IDLE)
    assert arm.distance_mm(STANDING) < 0.1
    arm.rig.error_recovery()
    arm.run(1.5, UP)
    assert arm.distance_mm(UP) < 0.5


def test_another_steered_frame_moves_the_end_effector_by_the_difference_of_the_frames(arm):
    arm.rig.inject(ArmFault.OTHER_END_EFFECTOR, 0.0)
    arm.run(3.0, STANDING)
    assert arm.distance_mm(STANDING) == pytest.approx(103.4, abs=1.0)  # Franka hand: TCP to flange


def test_a_stale_target_moves_the_arm_against_the_targets_of_the_run(arm):
    arm.rig.inject(ArmFault.STALE_TARGET, 0.0)
    arm.run(1.5, STANDING)
    assert arm.distance_mm(STANDING) == pytest.approx(30.0, abs=0.5)


def test_coalesced_states_come_at_gaps_of_up_to_25_ms_without_repetition(arm):
    arm.rig.inject(ArmFault.COALESCED_STATES, 0.0)
    reported = [r.reported.stamp_ns for r in arm.run(2.0) if r.reported is not None]
    gaps_ms = np.diff(reported) / STEP_NS
    assert gaps_ms.min() >= 1
    assert 20 <= gaps_ms.max() <= 25


def test_states_name_the_root_link_until_the_fault_of_another_frame(arm):
    assert arm.run(0.01)[-1].reported.frame_id == "base"
    arm.rig.inject(ArmFault.OTHER_FRAME_ID, 0.05)
    assert arm.run(0.01)[-1].reported.frame_id == "world"
    assert arm.run(0.1)[-1].reported.frame_id == "base"


def test_the_twist_of_the_desired_pose_is_the_speed_of_the_controller(arm):
    state = arm.run(0.05, UP)[-1].arm
    np.testing.assert_allclose(state.desired_velocity_mm_s, [0.0, 0.0, 100.0], atol=1e-3)
    assert state.uptime_s == pytest.approx(0.06)
