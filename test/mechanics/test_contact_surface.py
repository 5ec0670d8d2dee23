"""Surfaces that are drawn: none penetrates the rigid indenter, or is deeper than it."""

import numpy as np
import pytest

from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import outside_indenter, refine_contact
from tacdiff_ros.mechanics.indenters.build import SHAPES, build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import plan_touch
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.twin.live_twin import LiveTwin

GRID = (33, 41)
DRAWN = (260, 316)  # a vertex spacing of 0.08 mm
POSE = IndenterPose(0.3, -0.2, 0.8, 0.4)
MAX_PENETRATION_MM = 0.01


def check_drawn(surface, indenter, pose):
    """No point of the triangles is inside the indenter; the gel reaches its tip and no farther."""
    corners = surface.position.astype(np.float64)[surface.triangles]
    weights = [(1, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1 / 3, 1 / 3, 1 / 3)]
    points = np.einsum("wc,nci->wni", np.array(weights), corners).reshape(-1, 3)
    assert points[:, 2].min() == pytest.approx(-pose.depth_mm, abs=MAX_PENETRATION_MM)
    points = points[points[:, 2] < 0.0]
    assert indenter.distance(pose.to_indenter(points)).min() > -MAX_PENETRATION_MM


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "mesh"])
def test_no_surface_of_the_live_gel_penetrates_an_indenter_or_is_deeper_than_it(name):
    indenter = build_indenter(name)
    result = LiveGel.of_sensor(default_sensor(), indenter, grid=GRID).follow(POSE)
    assert result.surface.position[:, 2].min() >= -POSE.depth_mm - 1e-6
    check_drawn(refine_contact(result.surface, indenter, POSE, *DRAWN), indenter, POSE)


@pytest.mark.parametrize("name", ["cube", "cone"])
def test_no_surface_of_the_solver_penetrates_an_indenter_although_its_faces_bend_at_vertices(name):
    indenter = build_indenter(name)
    settings = SolverSettings(rows=21, columns=25, layers=4)
    plan = plan_touch(IndenterPose(), 0.375)
    with Touch(default_sensor(), indenter, settings=settings) as touch:
        *_, result = touch.run(plan)
        faces = touch.solver.position(touch.state)
    assert faces[:, 2].min() < -0.375 - 0.03  # where a face crosses the rim: see contact_surface
    check_drawn(
        refine_contact(result.surface, indenter, result.pose, *DRAWN), indenter, result.pose
    )


def test_only_vertices_at_the_contact_are_moved():
    """In the hole of a ring, the gel stays where the model has it."""
    indenter = build_indenter("torus")
    gel = LiveGel.of_sensor(default_sensor(), indenter, grid=GRID)
    pose = IndenterPose(depth_mm=0.8)
    result = gel.follow(pose)
    solved = gel.state.displacement
    moved = np.linalg.norm(result.displacement - solved, axis=1)
    radius = np.hypot(*result.rest[:, :2].T)
    assert moved[(radius < 2.0) | (radius > 6.0)].max() == 0.0
    assert moved.max() < 0.4 * 25.25 / 40
    assert (result.displacement[radius < 1.0, 2] > -0.5).all()


def test_points_inside_are_moved_to_the_surface_and_others_stay():
    cube = build_indenter("cube:size=4")
    pose = IndenterPose(1.0, 2.0, 0.5, 0.3)
    points = pose.to_gel(np.random.default_rng(0).uniform([-3, -3, -1], [3, 3, 1], (500, 3)))
    before = cube.distance(pose.to_indenter(points))
    after = outside_indenter(cube, pose, points)
    assert cube.distance(pose.to_indenter(after)).min() > -1e-9
    assert np.array_equal(after[before >= 0], points[before >= 0])


class _Recorder:
    """Stands in for a renderer; keeps the surface that it has to draw."""

    def render_surface(self, surface, with_maps=True):
        self.surface = surface


def test_twin_and_calibration_draw_surfaces_outside_the_indenter():
    model, recorder = default_sensor(), _Recorder()
    twin = LiveTwin(model, "cube", recorder, grid=GRID, surface_mm=0.1)
    twin.render(twin.move(POSE))
    cube = build_indenter("cube")
    check_drawn(recorder.surface, cube, POSE)
    press = Press(0.3, -0.2, 0.8, yaw_rad=0.4)
    surface = PressSurfaces(model, cube, solved_mm=0.6).surface(press)
    vertices = surface.position.astype(np.float64)
    assert vertices[:, 2].min() >= -0.8 - 1e-6
    assert cube.distance(press.end_pose.to_indenter(vertices)).min() > -MAX_PENETRATION_MM
