"""Cache folder of random sensors, because the path tracer takes a minute per image.

Every press is stored as soon as it is computed, so that an interrupted computation can resume.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tacdiff_ros import kernel_cache
from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import read_text
from tacdiff_ros.mechanics.indenter_spec import MAX_SPEC
from tacdiff_ros.output_files import json_text, png_bytes, write_file
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import read_sensor, write_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import first_complaint
from tacdiff_ros.virtual.random_sensors import (
    RandomPress,
    RandomSensor,
    SurfaceLoads,
    VirtualSensorSettings,
    camera_image,
    pressed_gel,
    random_press,
    random_sensor,
    undeformed_surface,
    visible_surface,
)

GENERATION = 7  # generation of the cached files; a new one invalidates older files
MAX_SURFACE_BYTES, MAX_PRESS_BYTES = 100_000_000, 10_000
MAX_IMAGES, PATH_SEEDS = 128, 16384  # images of a sensor; seeds of the path tracer


def cached_sensor(
    seed: int,
    settings: VirtualSensorSettings | None = None,
    folder: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> RandomSensor:
    """Load a random sensor from the cache; missing files are computed and stored first.

    Args:
        seed: seed of the sensor.
        settings: settings of its images; None for the defaults.
        folder: folder of all sensors; None for `tacdiff_ros/units` in the user's cache.
        progress: callback with the completed fraction.

    Returns:
        The sensor with its images and their ground truth.

    Raises:
        InputError: the folder cannot be written, or holds a damaged sensor.
    """
    settings = settings or VirtualSensorSettings()
    sensor_folder = _sensor_folder(seed, settings, folder)
    images = settings.presses + 1
    try:
        _ensure_reference(sensor_folder, seed, settings)
        for k in range(settings.presses):
            if progress is not None:
                progress((k + 1) / images)
            _ensure_press(sensor_folder, seed, k, settings)
    except OSError as error:
        raise InputError(
            f"cannot write the virtual sensor {sensor_folder}: {error.strerror}"
        ) from error
    return load_sensor(sensor_folder, settings.presses)


def cached_loads(
    seed: int, k: int, settings: VirtualSensorSettings | None = None, folder: Path | None = None
) -> SurfaceLoads:
    """Load the true loads of a press of a cached sensor; missing ones are computed and stored.

    Args:
        seed: seed of the sensor, which `cached_sensor` has created.
        k: number of the press.
        settings: settings of its images; None for the defaults.
        folder: folder of all sensors; None for `tacdiff_ros/units` in the user's cache.

    Raises:
        InputError: the folder cannot be written, or holds no such sensor.
    """
    settings = settings or VirtualSensorSettings()
    sensor_folder = _sensor_folder(seed, settings, folder)
    path = _loads_file(sensor_folder, k)
    if not path.exists():
        model = read_sensor(sensor_folder / "sensor.yaml")
        state = pressed_gel(model, random_press(seed, k, settings), settings)
        try:
            _write_loads(path, SurfaceLoads.of(state))
        except OSError as error:
            raise InputError(f"cannot write the loads {path}: {error.strerror}") from error
    return _read_loads(path)


def cache_folder() -> Path:
    """Return the default folder of random sensors."""
    return kernel_cache.cache_folder() / "units"


def load_sensor(folder: Path, presses: int) -> RandomSensor:
    """Read a random sensor that `cached_sensor` has stored.

    Args:
        folder: folder of the sensor.
        presses: number of its presses to read.

    Returns:
        The sensor with its images and their ground truth.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        model = read_sensor(folder / "sensor.yaml")
        files = [folder / f"press_{k}.json" for k in range(presses)]
        press_parameters = tuple(_read_press(path) for path in files)
        surfaces = tuple(_read_surface(path.with_suffix(".npz")) for path in files)
        images = tuple(read_image(path.with_suffix(".png")) for path in files)
        reference = read_image(folder / "reference.png")
        _check_sizes(model, (reference, *images))
    except InputError as error:
        raise InputError(f"{folder} holds no virtual sensor ({error}): delete it") from error
    return RandomSensor(
        model=model,
        reference=reference,
        presses=images,
        surfaces=surfaces,
        touches=press_parameters,
    )


def _sensor_folder(seed: int, settings: VirtualSensorSettings, folder: Path | None) -> Path:
    return (folder or cache_folder()) / f"unit_{seed}_{_key(seed, settings)}"


def _loads_file(folder: Path, k: int) -> Path:
    return folder / f"loads_{k}.npz"


def _ensure_reference(folder: Path, seed: int, settings: VirtualSensorSettings) -> None:
    """Create the sensor file and the reference image if they are missing."""
    if (folder / "sensor.yaml").exists():
        return
    from tacdiff_ros.virtual.exposure import usable_exposure

    folder.mkdir(parents=True, exist_ok=True)
    model = usable_exposure(random_sensor(seed))
    surface = undeformed_surface(model)
    image = camera_image(model, surface, settings, seed % PATH_SEEDS, _image_seed(seed, -1))
    write_file(folder / "reference.png", png_bytes(image))
    write_sensor(model, folder / "sensor.yaml")


def _ensure_press(folder: Path, seed: int, k: int, settings: VirtualSensorSettings) -> None:
    """Create the surface, the image and, as the last file, the parameters of a missing press."""
    parameter_file = folder / f"press_{k}.json"
    if parameter_file.exists():
        return
    model = read_sensor(folder / "sensor.yaml")
    press = random_press(seed, k, settings)
    surface_file = folder / f"press_{k}.npz"
    if not surface_file.exists():
        state = pressed_gel(model, press, settings)
        _write_loads(_loads_file(folder, k), SurfaceLoads.of(state))
        _write_surface(surface_file, visible_surface(model, press, state))
    surface = _read_surface(surface_file)
    image = camera_image(model, surface, settings, seed % PATH_SEEDS, _image_seed(seed, k))
    write_file(folder / f"press_{k}.png", png_bytes(image))
    write_file(parameter_file, json_text(asdict(press)))


def _image_seed(seed: int, k: int) -> int:
    return MAX_IMAGES * seed + k + 1


def _key(seed: int, settings: VirtualSensorSettings) -> str:
    """Return the hash of the sensor and the settings except the number of presses."""
    fixed_settings = asdict(replace(settings, presses=0))
    text = json.dumps([GENERATION, random_sensor(seed).checksum, fixed_settings])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _StoredPress(BaseModel):
    """Schema of `press_<k>.json`: the fields of a `RandomPress`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    indenter: str = Field(max_length=MAX_SPEC)
    at_mm: tuple[float, float]
    yaw_rad: float
    depth_mm: float
    shear_mm: tuple[float, float]
    friction: float


def _read_press(path: Path) -> RandomPress:
    text = read_text(path, "press", MAX_PRESS_BYTES)
    try:
        return RandomPress(**_StoredPress.model_validate_json(text).model_dump())
    except ValidationError as error:
        raise InputError(f"press {path}: {first_complaint(error)}") from error


def _check_sizes(model: SensorModel, images: tuple[NDArray[np.uint8], ...]) -> None:
    """Check that all images have one size, with the aspect ratio of the sensor file."""
    height, width = images[0].shape[:2]
    expected = model.image.height_px / model.image.width_px
    if abs(height / width - expected) > 1.0 / width or len({i.shape for i in images}) > 1:
        raise InputError(
            f"images of {width} x {height} pixels differ in size or from the sensor's aspect ratio"
        )


def _write_surface(path: Path, surface: GelSurface) -> None:
    content = io.BytesIO()
    shape = np.array([surface.rows, surface.columns])
    np.savez_compressed(content, rest=surface.rest, position=surface.position, shape=shape)
    write_file(path, content.getvalue())


def _read_surface(path: Path) -> GelSurface:
    arrays = read_archive(path, "surface", MAX_SURFACE_BYTES)
    try:
        rows, columns = (int(n) for n in arrays["shape"])
        rest, position = arrays["rest"], arrays["position"]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no surface: expected rest, position and shape") from error
    return GelSurface(rest, position, rows, columns, may_overhang=True)


def _write_loads(path: Path, loads: SurfaceLoads) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **vars(loads))
    write_file(path, content.getvalue())


def _read_loads(path: Path) -> SurfaceLoads:
    arrays = read_archive(path, "loads", MAX_SURFACE_BYTES)
    try:
        fields = {name: arrays[name] for name in ("rest_mm", "position_mm", "force_n", "area_mm2")}
        return SurfaceLoads(**fields, rows=int(arrays["rows"]), columns=int(arrays["columns"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} holds no loads of a press: delete it") from error
