"""Generated pictures show dots that the detector finds and that follow the indenter."""

import numpy as np
import pytest

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.sensor.marker_grid import MarkerGrid
from tacdiff_ros.virtual.frames import HEIGHT, MM_PER_PX, SLIP, WIDTH, GeneratedFrames, cycle_pose

GRID = MarkerGrid()
PRESSED = IndenterPose(0.0, 0.0, 1.0, 0.0)


def rest_px() -> np.ndarray:
    """(rows, columns, 2) where the untouched dots belong: the grid around the image's middle."""
    x_mm = (np.arange(GRID.columns) - (GRID.columns - 1) / 2) * GRID.pitch_x_mm
    y_mm = (np.arange(GRID.rows) - (GRID.rows - 1) / 2) * GRID.pitch_y_mm
    places = np.stack(np.meshgrid(x_mm, y_mm), axis=-1)
    return places / MM_PER_PX + [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]


def test_all_dots_of_the_untouched_gel_are_found_where_they_belong():
    field = detect_markers(GeneratedFrames().render(IndenterPose()), GRID)
    assert field.found_count == 63
    assert np.abs(field.position_px - rest_px()).max() < 0.3


@pytest.mark.parametrize(
    "pose",
    [
        PRESSED,
        PRESSED.moved(x_mm=2.0),
        PRESSED.moved(y_mm=-2.0),
        PRESSED.moved(yaw_rad=0.1),
        IndenterPose(2.5, -1.5, 0.5, 0.3),
    ],
)
def test_all_dots_are_found_under_a_press(pose):
    frames = GeneratedFrames()
    frames.render(PRESSED)
    assert detect_markers(frames.render(pose), GRID).found_count == 63


@pytest.mark.parametrize(("x_mm", "y_mm"), [(1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.8, -1.2)])
def test_dots_under_the_indenter_are_dragged_the_way_it_goes(x_mm, y_mm):
    """The middle dot goes along by the gel's share of the travel, the far corners stay."""
    frames = GeneratedFrames()
    before = detect_markers(frames.render(PRESSED), GRID)
    after = detect_markers(frames.render(PRESSED.moved(x_mm, y_mm)), GRID)
    moved_mm = after.displacement_px(before) * MM_PER_PX
    middle = moved_mm[GRID.rows // 2, GRID.columns // 2]
    travel = np.array([x_mm, y_mm])
    along = float(middle @ travel) / float(travel @ travel)
    across = float(middle @ [-y_mm, x_mm]) / float(travel @ travel)
    assert 0.6 * SLIP < along < 1.2 * SLIP
    assert abs(across) < 0.05
    assert np.linalg.norm(moved_mm[[0, 0, -1, -1], [0, -1, 0, -1]], axis=1).max() < 0.05


def test_a_press_pushes_the_dots_around_it_outward():
    frames = GeneratedFrames()
    before = detect_markers(frames.render(IndenterPose()), GRID)
    after = detect_markers(frames.render(PRESSED), GRID)
    outward = rest_px() - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    distance_mm = np.linalg.norm(outward, axis=-1) * MM_PER_PX
    near = (distance_mm > 1.0) & (distance_mm < 5.0)
    assert np.all(np.sum(after.displacement_px(before) * outward, axis=-1)[near] > 0)


def test_dots_turn_with_the_indenter():
    frames = GeneratedFrames()
    before = detect_markers(frames.render(PRESSED), GRID)
    after = detect_markers(frames.render(PRESSED.moved(yaw_rad=0.15)), GRID)
    arm = rest_px() - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    moved = after.displacement_px(before)
    turned = arm[..., 0] * moved[..., 1] - arm[..., 1] * moved[..., 0]
    near = np.linalg.norm(arm, axis=-1) * MM_PER_PX < 5.0
    near[GRID.rows // 2, GRID.columns // 2] = False
    assert np.all(turned[near] > 0)


def test_a_new_touch_drags_from_where_it_begins():
    frames = GeneratedFrames()
    frames.render(PRESSED)
    frames.render(IndenterPose(3.0, 0.0, 0.0, 0.0))  # lifted and moved
    field = detect_markers(frames.render(PRESSED.moved(x_mm=3.0)), GRID)
    shift = (field.position_px - rest_px())[GRID.rows // 2, GRID.columns // 2] * MM_PER_PX
    assert abs(float(shift[0])) < 0.3  # pushed aside a little, not dragged by 0.45 * 3 mm


def test_the_same_seed_gives_the_same_pictures():
    poses = [cycle_pose(0.2 * k) for k in range(12)]
    first, again, other = GeneratedFrames(seed=4), GeneratedFrames(seed=4), GeneratedFrames(seed=5)
    for pose in poses:
        picture = first.render(pose)
        np.testing.assert_array_equal(picture, again.render(pose))
        assert np.any(picture != other.render(pose))


def test_the_demonstration_cycle_presses_and_lets_go_without_a_jump():
    times_s = np.arange(0.0, 16.0, 0.001)
    poses = [cycle_pose(time) for time in times_s]
    depth_mm = np.array([pose.depth_mm for pose in poses])
    assert depth_mm.min() == 0.0
    assert depth_mm.max() == pytest.approx(1.0)
    path = np.array([[pose.x_mm, pose.y_mm, pose.depth_mm] for pose in poses])
    assert np.abs(np.diff(path, axis=0)).max() < 0.01  # mm in a millisecond
