"""Writes files and folders atomically: under a temporary name beside them, and renamed when whole.

After a full disk, a folder without write permission, a killed process or a power cut, a file has
either its old content or its complete new content. Temporary files of killed processes are removed
by the next process that writes the same file, temporary folders by `remove_partial_folders`.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import explain

PROBE_BYTES = 4096  # bytes written to test for free space
PARTIAL_FOLDER = ".partial-"  # prefix of folders that are being written

Content = bytes | str | Callable[[Path], None]


def write_file(path: Path, content: Content) -> None:
    """Write one file atomically.

    Args:
        path: file in an existing folder.
        content: bytes, text that is encoded as UTF-8, or a function that writes the file at the
            path that it is given.

    Raises:
        InputError: the file cannot be written; an existing file is unchanged.
    """
    try:
        _write_all({path: content})
    except OSError as error:
        raise InputError(f"cannot write {path}: {explain(error)}") from error


def write_files(folder: Path, contents: Mapping[str, Content]) -> None:
    """Write several files to a folder; all are on the disk before the first one is renamed.

    Args:
        folder: output folder, created if it does not exist.
        contents: content by file name, as for `write_file`.

    Raises:
        InputError: a file cannot be written; existing files are unchanged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_all({folder / name: content for name, content in contents.items()})
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {explain(error)}") from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Provide a hidden temporary folder that is renamed when the block ends without an error.

    Args:
        folder: final folder; if it exists already, the temporary folder is deleted.

    Returns:
        Context manager of the temporary folder's path, which does not exist at first.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = folder.with_name(f"{PARTIAL_FOLDER}{folder.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _wait_for_disk(path)
        temporary.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise InputError(f"cannot write {folder}: {explain(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial_folders(parent: Path) -> int:
    """Remove the temporary folders that killed processes left in a folder and its subfolders.

    Args:
        parent: folder that no process writes to.

    Returns:
        Number of removed folders.
    """
    leftovers = [path for depth in ("", "*/") for path in parent.glob(f"{depth}{PARTIAL_FOLDER}*")]
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)


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


def _write_all(contents: Mapping[Path, Content]) -> None:
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


def _write_durably(path: Path, content: Content) -> None:
    """Write a file and wait for the disk: after a power cut, a renamed file must not be empty."""
    if isinstance(content, str):
        path.write_bytes(content.encode("utf-8"))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    _wait_for_disk(path)


def _wait_for_disk(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


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
