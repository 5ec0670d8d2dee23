"""Replays keep no images, however long the recording is, and write all files or none."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from tacdiff_ros.cli import benchmark
from tacdiff_ros.evaluation.agreement import Agreement, compare_images
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.replay import image_replay
from tacdiff_ros.replay.frame_states import FrameState
from tacdiff_ros.replay.image_replay import replay_images
from tacdiff_ros.replay.replay import MAX_REFERENCES, MAX_WAITING, replay
from tacdiff_ros.replay.replay_frames import ReplayFrame
from tacdiff_ros.replay.replay_scores import MAX_WORST_FRAMES, ComparedFrame, SkippedFrames
from tacdiff_ros.sensor.sensor_file import default_sensor

COUNT = 150
IMAGE = np.full((240, 320, 3), 90, np.uint8)


class Frames:
    """A recording that counts how many of its images are alive."""

    source, states = "recording", ()

    def __init__(self):
        self.max_alive = 0

    def frames(self):
        alive = weakref.WeakSet()
        for number in range(COUNT):
            image = IMAGE.copy().view(CountedImage)
            alive.add(image)
            phase = "reference" if number < 2 * MAX_REFERENCES else "indent"
            state = FrameState(IndenterPose(depth_mm=0.5), 0, phase)
            yield ReplayFrame(number * 40_000_000, image, state)
            del image
            gc.collect() if number % 50 == 0 else None
            self.max_alive = max(self.max_alive, len(alive))


class CountedImage(np.ndarray):
    """An array that a weak set can hold."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


class Comparison:
    def __init__(self, grid):
        pass

    def take_reference(self, image):
        pass

    def compare(self, simulated, real):
        return compare_images(IMAGE[:16, :16], np.asarray(real)[:16, :16])


def test_a_replay_of_poses_keeps_no_images(monkeypatch):
    monkeypatch.setattr("tacdiff_ros.replay.replay.ImageComparison", Comparison)
    twin = SimpleNamespace(
        reset=lambda: None,
        move=lambda pose: pose,
        render=lambda result, with_maps: SimpleNamespace(image=IMAGE),
    )
    recording = Frames()
    result = replay(recording, default_sensor(), twin)
    assert len(result.frames) == COUNT - 2 * MAX_REFERENCES
    assert result.recorded_s == pytest.approx(0.04 * (COUNT - 1))
    assert 1 <= recording.max_alive <= MAX_REFERENCES + 2 * MAX_WAITING + MAX_WORST_FRAMES


def test_a_replay_of_images_keeps_none(monkeypatch):
    monkeypatch.setattr(image_replay, "ImageComparison", Comparison)
    surface = SimpleNamespace(position=np.zeros((4, 3)))
    inverter = SimpleNamespace(follow=lambda image: SimpleNamespace(surface=surface))
    monkeypatch.setattr(image_replay, "Inverter", lambda *_: inverter)
    renderer = SimpleNamespace(
        render_surface=lambda surface, with_maps: SimpleNamespace(image=IMAGE)
    )
    recording = Frames()
    result = replay_images(recording, default_sensor(), renderer)
    assert len(result.frames) == COUNT
    assert 1 <= recording.max_alive <= 3 + MAX_WORST_FRAMES


def test_a_frame_leaves_about_a_kilobyte_of_scores_and_less_of_poses():
    def score(_):
        return ImageScore(*random.random(4).tolist())

    random = np.random.default_rng(0)
    sizes = []
    for make in (
        lambda k: ComparedFrame(
            10**18 + k,
            0,
            "seen",
            k / 7,
            Agreement(*map(score, range(4)), 10**4 + k, 63, k / 3),
        ),
        lambda k: FrameState(IndenterPose(*random.random(4).tolist()), 10**3 + k, "indent"),
    ):
        tracemalloc.start()
        kept = {10**18 + k: make(k) for k in range(1000)}
        sizes.append(tracemalloc.get_traced_memory()[0] / len(kept))
        tracemalloc.stop()
    assert 500 < sizes[0] < 1500
    assert 100 < sizes[1] < 1000


def test_an_interrupted_benchmark_leaves_no_file(monkeypatch, tmp_path):
    def interrupt(content):
        raise KeyboardInterrupt

    monkeypatch.setattr("tacdiff_ros.reports.replay_report.replay_report", lambda *_: "page")
    monkeypatch.setattr(benchmark, "json_text", interrupt)
    monkeypatch.setattr(benchmark, "_table", lambda result: "table")
    result = SimpleNamespace(frames=(), worst=(), skips=SkippedFrames())
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        benchmark._write(out, tmp_path / "bag", {}, {}, result)
    assert not out.exists()
