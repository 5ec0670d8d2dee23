"""Safe readers of files from outside: regular files of bounded size only, opened without blocking.

File names and sizes are not trusted. A pipe, device or socket would block the reader for ever and a
huge file would fill the memory, so both are refused.
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
MAX_QUOTE = 200  # characters quoted from a library's message
MAX_NAME_CHARACTERS = 1000  # characters quoted from a file name


def open_input(path: Path, kind: str, maximum_bytes: int) -> BinaryIO:
    """Open a regular file for binary reading.

    Args:
        path: file to open; symbolic links are followed.
        kind: noun phrase that names the file in messages, such as "protocol".
        maximum_bytes: maximum file size, bytes.

    Returns:
        Binary file, to be closed by the caller.

    Raises:
        InputError: the file is missing, unreadable, too large, or not a regular file.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer returns at once; the pipe is refused below.
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
    """Check a file that a library will open by name, and return its size in bytes.

    Args:
        path: file to check.
        kind: noun phrase that names the file in messages.
        maximum_bytes: maximum file size, bytes.

    Raises:
        InputError: see `open_input`.
    """
    with open_input(path, kind, maximum_bytes) as opened:
        return os.fstat(opened.fileno()).st_size


def read_bytes(path: Path, kind: str, maximum_bytes: int) -> bytes:
    """Return the content of a file.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages.
        maximum_bytes: maximum file size, bytes.

    Raises:
        InputError: see `open_input`.
    """
    with open_input(path, kind, maximum_bytes) as opened:
        try:
            content = opened.read(maximum_bytes + 1)
        except OSError as error:
            raise InputError(
                f"cannot read {kind} {printable(path)}: {error.strerror or error}"
            ) from error
    if len(content) > maximum_bytes:  # the file grew, or reports no size, as in /proc
        raise _too_large(path, kind, maximum_bytes)
    return content


def read_text(path: Path, kind: str, maximum_bytes: int) -> str:
    """Return the content of a UTF-8 text file.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages.
        maximum_bytes: maximum file size, bytes.

    Raises:
        InputError: see `open_input`; also if the content is not UTF-8 text.
    """
    try:
        return read_bytes(path, kind, maximum_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{kind} {printable(path)} is not UTF-8 text") from error


def read_json(path: Path, kind: str, maximum_bytes: int) -> Any:
    """Return the content of a JSON file.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages.
        maximum_bytes: maximum file size, bytes.

    Raises:
        InputError: see `read_text`; also if the content is not JSON.
    """
    try:
        return json.loads(read_text(path, kind, maximum_bytes))
    except (json.JSONDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{kind} {printable(path)} is not JSON: {one_line(error)}") from error


def read_table(path: Path, kind: str, maximum_bytes: int) -> dict[str, list[str]]:
    """Return the columns of a CSV file by the names in its header line.

    Args:
        path: file to read.
        kind: noun phrase that names the file in messages.
        maximum_bytes: maximum file size, bytes.

    Raises:
        InputError: see `read_text`; also if a column name occurs twice, there are too many columns
            or rows, or the number of values in a row differs from the number of columns.
    """
    return parse_table(read_text(path, kind, maximum_bytes), f"{kind} {printable(path)}")


def parse_table(text: str, origin: str) -> dict[str, list[str]]:
    """Return the columns of CSV text by the names in its header line.

    Args:
        text: CSV text.
        origin: source of the text, with which error messages begin.

    Raises:
        InputError: the text is not a valid table; see `read_table`.
    """
    rows = table_rows(text, origin)
    names = next(rows)
    columns: list[list[str]] = [[] for _ in names]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return dict(zip(names, columns, strict=True))


def table_rows(text: str, origin: str) -> Iterator[list[str]]:
    """Yield the column names of CSV text, and then each row.

    Args:
        text: CSV text.
        origin: source of the text, with which error messages begin.

    Raises:
        InputError: the text is not a valid table; see `read_table`.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        names = next(reader, [])
        if len(set(names)) < len(names) or len(names) > MAX_TABLE_COLUMNS:
            raise InputError(
                f"{origin}: expected up to {MAX_TABLE_COLUMNS} columns with distinct names"
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
        raise InputError(f"{origin} is not a CSV table: {one_line(error)}") from error


def require_columns(columns: Collection[str], names: tuple[str, ...], origin: str) -> None:
    """Check that a table has all required columns.

    Args:
        columns: names of the columns of the table.
        names: names of the required columns.
        origin: source of the table, with which the error message begins.

    Raises:
        InputError: a required column is missing; the message names the first one.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"{origin} has no column {missing[0]}: expected {', '.join(names)}")


def one_line(error: BaseException, maximum: int = MAX_QUOTE) -> str:
    """Return the message of an exception as one printable line of up to `maximum` characters."""
    text = " ".join(str(error)[: 10 * maximum].split())
    return printable(text[:maximum]) or type(error).__name__


def printable(text: object) -> str:
    """Return a text for messages: control characters escaped, the middle of long texts cut."""
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
    return "its name is not a valid file name"  # it has a NUL character or is not UTF-8
