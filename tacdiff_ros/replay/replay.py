"""Simulates what a recording shows and compares, frame by frame; the same every time."""

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
from tacdiff_ros.replay.replay_frames import UNTOUCHED, FrameState, Recording, ReplayFrame
from tacdiff_ros.replay.replay_scores import (
    ComparedFrame,
    SkippedFrames,
    WorstFrame,
    WorstFrames,
)
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import LiveTwin

MAX_REFERENCES = 20
MAX_WAITING = 4  # frames that are not drawn yet
SIMULATED_PHASES = ("approach", "indent", "translate", "rotate", "retract")
NO_POSE = "no recorded pose"
NO_REFERENCE = "before the first reference image"
NOT_ASKED_FOR = "not asked for (every)"
REFUSED_POSE = "pose that cannot be simulated"


@dataclass(frozen=True)
class PoseOffset:
    """From the frame that poses were recorded in to the sensor file's frame `gel`."""

    x_mm: float = 0.0
    y_mm: float = 0.0
    depth_mm: float = 0.0
    yaw_rad: float = 0.0

    def applied(self, pose: IndenterPose) -> IndenterPose:
        """The pose in the sensor file's frame."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x = c * pose.x_mm - s * pose.y_mm + self.x_mm
        y = s * pose.x_mm + c * pose.y_mm + self.y_mm
        depth, yaw = pose.depth_mm + self.depth_mm, pose.yaw_rad + self.yaw_rad
        return IndenterPose(float(x), float(y), depth, yaw)


@dataclass(frozen=True)
class ReplayResult:
    """A recording beside its simulation.

    Attributes:
        frames: compared ones, in their order.
        worst: pictures of the frames that agree least in the contact.
        skipped: number of frames that were not compared; reference images are not among them.
        recorded_s: from the first to the last stamp.
        seconds: that the replay took.
        skips: reasons of the skipped frames.
    """

    frames: tuple[ComparedFrame, ...]
    worst: tuple[WorstFrame, ...]
    skipped: int
    recorded_s: float
    seconds: float
    skips: SkippedFrames = field(default_factory=SkippedFrames)


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

    The untouched image is the one that is given, or the mean of the frames of phase `reference`,
    the first twenty.

    Args:
        recording: opened.
        model: sensor file.
        twin: of that sensor, under the indenter of the recording.
        offset: of the recorded poses.
        progress: told the number of frames that were read.
        reference: (H, W, 3) uint8 of the untouched sensor.
        every: draw and compare one of so many frames; the gel meets the poses of all.

    Raises:
        InputError: no untouched frame, images of another size, dots that are not seen, or a
            damaged recording.
    """
    started = time.perf_counter()
    stamps: list[int] = []
    with ThreadPoolExecutor(1, "drawing") as drawing, ThreadPoolExecutor(1, "score") as scoring:
        run = _Replay(model, twin, offset or PoseOffset(), reference, (drawing, scoring), every)
        for count, frame in enumerate(recording.frames(), start=1):
            stamps.append(frame.stamp_ns)
            run.take(frame)
            if progress is not None:
                progress(count)
        run.finish()
    if not run.frames:
        skipped = f" ({run.skips.summary()})" if run.skips.total else ""
        raise InputError(
            f"{recording.source}: none of {len(stamps)} frames could be compared{skipped}; it "
            f"needs untouched frames (phase {UNTOUCHED}) and then frames with an indenter pose"
        )
    return ReplayResult(
        tuple(run.frames),
        run.worst.pictures(),
        run.skips.total,
        1e-9 * (max(stamps) - min(stamps)),
        time.perf_counter() - started,
        run.skips,
    )


class _Replay:
    """A replay under way: a frame is drawn while the gel meets the next one, and then compared.

    Each of the three is done in the order of the frames, so the result is the same every time.
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
        self._drawing, self._scoring = threads
        self._every, self._count = every, 0
        self._waiting = deque[Future[Future[None]]]()
        self.frames: list[ComparedFrame] = []
        self.worst = WorstFrames()
        self.skips = SkippedFrames()

    def take(self, frame: ReplayFrame) -> None:
        """The next frame."""
        if frame.image.shape[:2] != self._size:
            raise InputError(
                f"images of {frame.image.shape[1]} x {frame.image.shape[0]} pixels, the sensor "
                f"file says {self._size[1]} x {self._size[0]}: another sensor?"
            )
        state = frame.state
        if state is None:
            self.skips.add(NO_POSE)
        elif state.phase == UNTOUCHED:
            self._untouched(frame)
        elif state.phase not in SIMULATED_PHASES:
            self.skips.add(f"phase {state.phase[:40]}")
        elif not self._ready():
            self.skips.add(NO_REFERENCE)
        else:
            self._compare(frame)

    def _untouched(self, frame: ReplayFrame) -> None:
        if len(self._references) < MAX_REFERENCES:
            self._references.append(frame.image)

    def _ready(self) -> bool:
        """Take the mean of the untouched frames when the first touch comes."""
        if not self._has_reference and self._references:
            mean = np.mean(self._references, axis=0)
            self._comparison.take_reference(np.rint(mean).astype(np.uint8))
            self._has_reference = True
        return self._has_reference

    def _compare(self, frame: ReplayFrame) -> None:
        state = frame.state
        assert state is not None  # noqa: S101
        pose = self._offset.applied(state.pose)
        if state.trial != self._trial:
            self._twin.reset()
            self._trial = state.trial
        try:
            answer = self._twin.move(pose)
        except InputError as error:
            self.skips.add(REFUSED_POSE, str(error))
            return
        self._count += 1
        if (self._count - 1) % self._every:
            self.skips.add(NOT_ASKED_FOR)
            return
        self._waiting.append(self._drawing.submit(self._draw, frame, state, answer))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft().result().result()

    def finish(self) -> None:
        """Wait for the frames that are still drawn."""
        while self._waiting:
            self._waiting.popleft().result().result()

    def _draw(self, frame: ReplayFrame, state: FrameState, answer: LiveResult) -> Future[None]:
        image = self._twin.draw(answer, with_maps=False).image
        return self._scoring.submit(self._score, frame, state, image)

    def _score(self, frame: ReplayFrame, state: FrameState, image: NDArray[np.uint8]) -> None:
        found = self._comparison.compare(image, frame.image)
        entry = ComparedFrame(frame.stamp_ns, state.trial, state.phase, state.pose.depth_mm, found)
        self.frames.append(entry)
        self.worst.add(entry, image, frame.image)
