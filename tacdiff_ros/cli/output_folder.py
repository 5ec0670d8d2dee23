"""Output files of a command: their check, and their names in the next command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import check_space

HTML = (".html", ".htm")


def quoted(path: Path) -> str:
    """Return a path as a shell takes it, whatever characters it has."""
    return shlex.quote(str(path))


def check_output_file(
    out: Path, endings: tuple[str, ...] = (), others: Iterable[Path | None] = ()
) -> None:
    """Check that a command can write a file that is none of its other files.

    Args:
        out: file to write.
        endings: allowed endings, in lower case; empty for any.
        others: input files, and other files that the command writes.

    Raises:
        InputError: the file is a folder, has another ending, is one of the others, or cannot be
            written.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder, expected a file to write")
    if endings and out.suffix.lower() not in endings:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(endings)}")
    for other in others:
        if other is not None and out.resolve() == other.resolve():
            raise InputError(f"{out} is another file of this command: give another name to write")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out.absolute().parent} does not exist: create it, or write elsewhere")
    check_space(out.absolute().parent)


def check_output_folder(
    out: Path, names: Iterable[str], inputs: Iterable[Path | None] = ()
) -> None:
    """Check that a command can write its files to a folder.

    Args:
        out: output folder, which need not exist.
        names: names of the files that the command writes.
        inputs: files that the command reads, and must not overwrite.

    Raises:
        InputError: the folder is a file, a file name is taken by a folder or by an input, or
            nothing can be written.
    """
    read = {path.resolve() for path in inputs if path is not None}
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder to write to")
    for name in names:
        if (out / name).is_dir():
            raise InputError(f"{out / name} is a folder, expected a regular file or no file")
        if (out / name).resolve() in read:
            raise InputError(f"{out / name} is an input, and would be overwritten: write elsewhere")
    check_space(out)
