"""Opens files from outside: only regular files of bounded size, and without blocking.

Nothing here trusts a name or a size that somebody else wrote. A pipe, device or socket in the place
of a file would block its reader for ever, a huge file would fill the memory; both are refused.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tacdiff_ros.errors import InputError

MAX_TABLE_COLUMNS = 256
MAX_TABLE_ROWS = 1_000_000
MAX_QUOTE = 200  # characters of a library's message that are repeated
MAX_NAME_CHARACTERS = 1000


def open_input(path: Path, kind: str, maximum_bytes: int) -> BinaryIO:
    """Open a regular file for reading, as bytes.

    Args:
        path: file to open; symbolic links are followed.
        kind: noun phrase for messages, such as "protocol".
        maximum_bytes: size above which the file is refused.

    Raises:
        InputError: the file is missing, unreadable, too large, or not a regular file.
    """
    try:
        # O_NONBLOCK: a pipe that nobody writes to opens at once, and is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {kind} {printable(path)}: {_open_reason(error)}") from error
    try:
        _check_status(os.fstat(descriptor), path, kind, maximum_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def check_file(path: Path, kind: str, maximum_bytes: int) -> int:
    """Size in bytes of a file that a library is going to open by its name.

    Raises:
        InputError: as in `open_input`.
    """
    with open_input(path, kind, maximum_bytes) as opened:
        return os.fstat(opened.fileno()).st_size


def read_bytes(path: Path, kind: str, maximum_bytes: int) -> bytes:
    """Content of a file; errors as in `open_input`."""
    with open_input(path, kind, maximum_bytes) as opened:
        try:
            content = opened.read(maximum_bytes + 1)
        except OSError as error:
            raise InputError(
                f"cannot read {kind} {printable(path)}: {error.strerror or error}"
            ) from error
    if len(content) > maximum_bytes:  # it grew, or its size is not told, as in /proc
        raise _too_large(path, kind, maximum_bytes)
    return content


def read_text(path: Path, kind: str, maximum_bytes: int) -> str:
    """Content of a UTF-8 text file.

    Raises:
        InputError: as in `open_input`, or the content is no UTF-8 text.
    """
    try:
        return read_bytes(path, kind, maximum_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{kind} {printable(path)} is no UTF-8 text") from error


def read_json(path: Path, kind: str, maximum_bytes: int) -> Any:
    """Content of a JSON file.

    Raises:
        InputError: as in `read_text`, or the content is no JSON.
    """
    try:
        return json.loads(read_text(path, kind, maximum_bytes))
    except (json.JSONDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{kind} {printable(path)} is no JSON: {one_line(error)}") from error


def read_table(path: Path, kind: str, maximum_bytes: int) -> dict[str, list[str]]:
    """Columns of a CSV file by the names in its first line.

    Raises:
        InputError: as in `read_text`, a column is named twice, there are too many columns or rows,
            or a row has another number of values than the first line has names.
    """
    return parse_table(read_text(path, kind, maximum_bytes), f"{kind} {printable(path)}")


def parse_table(text: str, origin: str) -> dict[str, list[str]]:
    """Columns of CSV text; `origin` opens the messages of `InputError`, as in `read_table`."""
    rows = table_rows(text, origin)
    names = next(rows)
    columns: list[list[str]] = [[] for _ in names]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return dict(zip(names, columns, strict=True))


def table_rows(text: str, origin: str) -> Iterator[list[str]]:
    """Names of the columns of CSV text, and then its rows; errors as in `parse_table`."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        names = next(reader, [])
        if len(set(names)) < len(names) or len(names) > MAX_TABLE_COLUMNS:
            raise InputError(
                f"{origin}: expected up to {MAX_TABLE_COLUMNS} columns of different names"
            )
        yield names
        for number, row in enumerate(filter(None, reader)):
            if len(row) != len(names):
                raise InputError(
                    f"{origin}, line {reader.line_num}: {len(row)} values for {len(names)} columns"
                )
            if number >= MAX_TABLE_ROWS:
                raise InputError(f"{origin}: over {MAX_TABLE_ROWS} rows: split the table")
            yield row
    except csv.Error as error:
        raise InputError(f"{origin} is no CSV table: {one_line(error)}") from error


def require_columns(columns: Collection[str], names: tuple[str, ...], origin: str) -> None:
    """Raise an InputError that names the first column that a table lacks."""
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"{origin} has no column {missing[0]}: expected {', '.join(names)}")


def one_line(error: BaseException, maximum: int = MAX_QUOTE) -> str:
    """A library's message in one printable line of bounded length."""
    text = " ".join(str(error)[: 10 * maximum].split())
    return printable(text[:maximum]) or type(error).__name__


def printable(text: object) -> str:
    """Text or path for messages: no control characters, and of long ones the two ends."""
    whole = str(text)
    if len(whole) > MAX_NAME_CHARACTERS:
        half = MAX_NAME_CHARACTERS // 2
        whole = f"{whole[:half]}...{whole[-half:]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in whole)


def _check_status(status: os.stat_result, path: Path, kind: str, maximum_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"cannot read {kind} {printable(path)}: it is a folder, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"cannot read {kind} {printable(path)}: it is a pipe, device or socket, expected a file"
        )
    if status.st_size > maximum_bytes:
        raise _too_large(path, kind, maximum_bytes)


def _too_large(path: Path, kind: str, maximum_bytes: int) -> InputError:
    return InputError(f"{kind} {printable(path)} is over {maximum_bytes} bytes: not a {kind}")


def _open_reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        if error.errno == errno.ENXIO:
            return "it is a socket or device, expected a file"
        return error.strerror or type(error).__name__
    return "its name is not possible for a file"  # a NUL character, or no UTF-8
