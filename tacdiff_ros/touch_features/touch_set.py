"""Touch sets: folders of tactile images with references, time order and labels.

| file | content |
| --- | --- |
| `card.yaml` | name, licence, source, seed, command, counts |
| `images.npy`, `references.npy` | (N, 120, 160, 3), (S, 120, 160, 3) uint8 RGB |
| `sensor.npy`, `video.npy`, `frame.npy`, `earlier.npy`, `touch.npy` | (N,) int32 |
| `labels.npz` | columns with one row per image; NaN or an empty text: unknown |
| `maps.npy` | (N, 5, 30, 40) float16: indentation, slopes dz/dx and dz/dy, in-plane displacement |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_text
from tacdiff_ros.output_files import atomic_folder
from tacdiff_ros.settings_file import parse_yaml

HEIGHT_PX, WIDTH_PX = 120, 160
MAP_SHAPE = (5, 30, 40)
MAX_CARD_BYTES = 64 * 1024
MAX_LABEL_BYTES = 2**31
INDICES = ("sensor", "video", "frame", "earlier", "touch")


@dataclass(frozen=True)
class TouchSet:
    """Tactile images of one or several sensors.

    Attributes:
        card: name, licence, source and other facts about the set.
        images: (N, 120, 160, 3) uint8 RGB.
        references: (S, 120, 160, 3) uint8 RGB reference images of the sensors.
        sensor: (N,) int32 row of the image's sensor in `references`.
        video: (N,) int32 video of the image.
        frame: (N,) int32 number of the image in its video, at 25 Hz.
        earlier: (N,) int32 row of the image about 0.12 s earlier in the same video; -1: none.
        touch: (N,) int32 touched state; images of the same state by other sensors have the same.
        labels: arrays with one row per image, by name; NaN or an empty text for unknown values.
        maps: (N, 5, 30, 40) float16 indentation (mm), slopes dz/dx and dz/dy, and in-plane
            displacement x and y (mm) of the gel surface in image layout; None if unknown.

    Raises:
        InputError: shapes, types or indices are inconsistent.
    """

    card: Mapping[str, Any]
    images: NDArray[np.uint8]
    references: NDArray[np.uint8]
    sensor: NDArray[np.int32]
    video: NDArray[np.int32]
    frame: NDArray[np.int32]
    earlier: NDArray[np.int32]
    touch: NDArray[np.int32]
    labels: Mapping[str, NDArray[Any]]
    maps: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        count, sensors = len(self.images), len(self.references)
        picture = (HEIGHT_PX, WIDTH_PX, 3)
        _check("images", self.images, (count, *picture), np.uint8)
        _check("references", self.references, (sensors, *picture), np.uint8)
        for name in INDICES:
            _check(name, getattr(self, name), (count,), np.int32)
        if self.maps is not None:
            _check("maps", self.maps, (count, *MAP_SHAPE), np.float16)
        for name, column in self.labels.items():
            if np.shape(column)[:1] != (count,):
                raise InputError(
                    f"touch set: label {name} has shape {np.shape(column)}, expected {count} rows"
                )
        self._check_indices(count, sensors)

    def _check_indices(self, count: int, sensors: int) -> None:
        if count == 0:
            raise InputError("touch set: no images")
        for name, low, high in (("sensor", 0, sensors), ("earlier", -1, count)):
            index = getattr(self, name)
            if index.min() < low or index.max() >= high:
                raise InputError(
                    f"touch set: {name} is {index.min()} to {index.max()}, expected {low} to "
                    f"{high - 1}"
                )
        has = self.earlier >= 0
        if (self.video[self.earlier[has]] != self.video[has]).any():
            raise InputError("touch set: an earlier image belongs to another video")

    def __len__(self) -> int:
        return len(self.images)


def read_touch_set(folder: Path) -> TouchSet:
    """Open a touch set; images and maps are memory-mapped.

    Args:
        folder: folder of the set.

    Raises:
        InputError: a file is missing, damaged or inconsistent.
    """
    card = parse_yaml(read_text(folder / "card.yaml", "card", MAX_CARD_BYTES), "card")
    if not isinstance(card, dict):
        raise InputError(f"{printable(folder / 'card.yaml')} holds no mapping of names to values")
    arrays = {name: _mapped(folder / f"{name}.npy") for name in ("images", "references", *INDICES)}
    has_maps = (folder / "maps.npy").exists()
    return TouchSet(
        card=card,
        labels=read_archive(folder / "labels.npz", "labels", MAX_LABEL_BYTES),
        maps=_mapped(folder / "maps.npy") if has_maps else None,
        **arrays,
    )


def write_touch_set(touch_set: TouchSet, folder: Path) -> None:
    """Write a touch set to a new folder, which is whole or absent.

    Args:
        touch_set: set to write.
        folder: folder that does not exist yet.

    Raises:
        InputError: the folder exists or cannot be written.
    """
    if folder.exists():
        raise InputError(f"{printable(folder)} exists already: choose another folder")
    with atomic_folder(folder) as partial:
        partial.mkdir()
        for name in ("images", "references", *INDICES):
            np.save(partial / f"{name}.npy", getattr(touch_set, name))
        if touch_set.maps is not None:
            np.save(partial / "maps.npy", touch_set.maps)
        np.savez_compressed(partial / "labels.npz", **touch_set.labels)  # type: ignore[arg-type]
        card = yaml.safe_dump(dict(touch_set.card), sort_keys=False, allow_unicode=True)
        (partial / "card.yaml").write_text(card, encoding="utf-8")


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"cannot read {printable(path)}: not a .npy file of numbers ({one_line(error)})"
        ) from error


def _check(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if np.shape(array) != shape or array.dtype != dtype:
        raise InputError(
            f"touch set: {name} is {np.shape(array)} {array.dtype}, expected {shape} "
            f"{np.dtype(dtype)}"
        )
