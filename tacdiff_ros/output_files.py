"""Writes files atomically: to a temporary file in the same folder, which is then renamed.

After a full disk, a folder without write permission or a killed process, a file has either its old
content or its complete new content. Temporary files of killed processes are removed by the next
process that writes the same file.
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

PROBE_BYTES = 4096  # bytes written to test for free space


def write_file(path: Path, content: bytes | str) -> None:
    """Write one file atomically.

    Args:
        path: file in an existing folder.
        content: bytes, or text that is encoded as UTF-8.

    Raises:
        InputError: the file cannot be written; an existing file is unchanged.
    """
    try:
        _write_all({path: content})
    except OSError as error:
        raise InputError(f"cannot write {path}: {explain(error)}") from error


def write_files(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Write several files to a folder; all are on the disk before the first one is renamed.

    Args:
        folder: output folder, created if it does not exist.
        contents: bytes, or text that is encoded as UTF-8, by file name.

    Raises:
        InputError: a file cannot be written; existing files are unchanged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_all({folder / name: content for name, content in contents.items()})
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {explain(error)}") from error


def check_space(folder: Path) -> None:
    """Check that files can be written to a folder, or to the parent in which it will be created.

    Args:
        folder: output folder, which need not exist.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {explain(error)}") from error


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """Return the PNG encoding of an image, (H, W, 3) uint8 RGB."""
    good, data = cv2.imencode(".png", image[..., ::-1])
    if not good:
        raise RuntimeError("OpenCV could not encode an image")
    return data.tobytes()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return the `.npy` encoding of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def json_text(content: Any) -> str:
    """Return indented JSON text of `content`."""
    return json.dumps(content, indent=2) + "\n"


def _write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write all temporary files, then rename all of them; raises OSError."""
    parts: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            target = Path(os.path.realpath(path))  # a symbolic link is kept; its target is replaced
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
    """Write a file and wait for the disk: after a power cut, a renamed file must not be empty."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with path.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _check_regular(path: Path) -> None:
    """Refuse devices and pipes, which renaming would replace by a regular file."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise InputError(f"{path} is {kind}, expected a regular file or no file")


def _remove_stale(target: Path) -> None:
    """Remove temporary files of a target that killed processes left behind."""
    prefix, suffix = f".{target.name}.", ".part"
    if not target.parent.is_dir():
        return
    for path in target.parent.iterdir():
        number = path.name.removeprefix(prefix).removesuffix(suffix)
        if path.name == f"{prefix}{number}{suffix}" and number.isdecimal() and _has_ended(number):
            path.unlink(missing_ok=True)


def _has_ended(process: str) -> bool:
    return int(process) == os.getpid() or not Path("/proc", process).exists()
