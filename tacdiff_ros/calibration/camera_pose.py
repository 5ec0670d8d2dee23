"""Camera pose and lens from the markers of the reference image (paper, equation 2, with layers).

No initial pose is needed: a homography of the markers, robust to false detections, is decomposed
with the sensor file's lens. From there the squared distances of projected and detected markers are
minimised together with priors of the lens around the file's values. So quantities that a flat
pattern does not determine, above all the scale of focal length against distance, stay at the file's
values, and their standard deviations stay at the priors'.

Limits: the pattern's centre is the origin of the frame; index and thickness of layers are fixed.
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
CURVED_PX = 8.0  # distance by which lens and refraction bend a lattice off a homography
PRINT_MM = 0.02  # distance of printed markers of real Minis from their lattice
MAX_RMS_PX, MIN_AGREEING = 2.0, 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CameraPriors:
    """Prior standard deviations of the lens around the sensor file's values.

    Attributes:
        focal_fraction: standard deviation of the focal length, as a fraction of it; None fixes it.
        distortion: standard deviation of k1 and k2; None fixes them.
        pitch_fraction: standard deviation of a common scale of the pitches along x and y; None
            fixes them.
    """

    focal_fraction: float | None = 0.02
    distortion: float | None = 0.1
    pitch_fraction: float | None = None


@dataclass(frozen=True)
class CameraFit:
    """Fitted camera of a sensor instance.

    Attributes:
        model: sensor model with the fitted camera.
        residual_px: (rows, columns, 2) projected minus detected position, px; NaN for markers that
            were not used.
        used: (rows, columns) bool, detected markers that are not outliers.
        rms_px: root mean square distance of the used markers, px.
        stddev: standard deviations of the fitted parameters by name, as in `parameter_values`.
        prior_stddev: prior standard deviations of the fitted parameters by name; infinite without
            a prior.
    """

    model: SensorModel
    residual_px: Floats
    used: NDArray[np.bool_]
    rms_px: float
    stddev: Values
    prior_stddev: Values


def fit_camera(
    model: SensorModel, markers: MarkerField, priors: CameraPriors | None = None, glass: bool = True
) -> CameraFit:
    """Fit the camera to detected markers.

    Args:
        model: sensor model with the initial lens, the layers and the marker pattern; its camera
            pose is not used.
        markers: markers of the reference image, at the model's image size.
        priors: prior standard deviations of the lens.
        glass: whether layers refract; False sets all indices to 1, the paper's first stage.

    Raises:
        InputError: the model has no markers, too few markers are detected, or the detected markers
            do not form a flat pattern.
    """
    pattern = _checked_pattern(model, markers)
    camera = CameraVector.around(model, priors or CameraPriors())
    lattice = lattice_positions_mm(pattern)
    homography, used = _homography(lattice, markers)
    noise_px = PRINT_MM / model.mm_per_px
    fits = [
        _refine(
            camera,
            pose=pose,
            lattice=lattice,
            detected=markers.position_px,
            used=used,
            noise_px=noise_px,
            glass=glass,
        )
        for pose in _start_poses(model, lattice, homography)
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    values = camera.values(best.x, glass)
    residual = project(values, _with_pitch(values, lattice)) - markers.position_px
    used = used & (np.hypot(residual[..., 0], residual[..., 1]) < OUTLIER_PX)
    residual[~used] = np.nan
    rms = float(np.sqrt(np.nanmean(np.sum(residual**2, axis=-1))))
    _check_agreement(int(used.sum()), markers.found_count, rms)
    fitted = {name: values[name] for name in camera.names}
    return CameraFit(
        model=with_parameter_values(model, fitted),
        residual_px=residual,
        used=used,
        rms_px=rms,
        stddev=camera.by_name(_stddev(best)),
        prior_stddev=camera.by_name(camera.prior),
    )


def _check_agreement(used: int, detected: int, rms_px: float) -> None:
    """Raise InputError if too many markers are off the fitted pattern."""
    if used < MIN_AGREEING * detected or used < MIN_MARKERS or not rms_px < MAX_RMS_PX:
        raise InputError(
            f"{used} of {detected} markers are within {OUTLIER_PX:g} px of the best fitting flat "
            f"pattern, with an RMS of {rms_px:.1f} px: check grid and pitch, and that the sensor "
            "is untouched"
        )


@dataclass(frozen=True)
class CameraVector:
    """Vector of fitted parameters: the pose, then differences of the lens from the file's values.

    Attributes:
        start: parameters of the sensor file, as in `parameter_values`.
        names: names of the fitted parameters, in the vector's order.
        prior: prior standard deviations of the vector's entries; infinite for the pose.
    """

    start: Values
    names: tuple[str, ...]
    prior: Floats

    @classmethod
    def around(cls, model: SensorModel, priors: CameraPriors) -> CameraVector:
        """Return the parametrisation around a sensor model.

        Args:
            model: sensor model with the initial lens.
            priors: prior standard deviations of the lens, which also select the fitted parameters.
        """
        start = parameter_values(model)
        names, prior = ["camera.position_mm", "camera.rotation_rad"], [np.full(6, np.inf)]
        if priors.focal_fraction is not None:
            names.append("camera.focal_px")
            prior.append(np.array([priors.focal_fraction * float(start["camera.focal_px"])]))
        if priors.distortion is not None:
            names.append("camera.distortion")
            prior.append(np.full(2, priors.distortion))
        if priors.pitch_fraction is not None:
            names.append("markers.pitch_mm")
            prior.append(priors.pitch_fraction * start["markers.pitch_mm"])
        return cls(start, tuple(names), np.concatenate(prior))

    def values(self, vector: Floats, glass: bool) -> Values:
        """Return all parameters of the sensor by name, as in `parameter_values`.

        Args:
            vector: fitted parameters: the pose, then differences of the lens.
            glass: whether layers refract; False sets all indices to 1.
        """
        values = dict(self.start)
        for name, part in self.by_name(vector).items():
            is_pose = name in ("camera.position_mm", "camera.rotation_rad")
            values[name] = part if is_pose else self.start[name] + part
        if not glass:
            values["layers.index"] = np.ones_like(values["layers.index"])
        return values

    def by_name(self, vector: Floats) -> Values:
        """Return the parts of a vector by name, in their parameters' shapes."""
        parts, first = {}, 0
        for name in self.names:
            size = self.start[name].size
            parts[name] = vector[first : first + size].reshape(self.start[name].shape)
            first += size
        return parts


def _with_pitch(values: Values, lattice: Floats) -> Floats:
    """The lattice scaled about its centre to the pitch of the values."""
    centre = np.append(values["markers.centre_mm"], 0.0)
    pitch = np.abs(lattice[1, 1] - lattice[0, 0])[:2]
    return np.asarray(
        (lattice - centre) * np.append(values["markers.pitch_mm"] / pitch, 1) + centre
    )


def _checked_pattern(model: SensorModel, markers: MarkerField) -> Markers:
    """The model's marker pattern.

    Raises:
        InputError: the model has none, its grid differs, or too few markers are detected.
    """
    pattern = model.markers
    if pattern is None:
        raise InputError("the sensor file has no markers: its camera cannot be fitted to markers")
    if markers.found.shape != (pattern.rows, pattern.columns):
        raise InputError(
            f"markers of a {markers.found.shape[0]} x {markers.found.shape[1]} grid were given, "
            f"the sensor file has {pattern.rows} x {pattern.columns}"
        )
    if markers.found_count < MIN_MARKERS:
        raise InputError(
            f"{markers.found_count} markers were found, at least {MIN_MARKERS} are needed: take "
            "the reference image again, untouched, in focus and lit"
        )
    return pattern


def _homography(lattice: Floats, markers: MarkerField) -> tuple[Floats, NDArray[np.bool_]]:
    """Homography from the plane (mm) to pixels, and (rows, columns) bool, the inlier markers."""
    plane, pixels = lattice[markers.found][:, :2], markers.position_px[markers.found]
    homography, inliers = cv2.findHomography(plane, pixels, cv2.RANSAC, CURVED_PX)
    used = markers.found.copy()
    used[markers.found] = inliers.ravel().astype(bool) if homography is not None else False
    if used.sum() < MIN_MARKERS:
        raise InputError(
            f"only {int(used.sum())} markers lie on a common flat pattern, at least {MIN_MARKERS} "
            "are needed: check the grid (rows x columns) and that the sensor is untouched"
        )
    return np.asarray(homography, np.float64), used


def _start_poses(model: SensorModel, lattice: Floats, homography: Floats) -> list[Floats]:
    """Poses (6,) of pinhole cameras that agree with the homography; the tilt is ambiguous."""
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
    pixels = plane @ homography.T
    count, rotations, translations, _ = cv2.solvePnPGeneric(
        corners, pixels[:, :2] / pixels[:, 2:], lens, None, flags=cv2.SOLVEPNP_IPPE
    )
    poses = []
    for rotation, translation in zip(rotations[:count], translations[:count], strict=True):
        # OpenCV gives gel to camera; the file has the camera in the frame gel.
        matrix = cv2.Rodrigues(rotation)[0].T
        position = -matrix @ translation.ravel()
        position[2] -= sum((t.thickness_mm or 0) * (1 - 1 / t.index) for t in model.layers[1:])
        poses.append(np.concatenate([position, cv2.Rodrigues(matrix)[0].ravel()]))
    upright = [pose for pose in poses if pose[2] < -model.stack_mm]
    if not upright:
        raise InputError(
            "no camera position above the layers agrees with the markers: check pitch and lens"
        )
    return upright


def _refine(
    camera: CameraVector,
    *,
    pose: Floats,
    lattice: Floats,
    detected: Floats,
    used: NDArray[np.bool_],
    noise_px: float,
    glass: bool,
) -> OptimizeResult:
    """Levenberg-Marquardt on markers and priors, with a loss that is robust to single outliers.

    Args:
        camera: parametrisation of the camera.
        pose: (6,) initial pose, mm and rad.
        lattice: (rows, columns, 3) marker positions at the file's pitch, mm.
        detected: (rows, columns, 2) detected marker positions, px.
        used: (rows, columns) bool, markers to fit.
        noise_px: standard deviation of a marker's position, px.
        glass: whether layers refract.
    """
    weight = np.where(np.isfinite(camera.prior), 1.0 / camera.prior, 0.0)[6:]
    limit = 10.0 * OUTLIER_PX / noise_px

    def residual(vector: Floats) -> Floats:
        values = camera.values(vector, glass)
        projected = project(values, _with_pitch(values, lattice))
        distance = (projected - detected)[used].ravel() / noise_px
        distance = np.nan_to_num(distance, nan=limit)
        reprojection = _soft_l1_residuals(distance, OUTLIER_PX / noise_px)
        return np.concatenate([reprojection, vector[6:] * weight])

    start = np.concatenate([pose, np.zeros(len(camera.prior) - 6)])
    scale = np.concatenate(
        [np.full(3, 1.0), np.full(3, 0.05), camera.prior[6:]],
    )
    return least_squares(residual, start, method="lm", x_scale=scale)


def _soft_l1_residuals(residual: Floats, scale: float) -> Floats:
    """Residuals whose squares are the soft-L1 loss, since `lm` accepts no loss function.

    They are linear below the scale and grow with the square root above it.
    """
    ratio = np.abs(residual) / scale
    compressed = np.sqrt(2.0 * np.sqrt(1.0 + ratio**2) - 2.0)
    return np.asarray(np.sign(residual) * scale * compressed)


def _stddev(fit: OptimizeResult) -> Floats:
    """Standard deviations of the fitted vector, to first order."""
    return np.asarray(np.sqrt(np.diag(np.linalg.pinv(fit.jac.T @ fit.jac))))
