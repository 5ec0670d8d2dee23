"""Inversion of tactile images into deformed gel surfaces, for single images and streams."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.altered_image import check_pattern
from tacdiff_ros.images.brightness import (
    BrightnessChange,
    at_brightness,
    brightness_change,
    check_brightness_change,
)
from tacdiff_ros.images.fit_image import FitImage, FitImageSettings, fit_image, fit_size
from tacdiff_ros.images.image_checks import check_image, check_press
from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.contact_summary import Contact, summarise
from tacdiff_ros.inversion.force_estimator import ForceEstimator, MeasuredSurface
from tacdiff_ros.inversion.gel_health import GelHealth, gel_health
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import height_prior
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.marker_motion import MarkerMotion
from tacdiff_ros.inversion.mechanical_heights import MechanicalHeights, MechanicalPrior
from tacdiff_ros.inversion.traction_fit import FittedTractions
from tacdiff_ros.markers.detection import detect_markers, has_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.inversion.height_fit import HeightFit
    from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
Progress = Callable[[float], None]

REFIT_STEPS = 4
DEPTH_ERROR = 0.03  # error of the models of light and gel, as a fraction of the depth
HALO = 1.15  # diameter of the disc that is excluded around a marker, in marker diameters
KEEP_ALL = 256  # keeps white pixels too: they give a lower bound of the slope
QUIET_GREY = 4.0  # smoothed change of the image below which nothing touches the gel
QUIET_BLUR_PX = 4.0
MAX_SATURATED = 0.2  # fraction of pixels; steep walls that face a light are white
# Median relative change of the image: a deep ring reaches 0.17, images of other sensors 0.22 and
# more.
MAX_CHANGED = 0.2
MIN_MARKERS, MIN_USUAL_MARKERS = 0.25, 0.6  # fraction of the expected markers
FOLD_STEPS, FOLD_SHRINK = 8, 0.8


@dataclass(frozen=True)
class Inversion:
    """Deformed gel surface estimated from one image.

    Frame `gel`, mm: the origin is the centre of the undeformed surface, or the centre of the marker
    pattern if the sensor was calibrated from markers; z < 0 is indented toward the camera.

    Attributes:
        surface: gel surface on a regular grid of material points over the pad.
        height_stddev_mm: (rows, columns) standard deviation of the height, mm.
        valid: (rows, columns) bool, vertices that are visible to the camera.
        contact: summary of the contact.
        markers: markers of the image; None for a gel without markers.
        image_rms: weighted root mean square of the residuals, grey levels.
        inlier_fraction: mean weight of the marker-free pixels, 0 to 1.
        seconds: computation time, s.
        warnings: reasons to doubt the result, one sentence each.
        forces: forces of the contact; None where they are not computed.
    """

    surface: GelSurface
    height_stddev_mm: Floats
    valid: NDArray[np.bool_]
    contact: Contact
    markers: MarkerField | None
    image_rms: float
    inlier_fraction: float
    seconds: float
    warnings: tuple[str, ...]
    forces: ContactForces | None = None


def check_reference(model: SensorModel, reference: Image) -> MarkerField | None:
    """Detect the markers of a reference image.

    Args:
        model: sensor model.
        reference: (H, W, 3) uint8 RGB image of the untouched gel.

    Returns:
        The detected markers; None for a gel without markers.

    Raises:
        InputError: the image is not from this sensor, or its markers are not detected.
    """
    check_image(reference, model, "the reference")
    return None if model.markers is None else detect_markers(reference, model.markers.grid)


class Inverter:
    """Inverts images of one calibrated sensor."""

    def __init__(
        self,
        model: SensorModel,
        reference: Image | None = None,
        settings: InversionSettings | None = None,
        material: GelMaterial | None = None,
        modulus_stddev_mpa: float | None = None,
    ) -> None:
        """Prepare the renderer, the markers and the reference image of a sensor.

        Args:
            model: calibrated sensor model.
            reference: (H, W, 3) uint8 RGB image of the untouched gel, ideally taken just before the
                images to invert; by default the model's rendering, whose error against the real
                sensor then remains in the result.
            settings: settings of the inversion; by default those for single images.
            material: gel material, for the contact forces; None for the default.
            modulus_stddev_mpa: standard deviation of Young's modulus, MPa; None for 10 %.

        Raises:
            InputError: the reference image is not from this sensor.
        """
        self.settings = settings or InversionSettings()
        start_mitsuba(job="stream" if self.settings == STREAMING else "inversion")
        from tacdiff_ros.inversion.height_fit import HeightFitter

        self.model = model
        self._values = parameter_values(model)
        self._image_settings = FitImageSettings(self.settings.width_px, HALO, KEEP_ALL)
        size = fit_size(model.image.width_px, model.image.height_px, self.settings.width_px)
        rest = self._model_markers() if reference is None else check_reference(model, reference)
        given = None if reference is None else fit_image(reference, rest, self._image_settings)
        self.grid = HeightGrid.over(model, self.settings.spacing_mm)
        prior = height_prior(self.settings.prior, self.grid, model.layers[-1].thickness_mm or 4.0)
        self._fitter = HeightFitter(
            model,
            self.grid,
            prior,
            size,
            reference=None if given is None else given.smooth,
            local_interreflection=self.settings.local_interreflection,
        )
        everywhere = np.ones(size[::-1], bool)
        rendered = self._fitter.rendered_reference()
        self._reference = given or FitImage(rendered, everywhere)
        self._has_reference = given is not None
        self._origin_warnings: list[str] | None = None
        if given is not None and reference is not None:
            self._origin_warnings = self._check_origin(given, reference, "the reference")
        self._material = _material_points(model, self.settings.spacing_mm)
        self._gel = (material, modulus_stddev_mpa)
        self._motion: MarkerMotion | None = None
        self._refined_motion: MarkerMotion | None = None
        self._refiner: MarkerRefiner | None = None
        self._tracker: MarkerTracker | None = None
        self._prepare_markers(rest, reference)
        self._last_height: Floats | None = None

    def _prepare_markers(self, rest: MarkerField | None, reference: Image | None) -> None:
        """Create the tracker, the motion and, if the settings ask for it, the refiner of markers.

        Args:
            rest: markers of the undeformed gel; None for a gel without markers.
            reference: (H, W, 3) uint8 RGB image in which they were detected, if there is one.
        """
        from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

        markers = self.model.markers
        if markers is None or rest is None:
            return
        self._motion = self._motion_from(rest)
        if self.settings.marker_rounds:
            self._refiner = MarkerRefiner(self.model)
            refined = self._model_markers() or rest
            if reference is not None:
                refined = self._refiner.refine(self._material, reference, rest)
            self._refined_motion = self._motion_from(refined)
        self._new_tracker = lambda: MarkerTracker(markers.grid, rest)
        self._tracker = self._new_tracker()

    @one_blas_thread
    def invert(self, image: Image, progress: Progress | None = None) -> Inversion:
        """Estimate the surface from a single image, independently of earlier images.

        Args:
            image: (H, W, 3) uint8 RGB.
            progress: callback on the completed fraction; an exception from it aborts the inversion.

        Raises:
            InputError: the image is not from this sensor.
        """
        started = time.perf_counter()
        check_image(image, self.model, "the image", MAX_SATURATED)
        warnings: list[str] = []
        markers = self._detected(image, warnings)
        prepared = self.prepare_image(image, markers)
        if not self._has_reference:
            self._origin_warnings = self._check_origin(prepared, image, "the image")
        prepared, brightness = self._compared(prepared, "the image", warnings)
        steps = self.settings.steps
        start = np.zeros(self.grid.shape)
        if self._is_quiet(prepared):
            steps = 0
        refiner = self._refiner if steps and markers is not None else None
        rounds = self.settings.marker_rounds if steps and (refiner or self._has_mechanics) else 0
        on_step = (
            None if progress is None else _step_counter(progress, steps + rounds * REFIT_STEPS)
        )
        fit = self._fitter.fit(prepared.value, prepared.free, start, steps, progress=on_step)
        motion = self._motion
        fitted: FittedTractions | None = None
        for _ in range(rounds):
            surface, position = self._surface(fit.height_mm, markers, motion, fitted)
            fitted = self._fitted_forces(fit, surface, position, markers)
            if refiner is not None and markers is not None:
                markers = refiner.refine(surface, image, markers)
            motion = self._refined_motion
            # Refined markers hide other pixels than the detected ones.
            prepared = at_brightness(self.prepare_image(image, markers), brightness.gain)
            fit = self._fitter.fit(
                prepared.value,
                prepared.free,
                fit.height_mm,
                REFIT_STEPS,
                start_is_close=True,
                progress=on_step,
                mechanics=self._mechanical_prior(fitted),
            )
        return self._result(fit, markers, motion, prepared, warnings, started, fitted)

    @one_blas_thread
    def follow(self, image: Image, with_forces: bool = False) -> Inversion:
        """Estimate the surface from the next frame of a stream, starting at the last frame's.

        Every frame is fitted to its own image, so the result does not drift; without contact the
        heights are set to zero.

        Args:
            image: (H, W, 3) uint8 RGB.
            with_forces: whether to estimate the contact forces, which takes longer.

        Raises:
            InputError: the image is not from this sensor.
        """
        started = time.perf_counter()
        check_image(image, self.model, "the frame", MAX_SATURATED)
        pre_rendered = None
        if self._last_height is not None and not self.settings.local_interreflection:
            # The renderer works while the markers are tracked.
            pre_rendered = self._fitter.render_ahead(self._last_height)
        markers = None if self._tracker is None else self._tracker.track(image)
        prepared = self.prepare_image(image, markers)
        if self._origin_warnings is None:
            self._origin_warnings = self._check_origin(prepared, image, "the frame")
        warnings: list[str] = []
        prepared, _ = self._compared(prepared, "the frame", warnings)
        steps = self.settings.steps_streaming
        if self._is_quiet(prepared):
            start, steps = np.zeros(self.grid.shape), 0
            pre_rendered = self._fitter.render_ahead(start)
        elif self._last_height is None:
            start = self._fitter.guess(prepared.value, prepared.free)
        else:
            start = self._last_height
        fit = self._fitter.fit(
            prepared.value,
            prepared.free,
            start,
            steps,
            start_is_close=self._last_height is not None,
            evaluate_final=False,
            pre_rendered=pre_rendered,
        )
        self._last_height = fit.height_mm if steps else None
        return self._result(
            fit, markers, self._motion, prepared, warnings, started, with_forces=with_forces
        )

    def first_guess(self, image: Image) -> Floats:
        """Estimate heights in one linear step, without rendering.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (rows, columns) float64 heights on `grid`, mm.

        Raises:
            InputError: the image has another size or type than the sensor's, is blank, too dark or
                saturated, or its markers cannot be detected.
        """
        check_image(image, self.model, "the image", MAX_SATURATED)
        markers = None if self._tracker is None else self._tracker.track(image)
        prepared, _ = self._compared(self.prepare_image(image, markers), "the image", [])
        return self._fitter.guess(prepared.value, prepared.free)

    @property
    def _has_mechanics(self) -> bool:
        """Whether the gel's mechanics determine the prior of the heights."""
        return self.settings.mechanics and self.settings.prior == "elastic"

    @cached_property
    def _estimator(self) -> ForceEstimator:
        return ForceEstimator(self.model, *self._gel)

    @cached_property
    def _mechanics(self) -> MechanicalHeights:
        return MechanicalHeights(self.grid, self._estimator.pad, self._estimator.material)

    @property
    def reference(self) -> FitImage:
        """Reference image at the fit's size, with which images are compared."""
        return self._reference

    def health(self, image: Image, inversion: Inversion) -> GelHealth:
        """Assess the condition of the gel in an image, outside of its contact.

        Args:
            image: (H, W, 3) uint8 RGB.
            inversion: result of its inversion.
        """
        return gel_health(
            self.model,
            self._fitter.undeformed,
            self._reference,
            image,
            inversion.markers,
            inversion.surface.position[inversion.contact.mask.ravel()],
        )

    def prepare_image(self, image: Image, markers: MarkerField | None) -> FitImage:
        """Return an image at the fit's size, with its marker-free pixels.

        Args:
            image: (H, W, 3) uint8 RGB.
            markers: markers of the image; None for a gel without markers.
        """
        return fit_image(image, markers, self._image_settings)

    def reset(self) -> None:
        """Forget the last frame and its markers, so that the next frame starts a new stream."""
        self._last_height = None
        if self._tracker is not None:
            self._tracker = self._new_tracker()

    def _check_origin(self, prepared: FitImage, image: Image, name: str) -> list[str]:
        """Check that an image is from this sensor and was not altered.

        Args:
            prepared: the image at the fit's size.
            image: (H, W, 3) uint8 RGB.
            name: name of the image for messages.

        Returns:
            Warnings, empty for a usual image.

        Raises:
            InputError: the image was altered, or shows a gel with markers and the sensor has none.
        """
        if self.model.markers is None and has_markers(image):
            raise InputError(
                f"{name} shows a gel with markers, the sensor file describes one without: use the "
                "sensor file of this gel"
            )
        return check_pattern(self._fitter.undeformed, prepared, name)

    def _compared(
        self, prepared: FitImage, name: str, warnings: list[str]
    ) -> tuple[FitImage, BrightnessChange]:
        """Compare an image with the reference, and bring it to the reference's brightness.

        Args:
            prepared: the image at the fit's size.
            name: name of the image for messages.
            warnings: list to which warnings are appended.

        Returns:
            The image at the reference's brightness, and what its brightness was.

        Raises:
            InputError: the image does not belong to the reference, or its brightness changed too
                much to be compensated.
        """
        warnings += self._origin_warnings or []
        brightness = (
            brightness_change(self._reference, prepared)
            if self.settings.compensate_brightness
            else BrightnessChange.none(prepared)
        )
        warnings += check_brightness_change(brightness, name)
        image = at_brightness(prepared, brightness.gain)
        self._fitter.white = np.minimum(1.0 / brightness.gain, 1.0).astype(np.float32)
        warnings += check_press(self._reference, image, 1.0, name, MAX_CHANGED)
        return image, brightness

    def _is_quiet(self, prepared: FitImage) -> bool:
        """Whether nothing touches the gel."""
        both = (prepared.free & self._reference.free).astype(np.float32)
        change = both[..., None] * (prepared.value - self._reference.value).astype(np.float32)
        sums = [cv2.GaussianBlur(part, (0, 0), QUIET_BLUR_PX) for part in (change, both)]
        mean = np.abs(sums[0]).max(axis=-1) / np.maximum(sums[1], 0.1)
        return bool(255.0 * float(mean.max()) < QUIET_GREY)

    def _model_markers(self) -> MarkerField | None:
        """Markers of the undeformed gel, projected by the sensor model."""
        markers = self.model.markers
        if markers is None:
            return None
        pixels = project(self._values, marker_positions_mm(self.model))
        size = np.array([self.model.image.width_px, self.model.image.height_px])
        inside = np.all((pixels > 0) & (pixels < size - 1), axis=-1)
        diameter = np.full(inside.shape, markers.diameter_mm / self.model.mm_per_px)
        return MarkerField.where(inside, pixels, diameter)

    def _detected(self, image: Image, warnings: list[str]) -> MarkerField | None:
        """Markers of a single image; a warning is appended if few are detected.

        Raises:
            InputError: hardly any marker is detected.
        """
        if self._tracker is None:
            return None
        markers = self._new_tracker().track(image)
        fraction = float(markers.found.mean())
        if fraction < MIN_MARKERS:
            raise InputError(
                f"{markers.found_count} of {markers.expected} markers were found in the image, "
                f"expected at least {100 * MIN_MARKERS:.0f} %: is it of this sensor, whose gel has "
                "markers?"
            )
        if fraction < MIN_USUAL_MARKERS:
            warnings.append(
                f"{markers.found_count} of {markers.expected} markers were found: the shear is "
                "interpolated between few markers"
            )
        return markers

    def _result(
        self,
        fit: HeightFit,
        markers: MarkerField | None,
        motion: MarkerMotion | None,
        prepared: FitImage,
        warnings: list[str],
        started: float,
        fitted: FittedTractions | None = None,
        *,
        with_forces: bool = True,
    ) -> Inversion:
        """Inversion at the material points, from heights on the spatial grid."""
        surface, position = self._surface(fit.height_mm, markers, motion, fitted)
        shape = (surface.rows, surface.columns)
        pressure, height_stddev_mm, visible = (
            self._sampled(np.asarray(part, np.float64), position).reshape(shape)
            for part in (-fit.traction, fit.height_stddev_mm, fit.visible.astype(np.float64))
        )
        valid = visible > 0.5
        depth_mm = np.abs(surface.position[:, 2].astype(np.float64)).reshape(shape)
        free = float(prepared.free.sum())
        forces = None
        if with_forces:
            measured = self._measured(fit, surface, position, markers)
            forces = self._estimator.forces(self._estimator.fit(measured), measured)
        return Inversion(
            surface=surface,
            height_stddev_mm=np.hypot(height_stddev_mm, DEPTH_ERROR * depth_mm),
            valid=valid,
            contact=summarise(surface, pressure, valid),
            markers=markers,
            image_rms=255.0 * fit.rms,
            inlier_fraction=float(fit.weight.sum()) / max(free, 1.0),
            seconds=time.perf_counter() - started,
            warnings=tuple(warnings),
            forces=forces,
        )

    def _measured(
        self,
        fit: HeightFit,
        surface: GelSurface,
        position: Floats,
        markers: MarkerField | None,
    ) -> MeasuredSurface:
        """Surface with what the force estimate needs of its accuracy."""
        shape = (surface.rows, surface.columns)
        stddev = self._sampled(fit.height_stddev_mm, position).reshape(shape)
        visible = self._sampled(fit.visible.astype(np.float64), position).reshape(shape) > 0.5
        rest = np.zeros((0, 2))
        if markers is not None and self._motion is not None:
            rest = self._motion.observed_mm(markers)
        return MeasuredSurface(surface, stddev, visible, rest)

    def _fitted_forces(
        self,
        fit: HeightFit,
        surface: GelSurface,
        position: Floats,
        markers: MarkerField | None,
    ) -> FittedTractions | None:
        """Forces that explain the fit; None where the settings leave mechanics out."""
        if not self._has_mechanics:
            return None
        return self._estimator.fit(self._measured(fit, surface, position, markers))

    def _mechanical_prior(self, fitted: FittedTractions | None) -> MechanicalPrior | None:
        """Prior of the heights from the forces of the last fit."""
        if fitted is None:
            return None
        return self._mechanics.predict(fitted.force_n, fitted.displacement_mm)

    def _motion_from(self, rest: MarkerField) -> MarkerMotion:
        """Motion of the material points, relative to markers of the undeformed gel."""
        x_mm, y_mm = (self._material.x_mm.astype(float), self._material.y_mm.astype(float))
        return MarkerMotion(self._values, rest, x_mm, y_mm)

    def _surface(
        self,
        height: Floats,
        markers: MarkerField | None,
        motion: MarkerMotion | None,
        fitted: FittedTractions | None = None,
    ) -> tuple[GelSurface, Floats]:
        """Material points displaced in the plane by the markers' motion, at the fitted heights.

        If mixed-up markers fold the surface, the displacements are scaled down until it is valid.

        Args:
            height: (rows, columns) heights on the spatial grid, mm.
            markers: markers of the image; None for a gel without markers.
            motion: motion of the material points from markers; None for a gel without markers.
            fitted: forces that predict the motion between markers, if they are known.

        Returns:
            The surface, and (n, 2) current positions of its vertices in the plane, mm.
        """
        rest = self._material.rest.astype(np.float64)
        displacement = np.zeros_like(rest[:, :2])
        if motion is not None and markers is not None:
            on_grid = motion.displacement(
                markers,
                lambda position: self._sampled(height, position),
                None if fitted is None else partial(self._estimator.in_plane, fitted),
            )
            displacement = on_grid.reshape(-1, 2)
        for _ in range(FOLD_STEPS):
            position = rest[:, :2] + displacement
            points = np.column_stack([position, self._sampled(height, position)])
            try:
                return self._material.moved(points), position
            except InputError:  # folded
                displacement = FOLD_SHRINK * displacement
        points = np.column_stack([rest[:, :2], self._sampled(height, rest)])
        return self._material.moved(points), rest

    def _sampled(self, field: Floats, position: Floats) -> Floats:
        """(n,) values of a field on the grid at positions (n, 2) mm."""
        grid = self.grid
        column = (position[:, 0] - grid.x_mm[0]) / grid.spacing_mm
        row = (position[:, 1] - grid.y_mm[0]) / grid.spacing_mm
        return np.asarray(map_coordinates(field, [row, column], order=1, mode="grid-wrap"))


def _step_counter(progress: Progress, steps: int) -> Progress:
    """Progress callback that counts the steps of several fits, one step per call."""
    done = itertools.count(1)
    return lambda _fraction: progress(next(done) / steps)


def _material_points(model: SensorModel, spacing_mm: float) -> GelSurface:
    """Undeformed surface on a regular grid of material points over the pad."""
    gel = model.gel
    columns, rows = (round(side / spacing_mm) + 1 for side in (gel.width_mm, gel.height_mm))
    return GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
