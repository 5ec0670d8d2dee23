"""Folders that commands write to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import check_space


def check_output_folder(out: Path, names: Iterable[str]) -> None:
    """Raise InputError where files of these names cannot be written in a folder."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder to write to")
    for name in names:
        if (out / name).is_dir():
            raise InputError(f"{out / name} is a folder, expected none or a file to replace")
    check_space(out)
