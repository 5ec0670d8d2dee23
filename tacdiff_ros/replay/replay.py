"""Deterministic replay: simulates the frames of a recording and compares the images."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_comparison import ImageComparison
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.replay.frame_states import REFERENCE_PHASE, FrameState
from tacdiff_ros.replay.replay_frames import Recording, ReplayFrame
from tacdiff_ros.replay.replay_scores import (
    ComparedFrame,
    SkippedFrames,
    StampRange,
    WorstFrame,
    WorstFrames,
)
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import LiveTwin

MAX_REFERENCES = 20  # frames averaged into the reference image
MAX_WAITING = 4  # simulated frames that wait for rendering
SIMULATED_PHASES = ("approach", "indent", "translate", "rotate", "retract")
NO_POSE = "no recorded pose"
NO_REFERENCE = "before the first reference image"
NOT_ASKED_FOR = "not asked for (every)"
REFUSED_POSE = "pose that cannot be simulated"


@dataclass(frozen=True)
class PoseOffset:
    """Offset from the frame of the recorded poses to the sensor file's frame `gel`.

    Attributes:
        x_mm: translation along x, mm.
        y_mm: translation along y, mm.
        depth_mm: offset of the depth, mm.
        yaw_rad: rotation about the z axis, applied before the translation, rad.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    depth_mm: float = 0.0
    yaw_rad: float = 0.0

    def apply(self, pose: IndenterPose) -> IndenterPose:
        """Return a recorded pose in the sensor file's frame `gel`."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x = c * pose.x_mm - s * pose.y_mm + self.x_mm
        y = s * pose.x_mm + c * pose.y_mm + self.y_mm
        depth, yaw = pose.depth_mm + self.depth_mm, pose.yaw_rad + self.yaw_rad
        return IndenterPose(float(x), float(y), depth, yaw)


@dataclass(frozen=True)
class ReplayResult:
    """Comparison of a recording with its simulation.

    Attributes:
        frames: compared frames, in their order.
        worst: frames with the lowest agreement in the contact.
        skipped: number of frames that were not compared, without the reference images.
        recorded_s: time from the first to the last stamp, s.
        seconds: computing time of the replay, s.
        skips: skipped frames by reason.
        reference_frames: number of frames of phase `reference`, which are not compared.
    """

    frames: tuple[ComparedFrame, ...]
    worst: tuple[WorstFrame, ...]
    skipped: int
    recorded_s: float
    seconds: float
    skips: SkippedFrames = field(default_factory=SkippedFrames)
    reference_frames: int = 0


def replay(
    recording: Recording,
    model: SensorModel,
    twin: LiveTwin,
    offset: PoseOffset | None = None,
    progress: Callable[[int], None] | None = None,
    reference: NDArray[np.uint8] | None = None,
    every: int = 1,
) -> ReplayResult:
    """Simulate and compare all frames of a recording.

    Args:
        recording: opened recording.
        model: sensor model.
        twin: twin of the same sensor, under the indenter of the recording.
        offset: offset of the recorded poses; None for no offset.
        progress: callback with the number of frames read.
        reference: (H, W, 3) uint8 reference image; None for the mean of the first
            `MAX_REFERENCES` frames of phase `reference`.
        every: interval of the rendered and compared frames; the gel follows the poses of all
            frames.

    Returns:
        Comparison of all rendered frames.

    Raises:
        InputError: there is no reference image, the images have another size, the markers are not
            detected, or the recording is damaged.
    """
    started_s = time.perf_counter()
    stamps = StampRange()
    with ThreadPoolExecutor(1, "rendering") as rendering, ThreadPoolExecutor(1, "score") as scoring:
        run = _Replay(model, twin, offset or PoseOffset(), reference, (rendering, scoring), every)
        for frame in recording.frames():
            stamps.add(frame.stamp_ns)
            run.take(frame)
            if progress is not None:
                progress(stamps.count)
        run.finish()
    if not run.frames:
        reasons = f" ({run.skips.summary()})" if run.skips.total else ""
        raise InputError(
            f"{recording.source}: none of {stamps.count} frames could be compared{reasons}; it "
            f"needs frames of phase '{REFERENCE_PHASE}' and then frames with an indenter pose"
        )
    return ReplayResult(
        frames=tuple(run.frames),
        worst=run.worst.pictures(),
        skipped=run.skips.total,
        recorded_s=stamps.seconds,
        seconds=time.perf_counter() - started_s,
        skips=run.skips,
        reference_frames=run.reference_frames,
    )


class _Replay:
    """State of a replay: simulation, rendering and comparison run in three threads.

    Each of the three processes the frames in their order, so that the result is deterministic.
    """

    def __init__(
        self,
        model: SensorModel,
        twin: LiveTwin,
        offset: PoseOffset,
        reference: NDArray[np.uint8] | None,
        threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor],
        every: int,
    ) -> None:
        markers = model.markers
        self._comparison = ImageComparison(None if markers is None else markers.grid)
        self._size = (model.image.height_px, model.image.width_px)
        self._twin, self._offset = twin, offset
        self._references: list[NDArray[np.uint8]] = []
        self._has_reference = reference is not None
        if reference is not None:
            self._comparison.take_reference(reference)
        self._trial: int | None = None
        self._rendering, self._scoring = threads
        self._every, self._count = every, 0
        self._waiting = deque[Future[Future[None]]]()
        self.frames: list[ComparedFrame] = []
        self.worst = WorstFrames()
        self.skips = SkippedFrames()
        self.reference_frames = 0

    def take(self, frame: ReplayFrame) -> None:
        """Process the next frame."""
        if frame.image.shape[:2] != self._size:
            raise InputError(
                f"images of {frame.image.shape[1]} x {frame.image.shape[0]} pixels, expected "
                f"{self._size[1]} x {self._size[0]} as in the sensor file: another sensor?"
            )
        state = frame.state
        if state is None:
            self.skips.add(NO_POSE)
        elif state.phase == REFERENCE_PHASE:
            self._add_reference(frame)
        elif state.phase not in SIMULATED_PHASES:
            self.skips.add(f"phase {state.phase[:40]}")
        elif not self._ensure_reference():
            self.skips.add(NO_REFERENCE)
        else:
            self._compare(frame)

    def _add_reference(self, frame: ReplayFrame) -> None:
        self.reference_frames += 1
        if len(self._references) < MAX_REFERENCES:
            self._references.append(frame.image)

    def _ensure_reference(self) -> bool:
        """Compute the reference image at the first press; return whether there is one."""
        if not self._has_reference and self._references:
            mean = np.mean(self._references, axis=0)
            self._comparison.take_reference(np.rint(mean).astype(np.uint8))
            self._has_reference = True
        return self._has_reference

    def _compare(self, frame: ReplayFrame) -> None:
        """Simulate the gel under a frame's pose, and submit the frame for rendering."""
        state = frame.state
        assert state is not None  # noqa: S101
        pose = self._offset.apply(state.pose)
        if state.trial != self._trial:
            self._twin.reset()
            self._trial = state.trial
        try:
            result = self._twin.move(pose)
        except InputError as error:
            self.skips.add(REFUSED_POSE, str(error))
            return
        self._count += 1
        if (self._count - 1) % self._every:
            self.skips.add(NOT_ASKED_FOR)
            return
        self._waiting.append(self._rendering.submit(self._render, frame, state, result))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft().result().result()

    def finish(self) -> None:
        """Wait for the frames that are not rendered and compared yet."""
        while self._waiting:
            self._waiting.popleft().result().result()

    def _render(self, frame: ReplayFrame, state: FrameState, result: LiveResult) -> Future[None]:
        image = self._twin.render(result, with_maps=False).image
        return self._scoring.submit(self._score, frame, state, image)

    def _score(self, frame: ReplayFrame, state: FrameState, image: NDArray[np.uint8]) -> None:
        entry = ComparedFrame(
            stamp_ns=frame.stamp_ns,
            trial=state.trial,
            phase=state.phase,
            depth_mm=state.pose.depth_mm,
            agreement=self._comparison.compare(image, frame.image),
        )
        self.frames.append(entry)
        self.worst.add(entry, image, frame.image)
