"""Effect of finite strains on the displacement of a linear gel, as a fitted second-order term.

The exact second-order displacement of an elastic body is quadratic in the first-order displacement.
Here it is approximated by smoothed products of the surface displacement u, its slopes and the
traction t over the shear modulus, with lengths over the thickness h:

    in-plane   sum_s  G_s * (sum_n a_sn V_n) + grad G_s * (sum_m b_sm Q_m)
    normal     sum_s  G_s * (sum_m c_sm Q_m) + div G_s * (sum_n d_sn V_n)

with vector products V, scalar products Q (`VECTORS`, `SCALARS`) and Gaussians G_s. All terms are
equivariant under rotations and reflections of the fields, and independent of the indenter. The
weights a to d are fitted to recordings of the full solver (`tools/fit_live_gel.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, read_text
from tacdiff_ros.mechanics.live.smoothing import gaussian_matrix, slopes
from tacdiff_ros.output_files import write_file
from tacdiff_ros.settings_file import parse_yaml

Floats = NDArray[np.float64]

WIDTHS = (0.15, 0.3, 0.6, 1.2)  # standard deviations of the Gaussians, over h
MAX_FITTED_DISPLACEMENT = 0.45  # over h
MAX_BYTES = 100_000  # size limit of a weights file
VECTORS = (
    "u_z grad u_z",
    "u . grad u",
    "u div u",
    "u_k grad u_k",
    "u_z u",
    "t_z grad u_z",
    "u_z t",
    "t_z u",
    "t . grad u",
    "t div u",
)
SCALARS = (
    "u_z^2",
    "u_z div u",
    "u . grad u_z",
    "u . u",
    "t_z u_z",
    "t_z div u",
    "t . grad u_z",
    "t . u",
)
TABLES = {
    "plane_vectors": VECTORS,
    "plane_scalars": SCALARS,
    "normal_scalars": SCALARS,
    "normal_vectors": VECTORS,
}
FITTED = Path(__file__).with_name("second_order.yaml")
HEADER = (
    "# Weights of the live gel's second-order term, see second_order.py: per term, one number for\n"
    f"# each Gaussian of width {', '.join(map(str, WIDTHS))} times the thickness.\n"
)


def products(
    displacement: Floats, traction: Floats, spacing: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return the dimensionless products of the fields.

    In the names of the products, "u" and "t" are the in-plane parts.

    Args:
        displacement: (3, rows, columns) displacement over h.
        traction: (3, rows, columns) traction over G.
        spacing: grid spacing along x and y, over h.

    Returns:
        (10, 2, rows, columns) vector products in the order of `VECTORS`, and (8, rows, columns)
        scalar products in the order of `SCALARS`.
    """
    along_x, along_y = slopes(displacement, spacing)
    u, u_z = displacement[:2], displacement[2]
    t, t_z = traction[:2], traction[2]
    grad_u_z = np.stack([along_x[2], along_y[2]])
    div_u = along_x[0] + along_y[1]
    u_grad_u = u[0] * along_x[:2] + u[1] * along_y[:2]
    t_grad_u = t[0] * along_x[:2] + t[1] * along_y[:2]
    u_k_grad_u_k = np.stack([(u * along_x[:2]).sum(axis=0), (u * along_y[:2]).sum(axis=0)])
    vectors = np.stack(
        [
            u_z * grad_u_z,
            u_grad_u,
            div_u * u,
            u_k_grad_u_k,
            u_z * u,
            t_z * grad_u_z,
            u_z * t,
            t_z * u,
            t_grad_u,
            div_u * t,
        ]
    )
    scalars = np.stack(
        [
            u_z * u_z,
            u_z * div_u,
            (u * grad_u_z).sum(axis=0),
            (u * u).sum(axis=0),
            t_z * u_z,
            t_z * div_u,
            (t * grad_u_z).sum(axis=0),
            (t * u).sum(axis=0),
        ]
    )
    return vectors, scalars


@dataclass(frozen=True)
class SecondOrderWeights:
    """Weights of the terms for each of the four Gaussians.

    Attributes:
        plane_vectors: (4, 10) weights a.
        plane_scalars: (4, 8) weights b.
        normal_scalars: (4, 8) weights c.
        normal_vectors: (4, 10) weights d.

    Raises:
        InputError: an array has another shape or is not finite.
    """

    plane_vectors: Floats
    plane_scalars: Floats
    normal_scalars: Floats
    normal_vectors: Floats

    def __post_init__(self) -> None:
        for name, terms in TABLES.items():
            values = np.asarray(getattr(self, name), np.float64)
            expected = (len(WIDTHS), len(terms))
            if values.shape != expected or not np.isfinite(values).all():
                raise InputError(
                    f"second-order weights: {name} has shape {values.shape}, expected {expected} "
                    "finite numbers"
                )
            object.__setattr__(self, name, values)

    @classmethod
    def fitted(cls) -> SecondOrderWeights:
        """Return the weights of the package, which were fitted for a Poisson's ratio of 0.48."""
        return cls.from_yaml(FITTED)

    @classmethod
    def from_yaml(cls, file: Path) -> SecondOrderWeights:
        """Read weights that `to_yaml` wrote.

        Args:
            file: path of the YAML file.

        Raises:
            InputError: the file is not readable or does not have that format.
        """
        try:
            tables = parse_yaml(read_text(file, "weights", MAX_BYTES), str(file))
            return cls(
                **{
                    name: np.array([[tables[name][term][i] for term in terms] for i in range(4)])
                    for name, terms in TABLES.items()
                }
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"second-order weights {file}: not usable ({one_line(error)})"
            ) from error

    def to_yaml(self, file: Path) -> None:
        """Write the weights as YAML: for each term, one weight per Gaussian, ordered like `WIDTHS`.

        Args:
            file: path of the YAML file.
        """
        tables = {
            name: {
                term: [float(f"{value:.5g}") for value in getattr(self, name)[:, column]]
                for column, term in enumerate(terms)
            }
            for name, terms in TABLES.items()
        }
        text = yaml.safe_dump(tables, sort_keys=False, default_flow_style=None, width=100)
        write_file(file, HEADER + text)

    @classmethod
    def none(cls) -> SecondOrderWeights:
        """Return zero weights: a linear gel."""
        vectors, scalars = (np.zeros((len(WIDTHS), len(terms))) for terms in (VECTORS, SCALARS))
        return cls(
            plane_vectors=vectors,
            plane_scalars=scalars,
            normal_scalars=scalars,
            normal_vectors=vectors,
        )


class SecondOrder:
    """Second-order term on one grid.

    Attributes:
        weights: weights of the terms.
        thickness_mm: thickness h of the gel, mm.
        spacing: grid spacing along x and y, over h.
    """

    def __init__(
        self,
        weights: SecondOrderWeights,
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        thickness_mm: float,
        shear_modulus_mpa: float,
    ) -> None:
        """Precompute the smoothing matrices of a grid.

        Args:
            weights: weights of the terms.
            shape: numbers of rows and columns.
            spacing_mm: grid spacing along x and y, mm.
            thickness_mm: thickness h of the gel, mm.
            shear_modulus_mpa: shear modulus G, MPa.
        """
        self.weights = weights
        self.thickness_mm = thickness_mm
        self.spacing = spacing_mm[0] / thickness_mm, spacing_mm[1] / thickness_mm
        self._traction_per_force = 1.0 / (shear_modulus_mpa * spacing_mm[0] * spacing_mm[1])
        self._down = np.stack([gaussian_matrix(shape[0], self.spacing[1], w) for w in WIDTHS])
        self._across = np.stack([gaussian_matrix(shape[1], self.spacing[0], w) for w in WIDTHS])

    def displacement(self, displacement: Floats, force: Floats) -> Floats:
        """Return the second-order displacement.

        Above `MAX_FITTED_DISPLACEMENT` the term grows linearly with the displacement instead of
        quadratically: it is not fitted there and would diverge.

        Args:
            displacement: (3, rows, columns) displacement of the surface, mm.
            force: (3, rows, columns) vertex forces, N.

        Returns:
            (3, rows, columns) displacement to be added, mm.
        """
        vectors, scalars = self.products(displacement, force)
        max_displacement = np.sqrt((displacement**2).sum(axis=0).max()) / self.thickness_mm
        limit = MAX_FITTED_DISPLACEMENT
        scale = min(1.0, limit / max(max_displacement, limit))
        weights = self.weights
        flat_vectors, flat_scalars = (
            vectors.reshape(len(vectors), -1),
            scalars.reshape(len(scalars), -1),
        )
        shape = (len(WIDTHS), -1, *scalars.shape[1:])
        fields = np.concatenate(
            [
                (weights.plane_vectors @ flat_vectors).reshape(shape),
                (weights.plane_scalars @ flat_scalars).reshape(shape),
                (weights.normal_scalars @ flat_scalars).reshape(shape),
                (weights.normal_vectors @ flat_vectors).reshape(shape),
            ],
            axis=1,
        )
        smooth = self.smoothed(fields).sum(axis=0)
        by_x, by_y = slopes(smooth[[2, 4, 5]], self.spacing)
        return (
            scale
            * self.thickness_mm
            * np.stack([smooth[0] + by_x[0], smooth[1] + by_y[0], smooth[3] + by_x[1] + by_y[2]])
        )

    def products(self, displacement: Floats, force: Floats) -> tuple[Floats, Floats]:
        """Return the dimensionless products of the fields, see the function `products`.

        Args:
            displacement: (3, rows, columns) displacement of the surface, mm.
            force: (3, rows, columns) vertex forces, N.
        """
        return products(
            displacement / self.thickness_mm, force * self._traction_per_force, self.spacing
        )

    def smoothed(self, fields: Floats) -> Floats:
        """Return fields smoothed by the Gaussians.

        Args:
            fields: (4, n, rows, columns) fields, one block of n for each Gaussian.
        """
        return np.asarray(self._down[:, None] @ fields @ np.swapaxes(self._across, 1, 2)[:, None])
