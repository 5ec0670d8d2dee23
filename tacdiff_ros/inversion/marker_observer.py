"""Markers of the images of one sensor: detection, tracking, refinement and motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.marker_motion import MarkerMotion
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

Image = NDArray[np.uint8]

MIN_MARKERS, MIN_USUAL_MARKERS = 0.25, 0.6  # fraction of the expected markers


def projected_markers(model: SensorModel) -> MarkerField | None:
    """Return the markers of the undeformed gel as the sensor model projects them.

    Args:
        model: sensor model.
    """
    markers = model.markers
    if markers is None:
        return None
    pixels = project(parameter_values(model), marker_positions_mm(model))
    size = np.array([model.image.width_px, model.image.height_px])
    inside = np.all((pixels > 0) & (pixels < size - 1), axis=-1)
    diameter = np.full(inside.shape, markers.diameter_mm / model.mm_per_px)
    return MarkerField.where(inside, pixels, diameter)


class MarkerObserver:
    """Finds the markers in the images of a sensor. A gel without markers has none.

    Attributes:
        motion: motion of the material points from detected markers; None without markers.
        refined_motion: the same from refined markers; None where they are not refined.
        refiner: aligns markers with the rendered image; None where they are not refined.
    """

    def __init__(
        self,
        model: SensorModel,
        material: GelSurface,
        rest: MarkerField | None,
        reference: Image | None,
        refines: bool,
    ) -> None:
        """Prepare the motion and, if requested, the refinement of the markers.

        Args:
            model: sensor model.
            material: undeformed surface at the material points.
            rest: markers of the undeformed gel; None for a gel without markers.
            reference: (H, W, 3) uint8 RGB image in which they were detected, if there is one.
            refines: whether markers are refined.
        """
        from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

        self.motion: MarkerMotion | None = None
        self.refined_motion: MarkerMotion | None = None
        self.refiner: MarkerRefiner | None = None
        self._tracker: MarkerTracker | None = None
        self._rest, self._grid = rest, None if model.markers is None else model.markers.grid
        if not self.has_markers or rest is None:
            return
        x_mm, y_mm = material.x_mm.astype(float), material.y_mm.astype(float)
        values = parameter_values(model)
        self.motion = MarkerMotion(values, rest, x_mm, y_mm)
        if refines:
            self.refiner = MarkerRefiner(model)
            refined = projected_markers(model) or rest
            if reference is not None:
                refined = self.refiner.refine(material, reference, rest)
            self.refined_motion = MarkerMotion(values, refined, x_mm, y_mm)
        self.reset()

    @property
    def has_markers(self) -> bool:
        """Whether the gel has markers."""
        return self._grid is not None and self._rest is not None

    def reset(self) -> None:
        """Forget the last frame, so that the next one starts a new stream."""
        if self.has_markers:
            self._tracker = self._new_tracker()

    def track(self, image: Image) -> MarkerField | None:
        """Return the markers of the next frame of a stream; None for a gel without markers.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        return None if self._tracker is None else self._tracker.track(image)

    def detect(self, image: Image, warnings: list[str]) -> MarkerField | None:
        """Return the markers of a single image; append a warning if few are detected.

        Args:
            image: (H, W, 3) uint8 RGB.
            warnings: list to which warnings are appended.

        Raises:
            InputError: hardly any marker is detected.
        """
        if not self.has_markers:
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

    def _new_tracker(self) -> MarkerTracker:
        assert self._grid is not None and self._rest is not None  # noqa: S101
        return MarkerTracker(self._grid, self._rest)
