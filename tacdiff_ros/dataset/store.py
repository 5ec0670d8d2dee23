"""Storage of a dataset: a Zarr hierarchy whose trials are written completely or not at all.

    DIR                         group; attributes: schema, plan, gel
    DIR/touches/trial_00000     group of a trial: surfaces, forces, poses, contact, phases
    DIR/images_<checksum>       group of a sensor file: attributes; subgroup of its reference image
    DIR/images_<checksum>/trial_00000   group of a trial: images and maps
    DIR/failed/trial_00007.json reason why the simulation of a trial failed

A trial is written to a hidden folder that is then renamed. Arrays are sharded: one file per array,
with one compressed chunk per sample, so that single samples can be read without the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from zarr.codecs import BloscCodec

from tacdiff_ros.dataset.array_layout import check_arrays, read_node
from tacdiff_ros.dataset.plan import DatasetPlan
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_json
from tacdiff_ros.output_files import atomic_folder, write_files
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import first_complaint

SCHEMA, SCHEMA_VERSION = "tacdiff_ros/dataset", 1
SIZES = "array_bytes"  # attribute of a group: file size of every array
CHECKSUM_DIGITS, MAX_INDEX_DIGITS = 16, 9
MAX_ARRAY_BYTES = 400_000_000  # size of an array that may be read as a whole
MAX_FAILURE_BYTES = 100_000


class GelSize(BaseModel):
    """Size of a gel pad, the only property of a sensor that the simulated touches depend on.

    Attributes:
        width_mm: size along x, mm.
        height_mm: size along y, mm.
        thickness_mm: thickness, mm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width_mm: float
    height_mm: float
    thickness_mm: float


@dataclass(frozen=True)
class Dataset:
    """An opened dataset.

    Attributes:
        folder: folder of the dataset.
        plan: plan of the trials.
        gel: size of the gel pad.
    """

    folder: Path
    plan: DatasetPlan
    gel: GelSize

    def touch_folder(self, index: int) -> Path:
        """Folder of a trial's surfaces and forces."""
        return self.folder / "touches" / trial_name(index)

    def image_folder(self, checksum: str, index: int) -> Path:
        """Folder of a trial's images.

        Args:
            checksum: checksum of the sensor file that the images were rendered with.
            index: index of the trial.
        """
        return self.sensor_folder(checksum) / trial_name(index)

    def sensor_folder(self, checksum: str) -> Path:
        """Folder of all images that were rendered with the sensor file of a checksum."""
        return self.folder / f"images_{checksum[:CHECKSUM_DIGITS]}"

    def failure_file(self, index: int) -> Path:
        """Path of the JSON file that states why the simulation of a trial failed."""
        return self.folder / "failed" / f"{trial_name(index)}.json"

    def failures(self) -> dict[int, dict[str, Any]]:
        """Return the content of the failure files by trial index.

        Raises:
            InputError: a file is damaged, or its name is not that of a trial.
        """
        files = sorted((self.folder / "failed").glob("trial_*.json"))
        paths = {trial_index(path.stem): path for path in files}
        return {
            index: _read_failure(path) for index, path in paths.items() if index < self.plan.trials
        }


def gel_size(model: SensorModel) -> GelSize:
    """Return the size of a sensor's gel pad."""
    return GelSize(
        width_mm=model.gel.width_mm,
        height_mm=model.gel.height_mm,
        thickness_mm=model.gel_thickness_mm,
    )


def trial_name(index: int) -> str:
    """Return the name of a trial's group."""
    return f"trial_{index:05d}"


def trial_index(name: str) -> int:
    """Return the index of a trial, given the name of its group.

    Raises:
        InputError: the name is not that of a trial.
    """
    digits = name.removeprefix("trial_")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_INDEX_DIGITS):
        raise InputError(
            f"{printable(name)[:80]!r} is no name of a trial, expected 'trial_' and a number: "
            "remove it"
        )
    return int(digits)


def open_or_create(folder: Path, plan: DatasetPlan, gel: GelSize) -> Dataset:
    """Create a dataset, or open an existing one of the same plan in order to resume it.

    The plan may have more trials than that of the existing dataset.

    Args:
        folder: folder of the dataset.
        plan: plan of the trials.
        gel: size of the gel pad.

    Returns:
        Opened dataset.

    Raises:
        InputError: the folder contains other files, or a dataset of another plan or pad, or cannot
            be written.
    """
    if not (folder / "zarr.json").exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is no dataset and not empty: give another folder")
        _write_header(folder, plan, gel)
        return Dataset(folder, plan, gel)
    existing = open_dataset(folder)
    if existing.gel != gel:
        raise InputError(
            f"{folder} was made for a gel of {_size_text(existing.gel)}, the sensor file has "
            f"{_size_text(gel)}: give another folder"
        )
    changed = [
        name
        for name in DatasetPlan.model_fields
        if name != "trials" and getattr(existing.plan, name) != getattr(plan, name)
    ]
    if changed:
        name = changed[0]
        raise InputError(
            f"{folder} has another plan ({name}: {getattr(existing.plan, name)!r}, requested "
            f"{getattr(plan, name)!r}): give another folder"
        )
    if plan.trials > existing.plan.trials:
        _write_header(folder, plan, gel)
    return Dataset(folder, plan, gel)


def open_dataset(folder: Path) -> Dataset:
    """Open an existing dataset.

    Args:
        folder: folder of the dataset.

    Returns:
        Opened dataset.

    Raises:
        InputError: there is no dataset, or it is damaged or of another schema version.
    """
    header = folder / "zarr.json"
    try:
        attributes = read_node(folder, "group")["attributes"]
        schema, version = attributes["schema"], attributes["schema_version"]
    except (InputError, KeyError) as error:
        raise InputError(
            f"{printable(folder)} contains no dataset ({header.name} cannot be read)"
        ) from error
    if schema != SCHEMA or version != SCHEMA_VERSION:
        raise InputError(
            f"{folder} has schema {str(schema)[:80]!r} version {str(version)[:80]}, expected "
            f"{SCHEMA!r} version {SCHEMA_VERSION}"
        )
    try:
        plan = DatasetPlan.model_validate(attributes["plan"])
        gel = GelSize.model_validate(attributes["gel"])
    except (KeyError, ValidationError) as error:
        if isinstance(error, ValidationError):
            reason = first_complaint(error)
        else:
            reason = f"{error} is missing"
        raise InputError(f"{header} is damaged: {reason}") from error
    return Dataset(folder, plan, gel)


def write_group(
    folder: Path, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]
) -> None:
    """Write a group completely or not at all.

    An existing group is not overwritten: groups are deterministic, so it has the same content.

    Args:
        folder: folder of the group.
        arrays: arrays by name, with samples along their first axis.
        attributes: attributes of the group, which must be JSON values.

    Raises:
        InputError: the folder cannot be written, for example on a full disk.
    """
    with atomic_folder(folder) as temporary:
        group = zarr.open_group(temporary, mode="w", zarr_format=3, attributes=dict(attributes))
        for name, values in arrays.items():
            _write_array(group, name, values)
        group.attrs[SIZES] = {name: _array_bytes(temporary / name) for name in arrays}


def read_group(folder: Path) -> zarr.Group:
    """Open a group that `write_group` wrote.

    Zarr itself reads missing files as zeros; therefore the sizes of all files are compared with
    those in the group's attributes.

    Args:
        folder: folder of the group.

    Returns:
        Group, opened for reading.

    Raises:
        InputError: the group is missing, truncated or damaged, or has arrays of another layout
            (`array_layout`).
    """
    try:
        attributes = read_node(folder, "group").get("attributes", {})
    except InputError as error:
        raise InputError(f"{printable(folder)} is missing or damaged ({error})") from error
    check_arrays(folder, attributes.get(SIZES))
    try:
        return zarr.open_group(folder, mode="r", zarr_format=3, use_consolidated=False)
    except Exception as error:  # Zarr raises exceptions of many types
        raise InputError(
            f"{printable(folder)} is missing or damaged ({one_line(error)})"
        ) from error


def read_array(group: zarr.Group, name: str, sample: int | None = None) -> NDArray[Any]:
    """Read all samples of an array, or one of them.

    Args:
        group: group of `read_group`.
        name: name of the array.
        sample: index of the sample; None for all samples.

    Returns:
        Array in its stored type, with samples along the first axis unless one is selected.

    Raises:
        InputError: the array is missing, truncated or damaged.
    """
    sizes = cast(Any, group.attrs.get(SIZES))
    if name not in sizes:
        raise InputError(f"{group.store_path}/{name} is missing or damaged (not in the group)")
    try:
        array = cast(Any, group.get(name))
        if sample is None and array.nbytes > MAX_ARRAY_BYTES:
            raise ValueError(f"{array.nbytes} bytes, expected up to {MAX_ARRAY_BYTES}")
        return np.asarray(array[:] if sample is None else array[sample])
    except Exception as error:  # codecs raise exceptions of many types
        raise InputError(
            f"{group.store_path}/{name} is missing or damaged ({one_line(error)})"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, creating its folder if necessary.

    Args:
        path: JSON file.
        content: JSON values by name.

    Raises:
        InputError: the file cannot be written.
    """
    write_files(path.parent, {path.name: json.dumps(content, indent=2, sort_keys=True) + "\n"})


def _write_header(folder: Path, plan: DatasetPlan, gel: GelSize) -> None:
    """Write the `zarr.json` of the dataset itself."""
    attributes = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "plan": plan.model_dump(mode="json"),
        "gel": gel.model_dump(mode="json"),
    }
    header = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    write_json(folder / "zarr.json", header)


def _write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Write an array as one shard with one compressed chunk per sample."""
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=values.shape,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
        config=cast(Any, {"write_empty_chunks": True}),
    )
    array[:] = values


def _read_failure(path: Path) -> dict[str, Any]:
    content = read_json(path, "failure", MAX_FAILURE_BYTES)
    if not isinstance(content, dict):
        raise InputError(f"failure file {path} is no JSON object: delete it")
    return content


def _array_bytes(folder: Path) -> int:
    """Size of an array's data files, bytes."""
    return sum(path.stat().st_size for path in (folder / "c").rglob("*") if path.is_file())


def _size_text(gel: GelSize) -> str:
    return f"{gel.width_mm:g} x {gel.height_mm:g} x {gel.thickness_mm:g} mm"
