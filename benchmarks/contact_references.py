"""Reference solutions for a gel solver: spheres on half-spaces and on bonded layers.

    python benchmarks/contact_references.py [--quick] [--json]

Prints the agreement of the closed-form layer formulas with the Fourier solution, and checks the
Fourier solution against Hertz, Cattaneo and Mindlin on a thick layer. It takes about a minute.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import jv

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import dump, print_rows

from tacdiff_ros.mechanics.layer_compliance import (
    BondedLayer,
    SurfaceConvolution,
    SurfaceKernel,
    compliance,
)

Profile = Literal["paraboloid", "sphere"]

PAD_MM, PAD_MPA = 4.0, 0.2
RADII_MM = (2.5, 5.0, 10.0)
DEPTHS_MM = (0.1, 0.2, 0.3, 0.4, 0.5)
POISSON_RATIOS = (0.45, 0.48, 0.495)
NEARLY_INCOMPRESSIBLE = 0.499
AGREEMENT_PERCENT = 2.0
HANKEL_POINTS = 200
COMPLEMENTARITY = 1e-7
MAX_STEPS = 600


def profile_height_mm(
    profile: Profile, radius_mm: float, r_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the height of the indenter's surface above its lowest point, inf beside a sphere.

    Hertz and Dimitriadis take the paraboloid r^2 / 2R; a ball's surface R - sqrt(R^2 - r^2) rises
    faster, by r^4 / 8R^3. At a depth of 0.2 R that makes some 5 % of the force.
    """
    if profile == "paraboloid":
        return r_mm**2 / (2.0 * radius_mm)
    inside = np.maximum(radius_mm**2 - r_mm**2, 0.0)
    return np.where(r_mm < radius_mm, radius_mm - np.sqrt(inside), np.inf)


def hertz(material: BondedLayer, radius_mm: float, depth_mm: float) -> tuple[float, float]:
    """Return force (N) and contact radius (mm) of a rigid paraboloid on a frictionless half-space.

    Johnson, Contact Mechanics, 1985, eqs. 4.22 and 4.23. The layer thickness is ignored.
    """
    plane = material.young_modulus_mpa / (1.0 - material.poisson_ratio**2)
    return (
        4.0 / 3.0 * plane * math.sqrt(radius_mm) * depth_mm**1.5,
        math.sqrt(radius_mm * depth_mm),
    )


def dimitriadis(material: BondedLayer, radius_mm: float, depth_mm: float) -> float:
    """Return the force (N) of a rigid paraboloid on a frictionless bonded layer.

    Dimitriadis et al., Biophysical Journal 82, 2002, eqs. 11 to 13, bonded case: with
    chi = sqrt(R delta)/h, F = F_Hertz (1 - 2 a0/pi chi + 4 a0^2/pi^2 chi^2
    - 8/pi^3 (a0^3 + 4 pi^2/15 b0) chi^3 + 16 a0/pi^4 (a0^3 + 3 pi^2/5 b0) chi^4).

    Limits: too soft beyond chi = 0.2. Its coefficients from chi^2 on are too low (Garcia & Garcia,
    2018, see `garcia`): the force is 2 % below the Fourier solution at chi = 0.28 and 10 % below at
    chi = 0.56, for every nu. A 10 mm ball 0.5 mm deep in this pad has chi = 0.4.
    """
    nu = material.poisson_ratio
    a0 = -(1.2876 - 1.4678 * nu + 1.3442 * nu**2) / (1.0 - nu)
    b0 = (0.6387 - 1.0277 * nu + 1.5164 * nu**2) / (1.0 - nu)
    chi = series_parameter(material, radius_mm, depth_mm)
    pi = math.pi
    series = (
        1.0
        - 2.0 * a0 / pi * chi
        + 4.0 * a0**2 / pi**2 * chi**2
        - 8.0 / pi**3 * (a0**3 + 4.0 * pi**2 / 15.0 * b0) * chi**3
        + 16.0 * a0 / pi**4 * (a0**3 + 3.0 * pi**2 / 5.0 * b0) * chi**4
    )
    return hertz(material, radius_mm, depth_mm)[0] * series


def garcia(material: BondedLayer, radius_mm: float, depth_mm: float) -> float:
    """Return the force (N) of a rigid paraboloid on a frictionless bonded incompressible layer.

    Garcia & Garcia, Biophysical Journal 114, 2018: the series of Dimitriadis with corrected
    higher coefficients.

    Limits: the coefficients are for nu = 0.5 (those of other nu would be stiffer than the gel:
    use `layer_contact`); within 0.5 % of the Fourier solution to chi = 0.4, 1.5 % at 0.56.
    """
    chi = series_parameter(material, radius_mm, depth_mm)
    series = 1.0 + 1.133 * chi + 1.497 * chi**2 + 1.469 * chi**3 + 0.755 * chi**4
    return hertz(material, radius_mm, depth_mm)[0] * series


def series_parameter(material: BondedLayer, radius_mm: float, depth_mm: float) -> float:
    """Return the parameter of the layer formulas, chi = sqrt(R delta) / h."""
    return math.sqrt(radius_mm * depth_mm) / material.thickness_mm


@dataclass(frozen=True)
class NormalContact:
    """Frictionless contact on a grid of N x N vertices.

    Attributes:
        force_n: total normal force, N.
        radius_mm: radius of a circle with the area of the contact cells, mm.
        vertex_force_n: (N, N) compressive normal forces, N, 0 or more.
        spacing_mm: grid spacing, mm.
        error_mm: maximum gap under a loaded vertex or penetration at an unloaded one, mm.
        layer: layer in contact.
        convolution: convolution with the kernel of the layer on this grid.
    """

    force_n: float
    radius_mm: float
    vertex_force_n: NDArray[np.float64]
    spacing_mm: float
    error_mm: float
    layer: BondedLayer
    convolution: SurfaceConvolution


def layer_contact(
    layer: BondedLayer,
    radius_mm: float,
    depth_mm: float,
    profile: Profile = "paraboloid",
    points: int = 96,
) -> NormalContact:
    """Solve the frictionless contact of a rigid paraboloid or ball with a bonded layer.

    Linear elasticity with exact geometry.

    Conjugate gradients on the active set (Polonsky & Keer, Wear 231, 1999, for a given depth).

    Args:
        layer: bonded layer.
        radius_mm: indenter radius, mm.
        depth_mm: depth of its lowest point below the undeformed surface, mm.
        profile: shape of the indenter.
        points: grid points per side; the grid spans 2.6 Hertz radii.

    Raises:
        RuntimeError: the solver does not converge.
    """
    spacing = 2.6 * math.sqrt(radius_mm * depth_mm) / (points - 1)
    convolution = SurfaceConvolution(patch_kernel(layer, points, spacing))
    axis = (np.arange(points) - (points - 1) / 2) * spacing
    r = np.hypot(axis[:, None], axis[None, :])
    goal = depth_mm - profile_height_mm(profile, radius_mm, r)
    goal[~np.isfinite(goal)] = -depth_mm
    force, error = _press(lambda f: convolution.component(f, 2, 2), goal)
    total = float(force.sum())
    contact_radius = spacing * math.sqrt(np.count_nonzero(force) / math.pi)
    return NormalContact(total, contact_radius, force, spacing, error, layer, convolution)


def patch_kernel(layer: BondedLayer, points: int, spacing_mm: float) -> SurfaceKernel:
    """Return the kernel of forces distributed evenly over square cells.

    The half-space contribution is integrated in closed form (Love 1929; Johnson, eq. 3.25, and
    analogously for Cerruti). The smooth contribution of the base comes from Hankel transforms of
    the compliance. The coupling of normal and tangential directions is neglected.
    """
    g, nu = layer.shear_modulus_mpa, layer.poisson_ratio
    lag = np.arange(1 - points, points) * spacing_mm
    x, y = np.meshgrid(lag, lag)
    xx, yy, xy = _love(x, y, spacing_mm / 2)
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    normal, mean, split = _base_part(layer, r)
    front = 1.0 / (2.0 * math.pi * g * spacing_mm**2)
    values = np.zeros((2 * points - 1, 2 * points - 1, 3, 3))
    values[..., 2, 2] = front * (1.0 - nu) * (xx + yy) + normal
    values[..., 0, 0] = front * (xx + (1.0 - nu) * yy) + mean - split * np.cos(2 * angle)
    values[..., 1, 1] = front * (yy + (1.0 - nu) * xx) + mean + split * np.cos(2 * angle)
    values[..., 0, 1] = values[..., 1, 0] = front * nu * xy - split * np.sin(2 * angle)
    return SurfaceKernel(values, points, points)


def _love(
    x: NDArray[np.float64], y: NDArray[np.float64], half: float
) -> tuple[NDArray[np.float64], ...]:
    """Return the integrals of x^2/r^3, y^2/r^3 and x y/r^3 over a square around (x, y)."""
    totals = [np.zeros_like(x) for _ in range(3)]
    for a in (-half, half):
        for b in (-half, half):
            u, v, sign = x + a, y + b, math.copysign(1.0, a * b)
            r = np.hypot(u, v)
            for total, part in zip(totals, (v * np.log(u + r), u * np.log(v + r), -r), strict=True):
                total += sign * part
    return tuple(totals)


def _base_part(layer: BondedLayer, r: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the effect of the rigid base on a point force: zz, mean and split.

    The tangential components are xx = mean - split cos 2a, with the polar angle a.
    """
    g, nu = layer.shear_modulus_mpa, layer.poisson_ratio
    node, weight = np.polynomial.legendre.leggauss(HANKEL_POINTS)
    k = 8.0 / layer.thickness_mm * (node + 1.0)
    weight = weight * 8.0 / layer.thickness_mm * k / (2.0 * math.pi)
    matrix = compliance(layer, k, 0.0).real
    along, across = matrix[:, 0, 0] - (1.0 - nu) / (g * k), matrix[:, 1, 1] - 1.0 / (g * k)
    table = np.linspace(0.0, r.max() * 1.001, 400)
    j0, j2 = jv(0, k * table[:, None]), jv(2, k * table[:, None])
    columns = (
        j0 @ (weight * (matrix[:, 2, 2] - (1.0 - nu) / (g * k))),
        j0 @ (weight * (along + across) / 2.0),
        j2 @ (weight * (along - across) / 2.0),
    )
    return tuple(np.interp(r, table, column) for column in columns)


def _press(
    displacement: Callable[[NDArray[np.float64]], NDArray[np.float64]], goal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return forces f >= 0 with displacement(f) = goal where f > 0 and >= goal elsewhere."""
    force = np.where(goal > 0, goal, 0.0)
    force *= (force * goal).sum() / (force * displacement(force)).sum()
    direction, before = np.zeros_like(goal), 1.0
    restart = True
    for _ in range(MAX_STEPS):
        missing = goal - displacement(force)
        active = force > 0
        error = float(max(np.abs(missing[active]).max(initial=0.0), missing.max()))
        if error < COMPLEMENTARITY * goal.max():
            return force, error
        size = float((missing[active] ** 2).sum())
        direction = np.where(active, missing + (0.0 if restart else size / before) * direction, 0.0)
        before = size
        force = np.maximum(
            force
            + (missing * direction)[active].sum()
            / (direction * displacement(direction)).sum()
            * direction,
            0.0,
        )
        entering = (force <= 0) & (goal - displacement(force) > 0)
        restart = bool(entering.any())
        if restart:
            step = size / (direction * displacement(direction)).sum()
            force = np.where(entering, step * (goal - displacement(force)), force)
    raise RuntimeError(f"the contact did not converge: {error:g} mm after {MAX_STEPS} steps")


def converged_layer_force(
    layer: BondedLayer, radius_mm: float, depth_mm: float, profile: Profile = "paraboloid"
) -> tuple[float, float]:
    """Return the force extrapolated from two grids, and its difference to the finer grid, N."""
    coarse, fine = (layer_contact(layer, radius_mm, depth_mm, profile, n).force_n for n in (64, 96))
    best = fine + (fine - coarse) / ((95 / 63) ** 2 - 1.0)
    return best, abs(best - fine)


def mindlin_displacement_mm(
    material: BondedLayer, radius_mm: float, depth_mm: float, friction: float, fraction: float
) -> float:
    """Return the tangential displacement of a ball on a half-space at Q/(mu P) = fraction, mm.

    Cattaneo 1938 and Mindlin 1949; Johnson, eq. 7.42, with one rigid body. Limits: the coupling of
    tangential traction and normal displacement is neglected (exact for nu = 0.5), as is slip
    across the direction of Q.
    """
    force, radius = hertz(material, radius_mm, depth_mm)
    g, nu = material.shear_modulus_mpa, material.poisson_ratio
    full = 3.0 * friction * force * (2.0 - nu) / (16.0 * g * radius)
    return full * (1.0 - (1.0 - fraction) ** (2.0 / 3.0))


def layer_partial_slip(
    contact: NormalContact, friction: float, displacement_mm: float
) -> tuple[float, float]:
    """Return the tangential force (N) and the stick fraction of the contact of a shifted indenter.

    The tractions minimise elastic energy minus work under |t| <= mu p, with constant normal forces
    (no coupling, as in Mindlin's theory). Solver: accelerated projected gradients (Beck &
    Teboulle 2009).
    """
    bound = friction * contact.vertex_force_n
    active = bound > 0
    convolution = contact.convolution

    def displacement(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([sum(convolution.component(t[j], i, j) for j in (0, 1)) for i in (0, 1)])

    probe = np.stack([active, 0 * active]).astype(float)
    for _ in range(15):
        probe = displacement(probe) * active
        stiffest = float(np.sqrt((probe**2).sum()))
        probe /= stiffest
    traction, ahead, weight = np.zeros((2, *bound.shape)), np.zeros((2, *bound.shape)), 1.0
    goal = np.stack([np.full(bound.shape, displacement_mm), np.zeros(bound.shape)])
    for _ in range(MAX_STEPS):
        new = ahead + (goal - displacement(ahead)) / (1.02 * stiffest)
        size = np.hypot(new[0], new[1])
        new *= np.where(active, np.minimum(1.0, bound / np.maximum(size, 1e-30)), 0.0)
        if (np.abs(new - traction)).sum() < 1e-7 * bound.sum():
            break
        next_weight = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * weight**2))
        ahead = new + (weight - 1.0) / next_weight * (new - traction)
        traction, weight = new, next_weight
    stuck = np.hypot(new[0], new[1]) < (1 - 1e-6) * bound
    return float(new[0].sum()), float((stuck & active).sum() / active.sum())


def main() -> int:
    """Compare the solutions, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few cases, in some seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    layers = measure_layers(options.quick)
    incompressible = measure_incompressible()
    checks = measure_half_space()
    figures = {
        "dimitriadis_worst_percent": max(abs(row["formula_percent"]) for row in layers),
        "dimitriadis_worst_percent_chi_to_0.2": max(
            abs(row["formula_percent"]) for row in layers if row["chi"] <= 0.2
        ),
        "garcia_worst_percent_chi_to_0.4": max(
            abs(row["garcia_percent"]) for row in incompressible if row["chi"] <= 0.4
        ),
        **{f"{row['case']}_percent": row["off_percent"] for row in checks},
    }
    if options.json:
        dump(figures)
        return 0
    print_rows("bonded layer: closed-form formula and Fourier solution, paraboloid", layers)
    print_validity(layers)
    print_rows("nearly incompressible layer: formulas and Fourier solution", incompressible)
    print_rows("Fourier solution on a layer of one metre and half-space solution", checks)
    return 0


def measure_layers(quick: bool) -> list[dict[str, Any]]:
    """Compare the layer formula with the Fourier solutions of a paraboloid and of a ball."""
    rows = []
    for nu in POISSON_RATIOS[1:2] if quick else POISSON_RATIOS:
        layer = BondedLayer(PAD_MM, PAD_MPA, nu)
        for radius in RADII_MM:
            for depth in DEPTHS_MM[::2] if quick else DEPTHS_MM:
                fourier, error = converged_layer_force(layer, radius, depth)
                ball, _ = converged_layer_force(layer, radius, depth, "sphere")
                formula = dimitriadis(layer, radius, depth)
                rows.append(
                    {
                        "nu": nu,
                        "R_mm": radius,
                        "depth_mm": depth,
                        "chi": round(series_parameter(layer, radius, depth), 3),
                        "fourier_n": round(fourier, 5),
                        "grid_percent": round(100 * error / fourier, 2),
                        "formula_n": round(formula, 5),
                        "formula_percent": round(100 * (formula / fourier - 1), 2),
                        "hertz_percent": round(
                            100 * (hertz(layer, radius, depth)[0] / fourier - 1), 1
                        ),
                        "ball_percent": round(100 * (ball / fourier - 1), 1),
                    }
                )
    return rows


def measure_incompressible() -> list[dict[str, Any]]:
    """Compare both formulas for nu = 0.5 with the Fourier solution at nu = 0.499."""
    layer = BondedLayer(PAD_MM, PAD_MPA, NEARLY_INCOMPRESSIBLE)
    rows = []
    for radius, depth in ((2.5, 0.1), (5.0, 0.2), (5.0, 0.5), (10.0, 0.5)):
        fourier, _ = converged_layer_force(layer, radius, depth)
        rows.append(
            {
                "R_mm": radius,
                "depth_mm": depth,
                "chi": round(series_parameter(layer, radius, depth), 3),
                "fourier_n": round(fourier, 5),
                "dimitriadis_percent": round(
                    100 * (dimitriadis(layer, radius, depth) / fourier - 1), 2
                ),
                "garcia_percent": round(100 * (garcia(layer, radius, depth) / fourier - 1), 2),
            }
        )
    return rows


def print_validity(rows: list[dict[str, Any]]) -> None:
    """Print from which chi the formula differs by more than `AGREEMENT_PERCENT`."""
    for nu in sorted({row["nu"] for row in rows}):
        bad = [
            r["chi"]
            for r in rows
            if r["nu"] == nu and abs(r["formula_percent"]) > AGREEMENT_PERCENT
        ]
        reach = f"off by more than 2 % from chi = {min(bad)}" if bad else "within 2 % everywhere"
        print(f"nu {nu}: {reach}")


def measure_half_space() -> list[dict[str, Any]]:
    """Compare the Fourier solution on a layer of one metre with Hertz and Mindlin."""
    layer = BondedLayer(1000.0, PAD_MPA, 0.48)
    radius, depth, friction = 5.0, 0.05, 0.5
    contact = layer_contact(layer, radius, depth, points=80)
    force, contact_radius = hertz(layer, radius, depth)
    rows = [
        _check("hertz_force", contact.force_n, force),
        _check("hertz_radius", contact.radius_mm, contact_radius),
    ]
    for fraction in (0.3, 0.6, 0.9):
        move = mindlin_displacement_mm(layer, radius, depth, friction, fraction)
        value, stuck = layer_partial_slip(contact, friction, move)
        rows.append(_check(f"mindlin_force_{fraction}", value, fraction * friction * force))
        rows.append(_check(f"mindlin_stuck_{fraction}", stuck, (1 - fraction) ** (2 / 3)))
    return rows


def _check(case: str, value: float, expected: float) -> dict[str, Any]:
    return {
        "case": case,
        "found": round(value, 5),
        "expected": round(expected, 5),
        "off_percent": round(100 * (value / expected - 1), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
