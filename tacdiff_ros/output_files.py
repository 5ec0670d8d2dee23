"""Writes files whole or not at all: beside their place, then renamed.

Whatever happens, a full disk, a folder that cannot be written or a killed process, a file keeps
its old content or has all of its new one. What a killed process left beside is removed by the next
one that writes the same file.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import explain

PROBE_BYTES = 4096


def write_file(path: Path, content: bytes | str) -> None:
    """Write one file in a folder that exists; text as UTF-8.

    Raises:
        InputError: it cannot be written; an old file is as it was.
    """
    try:
        _write_all({path: content})
    except OSError as error:
        raise InputError(f"cannot write {path}: {explain(error)}") from error


def write_files(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Write files to a folder, which is made; all are on the disk before the first is renamed.

    Args:
        folder: output folder.
        contents: bytes, or text that is written as UTF-8, by the file's name.

    Raises:
        InputError: one cannot be written; old files are as they were.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_all({folder / name: content for name, content in contents.items()})
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {explain(error)}") from error


def check_space(folder: Path) -> None:
    """Raise InputError where nothing can be written in a folder, or where it would be made."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {explain(error)}") from error


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """PNG file of an image (H, W, 3) uint8 RGB."""
    good, data = cv2.imencode(".png", image[..., ::-1])
    if not good:
        raise RuntimeError("OpenCV could not encode an image")
    return data.tobytes()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """`.npy` file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def json_text(content: Any) -> str:
    """JSON file, indented."""
    return json.dumps(content, indent=2) + "\n"


def _write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write all beside their places, then rename all; raises OSError."""
    parts: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            target = Path(os.path.realpath(path))  # a link stays a link
            _check_regular(target)
            _remove_stale(target)
            parts[target] = target.with_name(f".{target.name}.{os.getpid()}.part")
            _write_durably(parts[target], content)
        for target in [*parts]:
            parts[target].replace(target)
            del parts[target]
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _write_durably(path: Path, content: bytes | str) -> None:
    """Write and wait for the disk: after a power cut a renamed file must not be empty."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with path.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _check_regular(path: Path) -> None:
    """Refuse devices and pipes: a renamed file would take their place."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise InputError(f"{path} is {kind}, expected none or a file to replace")


def _remove_stale(target: Path) -> None:
    """Remove what processes that were killed left beside a file."""
    prefix, suffix = f".{target.name}.", ".part"
    if not target.parent.is_dir():
        return
    for path in target.parent.iterdir():
        number = path.name.removeprefix(prefix).removesuffix(suffix)
        if path.name == f"{prefix}{number}{suffix}" and number.isdecimal() and _has_ended(number):
            path.unlink(missing_ok=True)


def _has_ended(process: str) -> bool:
    return int(process) == os.getpid() or not Path("/proc", process).exists()
