"""Touches: forces by theory and by balance, friction, what states say, and clear refusals."""

import gc
import math
import weakref

import numpy as np
import pytest
import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.gel_state import StepFailureError
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.layer_compliance import BondedLayer, SurfaceConvolution, surface_kernel
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import build_pad_mesh
from tacdiff_ros.mechanics.touch import NotConvergedError, SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_touch, plan_trajectory
from tacdiff_ros.sensor.sensor_file import default_sensor

COARSE = SolverSettings(rows=21, columns=25, layers=4)


def small_sensor(width_mm=12.0, height_mm=10.0):
    model = default_sensor()
    gel = model.gel.model_copy(update={"width_mm": width_mm, "height_mm": height_mm})
    return model.model_copy(update={"gel": gel})


@pytest.fixture(scope="module")
def pressed_and_dragged():
    touch = Touch(default_sensor(), build_indenter("sphere:diameter=8"), settings=COARSE)
    plan = Trajectory(depth_mm=0.8, translation_mm=1.0, directions=("x+",), rotation_deg=0)
    return touch, list(touch.run(plan_trajectory(plan, IndenterPose(1.0, -0.5))))


def test_the_glue_holds_what_the_indenter_presses(pressed_and_dragged):
    _, states = pressed_and_dragged
    for state in states:
        assert state.status.imbalance < 1e-3
        assert state.force_n[2] < 0.0


def test_pressure_and_traction_add_up_to_the_force(pressed_and_dragged):
    touch, states = pressed_and_dragged
    area = touch.solver.mesh.tributary_area_mm2().reshape(21, 25)
    state = states[-1]
    assert -(state.pressure_mpa * area).sum() == pytest.approx(state.force_n[2])
    pull = (state.traction_mpa * area[..., None]).sum(axis=(0, 1))
    assert pull == pytest.approx(state.force_n[:2], abs=1e-9)
    assert state.contact.sum() > 10
    assert not state.contact[0].any()
    assert (state.pressure_mpa[~state.contact] == 0).all()


def test_the_gel_lies_on_the_ball_and_not_in_it(pressed_and_dragged):
    touch, states = pressed_and_dragged
    for state in states:
        gap = touch.indenter.distance(
            state.pose.to_indenter(state.surface.position.astype(np.float64))
        )
        assert gap.min() > -0.02
        assert state.error_mm <= 0.02
        # Vertices are 1 mm apart: a chord of the ball is 0.03 mm deep along each side of a face.
        assert gap[state.contact.ravel()].min() < 0.07
    # The vertex nearest to the tip is 0.5 mm beside it, where the ball is 0.03 mm higher.
    assert -states[7].surface.position[:, 2].min() == pytest.approx(0.77, abs=0.02)


def test_a_dragged_ball_pulls_the_gel_along_and_at_most_with_mu_n(pressed_and_dragged):
    _, states = pressed_and_dragged
    pulls = np.array([state.force_n[0] for state in states])
    assert pulls[:7] == pytest.approx(np.zeros(7), abs=0.02)
    assert (np.diff(pulls[7:]) > -0.01).all()
    assert pulls[-1] > 0.8 * 0.5 * -states[-1].force_n[2]
    # Not exactly mu N: the pulled contact leans on the ball's side.
    assert (pulls <= 0.65 * np.array([-state.force_n[2] for state in states])).all()
    moved = states[-1].surface.position - states[7].surface.position
    middle = states[-1].contact.ravel()
    assert 0.3 < np.median(moved[middle, 0]) < 1.0  # it slips under the ball in the end


def test_a_ball_dragged_far_slides_with_mu_n():
    touch = Touch(
        small_sensor(),
        build_indenter("sphere:diameter=8"),
        GelMaterial(friction=0.2),
        SolverSettings(rows=17, columns=19, layers=3),
    )
    *_, last = touch.run(plan_touch(IndenterPose(-0.5), 0.4, (1.0, 0.0)))
    # On a ball the pulled contact leans: the ratio of forces differs from mu by a few per cent.
    assert last.force_n[0] / -last.force_n[2] == pytest.approx(0.2, rel=0.06)


def test_a_turned_cross_is_held_back_and_wrings_the_gel():
    touch = Touch(
        small_sensor(),
        build_indenter("cross:size=6,arm=2"),
        settings=SolverSettings(rows=17, columns=19, layers=3),
    )
    *_, last = touch.run(plan_touch(IndenterPose(), 0.3, twist_rad=math.radians(6)))
    assert last.torque_n_mm[2] > 0.05
    moved = (last.surface.position - last.surface.rest).reshape(17, 19, 3)
    assert moved[8, 13, 1] > 0.05
    assert moved[8, 5, 1] < -0.05


def test_a_frictionless_press_has_the_force_of_the_layer_theory():
    """A ball of 10 mm on a small pad, against Fourier kernels of the bonded linear layer."""
    material = GelMaterial(friction=0.0, poisson_ratio=0.45)
    solver = GelSolver(
        build_pad_mesh(14.0, 14.0, 4.0, 37, 37, 6), material, build_indenter("sphere:diameter=10")
    )
    state = solver.step(solver.rest(), IndenterPose(depth_mm=0.3))
    expected = layer_force(BondedLayer(4.0, 0.2, 0.45), 5.0, 0.3)
    assert -state.force[:, 2].sum() == pytest.approx(expected, rel=0.03)


def layer_force(layer, radius, depth, points=61, spacing=0.1):
    """Pressures p >= 0 with gap >= 0 by projected descent on Fourier convolutions."""
    at = (np.arange(points) - points // 2) * spacing
    distance = np.hypot(*np.meshgrid(at, at))
    wanted = depth - (radius - np.sqrt(radius**2 - distance**2))
    kernel = surface_kernel(layer, points, points, (spacing, spacing))
    convolve = SurfaceConvolution(kernel)

    def give(force):
        whole = np.zeros((points, points, 3))
        whole[..., 2] = force
        return convolve.displacement(whole)[..., 2]

    force = np.maximum(wanted, 0.0)
    force *= wanted.max() / give(force).max()
    unit = np.zeros_like(force)
    unit[points // 2, points // 2] = 1.0
    step = 0.5 / np.abs(give(unit)).sum()
    for _ in range(600):
        force = np.maximum(force + step * (wanted - give(force)), 0.0)
    return force.sum()


def test_symmetry_is_kept():
    touch = Touch(default_sensor(), build_indenter("cube:size=5"), settings=COARSE)
    *_, last = touch.run(plan_touch(IndenterPose(), 0.375))
    heights = last.surface.position[:, 2].reshape(21, 25)
    assert heights == pytest.approx(heights[::-1], abs=1e-4)
    assert heights == pytest.approx(heights[:, ::-1], abs=1e-4)
    assert last.force_n[:2] == pytest.approx([0, 0], abs=1e-4)


def test_a_lifted_indenter_leaves_the_gel_at_rest():
    touch = Touch(default_sensor(), build_indenter("sphere"), settings=COARSE)
    plan = Trajectory(
        depth_mm=0.4, translation_mm=0.25, directions=("y-",), rotation_deg=0, releasing=True
    )
    *_, last = touch.run(plan_trajectory(plan, IndenterPose()))
    assert not last.contact.any()
    assert np.abs(last.surface.position - last.surface.rest).max() < 1e-4
    assert last.force_n == pytest.approx(np.zeros(3), abs=1e-9)


@pytest.mark.parametrize(
    ("pose", "named"),
    [
        (IndenterPose(x_mm=14.0, depth_mm=0.1), "beside the pad"),
        (IndenterPose(y_mm=-11.0, depth_mm=0.1), "beside the pad"),
        (IndenterPose(depth_mm=3.9), "depth is 3.9"),
        (IndenterPose(depth_mm=40.0), "depth is 40"),
        (IndenterPose(depth_mm=float("nan")), "not finite"),
        (IndenterPose(yaw_rad=float("inf")), "not finite"),
    ],
)
def test_poses_that_cannot_be_are_refused(pose, named):
    touch = Touch(default_sensor(), build_indenter("sphere"), settings=COARSE)
    with pytest.raises(InputError, match=named) as caught:
        touch.move_to(pose)
    assert "\n" not in str(caught.value)
    assert touch.state is None


def test_an_indenter_that_is_lower_than_the_press_is_refused():
    touch = Touch(default_sensor(), build_indenter("torus:diameter=7,tube=1"), settings=COARSE)
    with pytest.raises(InputError, match="height of an indenter of 1 mm"):
        touch.move_to(IndenterPose(depth_mm=1.5))


def test_a_start_inside_the_gel_is_refused():
    solver = GelSolver(
        build_pad_mesh(25.25, 20.75, 4.0, 9, 9, 2), GelMaterial(), build_indenter("cube")
    )
    with pytest.raises(InputError, match=r"starts 0\.3"):
        solver.rest(IndenterPose(depth_mm=0.3))


def test_failed_attempts_keep_no_factors(monkeypatch):
    """A factor of the pad has some hundred megabytes, and an error's traceback holds its frames."""
    solver = GelSolver(
        build_pad_mesh(25.25, 20.75, 4.0, 9, 9, 2), GelMaterial(), build_indenter("cube")
    )
    factors = []

    class Factor:
        pass

    def advance(state, _goal, _attempt):
        factor = Factor()
        factors.append(weakref.ref(factor))
        if len(factors) < 3:
            raise StepFailureError("no")
        return state

    monkeypatch.setattr(solver, "_advance", advance)
    gc.disable()
    try:
        solver.step(solver.rest(), IndenterPose(depth_mm=0.1))
        assert [reference() for reference in factors] == [None] * 3
    finally:
        gc.enable()


def test_a_state_that_did_not_converge_is_not_returned(monkeypatch):
    touch = Touch(default_sensor(), build_indenter("sphere"), settings=COARSE)
    good = touch.move_to(IndenterPose(depth_mm=0.125))
    kept = touch.state

    def fail(*_):
        raise StepFailureError("imbalance 3 N after 20 iterations")

    monkeypatch.setattr(touch.solver, "step", fail)
    with pytest.raises(NotConvergedError, match=r"depth 0\.250 mm \(imbalance 3 N") as caught:
        touch.move_to(IndenterPose(depth_mm=0.25))
    assert "\n" not in str(caught.value)
    assert touch.state is kept
    assert good.status.report.residual_n < 1e-5


def test_a_flat_bottomed_mesh_touches_the_gel_at_depth_zero_as_the_primitive_does(tmp_path):
    trimesh.creation.box((4.0, 4.0, 4.0)).export(tmp_path / "box.stl")
    box = build_indenter(f"mesh:file={tmp_path / 'box.stl'},spacing=0.25")
    state = GelSolver(build_pad_mesh(25.25, 20.75, 4.0, 33, 41, 2), GelMaterial(), box).rest()
    assert np.abs(state.displacement).max() == 0.0


def _cross(size_mm, arm_mm, height_mm):
    """An upright cross from faces that share their vertices: exact, with sharp edges."""
    a, b = arm_mm / 2, size_mm / 2
    quarter = np.array([(a, -a), (b, -a), (b, a)])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    outline = np.concatenate([quarter @ np.linalg.matrix_power(turn, i) for i in range(4)])
    count = len(outline)
    quads = [(0, 3, 6, 9), *((3 * i, 3 * i + 1, 3 * i + 2, (3 * i + 3) % count) for i in range(4))]
    lower = [face for a, b, c, d in quads for face in ((a, c, b), (a, d, c))]
    upper = [(i + count, k + count, j + count) for i, j, k in lower]
    walls = [
        face
        for i in range(count)
        for j in ((i + 1) % count,)
        for face in ((i, j, j + count), (i, j + count, i + count))
    ]
    vertices = [(*point, z) for z in (0.0, height_mm) for point in outline]
    return trimesh.Trimesh(vertices, lower + upper + walls, process=False)


@pytest.mark.parametrize(
    ("name", "tilt", "part", "depth_mm"),
    [
        ("cube:size=4", "", lambda: trimesh.creation.box((4, 4, 8)), 0.5),
        ("cylinder:diameter=5", "", lambda: trimesh.creation.cylinder(2.5, 8, sections=96), 0.5),
        ("cross:size=7,arm=2", "", lambda: _cross(7, 2, 8), 0.375),
        ("sphere:diameter=5", "", lambda: trimesh.creation.icosphere(5, 2.5), 0.5),
        (
            "cylinder:diameter=40,height=20,round=0.4",  # a can that lies, larger than the pad
            ",roll=90",
            lambda: trimesh.creation.cylinder(20, 20, sections=600),
            0.25,
        ),
    ],
)
def test_a_part_from_a_file_takes_the_force_and_the_work_of_the_primitive(
    tmp_path, name, tilt, part, depth_mm
):
    """Smoothing of the sampled distance rounds edges by 0.2 mm, as those of the primitives are."""
    path = tmp_path / "part.stl"
    part().export(path)
    forces, factorisations = [], []
    for spec in (name + tilt, f"mesh:file={path}{tilt}" + (",spacing=0.2" if tilt else "")):
        with Touch(small_sensor(), build_indenter(spec), settings=COARSE) as touch:
            states = list(touch.run(plan_touch(IndenterPose(), depth_mm)))
        forces.append(-states[-1].force_n[2])
        reports = [state.status.report for state in states]
        factorisations.append(sum(report.factorisations for report in reports))
    assert forces[1] == pytest.approx(forces[0], rel=0.01)
    assert factorisations[1] <= 2 * factorisations[0]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("cylinder:diameter=40", lambda: trimesh.creation.cylinder(33, 102)),
        ("cube:size=10", lambda: trimesh.creation.box((10, 10, 90))),
    ],
    ids=["a can on its end, wider than the pad", "a pin with a long handle"],
)
def test_a_large_flat_part_from_a_file_takes_the_force_and_the_work_of_the_primitive(
    tmp_path, name, part
):
    """Without friction: where all of a pad is touched at once, friction has several solutions."""
    path = tmp_path / "part.stl"
    part().export(path)
    material, results = GelMaterial(friction=0.0), []
    for spec in (name, f"mesh:file={path},spacing=0.2"):
        settings = SolverSettings(rows=9, columns=11, layers=3)
        with Touch(small_sensor(), build_indenter(spec), material, settings) as touch:
            results.append(touch.move_to(IndenterPose(depth_mm=0.05)))
    assert results[1].force_n[2] == pytest.approx(results[0].force_n[2], rel=0.03)
    reports = [result.status.report for result in results]
    assert reports[1].factorisations <= 2 * reports[0].factorisations
