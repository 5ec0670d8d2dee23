"""Features of real videos of touches: objects pressed by hand, and grasps that are shaken.

`octopi/` holds videos of a plain sensor whose first frame is untouched; `slip_pairs/` holds videos
of both fingers of a gripper, which begin in contact: features of windows compare with the window's
first frame, and with the reference image of the sensor, which is found from all of its recordings.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_references import sensor_references

from tacdiff_ros.touch_features.touch_input import MOTION_S, touch_image
from tacdiff_ros.touch_features.touch_set import HEIGHT_PX, WIDTH_PX, TouchSet

FRAMES = 16  # frames of a press that are used, those that differ most from the reference
SPACING = 2  # least number of frames between two of them
WINDOW_S = 1.0
WINDOW_FRAMES = 5  # frames of a window that are used, evenly spaced
ADAPTING_FRAMES = 6  # first frames of a grasp, in which the camera's exposure adapts
MEDIAN_FRAMES = 25  # frames of a grasp whose median is taken
SET_SPACING = 50  # frames between two pairs of a touch set

Images = NDArray[np.uint8]
Extractor = Callable[[Images, Images, Images], NDArray[np.float32]]
"""Features (N, F) of images, references and earlier images (N, 240, 320, 3)."""


@dataclass(frozen=True)
class VideoFeatures:
    """Features of videos or of windows of them.

    Attributes:
        features: (N, F) mean of the features of the frames; of windows also their standard
            deviation, both against the first frame of the window and against the sensor's
            reference, these less their mean over the sensor's windows.
        row: (N,) row of each video in `labels`.
        labels: columns of `labels.csv`.
    """

    features: NDArray[np.float64]
    row: NDArray[np.int64]
    labels: dict[str, NDArray[np.str_]]


def read_labels(folder: Path) -> dict[str, NDArray[np.str_]]:
    """Return the columns of `labels.csv`."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def read_video(path: Path) -> tuple[Images, float]:
    """Return the frames (N, 240, 320, 3) of a video in RGB, and their rate in Hz."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        valid, frame = capture.read()
        if not valid:
            break
        frames.append(touch_image(np.ascontiguousarray(frame[..., ::-1])))
    return np.stack(frames), float(capture.get(cv2.CAP_PROP_FPS)) or 25.0


def press_features(folder: Path, extract: Extractor, limit: int | None = None) -> VideoFeatures:
    """Return one row of features per video of a press by hand."""
    labels = read_labels(folder)
    features = []
    for name in labels["video"][:limit]:
        frames, rate_hz = read_video(folder / name)
        chosen = _most_changed(frames)
        lag = max(1, round(MOTION_S * rate_hz))
        values = _extract(extract, frames, chosen, np.maximum(chosen - lag, 0), frames[0])
        features.append(values.mean(0).astype(float))
    return VideoFeatures(np.array(features), np.arange(len(features)), _first(labels, limit))


def window_features(folder: Path, extract: Extractor, limit: int | None = None) -> VideoFeatures:
    """Return one row of features per window of one second of a grasp."""
    labels = _first(read_labels(folder), limit)
    references, sensor = sensor_references(grasp_medians(folder, labels["video"]))
    moving, resting, row = [], [], []
    for number, name in enumerate(labels["video"]):
        frames, rate_hz = read_grasp(folder / name)
        length, lag = round(WINDOW_S * rate_hz), max(1, round(MOTION_S * rate_hz))
        for start in range(0, len(frames) - length + 1, length):
            chosen = np.linspace(start + lag, start + length - 1, WINDOW_FRAMES).round().astype(int)
            for rows, reference in ((moving, frames[start]), (resting, references[sensor[number]])):
                values = _extract(extract, frames, chosen, chosen - lag, reference)
                rows.append(_moments(values))
            row.append(number)
    against_sensor = _centred(np.array(resting), sensor[row])
    return VideoFeatures(np.hstack([moving, against_sensor]), np.array(row), labels)


def grasp_medians(folder: Path, names: NDArray[np.str_]) -> list[Images]:
    """Return the median image of each video, for `sensor_references`."""
    return [_median(folder / name) for name in names]


def read_grasp(path: Path) -> tuple[Images, float]:
    """Return the frames of a grasp after the exposure has adapted, and their rate in Hz."""
    frames, rate_hz = read_video(path)
    return frames[ADAPTING_FRAMES:], rate_hz


def grasp_touch_set(folder: Path, limit: int | None = None) -> TouchSet:
    """Return videos of grasps as a touch set without labels, for pretraining.

    Each video is a sensor of its own, because its reference image is its first frame.
    """
    images, references, sensor, frame, earlier = [], [], [], [], []
    for number, name in enumerate(read_labels(folder)["video"][:limit]):
        frames, rate_hz = read_video(folder / name)
        lag = max(1, round(MOTION_S * rate_hz))
        references.append(half_size(frames[0]))
        for chosen in range(lag, len(frames), SET_SPACING):
            images += [half_size(frames[chosen - lag]), half_size(frames[chosen])]
            earlier += [-1, len(images) - 2]
            frame += [chosen - lag, chosen]
            sensor += [number, number]
    indices = {
        "sensor": sensor,
        "video": sensor,
        "frame": frame,
        "earlier": earlier,
        "touch": range(len(images)),
    }
    return TouchSet(
        card={"name": "grasps"},
        images=np.stack(images),
        references=np.stack(references),
        labels={},
        **{name: np.array(values, np.int32) for name, values in indices.items()},
    )


def half_size(image: Images) -> Images:
    """Return an image in the size of a touch set."""
    size = (WIDTH_PX, HEIGHT_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _extract(
    extract: Extractor,
    frames: Images,
    chosen: NDArray[np.integer],
    earlier: NDArray[np.integer],
    reference: Images,
) -> NDArray[np.float32]:
    references = np.broadcast_to(reference, (len(chosen), *reference.shape))
    return extract(frames[chosen], references, frames[earlier])


def _most_changed(frames: Images) -> NDArray[np.int64]:
    """Return the frames that differ most from the first one, in order of time."""
    coarse = frames[:, ::4, ::4].astype(np.int16)
    change = np.abs(coarse - coarse[0]).mean(axis=(1, 2, 3))
    chosen: list[int] = []
    for number in np.argsort(-change, kind="stable"):
        if number > 0 and all(abs(number - other) >= SPACING for other in chosen):
            chosen.append(int(number))
        if len(chosen) == FRAMES:
            break
    return np.array(sorted(chosen))


def _median(path: Path) -> Images:
    frames, _ = read_grasp(path)
    chosen = frames[:: max(1, len(frames) // MEDIAN_FRAMES)]
    return np.asarray(np.median(chosen, axis=0), np.uint8)


def _centred(features: NDArray[np.float64], sensor: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return features less their mean over the windows of the same sensor."""
    centred = features.copy()
    for number in np.unique(sensor):
        centred[sensor == number] -= features[sensor == number].mean(axis=0)
    return centred


def _moments(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate([values.mean(0), values.std(0)]).astype(float)


def _first(labels: dict[str, NDArray[np.str_]], limit: int | None) -> dict[str, NDArray[np.str_]]:
    return {name: column[:limit] for name, column in labels.items()}
