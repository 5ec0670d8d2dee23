"""What a worker does for one trial; it finds everything in the dataset's folder."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tacdiff_ros.dataset.images import render_reference, render_touches
from tacdiff_ros.dataset.plan import Trial, plan_trial
from tacdiff_ros.dataset.store import (
    Dataset,
    open_dataset,
    read_array,
    read_group,
    write_group,
    write_json,
)
from tacdiff_ros.dataset.touches import PHASES, simulate_touches
from tacdiff_ros.mechanics.touch import NotConvergedError
from tacdiff_ros.sensor.sensor_file import format_sensor, parse_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.renderer import Renderer

UNTOUCHED = "untouched"


@dataclass(frozen=True)
class TrialReport:
    """What became of a trial.

    Attributes:
        index: of the trial.
        samples: of it that are in the dataset now.
        touch_seconds: that mechanics took; 0 where it was there.
        image_seconds: that rendering took; 0 where it was there.
        failure: why it was given up; None where it was not.
    """

    index: int
    samples: int
    touch_seconds: float = 0.0
    image_seconds: float = 0.0
    failure: str | None = None


def make_trial(folder: Path, index: int, sensor: str) -> TrialReport:
    """Simulate and render a trial, or what is missing of it.

    Args:
        folder: of the dataset.
        index: of the trial.
        sensor: text of the sensor file.

    Raises:
        InputError: the dataset cannot be read or written.
    """
    dataset = open_dataset(folder)
    model = parse_sensor(sensor)
    trial = plan_trial(dataset.plan, index)
    touches = dataset.touch_folder(index)
    images = dataset.image_folder(model.checksum, index)
    touch_seconds = image_seconds = 0.0
    started = time.perf_counter()
    if not touches.exists():
        try:
            _write_touches(dataset, model, trial)
        except NotConvergedError as error:
            content = {"indenter": trial.indenter, "reason": str(error)}
            write_json(dataset.failure_file(index), content)
            return TrialReport(index, 0, time.perf_counter() - started, 0.0, str(error))
        touch_seconds = time.perf_counter() - started
    if not images.exists():
        started = time.perf_counter()
        _write_images(dataset, sensor, trial)
        image_seconds = time.perf_counter() - started
    return TrialReport(index, dataset.plan.states_per_trial, touch_seconds, image_seconds)


def write_sensor_group(dataset: Dataset, model: SensorModel) -> None:
    """The group of a sensor's images, with the sensor file and the untouched image.

    Raises:
        InputError: the dataset cannot be written.
    """
    folder = dataset.sensor_folder(model.checksum)
    if (folder / UNTOUCHED).exists():
        return
    sensor = format_sensor(model)
    if not folder.exists():
        write_group(folder, {}, {"sensor": sensor, "sensor_checksum": model.checksum})
    write_group(folder / UNTOUCHED, render_reference(_renderer(sensor)), {})


def _write_touches(dataset: Dataset, model: SensorModel, trial: Trial) -> None:
    attributes = {
        "indenter": trial.indenter,
        "start": [trial.start.x_mm, trial.start.y_mm, trial.start.yaw_rad],
        "friction": trial.friction,
        "split": trial.split,
        "seed": dataset.plan.seed,
        "phases": list(PHASES),
    }
    arrays = simulate_touches(model, dataset.plan, trial)
    write_group(dataset.touch_folder(trial.index), arrays, attributes)


def _write_images(dataset: Dataset, sensor: str, trial: Trial) -> None:
    touches = read_group(dataset.touch_folder(trial.index))
    positions = np.asarray(read_array(touches, "position_mm"), np.float32)
    contact = np.asarray(read_array(touches, "contact"), np.bool_)
    renderer = _renderer(sensor)
    images = render_touches(renderer, positions, contact)
    checksum = renderer.model.checksum
    attributes = {"indenter": trial.indenter, "split": trial.split, "sensor_checksum": checksum}
    write_group(dataset.image_folder(checksum, trial.index), images, attributes)


@functools.lru_cache(maxsize=1)
def _renderer(sensor: str) -> Renderer:
    """One in each process, as it compiles its kernels."""
    from tacdiff_ros.optics.renderer import Renderer

    return Renderer(parse_sensor(sensor))
