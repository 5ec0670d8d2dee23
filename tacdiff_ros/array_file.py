"""Safe readers of .npy and .npz files: each header is checked before the data is read.

Pickled objects are refused because loading them runs code. The array size in the header is compared
with the file size because a header of a hundred bytes can request terabytes of memory.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, open_input, printable, read_bytes

VALUE_KINDS = "biufU"
MAX_AXES = 8
MAX_ARCHIVE_MEMBERS = 64
MAX_HEADER_BYTES = 4096


def read_array(path: Path, kind: str, maximum_bytes: int) -> NDArray[Any]:
    """Return the numeric or text array stored in a .npy file.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages, such as "map".
        maximum_bytes: maximum file size, bytes.

    Returns:
        Read-only array with the shape and dtype stored in the file.

    Raises:
        InputError: the file is missing, too large or truncated, or its array holds neither numbers
            nor text.
    """
    with open_input(path, kind, maximum_bytes) as opened:
        size = opened.seek(0, io.SEEK_END)
        opened.seek(0)
        try:
            return _read_npy(opened, size)
        except Exception as error:  # the header is parsed as a Python literal: many types
            raise InputError(
                f"cannot read {kind} {printable(path)}: not a .npy file of numbers "
                f"({one_line(error)}); save it again with numpy.save"
            ) from error


def read_archive(path: Path, kind: str, maximum_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the numeric or text arrays stored in an .npz file.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages, such as "map".
        maximum_bytes: maximum size of the file, and of all arrays together after decompression,
            bytes.

    Returns:
        Read-only arrays by name.

    Raises:
        InputError: the file is missing, too large or damaged, or an array holds neither numbers nor
            text.
    """
    content = read_bytes(path, kind, maximum_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if len(members) > MAX_ARCHIVE_MEMBERS or unpacked > maximum_bytes:
                raise ValueError(f"{len(members)} arrays of {unpacked} bytes")
            return {
                member.filename.removesuffix(".npy"): _read_member(archive, member)
                for member in members
            }
    except Exception as error:  # damaged archives raise exceptions of many types
        raise InputError(
            f"cannot read {kind} {printable(path)}: not a .npz file of numbers ({one_line(error)})"
        ) from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as opened:
        content = opened.read(member.file_size)
    return _read_npy(io.BytesIO(content), len(content))


def _read_npy(opened: BinaryIO, size: int) -> NDArray[Any]:
    """Return the array of an open .npy file.

    Args:
        opened: binary file positioned at its start.
        size: file size, bytes.

    Raises:
        ValueError: the format version or dtype is not supported, or the header does not agree with
            the file size.
    """
    version = np.lib.format.read_magic(opened)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f".npy format {version[0]}.{version[1]}, expected 1.0 or 2.0")
    shape, fortran, dtype = readers[version](opened, max_header_size=MAX_HEADER_BYTES)
    if dtype.kind not in VALUE_KINDS or dtype.shape or len(shape) > MAX_AXES:
        raise ValueError(f"shape {shape} of {dtype}, expected numbers")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != size - opened.tell():
        raise ValueError(f"shape {shape} of {dtype} does not match the file size")
    values = np.frombuffer(opened.read(), dtype, count)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
