"""Camera, dot size and each dot's own place from a rendered mask of the dots (paper, equation 3).

The mask is rendered through the layers: every pixel near a dot is traced back to the gel, and the
dot covers it by the smooth rim of its print. It is compared with how dark the image is there.
Gauss-Newton steps solve for all at once; what belongs to one dot alone (its place and contrast) is
eliminated dot by dot. Printed dots are up to some hundredths of a millimetre off their lattice (as
much as the first fit showed) and differ in size, so that single dots do not tilt the camera.

Limits: dots are round here; the start must be within a dot's radius of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.camera_pose import CameraFit, CameraFreedom, CameraPriors
from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.blobs import darkness_map
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm
from tacdiff_ros.sensor.parameters import Values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import Markers

MAX_STEPS = 15
WINDOW = 0.40  # of the pitch, half the side of what is looked at around a dot
SIZE_MM = 0.05  # how much the diameters of printed dots differ
DARKNESS_NOISE = 0.03  # of the ink, its texture and fringes included
FIRST_DAMPING = 1e-9  # small: place and tilt of the camera trade off along a narrow valley
MIN_GAIN = 1e-5  # of the cost, below which the iteration ends
SHAPE_PRIOR = (0.2, 0.15)  # mm, of diameter and rim around where they start
RIM_PX = 4.0  # of a sharp dot in an image that was smoothed to be measured
DIFFERENCE = 1e-7
BROKEN_PX = 0.3
PRINT_RANGE_MM = (0.002, 0.05)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MaskFit:
    """Camera and dots of one sensor unit.

    Attributes:
        camera: fit with the mask's camera; its residual is of the lattice, without the dots' own
            offsets.
        offset_mm: (rows, columns, 2) of each dot from the lattice; 0 where it was not used.
        residual_px: (rows, columns, 2) projected less detected, with the offsets; NaN where not
            used.
        rms_px: root of the mean squared distance of sound dots, with the offsets.
        broken: (rows, columns) bool, dots that look different enough from a round one that
            detection and mask put them at different places; the mask's counts.
        diameter_mm: of the dots.
        rim_mm: width of their rim as the image shows it, blur included.
        size_mm: (rows, columns) own diameter of each dot less that of all; 0 where not used.
        mask_error: root of the mean squared difference of rendered and seen mask, of full ink.
        steps: Gauss-Newton steps.
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
    dots: MarkerField,
    priors: CameraPriors | None = None,
) -> MaskFit:
    """Refine a camera that was fitted to dots.

    Args:
        fit: from `fit_camera`, with glass.
        image: (H, W, 3) uint8 of the untouched gel.
        dots: that were detected in it.
        priors: of the lens, as for `fit_camera`.

    Raises:
        InputError: the mask cannot be brought to the image.
    """
    markers = fit.model.markers
    if markers is None:
        raise InputError("the sensor file has no markers: there is no mask to fit")
    problem = _Problem.of(fit, markers, image, dots, priors or CameraPriors())
    vector, local, steps = problem.solve()
    return problem.result(fit, vector, local, dots.position_px, steps)


@dataclass(frozen=True)
class _Problem:
    """What is fitted: K dots of P pixels each."""

    freedom: CameraFreedom
    markers: Markers
    used: NDArray[np.bool_]
    pixels: Floats  # (K, P, 2)
    dark: Floats  # (K, P)
    lattice: Floats  # (K, 2)
    start: Floats
    prior: Floats
    own_prior: Floats  # of x and y offset and size

    @classmethod
    def of(
        cls,
        fit: CameraFit,
        markers: Markers,
        image: NDArray[np.uint8],
        dots: MarkerField,
        priors: CameraPriors,
    ) -> _Problem:
        freedom = CameraFreedom.of(fit.model, priors)
        pitch_px = markers.pitch_mm[0] / fit.model.mm_per_px
        half = int(WINDOW * pitch_px)
        span = np.arange(-half, half + 1)
        window = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2)
        height, width = image.shape[:2]
        corner = np.rint(np.where(fit.used[..., None], dots.position_px, 0.0)).astype(int)
        room = np.array([width, height]) - 1 - half
        used = fit.used & ((corner >= half) & (corner <= room)).all(axis=-1)
        pixels = corner[used][:, None] + window
        darkness = darkness_map(image, pitch_px)
        pose = np.concatenate(
            [fit.model.camera.position_mm, np.radians(fit.model.camera.rotation_deg)]
        )
        lens = np.zeros(len(freedom.prior) - 6)
        mm_per_px = fit.model.mm_per_px
        print_mm = float(np.clip(fit.rms_px * mm_per_px / np.sqrt(2.0), *PRINT_RANGE_MM))
        diameter_mm = float(np.median(dots.diameter_px[used])) * mm_per_px
        shape = [diameter_mm, np.hypot(markers.edge_mm, RIM_PX * mm_per_px)]
        return cls(
            freedom,
            markers,
            used,
            pixels.astype(np.float64),
            darkness[pixels[..., 1], pixels[..., 0]].astype(np.float64),
            lattice_positions_mm(markers)[used][:, :2],
            np.concatenate([pose, lens, shape]),
            np.concatenate([freedom.prior, SHAPE_PRIOR]),
            np.array([print_mm, print_mm, SIZE_MM]),
        )

    def solve(self) -> tuple[Floats, Floats, int]:
        """Parameters of all dots, (K, 4) offset, size and contrast of each, and steps taken."""
        vector, local = self.start.copy(), np.zeros((len(self.dark), 4))
        local[:, 3] = np.percentile(self.dark, 90.0, axis=1)
        damping, cost = FIRST_DAMPING, self._cost(vector, local)
        for step in range(1, MAX_STEPS + 1):
            move, local_move = self._move(vector, local, damping)
            trial, local_trial = vector + move, local + local_move
            before, after = cost, self._cost(trial, local_trial)
            damping = damping / 10.0 if after < before else 100.0 * damping
            if after < before:
                vector, local, cost = trial, local_trial, after
            if abs(before - after) < MIN_GAIN * before:
                return vector, local, step
        return vector, local, MAX_STEPS

    def values(self, vector: Floats) -> Values:
        return self.freedom.values(vector[:-2], glass=True)

    def _mask(self, vector: Floats, local: Floats) -> Floats:
        """(K, P) share of ink at the pixels."""
        rise = -0.5 * self.markers.height_mm
        place = unproject(self.values(vector), self.pixels, rise)[..., :2]
        away = place - (self.lattice + local[:, :2])[:, None]
        radius = 0.5 * (vector[-2] + local[:, 2:3])
        outside = np.hypot(away[..., 0], away[..., 1]) - radius
        t = np.clip(0.5 - outside / max(float(vector[-1]), 1e-3), 0.0, 1.0)
        return np.asarray(t * t * (3.0 - 2.0 * t))

    def _residual(self, vector: Floats, local: Floats) -> Floats:
        mask = self._mask(vector, local)
        return np.asarray((local[:, 3:] * mask - self.dark) / DARKNESS_NOISE)

    def _cost(self, vector: Floats, local: Floats) -> float:
        away = np.append(
            (vector - self._centre())[6:] / self.prior[6:], local[:, :3] / self.own_prior
        )
        return float(np.sum(self._residual(vector, local) ** 2) + away @ away)

    def _centre(self) -> Floats:
        """Where the priors are."""
        centre = np.zeros(len(self.start))
        centre[-2:] = self.start[-2:]
        return centre

    def _move(self, vector: Floats, local: Floats, damping: float) -> tuple[Floats, Floats]:
        """A damped Gauss-Newton step, with the dots' own values eliminated."""
        here = self._residual(vector, local)
        slopes = [self._slope(vector, local, here, unit) for unit in np.eye(len(vector))]
        common = np.stack(slopes, axis=-1)  # (K, P, n)
        own = self._own_slopes(vector, local)  # (K, P, 4)
        inner = np.einsum("kpi,kpj->kij", own, own)
        inner[:, range(3), range(3)] += self.own_prior**-2.0
        inner[:, range(4), range(4)] *= 1.0 + damping
        mixed = np.einsum("kpi,kpn->kin", own, common)
        pull = np.einsum("kpi,kp->ki", own, here)
        pull[:, :3] += local[:, :3] / self.own_prior**2
        weight = np.where(np.isfinite(self.prior), self.prior**-2.0, 0.0)
        curvature = np.einsum("kpn,kpm->nm", common, common) + np.diag(weight)
        slope = np.einsum("kpn,kp->n", common, here) + weight * (vector - self._centre())
        solved = np.linalg.solve(inner, np.concatenate([mixed, pull[..., None]], axis=-1))
        curvature -= np.einsum("kin,kim->nm", mixed, solved[..., :-1])
        slope -= np.einsum("kin,ki->n", mixed, solved[..., -1])
        normal = curvature + damping * np.diag(np.diag(curvature))
        move = -np.linalg.solve(normal, slope)
        return move, -solved[..., -1] - solved[..., :-1] @ move

    def _slope(self, vector: Floats, local: Floats, here: Floats, unit: Floats) -> Floats:
        return (self._residual(vector + DIFFERENCE * unit, local) - here) / DIFFERENCE

    def _own_slopes(self, vector: Floats, local: Floats) -> Floats:
        mask = self._mask(vector, local)
        columns = []
        for shift in np.eye(4)[:3] * DIFFERENCE:
            moved = self._mask(vector, local + shift)
            columns.append(local[:, 3:] * (moved - mask) / DIFFERENCE)
        return np.stack([*columns, mask], axis=-1) / DARKNESS_NOISE

    def result(
        self, fit: CameraFit, vector: Floats, local: Floats, seen_px: Floats, steps: int
    ) -> MaskFit:
        values = self.values(vector)
        everywhere = lattice_positions_mm(self.markers)
        on_lattice = project(values, everywhere) - seen_px
        offset = np.zeros((*self.used.shape, 2))
        offset[self.used] = local[:, :2]
        size = np.zeros(self.used.shape)
        size[self.used] = local[:, 2]
        moved = everywhere.copy()
        moved[..., :2] += offset
        residual = np.where(self.used[..., None], project(values, moved) - seen_px, np.nan)
        broken = np.linalg.norm(residual, axis=-1) > BROKEN_PX
        lattice_residual = np.where(fit.used[..., None], on_lattice, np.nan)
        kept = {name: values[name] for name in self.freedom.names}
        error = self._residual(vector, local) * DARKNESS_NOISE / local[:, 3:]
        camera = replace(
            fit,
            model=with_parameter_values(fit.model, kept),
            residual_px=lattice_residual,
            rms_px=_rms(lattice_residual),
        )
        return MaskFit(
            camera,
            offset,
            residual,
            _rms(residual[~broken]),
            broken,
            float(vector[-2]),
            float(vector[-1]),
            size,
            float(np.sqrt(np.mean(error**2))),
            steps,
        )


def _rms(residual: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.sum(residual**2, axis=-1))))
