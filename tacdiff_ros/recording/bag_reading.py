"""Reading of recorded runs and bags."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import (
    one_line,
    printable,
    read_text,
    require_columns,
    table_rows,
)
from tacdiff_ros.recording.bag_image_topics import (
    MAX_LISTED,
    choose_image_topic,
    decode_image_message,
)
from tacdiff_ros.recording.bag_repair import is_finished, repair_bag
from tacdiff_ros.recording.bag_storage import BagTopic, OpenBag, open_bag
from tacdiff_ros.recording.run_recorder import INDEX_COLUMNS
from tacdiff_ros.settings_file import parse_yaml

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
    def image_topic(self) -> str | None:
        """Image topic of the sensor; None for the only one of the bag."""
        name = self.run.get("image_topic")
        return name if isinstance(name, str) and name else None

    def images(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Iterate over the sensor's images, see `images`."""
        return images(self.bag, self.image_topic)

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


@dataclass(frozen=True)
class BagImage:
    """One image of a bag.

    Attributes:
        stamp_ns: header stamp, ns; 0 if the driver sets none.
        received_ns: time of reception by the recorder, ns.
        image: (H, W, 3) uint8 RGB.
    """

    stamp_ns: int
    received_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class BagSummary:
    """What a bag holds for a replay.

    Attributes:
        topic: image topic.
        image_count: number of its images.
        is_stamped: whether its first image carries a stamp.
        has_states: whether the bag has a topic of `state_type`.
        notes: one line for each peculiarity of the bag that the user should know.
    """

    topic: str
    image_count: int
    is_stamped: bool
    has_states: bool
    notes: tuple[str, ...]


def summarise_bag(bag: Path, topic: str | None, state_type: str) -> BagSummary:
    """Find the images of a bag.

    Args:
        bag: bag of any kind, see `open_bag`.
        topic: image topic; None for the only one.
        state_type: message type of the recorded states.

    Raises:
        InputError: the bag cannot be read, has no images, or has several image topics and `topic`
            is None.
    """
    with _errors_of(bag), open_bag(bag) as opened:
        chosen = choose_image_topic(opened, topic)
        _, first = next(opened.messages(chosen), (0, None))
        if first is None:
            raise InputError(f"its image topic {printable(chosen.name)} has no messages")
        return BagSummary(
            topic=chosen.name,
            image_count=chosen.message_count,
            is_stamped=_stamp_ns(first) != 0,
            has_states=any(entry.type_name == state_type for entry in opened.topics),
            notes=opened.notes,
        )


def bag_images(bag: Path, topic: str | None = None) -> Iterator[BagImage]:
    """Iterate over the images of a bag, in the order of recording.

    Args:
        bag: bag of any kind, see `open_bag`.
        topic: topic with raw or compressed images; None for the only one.

    Raises:
        InputError: the bag cannot be read, or has no such images.
    """
    with _errors_of(bag), open_bag(bag) as opened:
        for received_ns, message in opened.messages(choose_image_topic(opened, topic)):
            yield BagImage(_stamp_ns(message), received_ns, decode_image_message(message))


def images(bag: Path, topic: str | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Iterate over header stamps in ns and (H, W, 3) uint8 RGB images, see `bag_images`."""
    for entry in bag_images(bag, topic):
        yield entry.stamp_ns, entry.image


def messages(bag: Path, type_name: str, topic: str | None = None) -> Iterator[tuple[int, Any]]:
    """Iterate over the messages of one type, in the order of recording.

    Args:
        bag: bag of any kind, see `open_bag`.
        type_name: message type, such as "sensor_msgs/msg/Imu".
        topic: topic of the messages; None for the only topic of the type.

    Yields:
        Header stamp in ns, and message.

    Raises:
        InputError: the bag cannot be read, or has no messages of this type on this topic, or on
            several topics.
    """
    with _errors_of(bag), open_bag(bag) as opened:
        for _, message in opened.messages(_choose_topic(opened, type_name, topic)):
            yield _stamp_ns(message), message


@contextmanager
def _errors_of(bag: Path) -> Iterator[None]:
    """Raise any error as an InputError that names the bag."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cannot read the bag {printable(bag)}: {error}") from error
    except Exception as error:  # on damaged bytes, rosbags raises nearly any exception
        raise InputError(f"cannot read the bag {printable(bag)}: {one_line(error)}") from error


def _choose_topic(bag: OpenBag, type_name: str, topic: str | None) -> BagTopic:
    """Return the topic of a type; InputError if there is none, or there are several."""
    candidates = [
        entry
        for entry in bag.topics
        if entry.type_name == type_name and topic in (None, entry.name)
    ]
    if not candidates:
        raise InputError(f"it has no topic with {type_name}" + (f" named {topic}" if topic else ""))
    if len(candidates) > 1:
        names = ", ".join(printable(entry.name) for entry in candidates[:MAX_LISTED])
        raise InputError(f"it has several topics with {type_name} ({names}): record one of them")
    return candidates[0]


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


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
