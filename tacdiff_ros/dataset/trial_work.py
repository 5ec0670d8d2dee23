"""Work of a Dask worker for one trial: simulation and rendering.

Workers read and write the dataset's folder; only indices and the sensor file are sent to them.
"""

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
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.touch import NotConvergedError
from tacdiff_ros.sensor.sensor_file import format_sensor, parse_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer

REFERENCE_GROUP = "untouched"  # name of the group of the reference image, part of the file format


@dataclass(frozen=True)
class TrialReport:
    """Result of one trial.

    Attributes:
        index: index of the trial.
        samples: number of the trial's samples that are in the dataset now.
        touch_seconds: duration of the simulation, s; 0 if it was done before.
        image_seconds: duration of the rendering, s; 0 if it was done before.
        failure: reason why the simulation failed; None if it did not.
    """

    index: int
    samples: int
    touch_seconds: float = 0.0
    image_seconds: float = 0.0
    failure: str | None = None


def make_trial(folder: Path, index: int, sensor: str) -> TrialReport:
    """Simulate and render a trial, except for parts that are in the dataset already.

    Args:
        folder: folder of the dataset.
        index: index of the trial.
        sensor: text of the sensor file.

    Returns:
        Report of the trial.

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
            return TrialReport(
                index=index,
                samples=0,
                touch_seconds=time.perf_counter() - started,
                failure=str(error),
            )
        touch_seconds = time.perf_counter() - started
    if not images.exists():
        started = time.perf_counter()
        _write_images(dataset, sensor, trial)
        image_seconds = time.perf_counter() - started
    return TrialReport(
        index=index,
        samples=dataset.plan.states_per_trial,
        touch_seconds=touch_seconds,
        image_seconds=image_seconds,
    )


def write_sensor_group(dataset: Dataset, model: SensorModel) -> None:
    """Write the group of a sensor's images, with the sensor file and the reference image.

    Args:
        dataset: opened dataset.
        model: sensor whose images are rendered.

    Raises:
        InputError: the dataset cannot be written.
    """
    folder = dataset.sensor_folder(model.checksum)
    if (folder / REFERENCE_GROUP).exists():
        return
    sensor = format_sensor(model)
    if not folder.exists():
        write_group(folder, {}, {"sensor": sensor, "sensor_checksum": model.checksum})
    write_group(folder / REFERENCE_GROUP, render_reference(_renderer(sensor)), {})


def _write_touches(dataset: Dataset, model: SensorModel, trial: Trial) -> None:
    """Simulate a trial and write its surfaces and forces."""
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
    """Render the stored surfaces of a trial and write its images and maps."""
    touches = read_group(dataset.touch_folder(trial.index))
    positions = np.asarray(read_array(touches, "position_mm"), np.float32)
    contact = np.asarray(read_array(touches, "contact"), np.bool_)
    renderer = _renderer(sensor)
    poses = [IndenterPose(*map(float, pose)) for pose in read_array(touches, "pose")]
    indenter = build_indenter(trial.indenter)
    images = render_touches(renderer, positions, contact, indenter, poses)
    checksum = renderer.model.checksum
    attributes = {"indenter": trial.indenter, "split": trial.split, "sensor_checksum": checksum}
    write_group(dataset.image_folder(checksum, trial.index), images, attributes)


@functools.lru_cache(maxsize=1)
def _renderer(sensor: str) -> FastRenderer:
    """Renderer of a sensor file with one thread, cached in each process."""
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings

    return FastRenderer(parse_sensor(sensor), FastSettings(threads=1))
