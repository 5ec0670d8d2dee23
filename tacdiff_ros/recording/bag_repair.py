"""Repair of a bag whose writer was killed."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml
from rosbags.rosbag2.storage_mcap import McapReader

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line
from tacdiff_ros.output_files import write_file
from tacdiff_ros.recording.bag_checks import MAX_BAG_BYTES, bound_decompression

BAG_VERSION: Final = 9  # version of rosbag2's metadata.yaml in Jazzy
MCAP_MAGIC = b"\x89MCAP0\r\n"
NO_RECORD, DATA_END, FOOTER = 0x00, 0x0F, 0x02
# DataEnd without a checksum, and a footer without a summary: readers then scan the data section.
MCAP_END = (
    bytes([DATA_END])
    + struct.pack("<QI", 4, 0)
    + bytes([FOOTER])
    + struct.pack("<QQQI", 20, 0, 0, 0)
    + MCAP_MAGIC
)


def is_finished(bag: Path) -> bool:
    """Return whether a bag was closed by its writer."""
    return (bag / "metadata.yaml").exists()


def repair_bag(bag: Path) -> bool:
    """Close a bag whose writer was killed, so that all flushed messages become readable.

    The incomplete last record is removed, and the end of the file and its metadata are written.

    Args:
        bag: folder of the rosbag2.

    Returns:
        Whether the bag needed a repair.

    Raises:
        InputError: the folder is no bag, or the bag is being written right now.
    """
    if is_finished(bag):
        return False
    file = bag / f"{bag.name}.mcap"
    if not file.is_file():
        raise InputError(f"{bag} is no rosbag2: it has neither metadata.yaml nor {file.name}")
    lock = lock_bag(bag)
    try:
        _truncate(file)
        _write_metadata(bag, file)
    except OSError as error:
        raise InputError(f"{bag} cannot be repaired: {error.strerror or error}") from error
    finally:
        os.close(lock)
    return True


def lock_bag(bag: Path) -> int:
    """Lock a bag for this process.

    Args:
        bag: folder of the rosbag2.

    Returns:
        File descriptor that holds the lock; closing it releases the lock.

    Raises:
        InputError: the folder cannot be opened, or another process holds the lock.
    """
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


def _truncate(file: Path) -> None:
    """Remove the incomplete last record of an mcap file, and write the end of the file."""
    check_file(file, "bag", MAX_BAG_BYTES)
    with file.open("r+b") as stream:
        stream.truncate(end_of_complete_records(stream, file))
        stream.seek(0, os.SEEK_END)
        stream.write(MCAP_END)


def end_of_complete_records(stream: BinaryIO, file: Path) -> int:
    """Return the offset in bytes behind the last complete record of an mcap file.

    Args:
        stream: the opened file, at its start.
        file: its path, for messages.

    Raises:
        InputError: the file is no mcap file.
    """
    if stream.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
        raise InputError(f"{file} does not start with the mcap signature: it is no mcap file")
    size = file.stat().st_size
    offset = len(MCAP_MAGIC)
    while True:
        stream.seek(offset)
        header = stream.read(9)
        # truncated, zeros of a file system after a power cut, or a partial end
        if len(header) < 9 or header[0] in (NO_RECORD, FOOTER, DATA_END):
            return offset
        next_offset = offset + 9 + struct.unpack("<Q", header[1:])[0]
        if next_offset > size:
            return offset
        offset = next_offset


def _write_metadata(bag: Path, file: Path) -> None:
    """Write the metadata.yaml that the writer would have written, from the mcap file."""
    bound_decompression()
    reader = McapReader(file)
    try:
        reader.open()
        information = _information(reader, file)
        reader.close()
    except Exception as error:  # on damaged bytes, rosbags raises nearly any exception
        raise InputError(f"{bag} cannot be repaired: {one_line(error)}") from error
    write_yaml(bag / "metadata.yaml", {"rosbag2_bagfile_information": information})


def _information(reader: McapReader, file: Path) -> dict[str, Any]:
    """Return the entry `rosbag2_bagfile_information` of metadata.yaml."""
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
    """Write a YAML file atomically.

    Args:
        path: file to write.
        content: mapping of plain values.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, yaml.safe_dump(dict(content), sort_keys=False))
