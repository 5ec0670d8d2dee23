"""The elastic pad: forces from the energy, stiffness from the forces, and stresses by hand."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import build_pad_mesh, full_matrix


@pytest.fixture(scope="module")
def pad():
    return ElasticPad(build_pad_mesh(8.0, 6.0, 4.0, 5, 6, 3), GelMaterial(poisson_ratio=0.45))


@pytest.fixture
def displacement(pad):
    return np.random.default_rng(3).normal(size=pad.mesh.unknown_count) * 0.06


def test_the_force_is_the_slope_of_the_energy(pad, displacement):
    way = np.random.default_rng(4).normal(size=len(displacement))
    rise = [pad.force(displacement + sign * 1e-5 * way).energy_mj for sign in (1, -1)]
    slope = (rise[0] - rise[1]) / 2e-5
    assert pad.force(displacement).force @ way == pytest.approx(slope, rel=1e-7)


def test_the_stiffness_is_the_slope_of_the_force_and_symmetric(pad, displacement):
    force, entries = pad.stiffness(displacement)
    matrix = full_matrix(pad.pattern, entries)
    way = np.random.default_rng(5).normal(size=len(displacement))
    forces = [pad.force(displacement + sign * 1e-6 * way).force for sign in (1, -1)]
    slope = (forces[0] - forces[1]) / 2e-6
    assert matrix @ way == pytest.approx(slope, abs=1e-7 * np.abs(slope).max())
    assert force.force == pytest.approx(pad.force(displacement).force, abs=1e-15)


def test_a_pad_at_rest_has_no_force_and_the_glue_holds_what_is_applied(pad, displacement):
    rest = pad.force(np.zeros(pad.mesh.unknown_count))
    assert np.abs(rest.force).max() < 1e-14
    assert rest.energy_mj == pytest.approx(0.0, abs=1e-12)
    assert rest.smallest_volume_ratio == pytest.approx(1.0)
    bent = pad.force(displacement)
    assert bent.force.reshape(-1, 3).sum(axis=0) == pytest.approx(-bent.base_force_n, abs=1e-12)


def test_simple_shear_has_the_stress_of_a_neo_hookean_solid(pad):
    """u_x = a (z + 4): traction G a on top, whatever the bulk modulus, because J = 1."""
    shear = 0.3
    nodes = pad.mesh.nodes()
    move = np.zeros_like(nodes)
    move[:, 0] = shear * (nodes[:, 2] + 4.0)
    top = pad.force(move.ravel()).force.reshape(-1, 3)[pad.mesh.surface_nodes]
    inner = np.zeros((5, 6), bool)
    inner[1:-1, 1:-1] = True
    expected = pad.material.shear_modulus_mpa * shear * pad.mesh.tributary_area_mm2()
    assert top[inner.ravel(), 0] == pytest.approx(expected[inner.ravel()], rel=1e-9)


def test_a_pressed_layer_without_sideways_give_has_the_uniaxial_stress(pad):
    """F = diag(1, 1, s): sigma_zz = 2/3 mu s^(-5/3) (s^2 - 1) + kappa/2 (s - 1/s), all by hand."""
    ratio = 0.8
    nodes = pad.mesh.nodes()
    move = np.zeros_like(nodes)
    move[:, 2] = (ratio - 1.0) * (nodes[:, 2] + 4.0)
    top = pad.force(move.ravel()).force.reshape(-1, 3)[pad.mesh.surface_nodes]
    mu, kappa = pad.material.shear_modulus_mpa, pad.material.bulk_modulus_mpa
    stress = 2 / 3 * mu * ratio ** (-5 / 3) * (ratio**2 - 1) + kappa / 2 * (ratio - 1 / ratio)
    assert top[:, 2] == pytest.approx(stress * pad.mesh.tributary_area_mm2(), rel=1e-9)


def test_the_slope_by_poisson_ratio_is_that_of_finite_differences(displacement):
    def force(ratio):
        material = GelMaterial(poisson_ratio=ratio)
        return ElasticPad(build_pad_mesh(8.0, 6.0, 4.0, 5, 6, 3), material)

    slope = (force(0.45 + 1e-6).force(displacement).force) - force(0.45 - 1e-6).force(
        displacement
    ).force
    found = force(0.45).force_by_poisson_ratio(displacement)
    assert found == pytest.approx(slope / 2e-6, abs=1e-6 * np.abs(found).max())


def test_turned_over_elements_are_told(pad):
    move = np.zeros((pad.mesh.node_count, 3))
    move[pad.mesh.surface_nodes, 2] = -5.0
    assert pad.force(move.ravel()).smallest_volume_ratio < 0.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rows": 3}, "rows"),
        ({"columns": 999}, "columns"),
        ({"layers": 1}, "layers"),
        ({"grading": 5.0}, "growing"),
        ({"thickness_mm": 0.0}, "thickness"),
        ({"width_mm": float("nan")}, "width"),
    ],
)
def test_absurd_meshes_are_refused(change, named):
    sizes = {"width_mm": 25.0, "height_mm": 20.0, "thickness_mm": 4.0, "rows": 9, "columns": 9}
    with pytest.raises(InputError, match=named) as caught:
        build_pad_mesh(**{**sizes, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"young_modulus_mpa": 0.0},
        {"young_modulus_mpa": 1e6},
        {"poisson_ratio": 0.5},
        {"poisson_ratio": -0.2},
        {"friction": -1.0},
        {"friction": float("inf")},
        {"youngs": 1.0},
    ],
)
def test_absurd_materials_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        GelMaterial(**values)
