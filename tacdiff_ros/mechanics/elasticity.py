"""Internal force and stiffness of the pad: neo-Hookean bricks with mean dilatation (Q1P0).

Energy of an element, with F the deformation gradient, J = det F, Jm = v / V the mean of J over the
element, w_g the volume of Gauss point g and kappa_s a stabilising part of the bulk modulus:

    W = sum_g mu/2 (J^(-2/3) tr(F^T F) - 3) w_g + (kappa - kappa_s)/4 (Jm^2 - 1 - 2 ln Jm) V
        + sum_g kappa_s/4 (J^2 - 1 - 2 ln J) w_g.

The pressure is constant in an element, so that nearly incompressible gels do not lock. The
stiffness is the exact, symmetric second derivative of this energy. The loops over elements are
compiled by Numba.

Source: Simo, Taylor & Pister, Comput. Methods Appl. Mech. Eng. 51, 1985.
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

STABILISATION = 2.0  # kappa_s over mu


@dataclass(frozen=True)
class ElasticForce:
    """Internal force of the pad at a displacement.

    Attributes:
        force: (unknowns,) internal force, N: the load that holds the pad at the displacement.
        smallest_volume_ratio: minimum of det F over all Gauss points; an element is inverted if it
            is 0 or less.
        base_force_n: (3,) force of the glued base (the glass) on the pad, N.
        energy_mj: elastic energy of the pad, N mm.
    """

    force: NDArray[np.float64]
    smallest_volume_ratio: float
    base_force_n: NDArray[np.float64]
    energy_mj: float


class ElasticPad:
    """Internal force and stiffness of one pad.

    Limits: quasi-static, isotropic, no viscosity, no swelling; brick elements only.

    Attributes:
        mesh: mesh of the pad.
        material: elastic constants.
        pattern: sparsity pattern of the stiffness.
    """

    def __init__(self, mesh: PadMesh, material: GelMaterial) -> None:
        """Precompute the tables of a mesh; the object holds no displacement."""
        self.mesh = mesh
        self.material = material
        self.pattern: StiffnessPattern = stiffness_pattern(mesh)
        self._shapes = shape_gradients()
        self._sizes = mesh.element_sizes()
        self._elements = mesh.elements()

    def force(self, displacement: NDArray[np.float64]) -> ElasticForce:
        """Return the internal force.

        Args:
            displacement: (unknowns,) displacement of the free nodes, mm.
        """
        return self._evaluate(displacement, np.zeros(0))

    def stiffness(
        self, displacement: NDArray[np.float64]
    ) -> tuple[ElasticForce, NDArray[np.float64]]:
        """Return the internal force and its derivative, the tangent stiffness.

        Args:
            displacement: (unknowns,) displacement of the free nodes, mm.

        Returns:
            The internal force, and the (entries,) values of the stiffness in the order of
            `pattern`, N/mm.
        """
        entries = np.zeros(len(self.pattern.indices) + 1)
        force = self._evaluate(displacement, entries)
        return force, entries[:-1]

    def force_by_poisson_ratio(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of the internal force by Poisson's ratio at constant E.

        The force is linear in the shear and bulk moduli, so evaluating it with their derivatives in
        place of the moduli gives the derivative of the force.

        Args:
            displacement: (unknowns,) displacement of the free nodes, mm.

        Returns:
            (unknowns,) derivative of the force, N.
        """
        ratio, modulus = self.material.poisson_ratio, self.material.young_modulus_mpa
        shear_derivative = -modulus / (2.0 * (1.0 + ratio) ** 2)
        bulk_derivative = 2.0 * modulus / (3.0 * (1.0 - 2.0 * ratio) ** 2)
        return self._evaluate(displacement, np.zeros(0), shear_derivative, bulk_derivative).force

    def _evaluate(
        self,
        displacement: NDArray[np.float64],
        entries: NDArray[np.float64],
        shear_modulus: float | None = None,
        bulk_modulus: float | None = None,
    ) -> ElasticForce:
        """Assemble the internal force and, if `entries` is not empty, the stiffness.

        Args:
            displacement: (unknowns,) displacement of the free nodes, mm.
            entries: (entries + 1,) stiffness values to add to, N/mm, or an empty array; the last
                value collects the fixed nodes.
            shear_modulus: shear modulus in place of the material's, MPa.
            bulk_modulus: bulk modulus in place of the material's, MPa.
        """
        shear = self.material.shear_modulus_mpa if shear_modulus is None else shear_modulus
        bulk = self.material.bulk_modulus_mpa if bulk_modulus is None else bulk_modulus
        force = np.zeros(self.mesh.unknown_count)
        base = np.zeros(3)
        volume_ratio, energy = _assemble(
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
        return ElasticForce(
            force=force,
            smallest_volume_ratio=float(volume_ratio),
            base_force_n=base,
            energy_mj=float(energy),
        )


@cached_njit(error_model="numpy")
def _assemble(  # type: ignore[no-untyped-def]  # noqa: C901  # loops over elements and corners
    displacement,
    elements,
    shapes,
    sizes,
    mu,
    kappa,
    kappa_s,
    targets,
    force,
    base_force,
    entries,
):
    """Sum force, base force, energy and (if `entries` is not empty) stiffness over all elements.

    Adds to `force`, `base_force` and `entries`; returns the minimum of det F and the energy.
    """
    min_det, energy = np.inf, 0.0
    corner_u = np.zeros((8, 3))
    nodal_force = np.zeros((8, 3))
    spatial = np.zeros((8, 24))
    f_grad = np.zeros((8, 24))
    stiffness = np.zeros((24, 24))
    transposed = np.zeros((24, 24))
    point_terms = np.zeros((8, 3))
    volume_gradient = np.zeros(24)
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
                corner_u[a, i] = displacement[3 * node + i] if node >= 0 else 0.0
        det_f, element_energy = _element(
            corner_u,
            gradient,
            volume,
            mu,
            kappa,
            kappa_s,
            nodal_force,
            spatial,
            f_grad,
            point_terms,
            volume_gradient,
        )
        min_det = min(min_det, det_f)
        energy += element_energy
        for a in range(8):
            node = elements[e, a]
            for i in range(3):
                if node >= 0:
                    force[3 * node + i] += nodal_force[a, i]
                else:
                    base_force[i] += nodal_force[a, i]
        if entries.shape[0] > 0:
            _element_stiffness(
                gradient,
                volume,
                kappa,
                kappa_s,
                spatial,
                f_grad,
                point_terms,
                volume_gradient,
                stiffness,
                transposed,
            )
            index = 0
            for p in range(24):
                for q in range(p, 24):
                    entries[targets[e, index]] += stiffness[p, q]
                    index += 1
    return min_det, energy


@cached_njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _element(  # type: ignore[no-untyped-def]  # noqa: C901  # loops over points and axes
    corner_u,
    gradient,
    volume,
    mu,
    kappa,
    kappa_s,
    nodal_force,
    spatial,
    f_grad,
    point_terms,
    volume_gradient,
):
    """Compute the nodal forces of one element.

    Fills `spatial` (F^-T grad N), `f_grad` (F grad N), `point_terms` (J, I1 = tr F^T F and
    mu J^(-2/3) w per Gauss point), `volume_gradient` (sum of J w F^-T grad N: the derivative of the
    deformed volume by the nodal displacements) and `nodal_force`; returns the minimum of det F and
    the energy, which is infinite for an inverted element.
    """
    min_det, energy = np.inf, 0.0
    nodal_force[:] = 0.0
    volume_gradient[:] = 0.0
    det_sum = 0.0
    f = np.zeros((3, 3))
    g = np.zeros((3, 3))
    for k in range(8):
        for i in range(3):
            for j in range(3):
                value = 1.0 if i == j else 0.0
                for a in range(8):
                    value += corner_u[a, i] * gradient[k, a, j]
                f[i, j] = value
        # g: cofactors of f, det(f) f^-T
        g[0, 0] = f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1]
        g[0, 1] = f[1, 2] * f[2, 0] - f[1, 0] * f[2, 2]
        g[0, 2] = f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0]
        g[1, 0] = f[0, 2] * f[2, 1] - f[0, 1] * f[2, 2]
        g[1, 1] = f[0, 0] * f[2, 2] - f[0, 2] * f[2, 0]
        g[1, 2] = f[0, 1] * f[2, 0] - f[0, 0] * f[2, 1]
        g[2, 0] = f[0, 1] * f[1, 2] - f[0, 2] * f[1, 1]
        g[2, 1] = f[0, 2] * f[1, 0] - f[0, 0] * f[1, 2]
        g[2, 2] = f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0]
        det_f = f[0, 0] * g[0, 0] + f[0, 1] * g[0, 1] + f[0, 2] * g[0, 2]
        min_det = min(min_det, det_f)
        if det_f <= 0.0:
            return min_det, np.inf
        i1 = 0.0
        for i in range(3):
            for j in range(3):
                i1 += f[i, j] * f[i, j]
        log_det = math.log(det_f)
        scale = mu * math.exp(-2.0 / 3.0 * log_det) * volume
        energy += 0.5 * (scale * i1 - 3.0 * mu * volume)
        energy += 0.25 * kappa_s * (det_f * det_f - 1.0 - 2.0 * log_det) * volume
        point_terms[k, 0] = det_f
        point_terms[k, 1] = i1
        point_terms[k, 2] = scale
        det_sum += det_f
        pressure_s = 0.5 * kappa_s * (det_f * det_f - 1.0) * volume
        for a in range(8):
            for i in range(3):
                spatial_i = (
                    g[i, 0] * gradient[k, a, 0]
                    + g[i, 1] * gradient[k, a, 1]
                    + g[i, 2] * gradient[k, a, 2]
                ) / det_f
                f_grad_i = (
                    f[i, 0] * gradient[k, a, 0]
                    + f[i, 1] * gradient[k, a, 1]
                    + f[i, 2] * gradient[k, a, 2]
                )
                spatial[k, 3 * a + i] = spatial_i
                f_grad[k, 3 * a + i] = f_grad_i
                nodal_force[a, i] += (
                    scale * (f_grad_i - i1 / 3.0 * spatial_i) + pressure_s * spatial_i
                )
                volume_gradient[3 * a + i] += det_f * volume * spatial_i
    mean_det = det_sum / 8.0
    pressure = 0.5 * (kappa - kappa_s) * (mean_det - 1.0 / mean_det)
    for a in range(8):
        for i in range(3):
            nodal_force[a, i] += pressure * volume_gradient[3 * a + i]
    energy += (
        2.0 * (kappa - kappa_s) * (mean_det * mean_det - 1.0 - 2.0 * math.log(mean_det)) * volume
    )
    return min_det, energy


@cached_njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _element_stiffness(  # type: ignore[no-untyped-def]  # noqa: C901
    gradient,
    volume,
    kappa,
    kappa_s,
    spatial,
    f_grad,
    point_terms,
    volume_gradient,
    stiffness,
    transposed,
):
    """Compute the second derivative of one element's energy.

    Fills the upper triangle of `stiffness` (24, 24); `transposed` (24, 24) is work space for terms
    whose indices i and j are swapped.
    """
    det_sum = 0.0
    for k in range(8):
        det_sum += point_terms[k, 0]
    mean_det = det_sum / 8.0
    pressure = 0.5 * (kappa - kappa_s) * (mean_det - 1.0 / mean_det)
    pressure_derivative = 0.5 * (kappa - kappa_s) * (1.0 + 1.0 / mean_det**2) / (8.0 * volume)
    for p in range(24):
        for q in range(24):
            stiffness[p, q] = pressure_derivative * volume_gradient[p] * volume_gradient[q]
            transposed[p, q] = 0.0
    for k in range(8):
        scale = point_terms[k, 2]
        det_f = point_terms[k, 0]
        stress = (pressure * det_f + 0.5 * kappa_s * (det_f * det_f - 1.0)) * volume
        stress_derivative = 0.5 * kappa_s * (det_f * det_f + 1.0) * volume
        for p in range(24):
            spatial_p = spatial[k, p]
            with_spatial = scale * (
                2.0 / 9.0 * point_terms[k, 1] * spatial_p - 2.0 / 3.0 * f_grad[k, p]
            )
            with_spatial += (stress + stress_derivative) * spatial_p
            with_f_grad = -2.0 / 3.0 * scale * spatial_p
            with_transposed = (scale * point_terms[k, 1] / 3.0 - stress) * spatial_p
            for q in range(24):
                stiffness[p, q] += with_spatial * spatial[k, q] + with_f_grad * f_grad[k, q]
                transposed[p, q] += with_transposed * spatial[k, q]
        for a in range(8):
            for b in range(8):
                value = scale * (
                    gradient[k, a, 0] * gradient[k, b, 0]
                    + gradient[k, a, 1] * gradient[k, b, 1]
                    + gradient[k, a, 2] * gradient[k, b, 2]
                )
                for i in range(3):
                    stiffness[3 * a + i, 3 * b + i] += value
    for a in range(8):
        for b in range(8):
            for i in range(3):
                for j in range(3):
                    stiffness[3 * a + i, 3 * b + j] += transposed[3 * a + j, 3 * b + i]
