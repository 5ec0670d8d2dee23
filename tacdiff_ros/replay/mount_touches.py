"""Touches of a recorded run for the calibration of the mount: poses by the arm, tips by images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.contact_search import ContactSearch
from tacdiff_ros.calibration.press_fit import PressFitter
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.mount_fit import MountTouch
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.images.brightness import at_brightness, check_brightness, relative_brightness
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.fit_image import fit_image
from tacdiff_ros.images.image_checks import MAX_SATURATED_PRESS, check_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.recording.bag_reading import RecordedRun
from tacdiff_ros.replay.frame_states import configured_indenter, configured_pose
from tacdiff_ros.replay.recorded_presses import RecordedPress, recorded_presses
from tacdiff_ros.sensor.sensor_model import SensorModel

GEL_COLUMNS = ("x_mm", "y_mm", "z_mm", "qx", "qy", "qz", "qw")


@dataclass(frozen=True)
class RunTouches:
    """Touches of a run.

    Attributes:
        rig: poses of sensor and indenter that were configured during the run.
        touches: one touch per trial whose image could be used.
        trials: number of the trial of each touch.
        left_out: trials without a touch, each with the reason.
    """

    rig: Rig
    touches: tuple[MountTouch, ...]
    trials: tuple[int, ...]
    left_out: tuple[str, ...]


def run_touches(
    run: RecordedRun,
    model: SensorModel,
    indenter: str = "",
    progress: Callable[[float], None] | None = None,
) -> RunTouches:
    """Find the tip of the indenter in the image of each press of a run.

    Args:
        run: recorded run.
        model: sensor model, calibrated for this sensor.
        indenter: indenter spec; empty for that of the run.
        progress: callback on the completed fraction.

    Raises:
        InputError: the run has no presses, does not name its indenter or its rig, or its images do
            not belong to the sensor.
    """
    rig = Rig(configured_pose(run, "end_effector_to_gel"), configured_indenter(run))
    recorded = recorded_presses(run, sensor_crop(model))
    spec = indenter or recorded.indenter
    if not spec:
        raise InputError(f"{run.folder} does not name its indenter: give --indenter")
    finder = _TipFinder(model, recorded.reference, spec)
    touches, trials, left_out = [], [], []
    for done, press in enumerate(recorded.presses, start=1):
        try:
            tip_mm = finder.tip_mm(press.image, f"trial {press.trial}")
        except InputError as error:
            left_out.append(str(error))
        else:
            touches.append(MountTouch(_end_effector(run, press, rig), tip_mm))
            trials.append(press.trial)
        if progress is not None:
            progress(done / len(recorded.presses))
    return RunTouches(rig, tuple(touches), tuple(trials), tuple(left_out))


def _end_effector(run: RecordedRun, press: RecordedPress, rig: Rig) -> Pose:
    """Measured pose of the end effector at the image of a press."""
    row = int(np.flatnonzero(run.columns["stamp_ns"] == press.stamp_ns)[0])
    gel: list[Any] = [run.columns[f"gel_{name}"][row] for name in GEL_COLUMNS]
    return Pose.from_quaternion(gel[:3], gel[3:]) @ rig.end_effector_to_gel.inverse()


class _TipFinder:
    """Fits presses of one indenter on a calibrated sensor."""

    def __init__(self, model: SensorModel, reference: NDArray[np.uint8], spec: str) -> None:
        """Prepare the reference image.

        Args:
            model: calibrated sensor model.
            reference: (H, W, 3) uint8 RGB reference image.
            spec: indenter spec.

        Raises:
            InputError: the reference image cannot be used, or the spec is invalid.
        """
        start_mitsuba(job="calibration")
        check_image(reference, model, "the reference image of the run")
        self._model = model
        self._markers: MarkerField | None = None
        if model.markers is not None:
            self._markers = detect_markers(reference, model.markers.grid)
        self._reference = fit_image(reference, self._markers)
        self._surfaces = PressSurfaces(model, build_indenter(spec))
        self._search = ContactSearch(model, self._surfaces, self._reference.free.shape)
        self._fitter = PressFitter(model, self._surfaces, self._reference, self._markers)

    def tip_mm(self, image: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
        """Return the (3,) tip of the indenter in the frame `gel`, mm.

        Args:
            image: (H, W, 3) uint8 RGB image of the press.
            name: name of the press in messages.

        Raises:
            InputError: the image cannot be used, or shows no contact with the indenter.
        """
        check_image(image, self._model, name, MAX_SATURATED_PRESS)
        tracked = None
        if self._markers is not None and self._model.markers is not None:
            tracked = MarkerTracker(self._model.markers.grid, self._markers).track(image)
        reduced = fit_image(image, tracked)
        gain = relative_brightness(self._reference, reduced)
        check_brightness(gain, name)
        reduced = at_brightness(reduced, gain)
        start: Press = self._search.find(self._reference, reduced, name).press
        press = self._fitter.fit(start, reduced, tracked).gel.press
        return np.array([press.x_mm, press.y_mm, -press.depth_mm])
