"""`tacdiff markers` on long recordings: memory does not grow with their length."""

from __future__ import annotations

import json
import tracemalloc

import cv2
import numpy as np

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.cli import markers as command
from tacdiff_ros.cli.application import run
from tacdiff_ros.virtual.frames import GeneratedFrames


def write_video(path, count):
    frame = GeneratedFrames().render(IndenterPose())[..., ::-1]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for _ in range(count):
        video.write(np.ascontiguousarray(frame))
    video.release()
    return path


def peak_bytes(arguments):
    tracemalloc.start()
    try:
        assert run(arguments) == 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_video(tmp_path, capfd, monkeypatch):
    # Tracking is what takes time here and is not what is measured.
    class Tracker:
        def __init__(self, grid, reference):
            self._field = reference

        def track(self, frame):
            return self._field

    monkeypatch.setattr(command, "MarkerTracker", Tracker)
    short, long = (write_video(tmp_path / f"{n}.avi", n) for n in (20, 220))
    run(["markers", str(short), "--json"])  # imports
    peaks = [peak_bytes(["markers", str(video), "--json"]) for video in (short, long)]
    assert peaks[1] - peaks[0] < 1e6  # the 200 further frames are 46 MB
    printed = capfd.readouterr().out.splitlines()[-1]
    assert [frame["index"] for frame in json.loads(printed)["frames"]] == list(range(220))


def test_a_folder_that_breaks_off_prints_no_half_object(tmp_path, capsys):
    frame = GeneratedFrames().render(IndenterPose())[..., ::-1]
    cv2.imwrite(str(tmp_path / "0.png"), frame)
    (tmp_path / "1.png").write_bytes(b"broken")
    assert run(["markers", str(tmp_path), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1.png is no image that OpenCV can read" in captured.err
