"""View of a dataset of simulated touches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.contact_sheet import contact_sheet
from tacdiff_ros.dataset.plan import SPLITS, plan_trial
from tacdiff_ros.dataset.reader import Sample, SampleReader, sensor_checksums, stored_sensor
from tacdiff_ros.dataset.store import Dataset, open_dataset, read_array, read_group
from tacdiff_ros.errors import InputError
from tacdiff_ros.viewing.page import MAX_FRAMES, FrameCollector, View
from tacdiff_ros.viewing.surface_scene import Arrows, Layer, SurfaceScene, grid_scene

SERIES_TITLE = "Image, NOCS map (red: rest x, green: rest y, blue: height), indentation"
MAX_FORCE_ARROW_MM = 5.0


def view_dataset(folder: Path) -> View:
    """Return the view of a dataset: samples, contact sheet, the surface of the deepest sample.

    Raises:
        InputError: the folder is no dataset, is damaged, or has no samples.
    """
    dataset = open_dataset(folder)
    checksums = sensor_checksums(dataset)
    readers = [SampleReader(dataset, split, sum_) for sum_ in checksums[:1] for split in SPLITS]
    total = sum(len(reader) for reader in readers)
    if not total:
        raise InputError(f"{folder} has no samples yet: run `tacdiff dataset` first")
    collector = FrameCollector(SERIES_TITLE)
    step = -(-total // MAX_FRAMES)
    deepest: tuple[float, Sample] | None = None
    for number in range(0, total, step):
        sample, split = _sample(readers, number)
        depth_mm = float(sample.indentation_mm.max())
        if deepest is None or depth_mm > deepest[0]:
            deepest = depth_mm, sample
        caption = f"{split}, trial {sample.trial}, state {sample.step}, {sample.indenter}"
        collector.add(f"{caption}, {depth_mm:.2f} mm", _panel(sample))
    notes = []
    if step > 1:
        notes.append(f"One in {step} of {total} samples is shown.")
    if len(checksums) > 1:
        notes.append(f"The first of {len(checksums)} sensor files is shown.")
    sample = deepest[1] if deepest else _sample(readers, 0)[0]
    return View(
        f"Dataset {folder.name}",
        _facts(dataset, readers),
        [("two samples of each indenter", contact_sheet(dataset, checksums[0]))],
        scene=_scene(dataset, sample),
        series=collector.series(),
        notes=notes,
        sensor=stored_sensor(dataset, checksums[0]),
    )


def _sample(readers: list[SampleReader], number: int) -> tuple[Sample, str]:
    """Sample of all splits together, and its split."""
    for reader in readers:
        if number < len(reader):
            return reader.sample(number), reader.split
        number -= len(reader)
    raise IndexError(number)


def _panel(sample: Sample) -> NDArray[np.uint8]:
    depth_mm = max(float(sample.indentation_mm.max()), 0.1)
    grey = np.rint(255 * np.clip(sample.indentation_mm / depth_mm, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    nocs = np.rint(255 * sample.nocs).astype(np.uint8)
    return np.concatenate([sample.rgb, nocs, colours], axis=1)


def _facts(dataset: Dataset, readers: list[SampleReader]) -> dict[str, Any]:
    plan = dataset.plan
    trials = [trial for reader in readers for trial in reader.trials]
    kinds = Counter(plan_trial(plan, trial).indenter for trial in trials)
    return {
        "trials planned": plan.trials,
        "trials with images": len(trials),
        "failed trials": len(dataset.failures()),
        "states of a trial": plan.states_per_trial,
        **{f"samples, {reader.split}": len(reader) for reader in readers},
        "trials by indenter": ", ".join(f"{name} {count}" for name, count in kinds.items()),
        "mechanics": plan.mechanics,
        "gel, mm": f"{dataset.gel.width_mm:g} x {dataset.gel.height_mm:g} x "
        f"{dataset.gel.thickness_mm:g}",
    }


def _scene(dataset: Dataset, sample: Sample) -> SurfaceScene:
    """Surface of a sample with pressure, traction and the net force."""
    group = read_group(dataset.touch_folder(sample.trial))
    names = ("position_mm", "pressure_mpa", "traction_mpa", "force_n", "pose")
    position, pressure, traction, force_n, pose = (
        read_array(group, name, sample.step) for name in names
    )
    layers = [
        Layer("indentation, mm", -position[..., 2].ravel()),
        Layer("pressure, MPa", pressure.ravel()),
        Layer("tangential traction, MPa", np.linalg.norm(traction, axis=-1).ravel()),
    ]
    size_n = float(np.linalg.norm(force_n))
    arrows = []
    if size_n > 0:
        vector = MAX_FORCE_ARROW_MM * force_n / size_n
        tip = np.array([pose[0], pose[1], -pose[2]])
        arrows = [Arrows(f"net force on the gel, {size_n:.2f} N", tip - vector, vector)]
    return grid_scene(position, layers, arrows)
