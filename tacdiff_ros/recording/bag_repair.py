"""Close a bag whose writer was killed."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from rosbags.rosbag2.storage_mcap import McapReader

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line
from tacdiff_ros.recording.bag_checks import MAX_BAG_BYTES, bound_decompression

BAG_VERSION: Final = 9  # of rosbag2's metadata.yaml in Jazzy
MCAP_MAGIC = b"\x89MCAP0\r\n"
DATA_END, FOOTER = 0x0F, 0x02
# DataEnd with no checksum, then a footer without summary: readers scan the data section.
MCAP_END = (
    bytes([DATA_END])
    + struct.pack("<QI", 4, 0)
    + bytes([FOOTER])
    + struct.pack("<QQQI", 20, 0, 0, 0)
    + MCAP_MAGIC
)


def is_finished(bag: Path) -> bool:
    """Whether a bag was closed by its writer."""
    return (bag / "metadata.yaml").exists()


def repair_bag(bag: Path) -> bool:
    """Close a bag whose writer was killed; what was flushed becomes readable.

    The incomplete last record is cut off and an end is written. True when there was something to
    repair.

    Raises:
        InputError: it is no bag, or it is being written right now.
    """
    if is_finished(bag):
        return False
    file = bag / f"{bag.name}.mcap"
    if not file.is_file():
        raise InputError(f"{bag} is no rosbag2: it has neither metadata.yaml nor {file.name}")
    lock = lock_bag(bag)
    try:
        _cut_off(file)
        _write_metadata(bag, file)
    except OSError as error:
        raise InputError(f"{bag} cannot be repaired: {error.strerror or error}") from error
    finally:
        os.close(lock)
    return True


def lock_bag(bag: Path) -> int:
    """Take the bag for this process."""
    try:
        descriptor = os.open(bag, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"cannot read the bag {bag}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(f"{bag} is being recorded right now: wait until it is closed") from error
    return descriptor


def _cut_off(file: Path) -> None:
    """Cut an incomplete last record off an mcap file, and write an end."""
    check_file(file, "bag", MAX_BAG_BYTES)
    with file.open("r+b") as stream:
        stream.truncate(_end_of_whole_records(stream, file))
        stream.seek(0, os.SEEK_END)
        stream.write(MCAP_END)


def _end_of_whole_records(stream: Any, file: Path) -> int:
    """Byte after the last complete record of an mcap file."""
    if stream.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
        raise InputError(f"{file} does not begin like an mcap file")
    size = file.stat().st_size
    at = len(MCAP_MAGIC)
    while True:
        stream.seek(at)
        head = stream.read(9)
        if len(head) < 9 or head[0] in (FOOTER, DATA_END):  # cut off, or an end that was begun
            return at
        after = at + 9 + struct.unpack("<Q", head[1:])[0]
        if after > size:
            return at
        at = after


def _write_metadata(bag: Path, file: Path) -> None:
    """The metadata.yaml that the writer would have left, from what the file holds."""
    bound_decompression()
    reader = McapReader(file)
    try:
        reader.open()
        information = _information(reader, file)
        reader.close()
    except Exception as error:  # damaged bytes leave rosbags as nearly any exception
        raise InputError(f"{bag} cannot be repaired: {one_line(error)}") from error
    write_yaml(bag / "metadata.yaml", {"rosbag2_bagfile_information": information})


def _information(reader: McapReader, file: Path) -> dict[str, Any]:
    topics = [
        {
            "topic_metadata": {
                "name": connection.topic,
                "type": connection.msgtype,
                "serialization_format": "cdr",
                "offered_qos_profiles": [],
                "type_description_hash": connection.digest,
            },
            "message_count": connection.msgcount,
        }
        for connection in reader.connections
    ]
    return {
        "version": BAG_VERSION,
        "storage_identifier": "mcap",
        **_span(reader),
        "topics_with_message_count": topics,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name],
        "files": [{"path": file.name, **_span(reader)}],
        "custom_data": None,
        "ros_distro": "rosbags",
    }


def _span(reader: McapReader) -> dict[str, Any]:
    metadata = reader.metadata
    return {
        "duration": {"nanoseconds": max(0, metadata.duration - 1)},
        "starting_time": {"nanoseconds_since_epoch": metadata.start_time},
        "message_count": metadata.message_count,
    }


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a YAML file beside, then rename, so that no half file is ever seen."""
    beside = path.with_suffix(path.suffix + ".part")
    try:
        beside.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
