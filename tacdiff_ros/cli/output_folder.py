"""Output folder of a command: its check, and its name in the next command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import check_space


def quoted(path: Path) -> str:
    """Return a path as a shell takes it, whatever characters it has."""
    return shlex.quote(str(path))


def check_output_folder(out: Path, names: Iterable[str]) -> None:
    """Check that a command can write its files to a folder.

    Args:
        out: output folder, which need not exist.
        names: names of the files that the command writes.

    Raises:
        InputError: the folder is a file, a file name is taken by a folder, or nothing can be
            written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder to write to")
    for name in names:
        if (out / name).is_dir():
            raise InputError(f"{out / name} is a folder, expected a regular file or no file")
    check_space(out)
