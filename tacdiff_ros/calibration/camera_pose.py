"""Where the camera is, from the dots of the untouched gel: the paper's equation 2, through layers.

The start needs no guess: a homography of the dots, robust to false ones, decomposed for the file's
lens. From there the squared distances of projected and detected dots are minimised together with
what the file says of the lens (priors), so that what a flat pattern cannot tell, the scale of
focal length against distance foremost, stays at the file's values, and the deviations show it.

Limits: the pattern's centre is the origin of the frame; index and thickness of layers are held.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm
from tacdiff_ros.sensor.parameters import Values, parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import Markers, SensorModel

MIN_MARKERS = 20
OUTLIER_PX = 3.0
CURVED_PX = 8.0  # how far lens and refraction bend a lattice off a homography
PRINT_MM = 0.02  # how far printed dots of real Minis are from their lattice
MAX_RMS_PX, MIN_AGREEING = 2.0, 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CameraPriors:
    """What is known of the lens beside the dots, as standard deviations around the file's values.

    Attributes:
        focal_share: of the focal length; None holds it.
        distortion: of k1 and k2; None holds them.
        pitch_share: of the pitches along x and y together; None holds them.
    """

    focal_share: float | None = 0.02
    distortion: float | None = 0.1
    pitch_share: float | None = None


@dataclass(frozen=True)
class CameraFit:
    """The camera of one sensor unit.

    Attributes:
        model: with the fitted camera.
        residual_px: (rows, columns, 2) projected less detected; NaN where a dot was not used.
        used: (rows, columns) bool, dots that were found and are not outliers.
        rms_px: root of the mean squared distance of the used dots.
        deviation: standard deviations by parameter, as in `parameter_values`.
        prior: the same before any dot was seen; infinite where nothing was known.
    """

    model: SensorModel
    residual_px: Floats
    used: NDArray[np.bool_]
    rms_px: float
    deviation: Values
    prior: Values


def fit_camera(
    model: SensorModel, dots: MarkerField, priors: CameraPriors | None = None, glass: bool = True
) -> CameraFit:
    """Fit the camera to detected dots.

    Args:
        model: its lens, layers and pattern are what is known; its pose is not used.
        dots: of the untouched gel, at the model's image size.
        priors: of the lens.
        glass: False sets all indices to 1, the paper's first stage.

    Raises:
        InputError: no dots in the model, too few dots found, or dots that are no flat pattern.
    """
    markers = _checked_markers(model, dots)
    parts = CameraFreedom.of(model, priors or CameraPriors())
    lattice = lattice_positions_mm(markers)
    homography, used = _homography(lattice, dots)
    noise_px = PRINT_MM / model.mm_per_px
    fits = [
        _refine(model, parts, start, lattice, dots.position_px, used, noise_px, glass)
        for start in _start_poses(model, lattice, homography)
    ]
    best = min(fits, key=lambda found: float(found.cost))
    values = parts.values(best.x, glass)
    residual = project(values, _material(values, lattice)) - dots.position_px
    used = used & (np.hypot(residual[..., 0], residual[..., 1]) < OUTLIER_PX)
    residual[~used] = np.nan
    rms = float(np.sqrt(np.nanmean(np.sum(residual**2, axis=-1))))
    _check_agreement(int(used.sum()), dots.found_count, rms)
    kept = {name: values[name] for name in parts.names}
    return CameraFit(
        model=with_parameter_values(model, kept),
        residual_px=residual,
        used=used,
        rms_px=rms,
        deviation=parts.named(_deviations(best)),
        prior=parts.named(parts.prior),
    )


def _check_agreement(used: int, found: int, rms_px: float) -> None:
    if used < MIN_AGREEING * found or used < MIN_MARKERS or not rms_px < MAX_RMS_PX:
        raise InputError(
            f"{used} of {found} dots are within {OUTLIER_PX:g} px of where a camera would see a "
            f"flat pattern, by {rms_px:.1f} px on average: check grid and pitch, and that the "
            "sensor is untouched"
        )


@dataclass(frozen=True)
class CameraFreedom:
    """The vector that is fitted: the pose, then differences of the lens from the file's values.

    Attributes:
        start: values of the file.
        names: of the fitted parameters, in the vector's order.
        prior: deviations of the vector's entries; infinite for the pose.
    """

    start: Values
    names: tuple[str, ...]
    prior: Floats

    @classmethod
    def of(cls, model: SensorModel, priors: CameraPriors) -> CameraFreedom:
        """What priors leave free."""
        start = parameter_values(model)
        names, prior = ["camera.position_mm", "camera.rotation_rad"], [np.full(6, np.inf)]
        if priors.focal_share is not None:
            names.append("camera.focal_px")
            prior.append(np.array([priors.focal_share * float(start["camera.focal_px"])]))
        if priors.distortion is not None:
            names.append("camera.distortion")
            prior.append(np.full(2, priors.distortion))
        if priors.pitch_share is not None:
            names.append("markers.pitch_mm")
            prior.append(priors.pitch_share * start["markers.pitch_mm"])
        return cls(start, tuple(names), np.concatenate(prior))

    def values(self, vector: Floats, glass: bool) -> Values:
        """All parameters; without glass all indices are 1."""
        values = dict(self.start)
        for name, part in self.named(vector).items():
            is_pose = name in ("camera.position_mm", "camera.rotation_rad")
            values[name] = part if is_pose else self.start[name] + part
        if not glass:
            values["layers.index"] = np.ones_like(values["layers.index"])
        return values

    def named(self, vector: Floats) -> Values:
        """The parts of a vector by name, in their parameters' shapes."""
        found, place = {}, 0
        for name in self.names:
            size = self.start[name].size
            found[name] = vector[place : place + size].reshape(self.start[name].shape)
            place += size
        return found


def _material(values: Values, lattice: Floats) -> Floats:
    """The lattice with the pitch of the values."""
    centre = np.append(values["markers.centre_mm"], 0.0)
    given = np.abs(lattice[1, 1] - lattice[0, 0])[:2]
    return np.asarray(
        (lattice - centre) * np.append(values["markers.pitch_mm"] / given, 1) + centre
    )


def _checked_markers(model: SensorModel, dots: MarkerField) -> Markers:
    markers = model.markers
    if markers is None:
        raise InputError("the sensor file has no markers: its camera cannot be fitted to dots")
    if dots.found.shape != (markers.rows, markers.columns):
        raise InputError(
            f"dots of a {dots.found.shape[0]} x {dots.found.shape[1]} grid were given, the sensor "
            f"file has {markers.rows} x {markers.columns}"
        )
    if dots.found_count < MIN_MARKERS:
        raise InputError(
            f"{dots.found_count} dots were found, at least {MIN_MARKERS} are needed: take the "
            "reference image again, untouched, in focus and lit"
        )
    return markers


def _homography(lattice: Floats, dots: MarkerField) -> tuple[Floats, NDArray[np.bool_]]:
    """From the plane in mm to pixels, and the dots that agree with it."""
    plane, pixels = lattice[dots.found][:, :2], dots.position_px[dots.found]
    found, agrees = cv2.findHomography(plane, pixels, cv2.RANSAC, CURVED_PX)
    used = dots.found.copy()
    used[dots.found] = agrees.ravel().astype(bool) if found is not None else False
    if used.sum() < MIN_MARKERS:
        raise InputError(
            f"only {int(used.sum())} dots lie on a common flat pattern, at least {MIN_MARKERS} are "
            "needed: check the grid (rows x columns) and that the sensor is untouched"
        )
    return np.asarray(found, np.float64), used


def _start_poses(model: SensorModel, lattice: Floats, homography: Floats) -> list[Floats]:
    """Poses (6,) of a pinhole that sees the plane as the homography does; tilts are ambiguous."""
    camera = model.camera
    lens = np.array(
        [
            [camera.focal_px, 0.0, camera.centre_px[0]],
            [0.0, camera.focal_px, camera.centre_px[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    corners = lattice[[0, 0, -1, -1], [0, -1, -1, 0]] * [1.0, 1.0, 0.0]
    plane = np.concatenate([corners[:, :2], np.ones((4, 1))], axis=1)
    seen = plane @ homography.T
    count, turns, shifts, _ = cv2.solvePnPGeneric(
        corners, seen[:, :2] / seen[:, 2:], lens, None, flags=cv2.SOLVEPNP_IPPE
    )
    poses = []
    for turn, shift in zip(turns[:count], shifts[:count], strict=True):
        # OpenCV gives gel to camera; the file has the camera in the frame gel.
        matrix = cv2.Rodrigues(turn)[0].T
        position = -matrix @ shift.ravel()
        position[2] -= sum((t.thickness_mm or 0) * (1 - 1 / t.index) for t in model.layers[1:])
        poses.append(np.concatenate([position, cv2.Rodrigues(matrix)[0].ravel()]))
    upright = [pose for pose in poses if pose[2] < -model.stack_mm]
    if not upright:
        raise InputError("the dots are seen from no place above the layers: check pitch and lens")
    return upright


def _refine(
    model: SensorModel,
    parts: CameraFreedom,
    pose: Floats,
    lattice: Floats,
    seen: Floats,
    used: NDArray[np.bool_],
    noise_px: float,
    glass: bool,
) -> OptimizeResult:
    """Levenberg-Marquardt on dots and priors, with a loss that forgives single bad dots."""
    weight = np.where(np.isfinite(parts.prior), 1.0 / parts.prior, 0.0)[6:]
    limit = 10.0 * OUTLIER_PX / noise_px

    def residual(vector: Floats) -> Floats:
        values = parts.values(vector, glass)
        away = (project(values, _material(values, lattice)) - seen)[used].ravel() / noise_px
        away = np.nan_to_num(away, nan=limit)
        return np.concatenate([_forgiving(away, OUTLIER_PX / noise_px), vector[6:] * weight])

    start = np.concatenate([pose, np.zeros(len(parts.prior) - 6)])
    scale = np.concatenate(
        [np.full(3, 1.0), np.full(3, 0.05), parts.prior[6:]],
    )
    return least_squares(residual, start, method="lm", x_scale=scale)


def _forgiving(away: Floats, scale: float) -> Floats:
    """Residuals that grow with the root beyond a scale, smooth in between."""
    ratio = np.abs(away) / scale
    beyond = np.sqrt(2.0 * np.sqrt(1.0 + ratio**2) - 2.0)
    return np.asarray(np.sign(away) * scale * beyond)


def _deviations(found: OptimizeResult) -> Floats:
    return np.asarray(np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac))))
