"""Replay without recorded poses: each image is inverted, and the estimated surface is rendered.

The comparison shows how well the calibrated model reproduces the images of a recording, but not how
well it predicts the images of presses.
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
from tacdiff_ros.replay.replay_scores import ComparedFrame, SkippedFrames, StampRange, WorstFrames
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import SurfaceRenderer

REFUSED_IMAGE = "image that cannot be inverted"
INVERTED_PHASE = "seen"  # name of the phase of all frames, because no phases are recorded


def replay_images(
    recording: Recording,
    model: SensorModel,
    renderer: SurfaceRenderer,
    progress: Callable[[int], None] | None = None,
    reference: NDArray[np.uint8] | None = None,
) -> ReplayResult:
    """Invert, simulate and compare all frames of a recording.

    Args:
        recording: opened recording; its poses are not used.
        model: sensor model.
        renderer: renderer of the same sensor.
        progress: callback with the number of frames read.
        reference: (H, W, 3) uint8 reference image; None for the first frame.

    Returns:
        Comparison of all frames that could be inverted.

    Raises:
        InputError: no frame can be inverted, the images are from another sensor, or the recording
            is damaged.
    """
    started_s = time.perf_counter()
    comparison = ImageComparison(None if model.markers is None else model.markers.grid)
    inverter: Inverter | None = None
    frames: list[ComparedFrame] = []
    worst, skips, stamps = WorstFrames(), SkippedFrames(), StampRange()
    for frame in recording.frames():
        if inverter is None:
            reference = frame.image if reference is None else reference
            inverter = Inverter(model, reference, STREAMING)
            comparison.take_reference(reference)
        stamps.add(frame.stamp_ns)
        if progress is not None:
            progress(stamps.count)
        try:
            surface = inverter.follow(frame.image).surface
        except InputError as error:
            skips.add(REFUSED_IMAGE, str(error))
            continue
        simulated = renderer.render_surface(surface, with_maps=False).image
        depth_mm = max(0.0, -float(surface.position[:, 2].min()))
        entry = ComparedFrame(
            stamp_ns=frame.stamp_ns,
            trial=0,
            phase=INVERTED_PHASE,
            depth_mm=depth_mm,
            agreement=comparison.compare(simulated, frame.image),
        )
        frames.append(entry)
        worst.add(entry, simulated, frame.image)
    if not frames:
        reasons = f" ({skips.summary()})" if skips.total else ""
        raise InputError(
            f"{recording.source}: none of {stamps.count} frames could be inverted{reasons}"
        )
    return ReplayResult(
        frames=tuple(frames),
        worst=worst.pictures(),
        skipped=skips.total,
        recorded_s=stamps.seconds,
        seconds=time.perf_counter() - started_s,
        skips=skips,
    )
