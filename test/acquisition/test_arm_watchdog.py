"""The sensor comes off by itself when its run is gone; the truth is the virtual arm's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tacdiff_ros.acquisition.arm_watchdog import CLEARANCE_MM, MAX_SPEED_MM_S, ArmWatchdog, Contact
from tacdiff_ros.acquisition.robot_state import RobotMode
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.faults import ArmFault
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import VirtualRig

MS = 1_000_000
DEPTH_MM = 0.8
RIG = Rig(
    Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0]),
    Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0]),
)
LIMITS = SafetyLimits(box_min_mm=(400.0, -60.0, 90.0), box_max_mm=(520.0, 60.0, 180.0))
PRESSED = Pose.from_euler([450.0, 0.0, 140.0 - DEPTH_MM], [np.pi, 0.0, 0.0])


class World:
    """A virtual arm that was left pressed in, and the watchdog."""

    def __init__(self) -> None:
        self.arm = VirtualRig(RIG, PRESSED, ImpedanceParameters(), StiffContactParameters())
        self.arm.follow(PRESSED)
        self.watchdog = ArmWatchdog(RIG.end_effector_to_gel, LIMITS)
        self.targets: list[tuple[float, Pose]] = []
        self.millisecond = 0
        self.gap_mm = 0.0

    def press(self, depth_mm: float = DEPTH_MM) -> None:
        """What a run would say now."""
        gel = self.arm.arm.end_effector @ RIG.end_effector_to_gel
        self.watchdog.on_contact(Contact(depth_mm, gel, 1e-3 * self.millisecond))

    def go(
        self,
        seconds: float,
        commanders: int = 0,
        change: Any = lambda state: state,
        listeners: int = 1,
    ) -> None:
        for _ in range(int(1000 * seconds)):
            self.millisecond += 1
            now_s = 1e-3 * self.millisecond
            (reading,) = self.arm.advance(self.millisecond * MS)
            self.gap_mm = float(reading.gel_to_indenter.position_mm[2])
            if reading.reported is not None:
                self.watchdog.on_state(change(reading.reported), now_s)
            if self.millisecond % 10 == 0:
                target = self.watchdog.tick(commanders, listeners, now_s)
                if target is not None:
                    self.targets.append((now_s, target))
                    self.arm.follow(target)


@pytest.fixture
def world():
    world = World()
    world.go(0.3, commanders=1)
    world.press()
    assert world.gap_mm < -0.2
    return world


def test_while_somebody_commands_the_arm_it_is_left_alone(world):
    world.go(1.0, commanders=1)
    assert world.targets == []


def test_a_run_that_is_gone_in_contact_is_followed_by_a_retraction(world):
    world.go(4.0)
    assert world.gap_mm > 0.8 * CLEARANCE_MM
    assert "was retracted" in world.watchdog.report
    assert not world.watchdog.is_retracting


def test_it_goes_along_the_sensors_axis_and_no_faster_than_it_may(world):
    world.go(3.0)
    times, poses = zip(*world.targets, strict=True)
    places = np.array([pose.position_mm for pose in poses])
    assert np.ptp(places[:, :2], axis=0).max() < 0.02
    speed = np.abs(np.diff(places[:, 2]) / np.diff(times))
    assert speed.max() <= 1.05 * MAX_SPEED_MM_S
    assert np.abs(np.diff(places[:, 2])).max() < 0.2  # no jump at the start either


def test_it_retracts_once_and_then_sends_nothing(world):
    world.go(4.0)
    count = len(world.targets)
    world.go(1.0)
    assert len(world.targets) == count


def test_a_run_that_ended_clear_of_the_indenter_is_not_touched():
    world = World()
    world.press()
    world.watchdog.on_clear()
    world.go(2.0)
    assert world.targets == []


def test_a_run_that_still_tells_its_state_is_left_alone(world):
    """Its publisher may not be known yet."""
    for _ in range(10):
        world.press()
        world.go(0.5)
    assert world.targets == []


@pytest.mark.parametrize("mode", [RobotMode.GUIDING, RobotMode.USER_STOPPED, RobotMode.REFLEX])
def test_an_arm_that_a_person_has_taken_over_is_left_to_them_for_good(world, mode):
    world.go(1.2, change=lambda state: replace(state, mode=mode))
    assert mode.name in world.watchdog.report
    world.go(3.0)
    assert world.targets == []


def test_an_arm_that_was_moved_meanwhile_is_left_where_it_is(world):
    world.arm.follow(PRESSED.shifted([0.0, 0.0, -8.0]))
    world.go(0.9)
    world.go(3.0)
    assert world.targets == []
    assert "from its pose at the run's last message" in world.watchdog.report


def test_somebody_who_takes_the_arm_during_the_retraction_keeps_it(world):
    world.go(1.3)
    count = len(world.targets)
    assert count > 3
    world.go(0.1, commanders=1)
    world.go(3.0)
    assert len(world.targets) == count
    assert "another node publishes targets" in world.watchdog.report


def test_without_a_controller_nothing_is_sent_that_could_run_later(world):
    world.go(8.0, listeners=0)
    world.go(2.0)
    assert world.targets == []
    assert "no controller" in world.watchdog.report


def test_an_arm_that_does_not_follow_is_not_reported_as_retracted(world):
    """IDLE counts as able to move; nothing moves it."""
    world.arm.follow = lambda _target: None
    world.go(5.0)
    assert "stays pressed onto the indenter" in world.watchdog.report


def test_a_run_that_is_silent_but_alive_is_named(world):
    world.go(6.5, commanders=1)
    assert world.targets == []
    assert "silent in contact" in world.watchdog.report


def test_states_that_fall_silent_stop_it_and_it_goes_on_when_they_are_back(world):
    world.go(1.2)
    world.arm.inject(ArmFault.STALE_STATE, 0.0)
    world.go(0.4)
    before = len(world.targets)
    world.go(0.3)
    assert len(world.targets) == before
    world.arm.inject(None, 0.0)
    world.go(3.0)
    assert world.gap_mm > 0.8 * CLEARANCE_MM


def test_limits_below_its_own_speed_are_kept(world):
    slow = LIMITS.model_copy(update={"speed_mm_s": 4.0})
    world.watchdog = ArmWatchdog(RIG.end_effector_to_gel, slow)
    world.press()
    world.go(6.0)
    assert "was retracted" in world.watchdog.report


def test_a_state_of_another_time_long_before_does_not_keep_it_from_its_work(world):
    later = 10**18
    world.go(0.001, commanders=1, change=lambda state: replace(state, stamp_ns=later))
    world.go(0.5, commanders=1)
    world.go(3.0)
    assert world.gap_mm > 0.8 * CLEARANCE_MM


def test_a_depth_that_is_no_number_means_no_motion():
    world = World()
    world.press(float("nan"))
    world.go(2.0)
    assert world.targets == []
