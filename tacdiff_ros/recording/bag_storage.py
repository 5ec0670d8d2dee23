"""Opening of bags of every kind: rosbag2 folders and files, unfinished ones, and ROS 1 bags.

A bag whose recorder was killed is read as far as it goes; nothing is written to its folder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.typesys import Stores

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.frame_sources import has_images, natural_order
from tacdiff_ros.input_files import check_file, printable
from tacdiff_ros.recording.bag_checks import (
    MAX_BAG_BYTES,
    bound_decompression,
    check_bag_files,
    check_chunks,
    check_storage_file,
    decompress_message,
    typestore_of,
)
from tacdiff_ros.recording.bag_repair import MCAP_END, MCAP_MAGIC, end_of_complete_records
from tacdiff_ros.recording.ros1_reader import Ros1Reader

ROS2_ENDINGS, ROS1_ENDING = (".mcap", ".db3"), ".bag"
COMPRESSED_ENDING = ".zstd"
SQLITE_JOURNALS = ("-wal", "-journal")
FOOTER_BYTES = 37  # footer record and signature at the end of a finished mcap file


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: name of the topic.
        type_name: message type, such as "sensor_msgs/msg/Image".
        message_count: number of messages.
    """

    name: str
    type_name: str
    message_count: int


class OpenBag:
    """A bag that is open for reading.

    Attributes:
        topics: topics, in the order of their first file.
        notes: one line for each peculiarity of the bag that the user should know.
    """

    def __init__(self, storages: list[Any], notes: tuple[str, ...]) -> None:
        """Wrap opened storages of rosbags, in the order of recording."""
        self._storages = storages
        self.notes = notes
        counts: dict[tuple[str, str], int] = {}
        for connection in self._connections():
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        self.topics = tuple(BagTopic(*key, count) for key, count in counts.items())

    def messages(self, topic: BagTopic) -> Iterator[tuple[int, Any]]:
        """Iterate over the messages of a topic, in the order of recording.

        Args:
            topic: one of `topics`.

        Yields:
            Time of reception in ns, and message.

        Raises:
            InputError: the bag does not define the type, or more would be decompressed than fits.
        """
        of_topic = [c for c in self._connections() if _is_of(c, topic)]
        is_ros1 = any(isinstance(storage, Ros1Reader) for storage in self._storages)
        store = typestore_of(of_topic[0], Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_JAZZY)
        deserialize = store.deserialize_ros1 if is_ros1 else store.deserialize_cdr
        for storage in self._storages:
            connections = [c for c in storage.connections if _is_of(c, topic)]
            if connections:
                for time_ns, data in _raw_messages(storage, connections):
                    yield time_ns, deserialize(data, topic.type_name)

    def _connections(self) -> Iterator[Connection]:
        for storage in self._storages:
            yield from storage.connections


@contextmanager
def open_bag(bag: Path) -> Iterator[OpenBag]:
    """Open a bag for reading.

    Args:
        bag: folder of a rosbag2 with or without metadata.yaml, its .mcap or .db3 file, or a .bag
            file of ROS 1.

    Yields:
        The open bag.

    Raises:
        InputError: the bag is missing, of another kind, or not safe to open.
    """
    bound_decompression()
    with ExitStack() as stack:
        if not bag.is_dir() and bag.suffix == ROS1_ENDING:
            check_file(bag, "bag", MAX_BAG_BYTES)
            yield OpenBag([stack.enter_context(Ros1Reader(bag))], ())
            return
        files, notes = _checked_files(bag)
        ends = {file: end for file in files if (end := _unfinished_end(file)) is not None}
        journal_notes = [note for file in files for note in _journal_notes(file)]
        if bag.is_dir() and not notes and not ends:
            reader = stack.enter_context(Reader(bag))
            yield OpenBag([reader.storage], tuple(journal_notes))
            return
        storages = [_open_file(file, ends.get(file), stack) for file in files]
        if ends:  # says more than that metadata.yaml is missing
            notes = [_note_of(file, end) for file, end in ends.items()]
        yield OpenBag(storages, (*notes, *journal_notes))


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: by its ending, or by the files in the folder."""
    if not path.is_dir():
        return path.suffix in (*ROS2_ENDINGS, ROS1_ENDING)
    if _storage_files(path):
        return True
    return (path / "metadata.yaml").is_file() and not has_images(path)


def _checked_files(bag: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a rosbag2 after checks, and a note if its metadata is missing."""
    if bag.is_dir() and (bag / "metadata.yaml").exists():
        return check_bag_files(bag), []
    if not bag.is_dir():
        if bag.exists() and bag.suffix not in ROS2_ENDINGS:
            raise InputError(f"expected a folder, or a file {', '.join(ROS2_ENDINGS)} or .bag")
        check_storage_file(bag)
        return [bag], []
    files = _storage_files(bag)
    names = ", ".join(printable(file.name) for file in files[:4])
    if not files:
        raise InputError("it has neither metadata.yaml nor .mcap or .db3 files: it is no rosbag2")
    if any(file.suffix == COMPRESSED_ENDING for file in files):
        raise InputError("it is compressed and has no metadata.yaml: run `ros2 bag reindex`")
    if len({(_stem(file), file.suffix) for file in files}) > 1:
        raise InputError(f"its files belong to several bags ({names}): give one of the files")
    for file in files:
        check_storage_file(file)
    return files, [f"{printable(bag)} has no metadata.yaml: it was read from {names}"]


def _storage_files(bag: Path) -> list[Path]:
    endings = (*ROS2_ENDINGS, *(ending + COMPRESSED_ENDING for ending in ROS2_ENDINGS))
    files = [path for path in bag.iterdir() if path.name.endswith(endings)]
    return sorted(files, key=natural_order)


def _stem(file: Path) -> str:
    """Return the name of the bag that a file "NAME_3.mcap" is part of."""
    return file.stem.rstrip("0123456789").rstrip("_")


def _unfinished_end(file: Path) -> int | None:
    """Return the offset behind the last complete record of an unfinished mcap file, or None."""
    if file.suffix != ".mcap":
        return None
    with file.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - FOOTER_BYTES))
        if stream.read().endswith(MCAP_MAGIC) and size > FOOTER_BYTES:
            return None
        stream.seek(0)
        return end_of_complete_records(stream, file)


def _note_of(file: Path, end: int) -> str:
    cut = file.stat().st_size - end
    return (
        f"{printable(file)} was not closed by its recorder: it was read up to its last complete "
        f"record, without its last {cut} bytes"
    )


def _journal_notes(file: Path) -> list[str]:
    """Return a note for messages that SQLite has not moved into the file yet."""
    journals = [file.with_name(file.name + ending) for ending in SQLITE_JOURNALS]
    return [
        f"{printable(file)} was not closed by its recorder: messages in {printable(path.name)} "
        f"are missing; `sqlite3 {printable(file.name)} 'PRAGMA wal_checkpoint'` adds them"
        for path in journals
        if file.suffix == ".db3" and path.is_file() and path.stat().st_size
    ]


def _open_file(file: Path, end: int | None, stack: ExitStack) -> Any:
    """Return the opened storage of one file."""
    if end is None:
        return stack.enter_context(Reader(file)).storage
    storage = McapReader(cast(Any, _UnfinishedMcap(file, end)))
    storage.open()
    stack.callback(storage.close)
    return storage


def _raw_messages(storage: Any, connections: list[Connection]) -> Iterator[tuple[int, bytes]]:
    """Iterate over the serialized messages of some connections, with their times in ns."""
    by_message, read = False, storage.messages
    if isinstance(storage, McapReader) and not storage.chunks:
        read = storage.messages_scan  # `messages` refuses times that are not in order
    elif not isinstance(storage, Ros1Reader):
        by_message = storage.metadata.compression_mode == "message"
        if by_message:  # rosbags itself would decompress without a limit
            storage.metadata = storage.metadata._replace(compression_mode=None)
        for part in getattr(storage, "storages", [storage]):
            check_chunks(part)
    for _, time_ns, data in read(connections):
        yield time_ns, decompress_message(data) if by_message else data


def _is_of(connection: Connection, topic: BagTopic) -> bool:
    return (connection.topic, connection.msgtype) == (topic.name, topic.type_name)


@dataclass(frozen=True)
class _UnfinishedMcap:
    """Path of an mcap file whose writer was killed, for `McapReader`."""

    file: Path
    end: int

    def open(self, _mode: str) -> BinaryIO:
        return io.BufferedReader(_ClosedView(self.file, self.end))

    def __str__(self) -> str:
        return str(self.file)


class _ClosedView(io.RawIOBase):
    """The first bytes of a file, followed by the end that its writer would have written."""

    def __init__(self, file: Path, end: int) -> None:
        self._file = file.open("rb")
        self._end, self._size, self._position = end, end + len(MCAP_END), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = len(buffer)
        if self._position < self._end:
            self._file.seek(self._position)
            content = self._file.read(min(count, self._end - self._position))
        else:
            start = self._position - self._end
            content = MCAP_END[start : start + count]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
