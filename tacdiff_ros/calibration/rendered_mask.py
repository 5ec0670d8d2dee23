"""Camera, marker diameter and marker offsets from a rendered marker mask (paper, equation 3).

The mask is rendered through the layers: every pixel near a marker is traced back to the gel, where
the marker covers it with a smooth rim. The mask is compared with the darkness of the image there.
Levenberg-Marquardt steps solve for all parameters at once; those of a single marker (position,
diameter and contrast) are eliminated marker by marker. Printed markers are up to some hundredths of
a millimetre off their lattice (the residual of the first fit is the prior) and differ in size, so
single markers do not tilt the camera.

Limits: markers are round here; the start must be within a marker's radius of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.camera_pose import CameraFit, CameraPriors, CameraVector
from tacdiff_ros.errors import InputError
from tacdiff_ros.least_squares import (
    DampingRule,
    NormalEquations,
    Solution,
    levenberg_marquardt,
)
from tacdiff_ros.markers.blobs import darkness_map
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm
from tacdiff_ros.sensor.parameters import Values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import Markers

MAX_STEPS = 15
WINDOW = 0.40  # half side of the window around a marker, as a fraction of the pitch
SIZE_MM = 0.05  # standard deviation of the diameters of printed markers
DARKNESS_NOISE = 0.03  # of full ink, including the ink's texture and fringes
# Little damping: position and tilt of the camera trade off along a narrow valley.
DAMPING = DampingRule(first=1e-9, decrease=10.0, increase=100.0, maximum=1e3)
MIN_GAIN = 1e-5  # relative decrease of the cost below which the iteration ends
SHAPE_PRIOR = (0.2, 0.15)  # mm, standard deviations of diameter and rim around their start
RIM_PX = 4.0  # rim of a sharp marker in the smoothed darkness map
DIFFERENCE = 1e-7
BROKEN_PX = 0.3
PRINT_RANGE_MM = (0.002, 0.05)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MaskFit:
    """Camera and markers of a sensor instance.

    Attributes:
        camera: fit of the camera; its residual is that of the lattice, without marker offsets.
        offset_mm: (rows, columns, 2) offset of each marker from the lattice, mm; 0 for markers that
            were not used.
        residual_px: (rows, columns, 2) projected minus detected position with the offsets, px; NaN
            for markers that were not used.
        rms_px: root mean square distance of unbroken markers with the offsets, px.
        broken: (rows, columns) bool, markers whose detected and fitted positions differ because
            they are not round; the fitted position is the valid one.
        diameter_mm: common diameter of the markers, mm.
        rim_mm: width of the markers' rim in the image, including blur, mm.
        size_mm: (rows, columns) diameter of each marker minus the common one, mm; 0 for markers
            that were not used.
        mask_error: root mean square difference of rendered and measured mask, as a fraction of
            full ink.
        steps: number of Levenberg-Marquardt steps.
    """

    camera: CameraFit
    offset_mm: Floats
    residual_px: Floats
    rms_px: float
    broken: NDArray[np.bool_]
    diameter_mm: float
    rim_mm: float
    size_mm: Floats
    mask_error: float
    steps: int


def refine_by_mask(
    fit: CameraFit,
    image: NDArray[np.uint8],
    markers: MarkerField,
    priors: CameraPriors | None = None,
) -> MaskFit:
    """Refine a camera that was fitted to detected markers.

    Args:
        fit: result of `fit_camera`, with glass.
        image: (H, W, 3) uint8 RGB reference image.
        markers: markers detected in the image.
        priors: prior standard deviations of the lens, as for `fit_camera`.

    Raises:
        InputError: the sensor model has no markers.
    """
    pattern = fit.model.markers
    if pattern is None:
        raise InputError("the sensor file has no markers: there is no mask to fit")
    problem = _Problem.around(fit, pattern, image, markers, priors or CameraPriors())
    return problem.result(fit, problem.solve(), markers.position_px)


@dataclass(frozen=True)
class _Point:
    """Common vector (n,) and local parameters (K, 4) of a problem."""

    vector: Floats
    local: Floats


@dataclass(frozen=True)
class _ArrowEquations:
    """Normal equations of n common parameters and of 4 local ones for each of K markers.

    Attributes:
        common: (n, n) block of the matrix of the common parameters.
        common_gradient: (n,) gradient of half the cost by the common parameters.
        local: (K, 4, 4) blocks of the local parameters.
        local_gradient: (K, 4) gradient of half the cost by the local parameters.
        mixed: (K, 4, n) blocks between local and common parameters.
        cost: sum of squared residuals.
    """

    common: Floats
    common_gradient: Floats
    local: Floats
    local_gradient: Floats
    mixed: Floats
    cost: float

    def step(self, damping: float) -> Floats:
        """Step (n + 4 K,) of all parameters, the local ones eliminated (Schur complement)."""
        inner = self.local * (1.0 + damping * np.eye(4))
        right = np.concatenate([self.mixed, self.local_gradient[..., None]], axis=-1)
        solved = np.linalg.solve(inner, right)
        reduced = NormalEquations(
            matrix=self.common - np.einsum("kin,kim->nm", self.mixed, solved[..., :-1]),
            gradient=self.common_gradient - np.einsum("kin,ki->n", self.mixed, solved[..., -1]),
            cost=self.cost,
        )
        change = reduced.step(damping)
        return np.append(change, -solved[..., -1] - solved[..., :-1] @ change)


@dataclass(frozen=True)
class _Problem:
    """Least-squares problem of K markers with P pixels each.

    The common vector has the camera's parameters, the diameter and the rim width, both mm. The
    local parameters (K, 4) are the offset x and y, the own diameter minus the common one, all mm,
    and the contrast.

    Attributes:
        camera: parametrisation of the camera.
        pattern: marker pattern of the sensor model.
        used: (rows, columns) bool, the K markers to fit.
        pixels: (K, P, 2) pixel positions, px.
        dark: (K, P) measured darkness.
        lattice: (K, 2) lattice positions, mm.
        start: initial common vector.
        prior: prior standard deviations of the common vector.
        local_prior: (3,) prior standard deviations of offset x, y and own diameter, mm.
    """

    camera: CameraVector
    pattern: Markers
    used: NDArray[np.bool_]
    pixels: Floats
    dark: Floats
    lattice: Floats
    start: Floats
    prior: Floats
    local_prior: Floats

    @classmethod
    def around(
        cls,
        fit: CameraFit,
        pattern: Markers,
        image: NDArray[np.uint8],
        markers: MarkerField,
        priors: CameraPriors,
    ) -> _Problem:
        """Problem that starts at a fitted camera; the arguments are those of `refine_by_mask`."""
        camera = CameraVector.around(fit.model, priors)
        mm_per_px = fit.model.mm_per_px
        pitch_px = pattern.pitch_mm[0] / mm_per_px
        used, pixels = _pixel_windows(image.shape, fit.used, markers, int(WINDOW * pitch_px))
        darkness = darkness_map(image, pitch_px)
        pose = np.concatenate(
            [fit.model.camera.position_mm, np.radians(fit.model.camera.rotation_deg)]
        )
        lens = np.zeros(len(camera.prior) - 6)
        print_mm = float(np.clip(fit.rms_px * mm_per_px / np.sqrt(2.0), *PRINT_RANGE_MM))
        diameter_mm = float(np.median(markers.diameter_px[used])) * mm_per_px
        shape = [diameter_mm, np.hypot(pattern.edge_mm, RIM_PX * mm_per_px)]
        return cls(
            camera=camera,
            pattern=pattern,
            used=used,
            pixels=pixels.astype(np.float64),
            dark=darkness[pixels[..., 1], pixels[..., 0]].astype(np.float64),
            lattice=lattice_positions_mm(pattern)[used][:, :2],
            start=np.concatenate([pose, lens, shape]),
            prior=np.concatenate([camera.prior, SHAPE_PRIOR]),
            local_prior=np.array([print_mm, print_mm, SIZE_MM]),
        )

    def solve(self) -> Solution[_Point]:
        """Fit all parameters."""
        local = np.zeros((len(self.dark), 4))
        local[:, 3] = np.percentile(self.dark, 90.0, axis=1)
        return levenberg_marquardt(self, _Point(self.start, local), DAMPING, MAX_STEPS, MIN_GAIN)

    def moved(self, point: _Point, step: Floats) -> _Point:
        """The point after a step of all parameters, the common ones first."""
        size = len(point.vector)
        return _Point(point.vector + step[:size], point.local + step[size:].reshape(-1, 4))

    def cost(self, point: _Point) -> float:
        """Sum of squared residuals of pixels and priors."""
        vector, local = point.vector, point.local
        prior = np.append(
            (vector - self._prior_centre())[6:] / self.prior[6:], local[:, :3] / self.local_prior
        )
        return float(np.sum(self._residual(vector, local) ** 2) + prior @ prior)

    def linearise(self, point: _Point) -> _ArrowEquations:
        """Normal equations of the common and the local parameters."""
        vector, local = point.vector, point.local
        residual = self._residual(vector, local)
        columns = [self._derivative(vector, local, residual, axis) for axis in np.eye(len(vector))]
        common = np.stack(columns, axis=-1)  # (K, P, n)
        own = self._local_jacobian(vector, local)  # (K, P, 4)
        local_matrix = np.einsum("kpi,kpj->kij", own, own)
        local_matrix[:, range(3), range(3)] += self.local_prior**-2.0
        local_gradient = np.einsum("kpi,kp->ki", own, residual)
        local_gradient[:, :3] += local[:, :3] / self.local_prior**2
        weight = np.where(np.isfinite(self.prior), self.prior**-2.0, 0.0)
        gradient = np.einsum("kpn,kp->n", common, residual)
        return _ArrowEquations(
            common=np.einsum("kpn,kpm->nm", common, common) + np.diag(weight),
            common_gradient=gradient + weight * (vector - self._prior_centre()),
            local=local_matrix,
            local_gradient=local_gradient,
            mixed=np.einsum("kpi,kpn->kin", own, common),
            cost=self.cost(point),
        )

    def values(self, vector: Floats) -> Values:
        """Parameters of the sensor by name, from the common vector."""
        return self.camera.values(vector[:-2], glass=True)

    def _mask(self, vector: Floats, local: Floats) -> Floats:
        """(K, P) fraction of ink at the pixels."""
        rise = -0.5 * self.pattern.height_mm
        position = unproject(self.values(vector), self.pixels, rise)[..., :2]
        from_centre = position - (self.lattice + local[:, :2])[:, None]
        radius = 0.5 * (vector[-2] + local[:, 2:3])
        outside = np.hypot(from_centre[..., 0], from_centre[..., 1]) - radius
        t = np.clip(0.5 - outside / max(float(vector[-1]), 1e-3), 0.0, 1.0)
        return np.asarray(t * t * (3.0 - 2.0 * t))

    def _residual(self, vector: Floats, local: Floats) -> Floats:
        """(K, P) rendered minus measured darkness, in units of the noise."""
        mask = self._mask(vector, local)
        return np.asarray((local[:, 3:] * mask - self.dark) / DARKNESS_NOISE)

    def _prior_centre(self) -> Floats:
        """Common vector at the centre of the priors; the pose has no prior."""
        centre = np.zeros(len(self.start))
        centre[-2:] = self.start[-2:]
        return centre

    def _derivative(self, vector: Floats, local: Floats, residual: Floats, axis: Floats) -> Floats:
        """(K, P) derivative of the residual along an axis of the common vector."""
        return (self._residual(vector + DIFFERENCE * axis, local) - residual) / DIFFERENCE

    def _local_jacobian(self, vector: Floats, local: Floats) -> Floats:
        """(K, P, 4) derivatives of the residual by the local parameters."""
        mask = self._mask(vector, local)
        columns = []
        for step in np.eye(4)[:3] * DIFFERENCE:
            perturbed = self._mask(vector, local + step)
            columns.append(local[:, 3:] * (perturbed - mask) / DIFFERENCE)
        return np.stack([*columns, mask], axis=-1) / DARKNESS_NOISE

    def result(self, fit: CameraFit, solution: Solution[_Point], detected_px: Floats) -> MaskFit:
        """The fit, from the solution.

        Args:
            fit: fit of the camera before.
            solution: solution of the problem.
            detected_px: (rows, columns, 2) detected marker positions, px.
        """
        vector, local = solution.point.vector, solution.point.local
        values = self.values(vector)
        lattice = lattice_positions_mm(self.pattern)
        on_lattice = project(values, lattice) - detected_px
        offset = np.zeros((*self.used.shape, 2))
        offset[self.used] = local[:, :2]
        size = np.zeros(self.used.shape)
        size[self.used] = local[:, 2]
        positions = lattice.copy()
        positions[..., :2] += offset
        residual = np.where(self.used[..., None], project(values, positions) - detected_px, np.nan)
        broken = np.linalg.norm(residual, axis=-1) > BROKEN_PX
        lattice_residual = np.where(fit.used[..., None], on_lattice, np.nan)
        fitted = {name: values[name] for name in self.camera.names}
        error = self._residual(vector, local) * DARKNESS_NOISE / local[:, 3:]
        camera = replace(
            fit,
            model=with_parameter_values(fit.model, fitted),
            residual_px=lattice_residual,
            rms_px=_rms(lattice_residual),
        )
        return MaskFit(
            camera=camera,
            offset_mm=offset,
            residual_px=residual,
            rms_px=_rms(residual[~broken]),
            broken=broken,
            diameter_mm=float(vector[-2]),
            rim_mm=float(vector[-1]),
            size_mm=size,
            mask_error=float(np.sqrt(np.mean(error**2))),
            steps=solution.iterations,
        )


def _pixel_windows(
    shape: tuple[int, ...], used: NDArray[np.bool_], markers: MarkerField, half: int
) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
    """Square windows around markers.

    Args:
        shape: (H, W, ...) of the image, px.
        used: (rows, columns) bool, candidate markers.
        markers: markers with their positions.
        half: half side of a window, px.

    Returns:
        (rows, columns) bool, the K candidates whose windows are inside the image, and (K, P, 2)
        pixels (x, y) of their windows.
    """
    span = np.arange(-half, half + 1)
    window = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2)
    height, width = shape[:2]
    centre = np.rint(np.where(used[..., None], markers.position_px, 0.0)).astype(int)
    last = np.array([width, height]) - 1 - half
    inside = used & ((centre >= half) & (centre <= last)).all(axis=-1)
    return inside, centre[inside][:, None] + window


def _rms(residual: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.sum(residual**2, axis=-1))))
