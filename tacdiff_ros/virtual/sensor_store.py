"""Virtual units kept in a folder, since an image takes the path tracer a minute.

Presses are made one by one and kept at once, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tacdiff_ros import kernel_cache
from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import read_text
from tacdiff_ros.mechanics.indenter_spec import MAX_SPEC
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import read_sensor, write_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import first_complaint
from tacdiff_ros.virtual.random_sensors import (
    RandomPress,
    RandomSensor,
    VirtualSensorSettings,
    camera_image,
    pressed_surface,
    random_press,
    random_sensor,
    undeformed_surface,
)

GENERATION = 6  # of what is kept; a new one makes units anew
MAX_SURFACE_BYTES, MAX_TOUCH_BYTES = 100_000_000, 10_000
MAX_IMAGES, PATH_SEEDS = 128, 16384  # of a unit; that the path tracer tells apart


def cached_sensor(
    seed: int,
    settings: VirtualSensorSettings | None = None,
    folder: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> RandomSensor:
    """A unit from a folder of units; what is missing of it is made and kept there.

    Args:
        seed: of the unit.
        settings: what is rendered of it.
        folder: of all units; default `tacdiff_ros/units` in the user's cache.
        progress: told the share that is done.

    Raises:
        InputError: the folder cannot be written, or holds a damaged unit.
    """
    settings = settings or VirtualSensorSettings()
    place = (folder or cache_folder()) / f"unit_{seed}_{_key(seed, settings)}"
    images = settings.presses + 1
    try:
        _keep_reference(place, seed, settings)
        for k in range(settings.presses):
            if progress is not None:
                progress((k + 1) / images)
            _keep_press(place, seed, k, settings)
    except OSError as error:
        raise InputError(f"cannot write the virtual unit {place}: {error.strerror}") from error
    return load_sensor(place, settings.presses)


def cache_folder() -> Path:
    """Where units are kept by default."""
    return kernel_cache.cache_folder() / "units"


def load_sensor(folder: Path, presses: int) -> RandomSensor:
    """Read what `cached_sensor` wrote.

    Args:
        folder: of the unit.
        presses: how many of its presses are wanted.

    Raises:
        InputError: a file is missing or is not what it should be.
    """
    try:
        model = read_sensor(folder / "sensor.yaml")
        files = [folder / f"press_{k}.json" for k in range(presses)]
        touches = tuple(_read_touch(path) for path in files)
        surfaces = tuple(_read_surface(path.with_suffix(".npz")) for path in files)
        images = tuple(read_image(path.with_suffix(".png")) for path in files)
        reference = read_image(folder / "reference.png")
        _check_sizes(model, (reference, *images))
    except InputError as error:
        raise InputError(f"{folder} holds no virtual unit ({error}); delete it") from error
    return RandomSensor(model, reference, images, surfaces, touches)


def _keep_reference(place: Path, seed: int, settings: VirtualSensorSettings) -> None:
    """The sensor file, and the image of the untouched sensor."""
    if (place / "sensor.yaml").exists():
        return
    from tacdiff_ros.virtual.exposure import usable_exposure

    place.mkdir(parents=True, exist_ok=True)
    model = usable_exposure(random_sensor(seed))
    image = camera_image(model, undeformed_surface(model), settings, _image_seed(seed, -1))
    _write_image(place / "reference.png", image)
    write_sensor(model, place / "sensor.yaml")


def _keep_press(place: Path, seed: int, k: int, settings: VirtualSensorSettings) -> None:
    """Image, surface and, last of all, the numbers of a press."""
    numbers = place / f"press_{k}.json"
    if numbers.exists():
        return
    model = read_sensor(place / "sensor.yaml")
    touch = random_press(seed, k, settings)
    kept = place / f"press_{k}.npz"
    if not kept.exists():
        _write_surface(kept, pressed_surface(model, touch, settings))
    surface = _read_surface(kept)
    image = camera_image(model, surface, settings, _image_seed(seed, k))
    _write_image(place / f"press_{k}.png", image)
    _replace(numbers, json.dumps(asdict(touch), indent=2).encode())


def _image_seed(seed: int, k: int) -> int:
    return (MAX_IMAGES * seed + k + 1) % PATH_SEEDS


def _key(seed: int, settings: VirtualSensorSettings) -> str:
    """Of everything but the number of presses, as more can be added."""
    alike = asdict(replace(settings, presses=0))
    text = json.dumps([GENERATION, random_sensor(seed).checksum, alike])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _StoredTouch(BaseModel):
    """Form of `press_<k>.json`: the fields of a `RandomPress`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    indenter: str = Field(max_length=MAX_SPEC)
    at_mm: tuple[float, float]
    yaw_rad: float
    depth_mm: float
    shear_mm: tuple[float, float]
    friction: float


def _read_touch(path: Path) -> RandomPress:
    text = read_text(path, "press", MAX_TOUCH_BYTES)
    try:
        return RandomPress(**_StoredTouch.model_validate_json(text).model_dump())
    except ValidationError as error:
        raise InputError(f"press {path}: {first_complaint(error)}") from error


def _check_sizes(model: SensorModel, images: tuple[NDArray[np.uint8], ...]) -> None:
    """All images of a unit have one size, with the proportions of the sensor file's."""
    height, width = images[0].shape[:2]
    expected = model.image.height_px / model.image.width_px
    if abs(height / width - expected) > 1.0 / width or len({i.shape for i in images}) > 1:
        raise InputError(f"images of {width} x {height} pixels do not fit together or the sensor")


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    _replace(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _write_surface(path: Path, surface: GelSurface) -> None:
    beside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    shape = np.array([surface.rows, surface.columns])
    np.savez_compressed(beside, rest=surface.rest, position=surface.position, shape=shape)
    beside.replace(path)


def _read_surface(path: Path) -> GelSurface:
    arrays = read_archive(path, "surface", MAX_SURFACE_BYTES)
    try:
        rows, columns = (int(n) for n in arrays["shape"])
        rest, position = arrays["rest"], arrays["position"]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no surface: expected rest, position and shape") from error
    return GelSurface(rest, position, rows, columns, may_overhang=True)
