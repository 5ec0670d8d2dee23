"""What to calibrate from, out of recorded runs: an untouched frame, and presses far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import Calibration
from tacdiff_ros.calibration.calibration_folder import spread_presses
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.recording.bag_reading import RecordedRun, images
from tacdiff_ros.replay.replay import PoseOffset

Image = NDArray[np.uint8]
PRESS, UNTOUCHED, STILL = "indent", "reference", "dwelling"


@dataclass(frozen=True)
class RecordedPress:
    """The last frame of a press, when the arm stood still.

    Attributes:
        trial: of the run.
        stamp_ns: of the image.
        image: (H, W, 3) uint8.
        pose: of the indenter, as the robot measured it.
    """

    trial: int
    stamp_ns: int
    image: Image
    pose: IndenterPose


@dataclass(frozen=True)
class RecordedPresses:
    """Images of a run that a calibration needs.

    Attributes:
        source: folder of the run.
        indenter: spec, as the run was told.
        reference: (H, W, 3) uint8, the last frame before the first touch.
        presses: one a trial.
    """

    source: Path
    indenter: str
    reference: Image
    presses: tuple[RecordedPress, ...]

    def spread(self, count: int) -> tuple[RecordedPress, ...]:
        """Those that are far apart in the image, as lights are told best by them.

        Raises:
            InputError: there are fewer.
        """
        if not 1 <= count <= len(self.presses):
            raise InputError(
                f"{count} presses asked for, {self.source} has {len(self.presses)} trials that "
                "ended a press"
            )
        chosen = spread_presses(self.reference, [press.image for press in self.presses], count)
        return tuple(self.presses[k] for k in chosen)


def recorded_presses(run: RecordedRun) -> RecordedPresses:
    """Find them.

    Raises:
        InputError: the run has no frame before the first touch, or no press that was held.
    """
    columns = run.columns
    if not run.sample_count:
        raise InputError(f"{run.folder} holds no samples: nothing was recorded")
    untouched = np.flatnonzero(columns["phase"] == UNTOUCHED)
    held = (columns["phase"] == PRESS) & (columns["motion"] == STILL)
    trials = np.unique(columns["trial"][held])
    rows = [int(np.flatnonzero(held & (columns["trial"] == trial))[-1]) for trial in trials]
    if not rows or not (untouched < rows[0]).any():
        raise InputError(
            f"{run.folder} shows no press to calibrate from: expected frames of phase "
            f"'{UNTOUCHED}', and then '{PRESS}' with a dwell"
        )
    first = int(untouched[untouched < rows[0]][-1])
    found = _images_at(run, [first, *rows])
    return RecordedPresses(
        run.folder,
        str(run.run.get("indenter") or ""),
        found[first],
        tuple(
            RecordedPress(
                int(columns["trial"][row]),
                int(columns["stamp_ns"][row]),
                found[row],
                _measured_pose(run, row),
            )
            for row in rows
        ),
    )


def pose_offset(recorded: Sequence[IndenterPose], found: Calibration) -> PoseOffset:
    """From recorded poses to those in which a calibration from the same presses saw them.

    Recorded depths count from where contact was felt, places from where the robot was told that
    sensor and indenter are; the images know better. The turn is left as it was recorded.
    """
    seen = [press.fit.gel.press for press in found.presses]
    away = np.array(
        [
            (press.x_mm - pose.x_mm, press.y_mm - pose.y_mm, press.depth_mm - pose.depth_mm)
            for press, pose in zip(seen, recorded, strict=True)
        ]
    )
    x, y, depth = away.mean(axis=0)
    return PoseOffset(float(x), float(y), float(depth))


def _images_at(run: RecordedRun, rows: list[int]) -> dict[int, Image]:
    wanted = {int(run.columns["stamp_ns"][row]): row for row in rows}
    found = {wanted[stamp]: np.array(image) for stamp, image in images(run.bag) if stamp in wanted}
    if len(found) < len(rows):
        raise InputError(f"{run.bag} lacks images that its index names: is the recording whole?")
    return found


def _measured_pose(run: RecordedRun, row: int) -> IndenterPose:
    names = ("x_mm", "y_mm", "depth_mm", "yaw_rad")
    return IndenterPose(*(float(run.columns[f"measured_{name}"][row]) for name in names))
