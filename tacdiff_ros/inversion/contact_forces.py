"""Forces of a contact: what an inverted surface says of the loads that deform the gel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

Floats = NDArray[np.float64]

MAX_OUTSIDE_VIEW = 0.1  # of the normal force, above which there is a warning


@dataclass(frozen=True)
class ContactForces:
    """Forces of the indenter on the gel, in frame `gel` (z away from the camera).

    A press has a negative z component, as in `mechanics.gel_result.GelResult`. Fields are on the
    rows x columns material points of the inverted surface, per area of the undeformed gel.

    Attributes:
        force_n: (3,) net force on the gel, N.
        torque_n_mm: (3,) net torque on the gel about the origin of frame `gel`, N mm.
        force_stddev_n: (3,) standard deviations of the net force, N.
        torque_stddev_n_mm: (3,) standard deviations of the net torque, N mm.
        modulus_fraction: fraction of the normal force's variance that is due to the modulus, 0
            to 1; 0 without contact.
        pressure_mpa: (rows, columns) normal pressure, MPa; 0 or more, 0 outside of the contact.
        traction_mpa: (rows, columns, 2) tangential traction along x and y, MPa; 0 outside of the
            contact.
        contact: (rows, columns) bool, vertices under pressure.
        outline_mm: closed polygons (n, 2) of the contact's borders in the undeformed gel, mm.
        slip_margin: (rows, columns) 1 - tangential traction / (friction * pressure): 1 under a
            normal load, 0 where the gel slips; NaN outside of the contact.
        net_slip_margin: 1 - tangential force / (friction * normal force) of the whole contact; NaN
            without contact.
        friction: friction coefficient that bounds the tangential tractions.
        outside_view_n: normal force that may act on the gel beyond the border of the view, N; part
            of the standard deviation of the normal force.

    Raises:
        InputError: a field has another shape than `pressure_mpa`.
    """

    force_n: Floats
    torque_n_mm: Floats
    force_stddev_n: Floats
    torque_stddev_n_mm: Floats
    modulus_fraction: float
    pressure_mpa: Floats
    traction_mpa: Floats
    contact: NDArray[np.bool_]
    outline_mm: tuple[Floats, ...]
    slip_margin: Floats
    net_slip_margin: float
    friction: float
    outside_view_n: float = 0.0

    def __post_init__(self) -> None:
        shape = self.pressure_mpa.shape
        expected = {"traction_mpa": (*shape, 2), "contact": shape, "slip_margin": shape}
        for name, wanted in expected.items():
            if np.shape(getattr(self, name)) != wanted:
                raise InputError(
                    f"contact forces: {name} has shape {np.shape(getattr(self, name))}, "
                    f"expected {wanted}"
                )

    @property
    def in_contact(self) -> bool:
        """Whether any vertex is under pressure."""
        return bool(self.contact.any())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the net force, one sentence each."""
        if self.outside_view_n <= MAX_OUTSIDE_VIEW * self.normal_force_n:
            return ()
        return (
            f"the contact reaches the border of the view: beyond it the gel may carry another "
            f"{self.outside_view_n:.1f} N; move the contact toward the middle",
        )

    @property
    def normal_force_n(self) -> float:
        """Normal force, N; positive for a press."""
        return -float(self.force_n[2])


def force_figures(forces: ContactForces) -> dict[str, Any]:
    """Return the net values of a contact's forces, with units in their names.

    Args:
        forces: forces of the contact.
    """
    traction = np.linalg.norm(forces.traction_mpa, axis=-1)
    return {
        "force_n": _rounded(forces.force_n),
        "force_stddev_n": _rounded(forces.force_stddev_n),
        "torque_n_mm": _rounded(forces.torque_n_mm),
        "torque_stddev_n_mm": _rounded(forces.torque_stddev_n_mm),
        "modulus_fraction_of_variance": round(forces.modulus_fraction, 3),
        "max_pressure_mpa": round(float(forces.pressure_mpa.max()), 5),
        "max_traction_mpa": round(float(traction.max()), 5),
        "friction": forces.friction,
        "slip_margin": round(forces.net_slip_margin, 4) if forces.in_contact else None,
        "outline_mm": [np.round(polygon, 3).tolist() for polygon in forces.outline_mm],
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]
