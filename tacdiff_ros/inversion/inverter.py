"""Image in, deformed gel surface out: what the service, the command and streams call."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import FitImage, FitImageSettings, fit_image, fit_size
from tacdiff_ros.images.image_checks import check_image, check_press
from tacdiff_ros.inversion.contact_summary import Contact, summarise
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import height_prior
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.marker_motion import MarkerMotion
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
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

REFIT_STEPS = 2
HALO = 1.15  # of a dot's diameter, in which pixels are left out
KEEP_ALL = 256  # white pixels too: they say that a slope is at least so steep
QUIET_GREY = 4.0  # smoothed change under which nothing touches
QUIET_BLUR_PX = 4.0
MAX_SATURATED = 0.2  # of the pixels; steep walls that face a light are white
MAX_CHANGED = 0.2  # a deep ring changes half of the image by 0.17, another unit by 0.22 and more
FOLD_STEPS, FOLD_SHRINK = 8, 0.8


@dataclass(frozen=True)
class Inversion:
    """The gel behind one image.

    Frame `gel`, mm: the origin is in the middle of the undeformed surface, or of its dots where the
    sensor was calibrated from them; z < 0 is indented toward the camera.

    Attributes:
        surface: of the gel, on a regular grid of material points over the pad.
        deviation_mm: (rows, columns) standard deviation of the height.
        valid: (rows, columns) bool, vertices that the camera sees lit.
        contact: in numbers.
        dots: found in the image; None for a gel without.
        image_rms: of the pixels that were explained, grey levels.
        explained: share of the free pixels that were.
        seconds: that it took.
        warnings: what is doubtful.
    """

    surface: GelSurface
    deviation_mm: Floats
    valid: NDArray[np.bool_]
    contact: Contact
    dots: MarkerField | None
    image_rms: float
    explained: float
    seconds: float
    warnings: tuple[str, ...]


def check_reference(model: SensorModel, reference: Image) -> MarkerField | None:
    """The dots of an image of the untouched gel; None for a gel without.

    Raises:
        InputError: it is no image of this sensor, or its dots are not found.
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
    ) -> None:
        """A sensor.

        Args:
            model: calibrated.
            reference: (H, W, 3) uint8 of the untouched gel, best taken just before; by default
                what the model shows, which leaves its misfit in the result.
            settings: speed against accuracy.

        Raises:
            InputError: the reference is none of this sensor.
        """
        self.settings = settings or InversionSettings()
        start_mitsuba(job="stream" if self.settings == STREAMING else "inversion")
        from tacdiff_ros.inversion.height_fit import HeightFitter
        from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

        self.model = model
        self._values = parameter_values(model)
        self._kept = FitImageSettings(self.settings.width_px, HALO, KEEP_ALL)
        size = fit_size(model.image.width_px, model.image.height_px, self.settings.width_px)
        rest = self._model_dots() if reference is None else check_reference(model, reference)
        seen = None if reference is None else fit_image(reference, rest, self._kept)
        self.grid = HeightGrid.over(model, self.settings.spacing_mm)
        prior = height_prior(self.settings.prior, self.grid, model.layers[-1].thickness_mm or 4.0)
        self._fitter = HeightFitter(
            model,
            self.grid,
            prior,
            size,
            None if seen is None else seen.smooth,
            self.settings.local_interreflection,
        )
        everywhere = np.ones(size[::-1], bool)
        untouched = self._fitter.untouched()
        self._untouched = seen or FitImage(untouched, everywhere)
        self._material = _material(model, self.settings.spacing_mm)
        self._motion = self._refined_motion = None
        self._refiner: MarkerRefiner | None = None
        self._tracker = None
        if model.markers is not None and rest is not None:
            self._motion = self._motion_from(rest)
            if self.settings.marker_rounds:
                self._refiner = MarkerRefiner(model)
                at_rest = self._model_dots() or rest
                if reference is not None:
                    at_rest = self._refiner.refine(self._material, reference, rest)
                self._refined_motion = self._motion_from(at_rest)
            markers = model.markers
            self._new_tracker = lambda: MarkerTracker(markers.grid, rest)
            self._tracker = self._new_tracker()
        self._last: Floats | None = None

    @one_blas_thread
    def invert(self, image: Image, progress: Progress | None = None) -> Inversion:
        """The surface behind an image, from nothing but it.

        Raises:
            InputError: it is no image of this sensor.
        """
        started = time.perf_counter()
        check_image(image, self.model, "the image", MAX_SATURATED)
        warnings: list[str] = []
        dots = self._detected(image, warnings)
        seen = self.compared(image, dots)
        warnings += check_press(self._untouched, seen, 1.0, "the image", MAX_CHANGED)
        steps = self.settings.steps
        start = np.zeros(self.grid.shape)
        if self._is_quiet(seen):
            steps = 0
        refiner = self._refiner if steps and dots is not None else None
        rounds = 0 if refiner is None else self.settings.marker_rounds
        told = None if progress is None else _shares(progress, steps + rounds * REFIT_STEPS)
        fit = self._fitter.fit(seen.value, seen.free, start, steps, progress=told)
        motion = self._motion
        for _ in range(rounds):
            surface, _ = self._surface(fit.height_mm, dots, motion)
            if refiner is not None and dots is not None:
                dots = refiner.refine(surface, image, dots)
            motion = self._refined_motion
            seen = self.compared(image, dots)  # other pixels are free of dots now
            fit = self._fitter.fit(
                seen.value, seen.free, fit.height_mm, REFIT_STEPS, settled=True, progress=told
            )
        return self._result(fit, dots, motion, seen, warnings, started)

    @one_blas_thread
    def follow(self, image: Image) -> Inversion:
        """The surface behind the next frame of a stream, from where the last frame's was.

        Every frame is fitted to its own image, so nothing drifts; without contact the heights are
        set to zero.

        Raises:
            InputError: it is no image of this sensor.
        """
        started = time.perf_counter()
        check_image(image, self.model, "the frame", MAX_SATURATED)
        drawn = None
        if self._last is not None and not self.settings.local_interreflection:
            drawn = self._fitter.render_ahead(self._last)  # while dots are looked for
        dots = None if self._tracker is None else self._tracker.track(image)
        seen = self.compared(image, dots)
        warnings = check_press(self._untouched, seen, 1.0, "the frame", MAX_CHANGED)
        if self._is_quiet(seen):
            start, steps = np.zeros(self.grid.shape), 0
            drawn = self._fitter.render_ahead(start)
        elif self._last is None:
            start, steps = self._fitter.guess(seen.value, seen.free), self.settings.steps_streaming
        else:
            start, steps = self._last, self.settings.steps_streaming
        settled = self._last is not None
        fit = self._fitter.fit(
            seen.value, seen.free, start, steps, settled, checked=False, drawn=drawn
        )
        self._last = fit.height_mm if steps else None
        return self._result(fit, dots, self._motion, seen, warnings, started)

    def first_guess(self, image: Image) -> Floats:
        """(rows, columns) mm heights on `grid`, at once and without rendering.

        Raises:
            InputError: it is no image of this sensor.
        """
        check_image(image, self.model, "the image", MAX_SATURATED)
        dots = None if self._tracker is None else self._tracker.track(image)
        seen = self.compared(image, dots)
        return self._fitter.guess(seen.value, seen.free)

    @property
    def untouched(self) -> FitImage:
        """The untouched gel, as images are compared with it."""
        return self._untouched

    def compared(self, image: Image, dots: MarkerField | None) -> FitImage:
        """What of an image is compared with the renderer's, off the dots."""
        return fit_image(image, dots, self._kept)

    def reset(self) -> None:
        """Forget the last frame and where its dots were: the next one is the first."""
        self._last = None
        if self._tracker is not None:
            self._tracker = self._new_tracker()

    def _is_quiet(self, seen: FitImage) -> bool:
        """Whether nothing touches the gel."""
        both = (seen.free & self._untouched.free).astype(np.float32)
        change = both[..., None] * (seen.value - self._untouched.value).astype(np.float32)
        sums = [cv2.GaussianBlur(part, (0, 0), QUIET_BLUR_PX) for part in (change, both)]
        mean = np.abs(sums[0]).max(axis=-1) / np.maximum(sums[1], 0.1)
        return bool(255.0 * float(mean.max()) < QUIET_GREY)

    def _model_dots(self) -> MarkerField | None:
        """Where the model has its dots on the untouched gel."""
        markers = self.model.markers
        if markers is None:
            return None
        pixels = project(self._values, marker_positions_mm(self.model))
        size = np.array([self.model.image.width_px, self.model.image.height_px])
        inside = np.all((pixels > 0) & (pixels < size - 1), axis=-1)
        diameter = np.full(inside.shape, markers.diameter_mm / self.model.mm_per_px)
        return MarkerField.where(inside, pixels, diameter)

    def _detected(self, image: Image, warnings: list[str]) -> MarkerField | None:
        if self._tracker is None:
            return None
        dots = self._new_tracker().track(image)
        if not dots.found.any():
            warnings.append("no dots were found: the surface has no shear")
        return dots

    def _result(
        self,
        fit: HeightFit,
        dots: MarkerField | None,
        motion: MarkerMotion | None,
        seen: FitImage,
        warnings: list[str],
        started: float,
    ) -> Inversion:
        surface, place = self._surface(fit.height_mm, dots, motion)
        shape = (surface.rows, surface.columns)
        pressure, deviation, shown = (
            self._at(np.asarray(part, np.float64), place).reshape(shape)
            for part in (-fit.traction, fit.deviation_mm, fit.seen.astype(np.float64))
        )
        valid = shown > 0.5
        free = float(seen.free.sum())
        return Inversion(
            surface,
            deviation,
            valid,
            summarise(surface, pressure, valid),
            dots,
            255.0 * fit.rms,
            float(fit.weight.sum()) / max(free, 1.0),
            time.perf_counter() - started,
            tuple(warnings),
        )

    def _motion_from(self, rest: MarkerField) -> MarkerMotion:
        """Of the material points, by dots that are at rest at given pixels."""
        x_mm, y_mm = (self._material.x_mm.astype(float), self._material.y_mm.astype(float))
        return MarkerMotion(self._values, rest, x_mm, y_mm)

    def _surface(
        self, height: Floats, dots: MarkerField | None, motion: MarkerMotion | None
    ) -> tuple[GelSurface, Floats]:
        """Material points moved as the dots tell, at the heights of where they are now."""
        rest = self._material.rest.astype(np.float64)
        moved = np.zeros_like(rest[:, :2])
        if motion is not None and dots is not None:
            found = motion.displacement(dots, lambda place: self._at(height, place))
            moved = found.reshape(-1, 2)
        for _ in range(FOLD_STEPS):
            place = rest[:, :2] + moved
            position = np.column_stack([place, self._at(height, place)])
            try:
                return self._material.moved(position), place
            except InputError:  # folded: dots that were mixed up
                moved = FOLD_SHRINK * moved
        return self._material.moved(np.column_stack([rest[:, :2], self._at(height, rest)])), rest

    def _at(self, field: Floats, place: Floats) -> Floats:
        """(n,) of a field on the grid at places (n, 2) mm."""
        grid = self.grid
        column = (place[:, 0] - grid.x_mm[0]) / grid.spacing_mm
        row = (place[:, 1] - grid.y_mm[0]) / grid.spacing_mm
        return np.asarray(map_coordinates(field, [row, column], order=1, mode="grid-wrap"))


def _shares(progress: Progress, steps: int) -> Progress:
    """Progress over the steps of several fits, told one by one."""
    done = itertools.count(1)
    return lambda _share: progress(next(done) / steps)


def _material(model: SensorModel, spacing_mm: float) -> GelSurface:
    """Material points over the pad."""
    gel = model.gel
    columns, rows = (round(side / spacing_mm) + 1 for side in (gel.width_mm, gel.height_mm))
    return GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
