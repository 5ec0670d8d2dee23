"""The way between frames is kept in steps, in order, once."""

import math

import pytest

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.live.pose_path import PosePath, interpolate_poses


def test_poses_that_lie_apart_are_kept_in_order_and_taken_once():
    path = PosePath(spacing_mm=0.25)
    for k in range(101):  # there and back
        path.add(k, IndenterPose(x_mm=0.02 * min(k, 100 - k), depth_mm=0.5))
    first = path.take(50, IndenterPose(x_mm=1.1, depth_mm=0.5))
    second = path.take(1000, IndenterPose(x_mm=0.1, depth_mm=0.5))
    assert [round(pose.x_mm, 2) for pose in first] == [0.0, 0.26, 0.52, 0.78]
    assert [round(pose.x_mm, 2) for pose in second] == [0.52]  # the others lie near the goal
    assert path.take(1000, IndenterPose()) == []


def test_turns_count_and_memory_is_bounded():
    path = PosePath(spacing_mm=0.15, max_poses=10)
    for k in range(1000):
        path.add(k, IndenterPose(depth_mm=0.5, yaw_rad=math.radians(0.1 * k)))
    kept = path.take(10_000, IndenterPose(depth_mm=0.0))
    assert len(kept) == 10
    assert 1.7 < math.degrees(kept[-1].yaw_rad - kept[-2].yaw_rad) < 1.9


def test_a_clock_that_jumps_back_leaves_nothing_from_before():
    path = PosePath()
    path.add(5_000, IndenterPose(depth_mm=0.1))
    path.add(10, IndenterPose(depth_mm=0.9))
    assert [pose.depth_mm for pose in path.take(10, IndenterPose())] == [0.9]


def test_a_clock_that_jumps_back_while_the_indenter_rests_leaves_nothing_from_before():
    path = PosePath()
    path.add(1000, IndenterPose(0.0, 0.0, 1.0))
    path.add(2000, IndenterPose(2.0, 0.0, 1.0))
    path.add(10, IndenterPose(2.0, 0.1, 1.0))
    assert path.take(3000, IndenterPose(-3.0, 0.0, 1.0)) == [IndenterPose(2.0, 0.1, 1.0)]


def test_poses_far_apart_are_joined_by_a_straight_way_while_the_indenter_touches():
    start, goal = IndenterPose(0.0, 0.0, 0.5, 0.0), IndenterPose(1.2, 0.0, 0.5, 0.03)
    way = interpolate_poses(start, goal)
    assert [pose.x_mm for pose in way] == pytest.approx([0.4, 0.8])
    assert [pose.yaw_rad for pose in way] == pytest.approx([0.01, 0.02])
    assert interpolate_poses(start, IndenterPose(0.3, 0.0, 0.5)) == []
    assert interpolate_poses(IndenterPose(depth_mm=-1.0), goal) == []
    assert interpolate_poses(None, goal) == []
    assert interpolate_poses(start, IndenterPose(9.0, 0.0, 0.5)) == []
