"""Images of a calibration, from the sources that `tacdiff calibrate` accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_folder import read_folder, spread_presses
from tacdiff_ros.cli.crop_option import read_cropped
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop

if TYPE_CHECKING:
    from tacdiff_ros.geometry.indenter_pose import IndenterPose
    from tacdiff_ros.replay.rig_height import RigDepths

Image = NDArray[np.uint8]
MAX_PRESSES = 16
MAX_FOLDER_BYTES = 400_000_000


@dataclass(frozen=True)
class CalibrationImages:
    """Images of a calibration.

    Attributes:
        reference: (H, W, 3) uint8 RGB reference image.
        presses: (H, W, 3) uint8 RGB image of each press.
        specs: indenter spec of each press.
        names: name of each press.
        poses: recorded pose of each press, if known.
        rig: depth of each press by arm and rig, if known.
    """

    reference: Image
    presses: list[Image]
    specs: list[str]
    names: list[str]
    poses: list[IndenterPose] | None = None
    rig: RigDepths | None = None


def calibration_images(
    reference: Path | None,
    press: list[Path],
    indenters: list[str],
    folder: Path | None,
    recording: Path | None,
    count: int,
    crop: Crop,
) -> CalibrationImages:
    """Read the images from the source given on the command line: files, folder or run.

    Args:
        reference: image of the untouched gel.
        press: images of presses.
        indenters: indenter specs; one for all presses, or one each.
        folder: calibration folder, instead of images.
        recording: folder of a recorded run, instead of images.
        count: number of presses to use from a folder or run.
        crop: crop of whole frames.

    Raises:
        InputError: the options contradict each other, or a file is not valid.
    """
    if (folder or recording) and (reference or press or (folder and (indenters or recording))):
        raise InputError(
            "--folder and --run contain their own images: give only one of them, and leave out "
            "--reference, --press and, with --folder, --indenter"
        )
    if not 1 <= count <= MAX_PRESSES:
        raise InputError(f"--presses is {count}, expected 1 to {MAX_PRESSES}")
    if folder is not None:
        return from_folder(folder, count, crop)
    if recording is not None:
        return _from_run(recording, indenters, count, crop)
    if reference is None or not press or not indenters:
        raise InputError(
            "give --reference, --press (two or more) and --indenter, or --folder or --run with "
            "all of them"
        )
    specs = _for_each(indenters, len(press))
    return CalibrationImages(
        reference=read_cropped(reference, crop),
        presses=[read_cropped(path, crop) for path in press],
        specs=specs,
        names=[path.name for path in press],
    )


def _for_each(indenters: list[str], count: int) -> list[str]:
    if len(indenters) not in (1, count):
        raise InputError(
            f"{len(indenters)} indenters for {count} presses: give one for all, or one each"
        )
    return indenters * count if len(indenters) == 1 else indenters


def from_folder(folder: Path, count: int, crop: Crop) -> CalibrationImages:
    """Return the reference image and presses of a gs_sdk calibration folder.

    Args:
        folder: calibration folder; its presses are made with balls.
        count: number of presses to choose, with positions far apart.
        crop: crop of whole frames.

    Raises:
        InputError: the folder is not valid, or its images take too much memory or differ in size.
    """
    listing = read_folder(folder)
    reference = read_cropped(listing.reference, crop)
    if len(listing.presses) * reference.nbytes > MAX_FOLDER_BYTES:
        raise InputError(
            f"the {len(listing.presses)} images of {folder} take over {MAX_FOLDER_BYTES} bytes in "
            "memory: list fewer presses"
        )
    images = []
    for press in listing.presses:
        images.append(read_cropped(press.path, crop))
    chosen = spread_presses(reference, images, count)
    presses = [listing.presses[k] for k in chosen]
    return CalibrationImages(
        reference=reference,
        presses=[images[k] for k in chosen],
        specs=[f"sphere:diameter={press.diameter_mm:g}" for press in presses],
        names=[f"press {press.path.parent.name}" for press in presses],
    )


def _from_run(folder: Path, indenters: list[str], count: int, crop: Crop) -> CalibrationImages:
    """Return the reference image and presses of a recorded run.

    Args:
        folder: folder of the run.
        indenters: indenter specs; empty for the spec in the run.
        count: number of presses to choose, with positions far apart.
        crop: crop of whole frames.

    Raises:
        InputError: the run is not valid or does not name its indenter.
    """
    from tacdiff_ros.recording.bag_reading import open_run
    from tacdiff_ros.replay.recorded_presses import recorded_presses
    from tacdiff_ros.replay.rig_height import rig_depths

    run = open_run(folder)
    recorded = recorded_presses(run, crop)
    specs = indenters or [recorded.indenter]
    if not specs[0]:
        raise InputError(f"{folder} does not name its indenter: give --indenter")
    chosen = recorded.spread(count)
    return CalibrationImages(
        reference=recorded.reference,
        presses=[press.image for press in chosen],
        specs=_for_each(specs, count),
        names=[f"trial {press.trial}" for press in chosen],
        poses=[press.pose for press in chosen],
        rig=rig_depths(run, [press.stamp_ns for press in chosen]),
    )
