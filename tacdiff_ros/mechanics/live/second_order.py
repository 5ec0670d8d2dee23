"""What finite strains change in the answer of a linear gel, as a fitted second-order term.

The exact second-order displacement of an elastic body is quadratic in the first-order one. Here it
is approximated by smoothed products of the surface's displacement u, its slopes and the traction t
over the shear modulus, with lengths over the thickness h:

    in-plane   sum_s  G_s * (sum_n a_sn V_n) + grad G_s * (sum_m b_sm Q_m)
    normal     sum_s  G_s * (sum_m c_sm Q_m) + div G_s * (sum_n d_sn V_n)

with vector products V, scalar products Q (`VECTORS`, `SCALARS`) and Gaussians G_s. All terms turn
and mirror with the fields, and none knows the indenter. The weights a to d are fitted to recordings
of the full solver (`fit_second_order`).
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

WIDTHS = (0.15, 0.3, 0.6, 1.2)
LARGEST = 0.45
MAX_BYTES = 100_000  # of a file of weights
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
    """Products of the fields, all without units; "u" and "t" in their names are in-plane.

    Args:
        displacement: (3, rows, columns), over h.
        traction: (3, rows, columns), over G.
        spacing: of the grid along x and y, over h.

    Returns:
        Vectors (10, 2, rows, columns) in the order of `VECTORS` and scalars (8, rows, columns) in
        that of `SCALARS`.
    """
    along_x, along_y = slopes(displacement, spacing)
    flat, z = displacement[:2], displacement[2]
    rub, press = traction[:2], traction[2]
    tilt = np.stack([along_x[2], along_y[2]])
    spread = along_x[0] + along_y[1]
    carried = flat[0] * along_x[:2] + flat[1] * along_y[:2]
    rubbed = rub[0] * along_x[:2] + rub[1] * along_y[:2]
    energy = np.stack([(flat * along_x[:2]).sum(axis=0), (flat * along_y[:2]).sum(axis=0)])
    vectors = np.stack(
        [
            z * tilt,
            carried,
            spread * flat,
            energy,
            z * flat,
            press * tilt,
            z * rub,
            press * flat,
            rubbed,
            spread * rub,
        ]
    )
    scalars = np.stack(
        [
            z * z,
            z * spread,
            (flat * tilt).sum(axis=0),
            (flat * flat).sum(axis=0),
            press * z,
            press * spread,
            (rub * tilt).sum(axis=0),
            (rub * flat).sum(axis=0),
        ]
    )
    return vectors, scalars


@dataclass(frozen=True)
class SecondOrderWeights:
    """Weights of the terms, for each Gaussian.

    Attributes:
        plane_vectors: (4, 10), a.
        plane_scalars: (4, 8), b.
        normal_scalars: (4, 8), c.
        normal_vectors: (4, 10), d.
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
        """Those that come with the package, for a Poisson's ratio of 0.48."""
        return cls.from_yaml(FITTED)

    @classmethod
    def from_yaml(cls, file: Path) -> SecondOrderWeights:
        """Read what `to_yaml` wrote.

        Raises:
            InputError: the file is not readable or not of that form.
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
        """Write as text: for each term a weight per Gaussian, in the order of `WIDTHS`."""
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
        """A gel that stays linear."""
        vectors, scalars = (np.zeros((len(WIDTHS), len(terms))) for terms in (VECTORS, SCALARS))
        return cls(vectors, scalars, scalars, vectors)


class SecondOrder:
    """The second-order term on one grid."""

    def __init__(
        self,
        weights: SecondOrderWeights,
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        thickness_mm: float,
        shear_modulus_mpa: float,
    ) -> None:
        """Smoothing matrices of a grid.

        Args:
            weights: fitted.
            shape: rows and columns.
            spacing_mm: along x and y.
            thickness_mm: h.
            shear_modulus_mpa: G.
        """
        self.weights = weights
        self.thickness_mm = thickness_mm
        self.spacing = spacing_mm[0] / thickness_mm, spacing_mm[1] / thickness_mm
        self._traction = 1.0 / (shear_modulus_mpa * spacing_mm[0] * spacing_mm[1])
        self._down = np.stack([gaussian_matrix(shape[0], self.spacing[1], w) for w in WIDTHS])
        self._across = np.stack([gaussian_matrix(shape[1], self.spacing[0], w) for w in WIDTHS])

    def displacement(self, displacement: Floats, force: Floats) -> Floats:
        """(3, rows, columns) mm for displacement in mm and vertex forces in N of that shape.

        Beyond displacements of `LARGEST` the term goes on linearly, not quadratically: it is not
        fitted there, and would run away.
        """
        vectors, scalars = self.products(displacement, force)
        largest = np.sqrt((displacement**2).sum(axis=0).max()) / self.thickness_mm
        held = min(1.0, LARGEST / max(largest, LARGEST))
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
            held
            * self.thickness_mm
            * np.stack([smooth[0] + by_x[0], smooth[1] + by_y[0], smooth[3] + by_x[1] + by_y[2]])
        )

    def products(self, displacement: Floats, force: Floats) -> tuple[Floats, Floats]:
        """See `products`, for displacement in mm and vertex forces in N, (3, rows, columns)."""
        return products(displacement / self.thickness_mm, force * self._traction, self.spacing)

    def smoothed(self, fields: Floats) -> Floats:
        """Fields (4, n, rows, columns), each with its Gaussian."""
        return np.asarray(self._down[:, None] @ fields @ np.swapaxes(self._across, 1, 2)[:, None])
