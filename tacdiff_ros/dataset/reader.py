"""Reads a dataset's samples, a split at a time."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from tacdiff_ros.dataset.map_coding import decode_length, decode_nocs
from tacdiff_ros.dataset.plan import Split, plan_trial
from tacdiff_ros.dataset.store import Dataset, read_array, read_group, trial_index
from tacdiff_ros.dataset.trial_work import UNTOUCHED
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import parse_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

OPEN_TRIALS = 1024
CHECKSUM = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Sample:
    """One touch as a sensor sees it.

    Attributes:
        trial: number of its trial.
        step: number of its state in the trial.
        indenter: spec.
        rgb: (H, W, 3) uint8 image.
        light: (H, W, 3) uint8, the image without cast shadows, unfiltered.
        nocs: (H, W, 3) float32 in [0, 1].
        depth_mm: (H, W) float32 from the camera.
        indentation_mm: (H, W) float32.
        shear_mm: (H, W, 2) float32.
        contact: (H, W) bool.
    """

    trial: int
    step: int
    indenter: str
    rgb: NDArray[np.uint8]
    light: NDArray[np.uint8]
    nocs: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    indentation_mm: NDArray[np.float32]
    shear_mm: NDArray[np.float32]
    contact: NDArray[np.bool_]


class SampleReader:
    """Samples of one split by one sensor file.

    Groups are opened when they are first read, so that copies in other processes work.
    """

    def __init__(self, dataset: Dataset, split: Split, checksum: str | None = None) -> None:
        """Find the trials that are there.

        Args:
            dataset: to read.
            split: of its trials.
            checksum: of the sensor file; may be left out where there are images by one only.

        Raises:
            InputError: no images by that sensor file, or by several and none is named.
        """
        self.dataset = dataset
        self.split = split
        self.checksum = checksum or only_checksum(dataset)
        self.trials = tuple(
            index
            for index in sorted(_stored_trials(dataset.sensor_folder(self.checksum)))
            if index < dataset.plan.trials and plan_trial(dataset.plan, index).split == split
        )
        self._open: OrderedDict[int, zarr.Group] = OrderedDict()
        self._sample_shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.trials) * self.dataset.plan.states_per_trial

    def place(self, number: int) -> tuple[int, int]:
        """Trial and step of a sample."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        turn, step = divmod(number, self.dataset.plan.states_per_trial)
        return self.trials[turn], step

    def array(self, number: int, name: str) -> NDArray[Any]:
        """One array of a sample, as it is stored.

        Raises:
            InputError: missing or damaged.
        """
        trial, step = self.place(number)
        return read_array(self._group(trial), name, step)

    def sample(self, number: int) -> Sample:
        """Everything of a sample.

        Raises:
            InputError: missing or damaged.
        """
        trial, step = self.place(number)
        return Sample(
            trial,
            step,
            plan_trial(self.dataset.plan, trial).indenter,
            self.array(number, "rgb"),
            self.array(number, "light"),
            decode_nocs(self.array(number, "nocs")),
            decode_length(self.array(number, "depth")),
            decode_length(self.array(number, "indentation")),
            decode_length(self.array(number, "shear")),
            self.array(number, "contact").astype(np.bool_),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without opened groups."""
        return {**self.__dict__, "_open": OrderedDict()}

    def _group(self, trial: int) -> zarr.Group:
        if trial not in self._open:
            group = read_group(self.dataset.image_folder(self.checksum, trial))
            self._check_shape(group)
            self._open[trial] = group
            if len(self._open) > OPEN_TRIALS:
                self._open.popitem(last=False)
        return self._open[trial]

    def _check_shape(self, group: zarr.Group) -> None:
        """All trials have as many samples as the plan says, and images of one size."""
        image = cast(Any, group.get("rgb"))
        expected = self._sample_shape
        states = self.dataset.plan.states_per_trial
        if image is None or image.shape[0] != states or expected not in (None, image.shape[1:]):
            raise InputError(
                f"{group.store_path} is damaged: expected {states} images of one size in all trials"
            )
        self._sample_shape = image.shape[1:]


def sensor_checksums(dataset: Dataset) -> tuple[str, ...]:
    """Of all sensor files by which there are images."""
    folders = sorted(dataset.folder.glob("images_*/zarr.json"))
    groups = [read_group(path.parent) for path in folders]
    found = tuple(str(group.attrs.get("sensor_checksum", "")) for group in groups)
    for path, checksum in zip(folders, found, strict=True):
        if not CHECKSUM.fullmatch(checksum):
            raise InputError(f"{path} is damaged: it does not name its sensor file")
    return found


def only_checksum(dataset: Dataset) -> str:
    """Of the only sensor file by which there are images.

    Raises:
        InputError: there is none, or more than one.
    """
    found = sensor_checksums(dataset)
    if len(found) != 1:
        listed = ", ".join(checksum[:16] for checksum in found) or "none"
        raise InputError(
            f"{dataset.folder} has images by {len(found)} sensor files ({listed}): "
            + ("name one with --sensor" if found else "render some with `tacdiff dataset`")
        )
    return found[0]


def stored_sensor(dataset: Dataset, checksum: str) -> SensorModel:
    """The sensor file that images were drawn by.

    Raises:
        InputError: missing or damaged.
    """
    group = read_group(dataset.sensor_folder(checksum))
    return parse_sensor(str(group.attrs.get("sensor", "")), f"sensor of {group.store_path}")


def untouched_array(dataset: Dataset, checksum: str, name: str) -> NDArray[Any]:
    """One array of the untouched sensor, as it is stored.

    Raises:
        InputError: missing or damaged.
    """
    return read_array(read_group(dataset.sensor_folder(checksum) / UNTOUCHED), name, 0)


def _stored_trials(folder: Path) -> list[int]:
    """Numbers of the trials in the folder of a sensor's images."""
    return [trial_index(path.name) for path in folder.glob("trial_*")]
