"""Inversion of tactile images into deformed gel surfaces, for single images and streams."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.images.brightness import BrightnessChange, at_brightness, refined_brightness
from tacdiff_ros.images.fit_image import FitImage, FitImageSettings, fit_image, fit_size
from tacdiff_ros.images.image_checks import check_image, contact_warnings, order_warnings
from tacdiff_ros.inversion.contact_summary import summarise
from tacdiff_ros.inversion.force_estimator import ForceEstimator, MeasuredSurface
from tacdiff_ros.inversion.gel_health import GelHealth, gel_health
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import height_prior
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.marker_motion import MarkerMotion
from tacdiff_ros.inversion.marker_observer import MarkerObserver, projected_markers
from tacdiff_ros.inversion.material_points import MaterialPoints
from tacdiff_ros.inversion.mechanical_heights import MechanicalHeights, MechanicalPrior
from tacdiff_ros.inversion.reference_image import ReferenceImage, check_reference
from tacdiff_ros.inversion.traction_fit import FittedTractions
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.inversion.height_fit import HeightFit

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
Progress = Callable[[float], None]

REFIT_STEPS = 3
# Standard deviation of a height beyond that of the fit, whose pixels are correlated: chosen so that
# it contains the errors of rendered touches (benchmarks/inversion.py --only rendered).
FIT_ERROR = 0.5  # factor of the fit's own
DEPTH_ERROR = 0.03  # error of the models of light and gel, as a fraction of the depth
PER_DEPTH_CHANGE = 5.0  # error of the depth of a frame, over the change that its pixels ask for
LEVEL_ERROR = 0.7  # error of the level of the whole gel, in depth errors of its RMS depth
EDGE_ERROR = 0.4  # error of the place of a slope, in spacings of the grid of heights
REFLECTION_ERROR = 0.08  # further error of the depth if reflected light is omitted
HALO = 1.15  # diameter of the disc that is excluded around a marker, in marker diameters
KEEP_ALL = 256  # keeps white pixels too: they give a lower bound of the slope
MOVING = 0.99  # fraction of the pixels that change less than the motion of the image
MAX_SATURATED = 0.2  # fraction of pixels; steep walls that face a light are white


class Inverter:
    """Inverts images of one calibrated sensor.

    Attributes:
        model: sensor model.
        settings: settings of the inversion.
        grid: vertices of the estimated heights.
        reference_warnings: signs that something touches the gel in the reference image.
    """

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
            material: gel material, for the contact forces; None for the sensor's, or the default.
            modulus_stddev_mpa: standard deviation of Young's modulus, MPa; None for the sensor's if
                the material is the sensor's, else 30 %.

        Raises:
            InputError: the reference image is not from this sensor.
        """
        self.settings = settings or InversionSettings()
        start_mitsuba(job="stream" if self.settings == STREAMING else "inversion")
        from tacdiff_ros.inversion.height_fit import HeightFitter

        self.model = model
        self._image_settings = FitImageSettings(self.settings.width_px, HALO, KEEP_ALL)
        size = fit_size(model.image.width_px, model.image.height_px, self.settings.width_px)
        rest = projected_markers(model) if reference is None else check_reference(model, reference)
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
        self._reference = ReferenceImage(
            model,
            given or FitImage(rendered, everywhere),
            self._fitter.undeformed,
            self.settings.compensate_brightness,
        )
        self._has_reference = given is not None
        self._origin_warnings: list[str] | None = None
        self.reference_warnings: tuple[str, ...] = ()
        if given is not None and reference is not None:
            self._origin_warnings = self._reference.check_origin(given, reference, "the reference")
            self.reference_warnings = tuple(contact_warnings(self._fitter.undeformed, given))
            self._origin_warnings += self.reference_warnings
        self._material = MaterialPoints(model, self.grid, self.settings.spacing_mm)
        refines = self.settings.marker_rounds > 0
        self._markers = MarkerObserver(model, self._material.rest, rest, reference, refines)
        self._gel = (material, modulus_stddev_mpa)
        self._last_height: Floats | None = None
        self._last_frame: FitImage | None = None
        self._motion = 0.0

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
        markers = self._markers.detect(image, warnings)
        prepared = self.prepare_image(image, markers)
        if not self._has_reference:
            self._origin_warnings = self._reference.check_origin(prepared, image, "the image")
        prepared, brightness = self._compared(prepared, "the image", warnings)
        steps = self.settings.steps
        start = np.zeros(self.grid.shape)
        if self._reference.is_quiet(prepared):
            steps = 0
        elif self._has_reference:
            warnings += order_warnings(self._reference.image, prepared, "the image")
        refiner = self._markers.refiner if steps and markers is not None else None
        rounds = self.settings.marker_rounds if steps and (refiner or self._has_mechanics) else 0
        on_step = (
            None if progress is None else _step_counter(progress, steps + rounds * REFIT_STEPS)
        )
        fit = self._fitter.fit(
            prepared.value,
            prepared.free,
            start,
            steps,
            progress=on_step,
            evaluate_final=rounds == 0,
        )
        motion = self._markers.motion
        fitted: FittedTractions | None = None
        for number in range(rounds):
            surface, position = self._surface(fit.height_mm, markers, motion, fitted)
            fitted = self._fitted_forces(fit, surface, position, markers)
            if refiner is not None and markers is not None:
                markers = refiner.refine(surface, image, markers)
            motion = self._markers.refined_motion
            # Refined markers hide other pixels than the detected ones.
            taken = self.prepare_image(image, markers)
            brightness = refined_brightness(brightness, fit.predicted, taken)
            prepared = self._at_reference_brightness(taken, brightness)
            fit = self._fitter.fit(
                prepared.value,
                prepared.free,
                fit.height_mm,
                REFIT_STEPS,
                start_is_close=True,
                progress=on_step,
                evaluate_final=number == rounds - 1,
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
        markers = self._markers.track(image)
        prepared = self.prepare_image(image, markers)
        if self._origin_warnings is None:
            self._origin_warnings = self._reference.check_origin(prepared, image, "the frame")
        warnings: list[str] = []
        prepared, _ = self._compared(prepared, "the frame", warnings)
        steps = self.settings.steps_streaming
        if self._reference.is_quiet(prepared):
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
            evaluate_final=False,
            pre_rendered=pre_rendered,
            motion=max(self._motion, _motion(self._last_frame, prepared)),
        )
        self._last_height = fit.height_mm if steps else None
        self._last_frame, self._motion = prepared, fit.motion if steps else 0.0
        return self._result(
            fit, markers, self._markers.motion, prepared, warnings, started, with_forces=with_forces
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
        markers = self._markers.track(image)
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
        return self._reference.image

    def health(self, image: Image, inversion: Inversion) -> GelHealth:
        """Assess the condition of the gel in an image, outside of its contact.

        Args:
            image: (H, W, 3) uint8 RGB.
            inversion: result of its inversion.
        """
        return gel_health(
            self.model,
            self._fitter.undeformed,
            self._reference.image,
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
        self._last_height, self._last_frame, self._motion = None, None, 0.0
        self._markers.reset()

    def _compared(
        self, prepared: FitImage, name: str, warnings: list[str]
    ) -> tuple[FitImage, BrightnessChange]:
        """Compare an image with the reference, and bring it to the reference's brightness.

        Args:
            prepared: the image at the fit's size.
            name: name of the image for messages.
            warnings: list to which warnings are appended.
        """
        warnings += self._origin_warnings or []
        brightness = self._reference.brightness_of(prepared, name, warnings)
        return self._at_reference_brightness(prepared, brightness), brightness

    def _at_reference_brightness(self, image: FitImage, brightness: BrightnessChange) -> FitImage:
        """Return an image at the brightness of the reference; the fit learns what is white."""
        self._fitter.white = np.minimum(1.0 / brightness.gain, 1.0).astype(np.float32)
        return at_brightness(image, brightness.gain)

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
            self._material.sampled(np.asarray(part, np.float64), position).reshape(shape)
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
            height_stddev_mm=_height_stddev(
                height_stddev_mm,
                depth_mm,
                valid,
                surface,
                edge_mm=EDGE_ERROR * self.grid.spacing_mm,
                depth_error=self._depth_error(fit.depth_change),
            ),
            valid=valid,
            contact=summarise(surface, pressure, valid),
            markers=markers,
            image_rms=255.0 * fit.rms,
            inlier_fraction=float(fit.weight.sum()) / max(free, 1.0),
            seconds=time.perf_counter() - started,
            warnings=(*warnings, *(forces.warnings if forces is not None else ())),
            forces=forces,
        )

    def _depth_error(self, depth_change: float) -> float:
        """Relative standard deviation of the depth of the whole contact.

        Args:
            depth_change: relative change of the depth that the pixels of the fit ask for.
        """
        omitted = not self.settings.local_interreflection and self.model.interreflection.bounces
        parts = (DEPTH_ERROR, PER_DEPTH_CHANGE * depth_change, REFLECTION_ERROR * bool(omitted))
        return float(np.linalg.norm(parts))

    def _measured(
        self,
        fit: HeightFit,
        surface: GelSurface,
        position: Floats,
        markers: MarkerField | None,
    ) -> MeasuredSurface:
        """Surface with what the force estimate needs of its accuracy."""
        shape = (surface.rows, surface.columns)
        stddev = self._material.sampled(fit.height_stddev_mm, position).reshape(shape)
        visible = (
            self._material.sampled(fit.visible.astype(np.float64), position).reshape(shape) > 0.5
        )
        rest = np.zeros((0, 2))
        if markers is not None and self._markers.motion is not None:
            rest = self._markers.motion.observed_mm(markers)
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

    def _surface(
        self,
        height: Floats,
        markers: MarkerField | None,
        motion: MarkerMotion | None,
        fitted: FittedTractions | None = None,
    ) -> tuple[GelSurface, Floats]:
        """Surface at the fitted heights and (n, 2) positions of its vertices, mm.

        The forces, if they are known, predict the motion between markers.
        """
        in_plane = None if fitted is None else partial(self._estimator.in_plane, fitted)
        return self._material.surface(height, markers, motion, in_plane)


def _motion(last: FitImage | None, image: FitImage) -> float:
    """How much a frame differs from the last one where it differs most, as a fraction of white."""
    if last is None:
        return 1.0
    both = last.free & image.free
    change = np.abs(image.value - last.value).max(axis=-1)[both]
    return float(np.quantile(change, MOVING)) if len(change) else 0.0


def _step_counter(progress: Progress, steps: int) -> Progress:
    """Progress callback that counts the steps of several fits, one step per call."""
    done = itertools.count(1)
    return lambda _fraction: progress(next(done) / steps)


def _height_stddev(
    fit_mm: Floats,
    depth_mm: Floats,
    valid: NDArray[np.bool_],
    surface: GelSurface,
    edge_mm: float,
    depth_error: float,
) -> Floats:
    """Standard deviation (rows, columns) of heights, mm, from that of the fit and the shape."""
    spacing = float(np.diff(surface.y_mm).mean()), float(np.diff(surface.x_mm).mean())
    slope = np.hypot(*np.gradient(depth_mm, *spacing))
    level_mm = float(np.sqrt(np.mean(depth_mm[valid] ** 2))) if valid.any() else 0.0
    parts = (
        FIT_ERROR * fit_mm,
        depth_error * depth_mm,
        edge_mm * slope,
        np.full_like(fit_mm, LEVEL_ERROR * depth_error * level_mm),
    )
    return np.sqrt(np.sum(np.square(parts), axis=0))
