"""Calibration images from recorded runs: a reference image, and presses at distant positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_folder import spread_presses
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.crop import Crop
from tacdiff_ros.recording.bag_reading import RecordedRun
from tacdiff_ros.replay.replay import PoseOffset

Image = NDArray[np.uint8]
PRESS_PHASE, REFERENCE_PHASE, DWELL = "indent", "reference", "dwelling"


@dataclass(frozen=True)
class RecordedPress:
    """The last frame of the dwell after a press.

    Attributes:
        trial: number of the trial.
        stamp_ns: stamp of the image, ns.
        image: (H, W, 3) uint8 RGB image.
        pose: indenter pose in the frame `gel`, measured by the robot.
    """

    trial: int
    stamp_ns: int
    image: Image
    pose: IndenterPose


@dataclass(frozen=True)
class RecordedPresses:
    """Images of a run for a calibration.

    Attributes:
        source: folder of the run.
        indenter: indenter spec of the run; empty if the run does not name it.
        reference: (H, W, 3) uint8 reference image: the last one before the first press.
        presses: one press per trial.
    """

    source: Path
    indenter: str
    reference: Image
    presses: tuple[RecordedPress, ...]

    def spread(self, count: int) -> tuple[RecordedPress, ...]:
        """Select presses that are far apart in the image, because they determine the lights best.

        Args:
            count: number of presses to select.

        Returns:
            Selected presses.

        Raises:
            InputError: the run has fewer presses.
        """
        if not 1 <= count <= len(self.presses):
            raise InputError(
                f"{count} presses requested, but {self.source} has {len(self.presses)} trials with "
                "a complete press"
            )
        chosen = spread_presses(self.reference, [press.image for press in self.presses], count)
        return tuple(self.presses[k] for k in chosen)


def recorded_presses(run: RecordedRun, crop: Crop | None = None) -> RecordedPresses:
    """Extract the images for a calibration from a run.

    Args:
        run: recorded run.
        crop: crop of whole frames; None to take the images as they are.

    Returns:
        Reference image and presses.

    Raises:
        InputError: the run has no reference image before the first press, or no press with a
            dwell.
    """
    columns = run.columns
    if not run.sample_count:
        raise InputError(f"{run.folder} holds no samples: nothing was recorded")
    reference_rows = np.flatnonzero(columns["phase"] == REFERENCE_PHASE)
    is_dwell = (columns["phase"] == PRESS_PHASE) & (columns["motion"] == DWELL)
    trials = np.unique(columns["trial"][is_dwell])
    rows = [int(np.flatnonzero(is_dwell & (columns["trial"] == trial))[-1]) for trial in trials]
    if not rows or not (reference_rows < rows[0]).any():
        raise InputError(
            f"{run.folder} has no press to calibrate from: expected frames of phase "
            f"'{REFERENCE_PHASE}', and then of phase '{PRESS_PHASE}' with a dwell"
        )
    reference_row = int(reference_rows[reference_rows < rows[0]][-1])
    image_of_row = _images_at(run, [reference_row, *rows], crop)
    return RecordedPresses(
        source=run.folder,
        indenter=str(run.run.get("indenter") or ""),
        reference=image_of_row[reference_row],
        presses=tuple(
            RecordedPress(
                trial=int(columns["trial"][row]),
                stamp_ns=int(columns["stamp_ns"][row]),
                image=image_of_row[row],
                pose=_measured_pose(run, row),
            )
            for row in rows
        ),
    )


def pose_offset(recorded: Sequence[IndenterPose], calibration: Calibration) -> PoseOffset:
    """Return the mean offset between recorded and calibrated poses of the same presses.

    Recorded depths are relative to the detected contact, and recorded positions depend on the
    configured poses of sensor and indenter; the calibration estimates both from the images. The yaw
    is not corrected.

    Args:
        recorded: recorded indenter poses of the presses, in the order of the calibration.
        calibration: calibration from these presses.

    Returns:
        Offset from the recorded poses to the sensor file's frame `gel`.
    """
    calibrated = [press.fit.gel.press for press in calibration.presses]
    differences = np.array(
        [
            (press.x_mm - pose.x_mm, press.y_mm - pose.y_mm, press.depth_mm - pose.depth_mm)
            for press, pose in zip(calibrated, recorded, strict=True)
        ]
    )
    x, y, depth = differences.mean(axis=0)
    return PoseOffset(x_mm=float(x), y_mm=float(y), depth_mm=float(depth))


def _images_at(run: RecordedRun, rows: list[int], crop: Crop | None) -> dict[int, Image]:
    row_of_stamp = {int(run.columns["stamp_ns"][row]): row for row in rows}
    image_of_row = {
        row_of_stamp[stamp]: np.array(
            image if crop is None else crop.to_sensor(image, "an image of the run")
        )
        for stamp, image in run.images()
        if stamp in row_of_stamp
    }
    if len(image_of_row) < len(rows):
        raise InputError(f"{run.bag} lacks images that its index names: is the recording complete?")
    return image_of_row


def _measured_pose(run: RecordedRun, row: int) -> IndenterPose:
    names = ("x_mm", "y_mm", "depth_mm", "yaw_rad")
    return IndenterPose(*(float(run.columns[f"measured_{name}"][row]) for name in names))
