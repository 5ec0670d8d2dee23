"""Internal force and stiffness of the pad: neo-Hookean bricks with mean dilatation (Q1P0).

Energy of an element, with F the deformation gradient, J = det F and Jm = v / V its mean:
W = sum_g mu/2 (J^(-2/3) tr(F^T F) - 3) w_g + (kappa - s)/4 (Jm^2 - 1 - 2 ln Jm) V
    + sum_g s/4 (J^2 - 1 - 2 ln J) w_g. The pressure is
constant in an element, so that nearly incompressible gels do not lock (Simo, Taylor & Pister 1985).

The stiffness is that of this energy exactly, symmetric. All loops are over elements in Numba.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import (
    PadMesh,
    StiffnessPattern,
    shape_gradients,
    stiffness_pattern,
)

STABILISATION = 2.0  # s over mu


@dataclass(frozen=True)
class ElasticForce:
    """Answer of the pad to a displacement.

    Attributes:
        force: (unknowns,) N, the internal force: what must be applied to hold the displacement.
        smallest_volume_ratio: least det F over all Gauss points; 0 or less means inverted.
        base_force_n: (3,) N, what the glue applies to the pad at the glass.
        energy_mj: stored in the pad, N mm.
    """

    force: NDArray[np.float64]
    smallest_volume_ratio: float
    base_force_n: NDArray[np.float64]
    energy_mj: float


class ElasticPad:
    """Internal forces and stiffness of one pad.

    Limits: quasi-static, isotropic, no viscosity, no swelling; bricks.
    """

    def __init__(self, mesh: PadMesh, material: GelMaterial) -> None:
        """Tables for a mesh; no state."""
        self.mesh = mesh
        self.material = material
        self.pattern: StiffnessPattern = stiffness_pattern(mesh)
        self._shapes = shape_gradients()
        self._sizes = mesh.element_sizes()
        self._elements = mesh.elements()

    def force(self, displacement: NDArray[np.float64]) -> ElasticForce:
        """Internal force at a displacement (unknowns,) mm."""
        return self._evaluate(displacement, np.zeros(0))

    def stiffness(
        self, displacement: NDArray[np.float64]
    ) -> tuple[ElasticForce, NDArray[np.float64]]:
        """Internal force, and the entries (see `pattern`) of its derivative in N/mm."""
        entries = np.zeros(len(self.pattern.indices) + 1)
        force = self._evaluate(displacement, entries)
        return force, entries[:-1]

    def force_by_poisson_ratio(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """(unknowns,) N, derivative of the internal force by nu with E held.

        The force is linear in both moduli, so their derivatives take the moduli's places.
        """
        ratio, modulus = self.material.poisson_ratio, self.material.young_modulus_mpa
        shear_slope = -modulus / (2.0 * (1.0 + ratio) ** 2)
        bulk_slope = 2.0 * modulus / (3.0 * (1.0 - 2.0 * ratio) ** 2)
        return self._evaluate(displacement, np.zeros(0), shear_slope, bulk_slope).force

    def _evaluate(
        self,
        displacement: NDArray[np.float64],
        entries: NDArray[np.float64],
        shear_modulus: float | None = None,
        bulk_modulus: float | None = None,
    ) -> ElasticForce:
        shear = self.material.shear_modulus_mpa if shear_modulus is None else shear_modulus
        bulk = self.material.bulk_modulus_mpa if bulk_modulus is None else bulk_modulus
        force = np.zeros(self.mesh.unknown_count)
        base = np.zeros(3)
        ratio, energy = _assemble(
            displacement,
            self._elements,
            self._shapes,
            self._sizes,
            shear,
            bulk,
            STABILISATION * shear,
            self.pattern.targets,
            force,
            base,
            entries,
        )
        return ElasticForce(force, float(ratio), base, float(energy))


@cached_njit(error_model="numpy")
def _assemble(  # type: ignore[no-untyped-def]  # noqa: C901  # loops over elements and corners
    displacement,
    elements,
    shapes,
    sizes,
    mu,
    kappa,
    own,
    targets,
    force,
    base,
    entries,
):
    """Add all elements up; returns the least det F and the energy."""
    least, energy = np.inf, 0.0
    corner = np.zeros((8, 3))
    nodal = np.zeros((8, 3))
    spatial = np.zeros((8, 24))
    pushed = np.zeros((8, 24))
    stiff = np.zeros((24, 24))
    turned = np.zeros((24, 24))
    point = np.zeros((8, 3))
    mean = np.zeros(24)
    gradient = np.zeros((8, 8, 3))
    for e in range(elements.shape[0]):
        volume = sizes[e, 0] * sizes[e, 1] * sizes[e, 2] / 8.0
        for k in range(8):
            for a in range(8):
                for i in range(3):
                    gradient[k, a, i] = shapes[k, a, i] * 2.0 / sizes[e, i]
        for a in range(8):
            node = elements[e, a]
            for i in range(3):
                corner[a, i] = displacement[3 * node + i] if node >= 0 else 0.0
        ratio, stored = _element(
            corner,
            gradient,
            volume,
            mu,
            kappa,
            own,
            nodal,
            spatial,
            pushed,
            point,
            mean,
        )
        least = min(least, ratio)
        energy += stored
        for a in range(8):
            node = elements[e, a]
            for i in range(3):
                if node >= 0:
                    force[3 * node + i] += nodal[a, i]
                else:
                    base[i] += nodal[a, i]
        if entries.shape[0] > 0:
            _element_stiffness(
                gradient,
                volume,
                kappa,
                own,
                spatial,
                pushed,
                point,
                mean,
                stiff,
                turned,
            )
            index = 0
            for p in range(24):
                for q in range(p, 24):
                    entries[targets[e, index]] += stiff[p, q]
                    index += 1
    return least, energy


@cached_njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _element(  # type: ignore[no-untyped-def]  # noqa: C901  # loops over points and axes
    corner, gradient, volume, mu, kappa, own, nodal, spatial, pushed, point, mean
):
    """Nodal forces of one element.

    Fills `spatial` (F^-T grad N), `pushed` (F grad N), `point` (J, I1, mu J^(-2/3) w per Gauss
    point), `mean` (sum of J w F^-T grad N) and `nodal`; returns the least det F and the energy.
    """
    least, energy = np.inf, 0.0
    nodal[:] = 0.0
    mean[:] = 0.0
    total = 0.0
    f = np.zeros((3, 3))
    g = np.zeros((3, 3))
    for k in range(8):
        for i in range(3):
            for j in range(3):
                value = 1.0 if i == j else 0.0
                for a in range(8):
                    value += corner[a, i] * gradient[k, a, j]
                f[i, j] = value
        # g = cofactors of f: det(f) f^-T
        g[0, 0] = f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1]
        g[0, 1] = f[1, 2] * f[2, 0] - f[1, 0] * f[2, 2]
        g[0, 2] = f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0]
        g[1, 0] = f[0, 2] * f[2, 1] - f[0, 1] * f[2, 2]
        g[1, 1] = f[0, 0] * f[2, 2] - f[0, 2] * f[2, 0]
        g[1, 2] = f[0, 1] * f[2, 0] - f[0, 0] * f[2, 1]
        g[2, 0] = f[0, 1] * f[1, 2] - f[0, 2] * f[1, 1]
        g[2, 1] = f[0, 2] * f[1, 0] - f[0, 0] * f[1, 2]
        g[2, 2] = f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0]
        ratio = f[0, 0] * g[0, 0] + f[0, 1] * g[0, 1] + f[0, 2] * g[0, 2]
        least = min(least, ratio)
        if ratio <= 0.0:
            return least, np.inf
        first = 0.0
        for i in range(3):
            for j in range(3):
                first += f[i, j] * f[i, j]
        logarithm = math.log(ratio)
        scale = mu * math.exp(-2.0 / 3.0 * logarithm) * volume
        energy += 0.5 * (scale * first - 3.0 * mu * volume)
        energy += 0.25 * own * (ratio * ratio - 1.0 - 2.0 * logarithm) * volume
        point[k, 0] = ratio
        point[k, 1] = first
        point[k, 2] = scale
        total += ratio
        push = 0.5 * own * (ratio * ratio - 1.0) * volume
        for a in range(8):
            for i in range(3):
                s = (
                    g[i, 0] * gradient[k, a, 0]
                    + g[i, 1] * gradient[k, a, 1]
                    + g[i, 2] * gradient[k, a, 2]
                ) / ratio
                h = (
                    f[i, 0] * gradient[k, a, 0]
                    + f[i, 1] * gradient[k, a, 1]
                    + f[i, 2] * gradient[k, a, 2]
                )
                spatial[k, 3 * a + i] = s
                pushed[k, 3 * a + i] = h
                nodal[a, i] += scale * (h - first / 3.0 * s) + push * s
                mean[3 * a + i] += ratio * volume * s
    average = total / 8.0
    pressure = 0.5 * (kappa - own) * (average - 1.0 / average)
    for a in range(8):
        for i in range(3):
            nodal[a, i] += pressure * mean[3 * a + i]
    energy += 2.0 * (kappa - own) * (average * average - 1.0 - 2.0 * math.log(average)) * volume
    return least, energy


@cached_njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _element_stiffness(  # type: ignore[no-untyped-def]  # noqa: C901
    gradient, volume, kappa, own, spatial, pushed, point, mean, stiff, turned
):
    """Second derivative of one element's energy, upper triangle of `stiff` (24, 24)."""
    total = 0.0
    for k in range(8):
        total += point[k, 0]
    average = total / 8.0
    pressure = 0.5 * (kappa - own) * (average - 1.0 / average)
    slope = 0.5 * (kappa - own) * (1.0 + 1.0 / average**2) / (8.0 * volume)
    for p in range(24):
        for q in range(24):
            stiff[p, q] = slope * mean[p] * mean[q]
            turned[p, q] = 0.0
    for k in range(8):
        scale = point[k, 2]
        ratio = point[k, 0]
        squeezed = (pressure * ratio + 0.5 * own * (ratio * ratio - 1.0)) * volume
        stiffer = 0.5 * own * (ratio * ratio + 1.0) * volume
        for p in range(24):
            s = spatial[k, p]
            with_spatial = scale * (2.0 / 9.0 * point[k, 1] * s - 2.0 / 3.0 * pushed[k, p])
            with_spatial += (squeezed + stiffer) * s
            with_pushed = -2.0 / 3.0 * scale * s
            swapped = (scale * point[k, 1] / 3.0 - squeezed) * s
            for q in range(24):
                stiff[p, q] += with_spatial * spatial[k, q] + with_pushed * pushed[k, q]
                turned[p, q] += swapped * spatial[k, q]
        for a in range(8):
            for b in range(8):
                value = scale * (
                    gradient[k, a, 0] * gradient[k, b, 0]
                    + gradient[k, a, 1] * gradient[k, b, 1]
                    + gradient[k, a, 2] * gradient[k, b, 2]
                )
                for i in range(3):
                    stiff[3 * a + i, 3 * b + i] += value
    for a in range(8):
        for b in range(8):
            for i in range(3):
                for j in range(3):
                    stiff[3 * a + i, 3 * b + j] += turned[3 * a + j, 3 * b + i]
