"""Forces from a surface agree with those of the finite element solver that made the surface."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.inversion.contact_forces import force_figures
from tacdiff_ros.inversion.force_estimator import ForceEstimator, MeasuredSurface
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import plan_touch
from tacdiff_ros.reports.traction_picture import draw_tractions
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import Material

HEIGHT_STDDEV_MM = 0.01


@pytest.fixture(scope="module")
def pressed():
    """State of the full solver under a ball that is pressed and sheared beside the middle."""
    start = IndenterPose(1.5, -1.0)
    settings = SolverSettings(rows=33, columns=41)
    with Touch(
        default_sensor(), build_indenter("sphere:diameter=8"), GelMaterial(), settings
    ) as touch:
        *_, state = touch.run(plan_touch(start, 0.6, (0.2, 0.1)))
    return state


@pytest.fixture(scope="module")
def estimator():
    return ForceEstimator(default_sensor())


def measured_surface(state) -> MeasuredSurface:
    """What an inversion without errors sees: heights everywhere, in-plane motion at markers."""
    model = default_sensor()
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 105, 127)
    axes = (state.rest[:: state.columns, 1], state.rest[: state.columns, 0])
    grid = state.displacement.reshape(state.rows, state.columns, 3)
    motion = RegularGridInterpolator(axes, grid, bounds_error=False, fill_value=None)
    surface = flat.moved(flat.rest + motion(flat.rest[:, 1::-1].astype(float)))
    x, y = np.meshgrid(np.linspace(-7.0, 7.0, 9), np.linspace(-5.0, 5.0, 7))
    shape = (surface.rows, surface.columns)
    return MeasuredSurface(
        surface,
        np.full(shape, HEIGHT_STDDEV_MM),
        np.ones(shape, bool),
        np.stack([x.ravel(), y.ravel()], axis=-1),
    )


@pytest.fixture(scope="module")
def measured(pressed):
    return measured_surface(pressed)


@pytest.fixture(scope="module")
def forces(estimator, measured):
    return estimator.forces(estimator.fit(measured), measured)


def test_net_force_and_torque_are_those_of_the_solver(forces, pressed):
    truth, torque = pressed.force_n, pressed.torque_at_origin_n_mm
    assert forces.force_n[2] == pytest.approx(truth[2], rel=0.05)
    assert np.linalg.norm(forces.force_n[:2] - truth[:2]) < 0.1 * np.linalg.norm(truth[:2])
    assert np.linalg.norm(forces.torque_n_mm - torque) < 0.07 * np.linalg.norm(torque)


def test_the_traction_field_is_that_of_the_solver(forces, pressed, measured):
    surface = measured.surface
    axes = (surface.y_mm.astype(float), surface.x_mm.astype(float))
    field = np.concatenate([forces.traction_mpa, -forces.pressure_mpa[..., None]], axis=-1)
    estimate = RegularGridInterpolator(axes, field)(pressed.rest[:, 1::-1].astype(float))
    truth = pressed.vertex_force_n / pressed.vertex_area_mm2[:, None]
    assert np.corrcoef(estimate.ravel(), truth.ravel())[0, 1] > 0.95


def test_tractions_obey_coulombs_law(forces):
    size = np.linalg.norm(forces.traction_mpa, axis=-1)
    assert forces.pressure_mpa.min() >= 0.0
    assert not forces.pressure_mpa[~forces.contact].any()
    assert not size[~forces.contact].any()
    assert np.nanmin(forces.slip_margin) > -1e-6
    assert 0.0 < forces.net_slip_margin < 1.0


def test_the_outline_encloses_the_contact(forces, pressed):
    truth_mm2 = float(pressed.vertex_area_mm2[pressed.contact.ravel()].sum())
    polygon = max(forces.outline_mm, key=len)
    x, y = polygon.T
    area_mm2 = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert area_mm2 == pytest.approx(truth_mm2, rel=0.35)


def test_standard_deviations_contain_the_error_and_the_modulus(forces, pressed, measured):
    errors = np.abs(forces.force_n - pressed.force_n) / forces.force_stddev_n
    assert errors.max() < 2.5
    assert 0.5 < forces.modulus_fraction < 1.0
    known = ForceEstimator(default_sensor(), modulus_stddev_mpa=0.002)
    identified = known.forces(known.fit(measured), measured)
    assert identified.modulus_fraction < 0.1
    assert identified.force_stddev_n[2] < 0.6 * forces.force_stddev_n[2]


def test_forces_are_proportional_to_the_modulus(forces, measured):
    stiff = ForceEstimator(default_sensor(), GelMaterial(young_modulus_mpa=0.4))
    doubled = stiff.forces(stiff.fit(measured), measured)
    np.testing.assert_allclose(doubled.force_n, 2.0 * forces.force_n, rtol=1e-3, atol=1e-3)


def test_an_undeformed_gel_carries_no_force(estimator, measured):
    flat = MeasuredSurface(
        measured.surface.moved(measured.surface.rest),
        measured.height_stddev_mm,
        measured.valid,
        measured.markers_mm,
    )
    forces = estimator.forces(estimator.fit(flat), flat)
    assert not forces.in_contact
    assert not forces.force_n.any()
    assert forces.outline_mm == ()
    assert np.isnan(forces.net_slip_margin)
    assert force_figures(forces)["slip_margin"] is None


def test_the_picture_is_bright_where_the_gel_is_pressed(forces, measured):
    picture = draw_tractions(measured.surface, forces)
    centre = forces.pressure_mpa.argmax()
    row, column = np.divmod(centre, measured.surface.columns)
    y, x = (int(n * 24.0 * 0.2) for n in (row, column))
    assert picture[y - 4 : y + 5, x - 4 : x + 5].mean() > 120
    assert picture[8, 8].mean() < 20


def test_the_modulus_of_the_sensor_file_and_its_deviation_are_used():
    known = Material(young_modulus_mpa=0.4, young_modulus_stddev_mpa=0.02)
    model = default_sensor().model_copy(update={"material": known})
    given = ForceEstimator(model, GelMaterial(young_modulus_mpa=0.4), 0.02)
    own = ForceEstimator(model)
    assert own.material == given.material
    assert own.modulus_error == given.modulus_error == pytest.approx(0.05)
    assert ForceEstimator(default_sensor()).modulus_error == 0.3


def seen_up_to(measured, x_mm) -> MeasuredSurface:
    """The same surface for a camera that sees the gel only left of a line."""
    valid = np.tile(measured.surface.x_mm < x_mm, (measured.surface.rows, 1))
    markers = measured.markers_mm[measured.markers_mm[:, 0] < x_mm]
    return MeasuredSurface(measured.surface, measured.height_stddev_mm, valid, markers)


def test_a_contact_inside_the_view_gives_no_warning(estimator, measured, forces):
    assert forces.outside_view_n < 0.02 * forces.normal_force_n
    assert forces.warnings == ()
    narrower = seen_up_to(measured, 6.0)  # the contact ends at about 3.5 mm
    assert estimator.forces(estimator.fit(narrower), narrower).warnings == ()


def test_a_contact_at_the_border_of_the_view_warns_and_is_uncertain(estimator, measured, pressed):
    half = seen_up_to(measured, 1.5)  # through the middle of the contact
    forces = estimator.forces(estimator.fit(half), half)
    assert len(forces.warnings) == 1
    assert "border of the view" in forces.warnings[0]
    assert forces.outside_view_n > 0.3 * -pressed.force_n[2]  # that side carries half of the force
    error = abs(forces.normal_force_n + pressed.force_n[2])
    assert error < 2.0 * forces.force_stddev_n[2]
