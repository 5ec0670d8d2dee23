"""Features of many images, as `tacdiff touch embed` writes and `tacdiff touch probe` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.touch_encoder import TouchReading

MAX_IMAGES = 200_000
MAX_FILE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class TouchFeatures:
    """Features of images.

    Attributes:
        files: (N,) name of the file or video of each image.
        frames: (N,) int32 number of the image in its video; 0 for single images.
        embedding: (N, F) float32 features for probes.
        touch: (N, F) float32 features of length 1.
        properties: (N, P) float32 estimated quantities.
        property_names: (P,) their names.
        contact: (N,) whether something touches the gel.
        encoder: (1,) checksum of the encoder.

    Raises:
        InputError: shapes or types do not fit each other.
    """

    files: NDArray[np.str_]
    frames: NDArray[np.int32]
    embedding: NDArray[np.float32]
    touch: NDArray[np.float32]
    properties: NDArray[np.float32]
    property_names: NDArray[np.str_]
    contact: NDArray[np.bool_]
    encoder: NDArray[np.str_]

    def __post_init__(self) -> None:
        count = len(self.files) if np.ndim(self.files) == 1 else -1
        expected: dict[str, tuple[tuple[int | None, ...], str]] = {
            "files": ((count,), "U"),
            "frames": ((count,), "i"),
            "embedding": ((count, None), "f"),
            "touch": ((count, None), "f"),
            "properties": ((count, len(np.atleast_1d(self.property_names))), "f"),
            "property_names": ((None,), "U"),
            "contact": ((count,), "b"),
            "encoder": ((1,), "U"),
        }
        for name, (shape, kind) in expected.items():
            _check(name, getattr(self, name), shape, kind)
        if count == 0:
            raise InputError("features: no images")

    def save(self, path: Path) -> None:
        """Write the features to an `.npz` file.

        Args:
            path: file.

        Raises:
            InputError: the file cannot be written.
        """

        def write(partial: Path) -> None:
            with partial.open("wb") as opened:
                np.savez(opened, **self.__dict__)

        write_files(path.absolute().parent, {path.name: write})


class FeatureRows:
    """Gathers the features of images, without the large maps of their readings."""

    def __init__(self, property_names: Sequence[str], encoder: str) -> None:
        """Start without images.

        Args:
            property_names: names of the properties to keep.
            encoder: checksum of the encoder.
        """
        self._names, self._encoder = tuple(property_names), encoder
        self._images: list[tuple[str, int, bool]] = []
        self._embedding: list[NDArray[np.float32]] = []
        self._touch: list[NDArray[np.float32]] = []
        self._properties: list[list[float]] = []

    def add(self, file: str, frame: int, reading: TouchReading) -> None:
        """Add an image.

        Args:
            file: name of its file or video.
            frame: number of the image in its video.
            reading: its reading.

        Raises:
            InputError: there are too many images for one file.
        """
        if len(self._images) >= MAX_IMAGES:
            raise InputError(f"more than {MAX_IMAGES} images: embed them in several files")
        self._images.append((file, frame, reading.contact))
        self._embedding.append(reading.embedding)
        self._touch.append(reading.touch)
        self._properties.append([reading.properties[name] for name in self._names])

    def features(self) -> TouchFeatures:
        """Return the features of all images.

        Raises:
            InputError: there are no images.
        """
        if not self._images:
            raise InputError("features: no images")
        files, frames, contact = zip(*self._images, strict=True)
        return TouchFeatures(
            files=np.array(files, np.str_),
            frames=np.array(frames, np.int32),
            embedding=np.stack(self._embedding),
            touch=np.stack(self._touch),
            properties=np.array(self._properties, np.float32).reshape(len(files), -1),
            property_names=np.array(self._names, np.str_),
            contact=np.array(contact, np.bool_),
            encoder=np.array([self._encoder]),
        )


def read_features(path: Path) -> TouchFeatures:
    """Read a file that `TouchFeatures.save` has written.

    Args:
        path: `.npz` file.

    Raises:
        InputError: the file is missing, damaged or no such file.
    """
    arrays = read_archive(path, "features", MAX_FILE_BYTES)
    names = set(TouchFeatures.__dataclass_fields__)
    if set(arrays) != names:
        raise InputError(
            f"{printable(path)} holds no features of `tacdiff touch embed`: expected the arrays "
            f"{', '.join(sorted(names))}"
        )
    try:
        return TouchFeatures(**arrays)
    except InputError as error:
        raise InputError(f"{printable(path)}: {error}") from error


def _check(name: str, array: NDArray[Any], shape: tuple[int | None, ...], kind: str) -> None:
    given = np.shape(array)
    fits = len(given) == len(shape) and all(
        size in (None, number) for size, number in zip(shape, given, strict=True)
    )
    if not fits or array.dtype.kind != kind:
        raise InputError(f"features: {name} of shape {given} and type {array.dtype} does not fit")
