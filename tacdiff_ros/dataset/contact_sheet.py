"""A picture of a dataset: samples of every indenter with their maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.plan import SPLITS
from tacdiff_ros.dataset.reader import Sample, SampleReader
from tacdiff_ros.dataset.store import Dataset
from tacdiff_ros.errors import InputError

WIDTH_PX = 200  # of a picture
LABEL_PX = 18
STEPS_SHOWN = 2


def contact_sheet(dataset: Dataset, checksum: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: a row an indenter; image, NOCS and indentation of two samples.

    Raises:
        InputError: there are no samples.
    """
    rows = [_row(sample) for sample in _shown(dataset, checksum)]
    if not rows:
        raise InputError(f"{dataset.folder} has no samples yet")
    blank = np.full_like(rows[0], 255)
    rows += [blank] * (len(rows) % STEPS_SHOWN)
    pairs = [np.concatenate(rows[k : k + STEPS_SHOWN], 1) for k in range(0, len(rows), STEPS_SHOWN)]
    return np.concatenate(pairs)


def _shown(dataset: Dataset, checksum: str) -> list[Sample]:
    """The end of the press, and a state late in the slides, of the first trial an indenter."""
    states = dataset.plan.states_per_trial
    shown: dict[tuple[str, int], Sample] = {}
    for split in SPLITS:
        reader = SampleReader(dataset, split, checksum)
        for turn in range(len(reader.trials)):
            for place, share in enumerate((0.15, 0.6)):
                sample = reader.sample(turn * states + int(share * states))
                shown.setdefault((sample.indenter, place), sample)
            if len(shown) >= STEPS_SHOWN * len(set(dataset.plan.indenters)):
                break
    return [shown[key] for key in sorted(shown)]


def _row(sample: Sample) -> NDArray[np.uint8]:
    deepest = max(float(sample.indentation_mm.max()), 0.1)
    grey = np.rint(255 * sample.indentation_mm / deepest).astype(np.uint8)
    depth = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    nocs = np.rint(255 * sample.nocs).astype(np.uint8)
    pictures = np.concatenate([_small(part) for part in (sample.rgb, nocs, depth)], axis=1)
    label = np.full((LABEL_PX, pictures.shape[1], 3), 255, np.uint8)
    text = f"{sample.indenter[:24]}  trial {sample.trial}, state {sample.step}, {deepest:.2f} mm"
    cv2.putText(label, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([label, pictures])


def _small(picture: NDArray[Any]) -> NDArray[np.uint8]:
    height = round(picture.shape[0] * WIDTH_PX / picture.shape[1])
    small = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
