"""A dataset on disk: a Zarr hierarchy in which a trial is there as a whole or not at all.

    DIR                         group; attributes: schema, plan, gel
    DIR/touches/trial_00000     group a trial: surfaces, forces, poses, contact, phases
    DIR/images_<checksum>       group a sensor file: attributes and its untouched image
    DIR/images_<checksum>/trial_00000   group a trial: images and maps
    DIR/failed/trial_00007.json what was given up, and why

A trial is written beside its place under a hidden name and then renamed. Arrays are sharded: one
file an array, one compressed chunk a sample, so that single samples are read without the rest.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import first_complaint

SCHEMA, SCHEMA_VERSION = "tacdiff_ros/dataset", 1
PARTIAL = ".partial-"
SIZES = "array_bytes"
CHECKSUM_DIGITS, MAX_INDEX_DIGITS = 16, 9
MAX_ARRAY_BYTES = 400_000_000  # read as a whole
MAX_FAILURE_BYTES = 100_000


class GelSize(BaseModel):
    """What the touches of a dataset depend on in a sensor; all else is up to its images."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width_mm: float
    height_mm: float
    thickness_mm: float


@dataclass(frozen=True)
class Dataset:
    """An opened dataset.

    Attributes:
        folder: that it is in.
        plan: of its trials.
        gel: size of the pad.
    """

    folder: Path
    plan: DatasetPlan
    gel: GelSize

    def touch_folder(self, index: int) -> Path:
        """Of a trial's surfaces."""
        return self.folder / "touches" / trial_name(index)

    def image_folder(self, checksum: str, index: int) -> Path:
        """Of a trial's images by a sensor file."""
        return self.sensor_folder(checksum) / trial_name(index)

    def sensor_folder(self, checksum: str) -> Path:
        """Of all images by a sensor file."""
        return self.folder / f"images_{checksum[:CHECKSUM_DIGITS]}"

    def failure_file(self, index: int) -> Path:
        """That says why a trial was given up."""
        return self.folder / "failed" / f"{trial_name(index)}.json"

    def failures(self) -> dict[int, dict[str, Any]]:
        """What was given up, by trial."""
        found = sorted((self.folder / "failed").glob("trial_*.json"))
        named = {trial_index(path.stem): path for path in found}
        return {
            index: _read_failure(path) for index, path in named.items() if index < self.plan.trials
        }


def gel_size(model: SensorModel) -> GelSize:
    """The pad of a sensor."""
    from tacdiff_ros.mechanics.touch import gel_thickness_mm

    return GelSize(
        width_mm=model.gel.width_mm,
        height_mm=model.gel.height_mm,
        thickness_mm=gel_thickness_mm(model),
    )


def trial_name(index: int) -> str:
    """Of a trial's group."""
    return f"trial_{index:05d}"


def trial_index(name: str) -> int:
    """Of a trial by its group's name.

    Raises:
        InputError: no name of a trial.
    """
    digits = name.removeprefix("trial_")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_INDEX_DIGITS):
        raise InputError(f"{printable(name)[:80]!r} is no name of a trial: remove it")
    return int(digits)


def open_or_create(folder: Path, plan: DatasetPlan, gel: GelSize) -> Dataset:
    """A dataset to go on with: new, or one of the same plan, which may now have more trials.

    Raises:
        InputError: the folder holds something else, or a dataset of another plan or pad.
    """
    if not (folder / "zarr.json").exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is no dataset and not empty: give another folder")
        _write_header(folder, plan, gel)
        return Dataset(folder, plan, gel)
    there = open_dataset(folder)
    if there.gel != gel:
        raise InputError(
            f"{folder} was made for a gel of {_size(there.gel)}, the sensor file says "
            f"{_size(gel)}: give another folder"
        )
    changed = [
        name
        for name in DatasetPlan.model_fields
        if name != "trials" and getattr(there.plan, name) != getattr(plan, name)
    ]
    if changed:
        raise InputError(
            f"{folder} has another plan ({changed[0]}: {getattr(there.plan, changed[0])!r}, asked "
            f"for {getattr(plan, changed[0])!r}): give another folder"
        )
    if plan.trials > there.plan.trials:
        _write_header(folder, plan, gel)
    return Dataset(folder, plan, gel)


def open_dataset(folder: Path) -> Dataset:
    """A dataset that is there.

    Raises:
        InputError: no dataset, a damaged one, or one of another schema version.
    """
    header = folder / "zarr.json"
    try:
        attributes = read_node(folder, "group")["attributes"]
        schema, version = attributes["schema"], attributes["schema_version"]
    except (InputError, KeyError) as error:
        raise InputError(
            f"{printable(folder)} holds no dataset ({header.name} cannot be read)"
        ) from error
    if schema != SCHEMA or version != SCHEMA_VERSION:
        raise InputError(
            f"{folder} has schema {str(schema)[:80]!r} version {str(version)[:80]}, expected "
            f"{SCHEMA!r} "
            f"version {SCHEMA_VERSION}"
        )
    try:
        plan = DatasetPlan.model_validate(attributes["plan"])
        gel = GelSize.model_validate(attributes["gel"])
    except (KeyError, ValidationError) as error:
        reason = first_complaint(error) if isinstance(error, ValidationError) else f"no {error}"
        raise InputError(f"{header} is damaged: {reason}") from error
    return Dataset(folder, plan, gel)


def write_group(
    folder: Path, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]
) -> None:
    """Write a group whose arrays have samples along their first axis; all of it or nothing.

    A group that is there already is kept: whoever wrote it wrote the same.

    Raises:
        InputError: the folder cannot be written, as on a full disk.
    """
    with written_beside(folder) as beside:
        group = zarr.open_group(beside, mode="w", zarr_format=3, attributes=dict(attributes))
        for name, values in arrays.items():
            _write_array(group, name, values)
        group.attrs[SIZES] = {name: _array_bytes(beside / name) for name in arrays}


@contextmanager
def written_beside(folder: Path) -> Iterator[Path]:
    """A hidden folder to write to; it takes its place when all went well."""
    beside = folder.with_name(f"{PARTIAL}{folder.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read_group(folder: Path) -> zarr.Group:
    """A group that `write_group` wrote.

    Zarr itself takes a missing file for zeros, so the sizes of all files are compared.

    Raises:
        InputError: missing, cut short or damaged, or arrays of another layout (`array_layout`).
    """
    try:
        attributes = read_node(folder, "group").get("attributes", {})
    except InputError as error:
        raise InputError(f"{printable(folder)} is missing or damaged ({error})") from error
    check_arrays(folder, attributes.get(SIZES))
    try:
        return zarr.open_group(folder, mode="r", zarr_format=3, use_consolidated=False)
    except Exception as error:  # Zarr raises what it likes
        raise InputError(
            f"{printable(folder)} is missing or damaged ({one_line(error)})"
        ) from error


def read_array(group: zarr.Group, name: str, sample: int | None = None) -> NDArray[Any]:
    """All samples of an array, or one.

    Raises:
        InputError: missing, cut short or damaged.
    """
    sizes = cast(Any, group.attrs.get(SIZES))
    if name not in sizes:
        raise InputError(f"{group.store_path}/{name} is missing or damaged (not in the group)")
    try:
        array = cast(Any, group.get(name))
        if sample is None and array.nbytes > MAX_ARRAY_BYTES:
            raise ValueError(f"{array.nbytes} bytes, over {MAX_ARRAY_BYTES}")
        return np.asarray(array[:] if sample is None else array[sample])
    except Exception as error:  # codecs raise what they like
        raise InputError(
            f"{group.store_path}/{name} is missing or damaged ({one_line(error)})"
        ) from error


def remove_partial(folder: Path) -> int:
    """Delete what killed processes left; the number of it.

    Limits: only while no process writes to the dataset.
    """
    left = [path for depth in ("", "*/") for path in folder.glob(f"{depth}{PARTIAL}*")]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write beside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{PARTIAL}{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_header(folder: Path, plan: DatasetPlan, gel: GelSize) -> None:
    attributes = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "plan": plan.model_dump(mode="json"),
        "gel": gel.model_dump(mode="json"),
    }
    header = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    try:
        write_json(folder / "zarr.json", header)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error


def _write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=values.shape,
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
        config=cast(Any, {"write_empty_chunks": True}),
    )
    array[:] = values


def _read_failure(path: Path) -> dict[str, Any]:
    content = read_json(path, "failure", MAX_FAILURE_BYTES)
    if not isinstance(content, dict):
        raise InputError(f"failure {path} is no table of names: delete it")
    return content


def _array_bytes(folder: Path) -> int:
    """Of an array's data."""
    return sum(path.stat().st_size for path in (folder / "c").rglob("*") if path.is_file())


def _size(gel: GelSize) -> str:
    return f"{gel.width_mm:g} x {gel.height_mm:g} x {gel.thickness_mm:g} mm"
