"""Contact forces of an inverted surface, by the compliance of the gel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.traction_fit import FittedTractions, Observations, TractionFit
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

SPACING_MM = 0.42  # of the vertices that carry forces, about
MIN_DEPTH_MM, DEPTH_FRACTION = 0.03, 0.1  # minimum depth of a vertex that may carry a force
CORRELATED_VERTICES = 4.0  # vertices whose height errors are alike: inflates their variance
MARKER_STDDEV_MM = 0.015  # of a marker's motion
DENSE_REACH, SPARSE_STEP = 3, 2  # vertices: around the contact all are used, elsewhere every second
MIN_PRESSURE_FRACTION = 0.03  # of the maximum; below it a vertex carries no pressure
# Error of the gel model and of the depth of the whole contact, over the force, per component.
MECHANICS_ERROR = (0.015, 0.015, 0.06)
MIN_FORCE_STDDEV_N = 0.02  # for contacts that are too shallow to be candidates
MODULUS_ERROR = 0.3  # relative standard deviation of a modulus that was not identified, assumed


@dataclass(frozen=True)
class MeasuredSurface:
    """Inverted surface whose forces are estimated.

    Attributes:
        surface: gel surface on a regular grid of material points over the pad.
        height_stddev_mm: (rows, columns) standard deviation of the height, mm.
        valid: (rows, columns) bool, vertices that are visible to the camera.
        markers_mm: (n, 2) undeformed positions at which the in-plane motion was measured, mm.
    """

    surface: GelSurface
    height_stddev_mm: Floats
    valid: NDArray[np.bool_]
    markers_mm: Floats


class ForceEstimator:
    """Estimates contact forces on one sensor.

    Attributes:
        pad: dimensions and grid of the pad.
        material: gel material.
        tractions: fit of tractions to a surface.
        modulus_error: relative standard deviation of Young's modulus.
    """

    def __init__(
        self,
        model: SensorModel,
        material: GelMaterial | None = None,
        modulus_stddev_mpa: float | None = None,
    ) -> None:
        """Precompute the compliance of the sensor's pad.

        Args:
            model: sensor model, which gives the size of the pad.
            material: gel material; None for the sensor's, or the default.
            modulus_stddev_mpa: standard deviation of Young's modulus, MPa; None for the sensor's if
                the material is the sensor's, else 30 %.
        """
        if material is None and modulus_stddev_mpa is None and model.material is not None:
            modulus_stddev_mpa = model.material.young_modulus_stddev_mpa
        self.material = material or GelMaterial.of_sensor(model)
        gel = model.gel
        rows, columns = (round(side / SPACING_MM) for side in (gel.height_mm, gel.width_mm))
        self.pad = PadGrid.of_sensor(model, rows | 1, columns | 1)
        self.tractions = TractionFit(self.pad, self.material)
        modulus = self.material.young_modulus_mpa
        self.modulus_error = (
            MODULUS_ERROR if modulus_stddev_mpa is None else modulus_stddev_mpa / modulus
        )

    def fit(self, measured: MeasuredSurface) -> FittedTractions:
        """Return the vertex forces that explain a surface.

        Args:
            measured: inverted surface.
        """
        motion = self._on_pad(measured)
        depth = -motion[..., 2]
        candidates = depth > max(MIN_DEPTH_MM, DEPTH_FRACTION * float(depth.max()))
        return self.tractions.fit(self._observations(measured, motion, candidates), candidates)

    def forces(self, fitted: FittedTractions, measured: MeasuredSurface) -> ContactForces:
        """Return the forces of a fit as fields on the surface and net values.

        Args:
            fitted: result of `fit`.
            measured: the surface that was fitted.
        """
        area = float(np.prod(self.pad.spacing_mm))
        surface, friction = measured.surface, self.material.friction
        lines = self._pad_lines(surface)
        fields = [
            ndimage.map_coordinates(part, lines, order=1, mode="nearest")
            for part in np.moveaxis(fitted.force_n / area, 2, 0)
        ]
        pressure, traction = -fields[2], np.stack(fields[:2], axis=-1)
        contact = pressure > MIN_PRESSURE_FRACTION * float(pressure.max())
        pressure, traction = pressure * contact, traction * contact[..., None]
        size = np.linalg.norm(traction, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(contact, 1.0 - size / (friction * pressure), np.nan)
        net, covariance = self._net(fitted)
        relative = np.array([*MECHANICS_ERROR, *MECHANICS_ERROR[::-1]])
        scale = np.repeat([np.linalg.norm(net[:3]), np.linalg.norm(net[3:])], 3)
        modulus = (self.modulus_error * net) ** 2
        floor = MIN_FORCE_STDDEV_N * np.array([1.0, 1.0, 1.0, *[self.pad.thickness_mm] * 3])
        variance = np.diag(covariance) + (relative * scale) ** 2 + modulus + floor**2
        outside_view = self._force_outside_view(fitted, measured)
        variance[2] += outside_view**2
        normal = -float(net[2])
        return ContactForces(
            force_n=net[:3],
            torque_n_mm=net[3:],
            force_stddev_n=np.sqrt(variance[:3]),
            torque_stddev_n_mm=np.sqrt(variance[3:]),
            modulus_fraction=float(modulus[2] / variance[2]) if contact.any() else 0.0,
            pressure_mpa=pressure,
            traction_mpa=traction,
            contact=contact,
            outline_mm=_outline(contact, surface),
            slip_margin=margin,
            net_slip_margin=(
                1.0 - float(np.hypot(*net[:2])) / (friction * normal) if normal > 0 else np.nan
            ),
            friction=friction,
            outside_view_n=outside_view,
        )

    def _force_outside_view(self, fitted: FittedTractions, measured: MeasuredSurface) -> float:
        """Normal force if the pressure at the border of the view went on to the pad's edge, N.

        That of the fit beyond the view, which no observation supports, is subtracted.
        """
        visible = self._visible(measured)
        if visible.all() or not visible.any():
            return 0.0
        force = np.maximum(-fitted.force_n[..., 2], 0.0)
        # The outermost visible vertices are influenced by what is not visible: two further inside.
        inner = ndimage.binary_erosion(visible, iterations=2, border_value=1)
        if not inner.any():
            return 0.0
        nearest = ndimage.distance_transform_edt(
            ~inner, return_distances=False, return_indices=True
        )
        continued = force[tuple(nearest)][~visible].sum()
        return max(float(continued - force[~visible].sum()), 0.0)

    def in_plane(self, fitted: FittedTractions, rest_mm: Floats) -> Floats:
        """Return the in-plane displacement of material points under the forces of a fit.

        Args:
            fitted: result of `fit`.
            rest_mm: (n, 2) undeformed positions, mm.

        Returns:
            (n, 2) displacement, mm.
        """
        spacing = np.array(self.pad.spacing_mm)
        middle = 0.5 * np.array([self.pad.columns - 1, self.pad.rows - 1])
        column, row = (rest_mm / spacing + middle).T
        parts = [
            ndimage.map_coordinates(
                fitted.displacement_mm[..., k], [row, column], order=1, mode="nearest"
            )
            for k in (0, 1)
        ]
        return np.stack(parts, axis=-1)

    def _net(self, fitted: FittedTractions) -> tuple[Floats, Floats]:
        """Net force and torque about the origin (6,), and their covariance from observations."""
        position = self.pad.rest_mm.reshape(fitted.force_n.shape) + fitted.displacement_mm
        force = fitted.force_n.reshape(-1, 3)
        arms = position.reshape(-1, 3)
        net = np.concatenate([force.sum(axis=0), np.cross(arms, force).sum(axis=0)])
        axes = np.eye(3)
        levers = np.cross(arms[fitted.vertices][:, None, :], axes[None])  # vertex, axis, torque
        rows = [np.tile(axes, (len(fitted.vertices), 1)), levers.reshape(-1, 3)]
        gather = np.concatenate(rows, axis=1)
        return net, gather.T @ np.linalg.solve(fitted.precision, gather)

    def _observations(
        self, measured: MeasuredSurface, motion: Floats, candidates: NDArray[np.bool_]
    ) -> Observations:
        """Heights of the pad's vertices and in-plane motion of the markers."""
        lines = self._surface_lines(measured.surface)
        visible = self._visible(measured)
        stddev = ndimage.map_coordinates(measured.height_stddev_mm, lines, order=1)
        used = ndimage.binary_dilation(candidates, iterations=DENSE_REACH)
        used[::SPARSE_STEP, ::SPARSE_STEP] = True
        heights = np.argwhere(used & visible)
        spacing = np.array(self.pad.spacing_mm[::-1])
        middle = 0.5 * np.array([self.pad.rows - 1, self.pad.columns - 1])
        markers = measured.markers_mm[:, ::-1] / spacing + middle
        inside = np.all((markers >= 0) & (markers <= 2 * middle), axis=1)
        markers = markers[inside]
        along = [
            ndimage.map_coordinates(motion[..., k], markers.T, order=1, mode="nearest")
            for k in (0, 1)
        ]
        at = tuple(heights.T)
        count = len(markers)
        return Observations(
            position=np.concatenate([heights, markers, markers]).astype(float),
            axis=np.repeat([2, 0, 1], [len(heights), count, count]),
            value_mm=np.concatenate([motion[at][:, 2], *along]),
            stddev_mm=np.concatenate(
                [
                    np.sqrt(CORRELATED_VERTICES) * np.maximum(stddev[at], 1e-3),
                    np.full(2 * count, MARKER_STDDEV_MM),
                ]
            ),
        )

    def _visible(self, measured: MeasuredSurface) -> NDArray[np.bool_]:
        """(rows, columns) vertices of the pad that are visible."""
        lines = self._surface_lines(measured.surface)
        valid = ndimage.map_coordinates(measured.valid.astype(float), lines, order=1)
        return np.asarray(valid > 0.99)

    def _on_pad(self, measured: MeasuredSurface) -> Floats:
        """(rows, columns, 3) displacement of the pad's vertices, mm."""
        surface = measured.surface
        motion = (surface.position - surface.rest).astype(np.float64)
        fields = motion.reshape(surface.rows, surface.columns, 3)
        lines = self._surface_lines(surface)
        parts = [ndimage.map_coordinates(fields[..., k], lines, order=1) for k in range(3)]
        return np.stack(parts, axis=-1)

    def _surface_lines(self, surface: GelSurface) -> list[Floats]:
        """Rows and columns of the surface's grid at the pad's vertices."""
        row = np.linspace(0.0, surface.rows - 1.0, self.pad.rows)
        column = np.linspace(0.0, surface.columns - 1.0, self.pad.columns)
        return list(np.meshgrid(row, column, indexing="ij"))

    def _pad_lines(self, surface: GelSurface) -> list[Floats]:
        """Rows and columns of the pad's grid at the surface's vertices."""
        row = np.linspace(0.0, self.pad.rows - 1.0, surface.rows)
        column = np.linspace(0.0, self.pad.columns - 1.0, surface.columns)
        return list(np.meshgrid(row, column, indexing="ij"))


def _outline(contact: NDArray[np.bool_], surface: GelSurface) -> tuple[Floats, ...]:
    """Closed polygons around the contact, mm."""
    contours, _ = cv2.findContours(
        contact.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    return tuple(
        np.stack([surface.x_mm[c[:, 0, 0]], surface.y_mm[c[:, 0, 1]]], axis=-1).astype(np.float64)
        for c in contours
    )
