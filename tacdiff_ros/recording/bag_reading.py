"""Reading of recorded runs and bags."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import MAX_SIDE_PX
from tacdiff_ros.input_files import (
    one_line,
    printable,
    read_text,
    require_columns,
    table_rows,
)
from tacdiff_ros.recording.bag_checks import (
    bound_decompression,
    check_bag_files,
    check_chunks,
    decompress_message,
    typestore_of,
)
from tacdiff_ros.recording.bag_repair import is_finished, repair_bag
from tacdiff_ros.recording.run_recorder import INDEX_COLUMNS
from tacdiff_ros.settings_file import parse_yaml

IMAGE_TYPE = "sensor_msgs/msg/Image"
SIMULATED = "simulated/"  # part of the names of simulated topics
MAX_RUN_FILE_BYTES = 1024 * 1024
MAX_INDEX_BYTES = 64 * 1024 * 1024
MAX_LABEL_CHARACTERS = 64
MAX_INTEGER = 1e9
TEXT_COLUMNS = {"phase", "step", "motion"}
INTEGER_COLUMNS = {"sample", "trial", "in_contact"}


@dataclass(frozen=True)
class RecordedRun:
    """A recorded run on disk.

    Attributes:
        folder: folder of the run.
        columns: columns of the index by name: (N,) arrays, stamps as int64, other numbers as
            float64, texts as str.
        run: content of run.yaml.
        repaired: whether the bag had not been closed and was repaired.
    """

    folder: Path
    columns: dict[str, NDArray[Any]]
    run: dict[str, Any]
    repaired: bool

    @property
    def bag(self) -> Path:
        """Folder of the rosbag2."""
        return self.folder / "bag"

    @property
    def sample_count(self) -> int:
        """Number of rows of the index."""
        return len(self.columns["sample"])


def open_run(folder: Path) -> RecordedRun:
    """Read the index of a run, and repair its bag if the writer was killed.

    Args:
        folder: folder of the run.

    Returns:
        The recorded run.

    Raises:
        InputError: the folder holds no run, or its bag cannot be read.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise InputError(f"{folder} holds no recorded run: {index.name} is missing")
    repaired = not is_finished(folder / "bag") and repair_bag(folder / "bag")
    return RecordedRun(
        folder=folder,
        columns=_read_index(index),
        run=_read_run(folder / "run.yaml"),
        repaired=repaired,
    )


def images(bag: Path, topic: str | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Iterate over the images of a bag, in the order of recording.

    Args:
        bag: rosbag2 folder, mcap or sqlite3.
        topic: image topic; None for `image_raw`, or the only image topic.

    Yields:
        Stamp in ns, and (H, W, 3) uint8 RGB image.

    Raises:
        InputError: the bag cannot be read, or has no such images.
    """
    for stamp_ns, message in messages(bag, IMAGE_TYPE, topic):
        if message.encoding not in ("rgb8", "bgr8"):
            raise InputError(
                f"{printable(bag)} holds images as {printable(message.encoding)[:80]}; expected "
                "rgb8 or bgr8"
            )
        if not (0 < message.height <= MAX_SIDE_PX and 0 < message.width <= MAX_SIDE_PX):
            raise InputError(
                f"{printable(bag)} holds images of {message.width} x {message.height} pixels, "
                f"expected 1 to {MAX_SIDE_PX} each way"
            )
        if message.data.size != message.height * message.step or message.step < 3 * message.width:
            raise InputError(
                f"{printable(bag)} holds an image of {message.width} x {message.height} pixels "
                f"with {message.data.size} bytes: the message is damaged"
            )
        rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
        image = rows.reshape(message.height, message.width, 3)
        yield stamp_ns, image if message.encoding == "rgb8" else image[..., ::-1]


def messages(bag: Path, type_name: str, topic: str | None = None) -> Iterator[tuple[int, Any]]:
    """Iterate over the messages of one type, in the order of recording.

    Args:
        bag: rosbag2 folder, mcap or sqlite3.
        type_name: message type, such as "sensor_msgs/msg/Image".
        topic: topic of the messages; None for the only topic of the type.

    Yields:
        Header stamp in ns, and message.

    Raises:
        InputError: the bag cannot be read, or has no messages of this type on this topic.
    """
    try:
        bound_decompression()
        check_bag_files(bag)
        with Reader(bag) as reader:
            connection = _connection(reader, type_name, topic)
            store = typestore_of(connection)
            for data in _raw_messages(reader, connection):
                message: Any = store.deserialize_cdr(data, connection.msgtype)
                stamp = message.header.stamp
                yield stamp.sec * 1_000_000_000 + stamp.nanosec, message
    except InputError as error:
        raise InputError(f"cannot read the bag {printable(bag)}: {error}") from error
    except Exception as error:  # on damaged bytes, rosbags raises nearly any exception
        raise InputError(f"cannot read the bag {printable(bag)}: {one_line(error)}") from error


def _connection(reader: Reader, type_name: str, topic: str | None) -> Connection:
    """Return the connection of a type, and of a topic if one is given."""
    candidates = [
        connection
        for connection in reader.connections
        if connection.msgtype == type_name and topic in (None, connection.topic)
    ]
    if not candidates:
        raise InputError(f"it has no topic with {type_name}" + (f" named {topic}" if topic else ""))
    return _prefer_real(candidates)


def _raw_messages(reader: Reader, connection: Connection) -> Iterator[bytes]:
    """Iterate over the serialized messages of a topic, in the order of recording."""
    storage: Any = reader.storage
    by_message = reader.compression_mode == "message"
    if by_message:  # rosbags itself would decompress without a limit
        storage.metadata = storage.metadata._replace(compression_mode=None)
    for part in getattr(storage, "storages", [storage]):
        check_chunks(part)
    for _, _, data in reader.messages([connection]):
        yield decompress_message(data) if by_message else data


def _prefer_real(connections: list[Connection]) -> Connection:
    """Return the topic of the real sensor if simulated topics were recorded as well."""
    return min(connections, key=lambda c: (SIMULATED in c.topic, not c.topic.endswith("image_raw")))


def _read_index(path: Path) -> dict[str, NDArray[Any]]:
    """Read the columns of the index, without an incomplete last row."""
    content = read_text(path, "index", MAX_INDEX_BYTES)
    origin = f"{printable(path)} is no index of a run"
    rows = table_rows(content[: content.rfind("\n") + 1], origin)
    names = next(rows)
    if not names:
        return {"sample": np.zeros(0)}
    require_columns(names, tuple(INDEX_COLUMNS), origin)
    try:
        return _columns(names, rows)
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{origin}: {one_line(error)}") from error


def _columns(names: list[str], rows: Iterator[list[str]]) -> dict[str, NDArray[Any]]:
    """Parse the rows of the index row by row: numbers take less memory than their texts."""
    stores: list[Any] = [_empty_store(name) for name in names]
    interned: dict[str, str] = {}  # equal texts share one object
    for row in rows:
        for name, store, value in zip(names, stores, row, strict=True):
            if name in TEXT_COLUMNS:
                store.append(interned.setdefault(value, value))
            else:
                store.append(int(value) if name == "stamp_ns" else float(value))
    store_of = dict(zip(names, stores, strict=True))
    return {name: _column(name, store_of[name]) for name in INDEX_COLUMNS}


def _empty_store(name: str) -> Any:
    if name in TEXT_COLUMNS:
        return []
    return array("q" if name == "stamp_ns" else "d")


def _column(name: str, values: Any) -> NDArray[Any]:
    if name in TEXT_COLUMNS:
        if any(len(value) > MAX_LABEL_CHARACTERS for value in set(values)):
            raise ValueError(f"a {name} has more than {MAX_LABEL_CHARACTERS} characters")
        return np.array(values, np.str_)
    numbers = np.array(values)
    if name in INTEGER_COLUMNS and not (np.abs(numbers) <= MAX_INTEGER).all():
        raise ValueError(f"a {name} is no integer up to {MAX_INTEGER:g}")
    return numbers


def _read_run(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    text = read_text(path, "run description", MAX_RUN_FILE_BYTES)
    content = parse_yaml(text, printable(path))
    return content if isinstance(content, dict) else {}
