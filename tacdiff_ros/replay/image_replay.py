"""Replay without poses: each image beside what the model shows of the gel found in that image.

It tells how much of a recording the calibrated model can explain, not how well it foresees touches.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_comparison import ImageComparison
from tacdiff_ros.inversion.inversion_settings import STREAMING
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.replay.replay import ReplayResult
from tacdiff_ros.replay.replay_frames import Recording
from tacdiff_ros.replay.replay_scores import ComparedFrame, SkippedFrames, WorstFrames
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import Drawing

REFUSED_IMAGE = "image that cannot be inverted"
SEEN = "seen"  # in place of a phase, which nobody recorded


def replay_images(
    recording: Recording,
    model: SensorModel,
    drawing: Drawing,
    progress: Callable[[int], None] | None = None,
    reference: NDArray[np.uint8] | None = None,
) -> ReplayResult:
    """Invert, simulate and compare all frames of a recording.

    Args:
        recording: opened; its poses are not used.
        model: sensor file.
        drawing: of that sensor.
        progress: told the number of frames that were read.
        reference: (H, W, 3) uint8 of the untouched sensor; default: the first frame.

    Raises:
        InputError: no frame, images of another sensor, or a damaged recording.
    """
    started = time.perf_counter()
    comparison = ImageComparison(None if model.markers is None else model.markers.grid)
    inverter: Inverter | None = None
    frames: list[ComparedFrame] = []
    worst, skips, stamps = WorstFrames(), SkippedFrames(), []
    for count, frame in enumerate(recording.frames(), start=1):
        if inverter is None:
            untouched = frame.image if reference is None else reference
            inverter = Inverter(model, untouched, STREAMING)
            comparison.take_reference(untouched)
        stamps.append(frame.stamp_ns)
        if progress is not None:
            progress(count)
        try:
            surface = inverter.follow(frame.image).surface
        except InputError as error:
            skips.add(REFUSED_IMAGE, str(error))
            continue
        simulated = drawing.draw_surface(surface, with_maps=False).image
        depth_mm = max(0.0, -float(surface.position[:, 2].min()))
        found = comparison.compare(simulated, frame.image)
        entry = ComparedFrame(frame.stamp_ns, 0, SEEN, depth_mm, found)
        frames.append(entry)
        worst.add(entry, simulated, frame.image)
    if not frames:
        why = f" ({skips.summary()})" if skips.total else ""
        raise InputError(f"{recording.source}: none of {len(stamps)} frames could be inverted{why}")
    return ReplayResult(
        tuple(frames),
        worst.pictures(),
        skips.total,
        1e-9 * (max(stamps) - min(stamps)),
        time.perf_counter() - started,
        skips,
    )
