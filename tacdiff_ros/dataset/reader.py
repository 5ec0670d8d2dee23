"""Reading of the samples of a dataset's split."""

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
from tacdiff_ros.dataset.trial_work import REFERENCE_GROUP
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import parse_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_OPEN_TRIALS = 1024  # trials whose Zarr group is open at the same time
CHECKSUM = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Sample:
    """Image and maps of one state of a trial.

    Attributes:
        trial: index of the trial.
        step: index of the state in the trial.
        indenter: specification of the indenter.
        rgb: (H, W, 3) uint8 tactile image.
        light: (H, W, 3) uint8 image without cast shadows, not filtered.
        nocs: (H, W, 3) float32 NOCS map in [0, 1].
        depth_mm: (H, W) float32 distance from the camera, mm.
        indentation_mm: (H, W) float32 indentation, mm.
        shear_mm: (H, W, 2) float32 tangential displacement of the gel, mm.
        contact: (H, W) bool, True where the gel is in contact with the indenter.
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
    """Reads the samples of one split for one sensor file.

    Groups are opened when they are first read and are not pickled, so that a reader can be copied
    to other processes.

    Attributes:
        dataset: opened dataset.
        split: split of the samples.
        checksum: checksum of the sensor file that the images belong to.
        trials: indices of the split's trials that have images, in ascending order.
    """

    def __init__(self, dataset: Dataset, split: Split, checksum: str | None = None) -> None:
        """List the stored trials of a split.

        Args:
            dataset: opened dataset.
            split: split of the samples.
            checksum: checksum of the sensor file; None if the dataset has images of one sensor
                file only.

        Raises:
            InputError: no checksum is given, and the dataset has images of no or several sensor
                files.
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

    def trial_and_step(self, number: int) -> tuple[int, int]:
        """Return the trial of a sample and the index of its state in the trial.

        Args:
            number: index of the sample in the split.

        Raises:
            IndexError: there is no such sample.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        trial_number, step = divmod(number, self.dataset.plan.states_per_trial)
        return self.trials[trial_number], step

    def array(self, number: int, name: str) -> NDArray[Any]:
        """Return one array of a sample in its stored type.

        Args:
            number: index of the sample in the split.
            name: name of the array, see `array_layout.LAYOUT`.

        Raises:
            InputError: the array is missing or damaged.
        """
        trial, step = self.trial_and_step(number)
        return read_array(self._group(trial), name, step)

    def sample(self, number: int) -> Sample:
        """Return the image and all maps of a sample.

        Args:
            number: index of the sample in the split.

        Raises:
            InputError: an array is missing or damaged.
        """
        trial, step = self.trial_and_step(number)
        return Sample(
            trial=trial,
            step=step,
            indenter=plan_trial(self.dataset.plan, trial).indenter,
            rgb=self.array(number, "rgb"),
            light=self.array(number, "light"),
            nocs=decode_nocs(self.array(number, "nocs")),
            depth_mm=decode_length(self.array(number, "depth")),
            indentation_mm=decode_length(self.array(number, "indentation")),
            shear_mm=decode_length(self.array(number, "shear")),
            contact=self.array(number, "contact").astype(np.bool_),
        )

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling, without opened groups."""
        return {**self.__dict__, "_open": OrderedDict()}

    def _group(self, trial: int) -> zarr.Group:
        """Group of a trial's images, opened if necessary."""
        if trial not in self._open:
            group = read_group(self.dataset.image_folder(self.checksum, trial))
            self._check_shape(group)
            self._open[trial] = group
            if len(self._open) > MAX_OPEN_TRIALS:
                self._open.popitem(last=False)
        return self._open[trial]

    def _check_shape(self, group: zarr.Group) -> None:
        """Check the number of a trial's images, and that all trials have images of one size."""
        image = cast(Any, group.get("rgb"))
        expected = self._sample_shape
        states = self.dataset.plan.states_per_trial
        if image is None or image.shape[0] != states or expected not in (None, image.shape[1:]):
            raise InputError(
                f"{group.store_path} is damaged: expected {states} images of one size in all trials"
            )
        self._sample_shape = image.shape[1:]


def sensor_checksums(dataset: Dataset) -> tuple[str, ...]:
    """Return the checksums of all sensor files that the dataset has images of.

    Args:
        dataset: opened dataset.

    Raises:
        InputError: a group of images is damaged.
    """
    headers = sorted(dataset.folder.glob("images_*/zarr.json"))
    groups = [read_group(path.parent) for path in headers]
    checksums = tuple(str(group.attrs.get("sensor_checksum", "")) for group in groups)
    for path, checksum in zip(headers, checksums, strict=True):
        if not CHECKSUM.fullmatch(checksum):
            raise InputError(f"{path} is damaged: it does not name its sensor file")
    return checksums


def only_checksum(dataset: Dataset) -> str:
    """Return the checksum of the only sensor file that the dataset has images of.

    Args:
        dataset: opened dataset.

    Raises:
        InputError: there are images of no sensor file, or of more than one.
    """
    checksums = sensor_checksums(dataset)
    if len(checksums) != 1:
        listed = ", ".join(checksum[:16] for checksum in checksums) or "none"
        raise InputError(
            f"{dataset.folder} has images by {len(checksums)} sensor files ({listed}): "
            + ("name one with --sensor" if checksums else "render some with `tacdiff dataset`")
        )
    return checksums[0]


def stored_sensor(dataset: Dataset, checksum: str) -> SensorModel:
    """Return the sensor that images were rendered with.

    Args:
        dataset: opened dataset.
        checksum: checksum of the sensor file.

    Raises:
        InputError: the sensor file in the dataset is missing or damaged.
    """
    group = read_group(dataset.sensor_folder(checksum))
    return parse_sensor(str(group.attrs.get("sensor", "")), f"sensor of {group.store_path}")


def reference_array(dataset: Dataset, checksum: str, name: str) -> NDArray[Any]:
    """Return one array of the undeformed gel in its stored type.

    Args:
        dataset: opened dataset.
        checksum: checksum of the sensor file.
        name: name of the array, see `array_layout.LAYOUT`.

    Raises:
        InputError: the array is missing or damaged.
    """
    return read_array(read_group(dataset.sensor_folder(checksum) / REFERENCE_GROUP), name, 0)


def _stored_trials(folder: Path) -> list[int]:
    """Indices of the trials in the folder of a sensor's images."""
    return [trial_index(path.name) for path in folder.glob("trial_*")]
