"""The layer's compliance against the equations of elasticity solved otherwise, and its limits."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import jv

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.layer_compliance import (
    BondedLayer,
    SurfaceConvolution,
    compliance,
    surface_kernel,
)

E_MPA, H_MM = 0.2, 4.0


def layer(poisson_ratio: float = 0.48) -> BondedLayer:
    return BondedLayer(H_MM, E_MPA, poisson_ratio)


def compliance_by_integration(material: BondedLayer, kx: float, ky: float) -> np.ndarray:
    """State (u, traction) of the full 3-D problem carried from the base to the surface.

    From sigma = lambda tr(e) I + 2 G e and div sigma = 0 with d/dx = i kx, d/dy = i ky.
    """
    g = material.shear_modulus_mpa
    m = material.oedometric_modulus_mpa
    lam = m - 2 * g
    ikx, iky = 1j * kx, 1j * ky

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        ux, uy, uz, tx, ty, tz = state.reshape(6, -1)
        dux, duy = tx / g - ikx * uz, ty / g - iky * uz
        duz = (tz - lam * (ikx * ux + iky * uy)) / m
        trace = ikx * ux + iky * uy + duz
        sxx, syy = lam * trace + 2 * g * ikx * ux, lam * trace + 2 * g * iky * uy
        sxy = g * (iky * ux + ikx * uy)
        return np.concatenate(
            [dux, duy, duz, -ikx * sxx - iky * sxy, -ikx * sxy - iky * syy, -ikx * tx - iky * ty]
        )

    start = np.concatenate([np.zeros((3, 3)), np.eye(3)]).astype(complex).ravel()
    end = solve_ivp(
        slope, (-material.thickness_mm, 0.0), start, "DOP853", rtol=1e-10, atol=1e-12
    ).y[:, -1]
    u, t = end.reshape(2, 3, 3)
    return u @ np.linalg.inv(t)


@pytest.mark.parametrize("poisson_ratio", [0.0, 0.25, 0.48, 0.499])
@pytest.mark.parametrize("wave", [(0.02, 0.0), (0.1, -0.15), (0.3, 0.4), (-0.9, 0.6)])
def test_it_solves_the_equations_of_elasticity(poisson_ratio, wave):
    material = layer(poisson_ratio)
    expected = compliance_by_integration(material, *wave)
    found = compliance(material, *wave)
    assert np.allclose(found, expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("poisson_ratio", [0.3, 0.48, 0.499])
def test_long_waves_shear_and_squeeze_the_layer_as_a_whole(poisson_ratio):
    material = layer(poisson_ratio)
    g, m = material.shear_modulus_mpa, material.oedometric_modulus_mpa
    expected = np.diag([H_MM / g, H_MM / g, H_MM / m])
    assert np.allclose(compliance(material, 0.0, 0.0), expected, rtol=1e-12)
    assert np.allclose(compliance(material, 1e-7, 1e-7), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [10.0, 1e3, 1e6])
def test_short_waves_see_a_half_space(k):
    material = layer(0.4)
    g, nu = material.shear_modulus_mpa, 0.4
    found = compliance(material, k, 0.0) * k
    assert found[2, 2] == pytest.approx((1 - nu) / g, rel=1e-9)  # Boussinesq
    assert found[0, 0] == pytest.approx((1 - nu) / g, rel=1e-9)  # Cerruti, along
    assert found[1, 1] == pytest.approx(1 / g, rel=1e-9)  # Cerruti, across
    assert found[2, 0] == pytest.approx(1j * (1 - 2 * nu) / (2 * g), rel=1e-9)


def test_it_is_hermitian_and_positive_and_smooth_where_formulas_change():
    kx, ky = np.meshgrid(np.linspace(-3, 3, 41), np.linspace(-3, 3, 41))
    found = compliance(layer(0.499), kx, ky)
    assert np.allclose(found, np.conj(np.swapaxes(found, -1, -2)))
    assert np.linalg.eigvalsh(found).min() > 0
    k = 0.3 / (2 * H_MM) * np.array([1 - 1e-9, 1 + 1e-9])  # the series ends here
    below, above = compliance(layer(0.499), k, 0 * k)
    assert np.allclose(below, above, rtol=1e-7)


def test_the_kernel_is_reciprocal_and_does_not_wrap_around():
    kernel = surface_kernel(layer(), 9, 14, (0.42, 0.43)).values
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    assert np.allclose(kernel, flipped, atol=2e-4 * np.abs(kernel).max())
    larger = surface_kernel(layer(), 19, 40, (0.42, 0.43)).values
    assert np.allclose(kernel, larger[10:27, 26:53], atol=1e-5 * np.abs(kernel).max())


def test_convolution_adds_up_kernels():
    kernel = surface_kernel(layer(), 8, 11, (0.4, 0.5))
    force = np.random.default_rng(1).normal(size=(8, 11, 3))
    found = SurfaceConvolution(kernel).displacement(force)
    expected = np.zeros_like(found)
    for row in range(8):
        for column in range(11):
            part = kernel.values[7 - row : 15 - row, 10 - column : 21 - column]
            expected += np.einsum("mnij,j->mni", part, force[row, column])
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("poisson_ratio", [0.3, 0.48])
def test_away_from_the_load_the_kernel_is_that_of_a_point_force(poisson_ratio):
    """Hankel transform of what the base changes, plus Boussinesq's half-space."""
    material = layer(poisson_ratio)
    r, g, nu = 8 * 0.25, material.shear_modulus_mpa, poisson_ratio
    found = surface_kernel(material, 1, 9, (0.25, 0.25)).values[0, -1]

    def rest(k: float, i: int, j: int) -> float:
        half_space = {(2, 2): 1 - nu, (2, 0): 0.5 - nu}[i, j] / (g * k)
        value = compliance(material, k, 0.0)[i, j]
        part = value.real if i == j else value.imag
        return (part - half_space) * k * jv(0 if i == j else 1, k * r) / (2 * np.pi)

    def integral(i: int, j: int) -> float:
        return quad(rest, 1e-9, 12.0, args=(i, j), limit=400)[0]

    normal = (1 - nu) / (2 * np.pi * g * r) + integral(2, 2)
    mixed = -(1 - 2 * nu) / (4 * np.pi * g * r) - integral(2, 0)
    assert found[2, 2] == pytest.approx(normal, rel=0.01)
    assert found[2, 0] == pytest.approx(mixed, rel=0.01)
    assert found[0, 2] == pytest.approx(-mixed, rel=0.01)


def test_bad_layers_and_grids_are_refused():
    with pytest.raises(InputError, match=r"poisson_ratio is 0\.5"):
        BondedLayer(4.0, 0.2, 0.5)
    with pytest.raises(InputError, match="thickness_mm is nan"):
        BondedLayer(float("nan"), 0.2, 0.48)
    with pytest.raises(InputError, match="0 rows"):
        surface_kernel(layer(), 0, 3, (0.4, 0.4))
    with pytest.raises(InputError, match="shape"):
        SurfaceConvolution(surface_kernel(layer(), 3, 3, (0.4, 0.4))).displacement(np.zeros((2, 3)))
