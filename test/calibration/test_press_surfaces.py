"""Surfaces of known presses: friction acts along the path of the press."""

import numpy as np

from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.sensor.sensor_file import default_sensor

GRID = (36, 44)  # a vertex spacing of 0.6 mm


def test_a_press_with_a_slide_is_the_end_of_a_path_in_small_steps():
    model, cube = default_sensor(), build_indenter("cube")
    press = Press(0.3, -0.2, 0.8, 0.3, (0.4, 0.2))
    surface = PressSurfaces(model, cube, solved_mm=0.6).surface(press)
    gel = LiveGel.of_sensor(model, cube, grid=GRID)
    start = press.pressed_pose
    for depth in np.arange(1, 26) * 0.8 / 25:
        result = gel.step(IndenterPose(start.x_mm, start.y_mm, depth, start.yaw_rad))
    for fraction in np.arange(1, 15) / 14:
        result = gel.step(start.toward(press.end_pose, fraction))
    stepped = refine_contact(result.surface, cube, result.pose, surface.rows, surface.columns)
    difference = surface.position[:, 2].astype(np.float64) - stepped.position[:, 2]
    assert np.sqrt(np.mean(difference**2)) < 0.005
