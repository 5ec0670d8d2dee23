"""An overview image of a dataset: samples of every indenter with their maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.plan import SPLITS
from tacdiff_ros.dataset.reader import Sample, SampleReader
from tacdiff_ros.dataset.store import Dataset
from tacdiff_ros.errors import InputError

WIDTH_PX = 200  # width of one image or map
LABEL_PX = 18  # height of a label
# Positions of the selected states in a trial, as fractions of its states: the end of the press, and
# a state late in the translations.
STATE_FRACTIONS = (0.15, 0.6)


def contact_sheet(dataset: Dataset, checksum: str) -> NDArray[np.uint8]:
    """Render an overview image with one row per indenter.

    Every row has the image, the NOCS map and the indentation of two samples.

    Args:
        dataset: opened dataset.
        checksum: checksum of the sensor file whose images are used.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: there are no samples.
    """
    panels = [_panel(sample) for sample in _selected_samples(dataset, checksum)]
    if not panels:
        raise InputError(f"{dataset.folder} has no samples yet: run `tacdiff dataset` first")
    per_row = len(STATE_FRACTIONS)
    blank = np.full_like(panels[0], 255)
    panels += [blank] * (len(panels) % per_row)
    rows = [np.concatenate(panels[k : k + per_row], 1) for k in range(0, len(panels), per_row)]
    return np.concatenate(rows)


def _selected_samples(dataset: Dataset, checksum: str) -> list[Sample]:
    """The states at `STATE_FRACTIONS` of the first trial of every indenter."""
    states = dataset.plan.states_per_trial
    selected: dict[tuple[str, int], Sample] = {}
    for split in SPLITS:
        reader = SampleReader(dataset, split, checksum)
        for trial_number in range(len(reader.trials)):
            for column, fraction in enumerate(STATE_FRACTIONS):
                sample = reader.sample(trial_number * states + int(fraction * states))
                selected.setdefault((sample.indenter, column), sample)
            if len(selected) >= len(STATE_FRACTIONS) * len(set(dataset.plan.indenters)):
                break
    return [selected[key] for key in sorted(selected)]


def _panel(sample: Sample) -> NDArray[np.uint8]:
    """Image, NOCS map and indentation of a sample side by side, below a label."""
    max_depth_mm = max(float(sample.indentation_mm.max()), 0.1)
    grey = np.rint(255 * sample.indentation_mm / max_depth_mm).astype(np.uint8)
    depth = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    nocs = np.rint(255 * sample.nocs).astype(np.uint8)
    images = np.concatenate([_scaled(image) for image in (sample.rgb, nocs, depth)], axis=1)
    label = np.full((LABEL_PX, images.shape[1], 3), 255, np.uint8)
    text = (
        f"{sample.indenter[:24]}  trial {sample.trial}, state {sample.step}, {max_depth_mm:.2f} mm"
    )
    cv2.putText(label, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([label, images])


def _scaled(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image resized to a width of `WIDTH_PX`."""
    height = round(image.shape[0] * WIDTH_PX / image.shape[1])
    scaled = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, np.uint8)
