"""Checks of an untrusted bag before rosbags reads it, and safe message types.

rosbags trusts a bag in four ways that are unsafe for a bag of unknown origin: it runs Python code
generated from the names in the bag's message definitions, decompresses chunks of any size, follows
any SQL view that a database defines, and opens any kind of file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path, PurePath
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat, Nodetype
from rosbags.rosbag2 import storage_mcap
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line, printable, read_text
from tacdiff_ros.settings_file import parse_yaml

MAX_BAG_BYTES = 2**42
MAX_METADATA_BYTES = 2**22
MAX_CHUNK_BYTES = 64 * 2**20  # decompressed; rosbag2 writes chunks of a few MB
MAX_EXPANSION = 1000  # decompressed over compressed size of a chunk; black images reach 100
SMALL_CHUNK_BYTES = 1024
MAX_FILE_EXPANSION, READ_BYTES = 200, 2**20  # compressed files, read in parts of this size
MAX_OPEN_BYTES = 4 * MAX_CHUNK_BYTES  # decompressed chunks that overlap in time
MAX_DEFINITION_CHARACTERS = 200_000
MAX_ARRAY_LENGTH = 100_000  # elements of a field of fixed length
MAX_STATEMENTS = 64  # tables and indices of a database
TYPE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*/msg/[A-Za-z][A-Za-z0-9_]*")
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_bag_files(bag: Path) -> list[Path]:
    """Check the files of a rosbag2 with metadata.yaml before they are opened.

    Args:
        bag: folder of the rosbag2.

    Returns:
        Files of the bag, in the order of recording.

    Raises:
        InputError: a file is missing, is not a regular file, is a database with views or
            triggers, or is compressed more than images can be.
    """
    files, compressed = _files_of(bag)
    for file in files:
        if compressed:
            _check_compressed(file, check_file(file, "bag", MAX_BAG_BYTES))
        else:
            check_storage_file(file)
    return files


def check_storage_file(file: Path) -> None:
    """Check a .mcap or .db3 file of a rosbag2 before it is opened.

    Args:
        file: file that is not compressed.

    Raises:
        InputError: it is missing, not a regular file, or a database with views or triggers.
    """
    check_file(file, "bag", MAX_BAG_BYTES)
    if file.suffix != ".mcap":
        _check_database(file)


def check_chunks(storage: Any) -> None:
    """Check the total size of chunks that overlap in time, as they are open at the same time.

    Args:
        storage: opened rosbags storage.

    Raises:
        InputError: more than `MAX_OPEN_BYTES` would be decompressed at a time.
    """
    events = []
    for chunk in getattr(storage, "chunks", ()):
        events += [
            (chunk.message_start_time, 0, chunk.uncompressed_size),
            (chunk.message_end_time, 1, -chunk.uncompressed_size),
        ]
    max_bytes = max(accumulate(size for _, _, size in sorted(events)), default=0)
    if max_bytes > MAX_OPEN_BYTES:
        raise InputError(
            f"its chunks hold {max_bytes} bytes at the same time, expected up to {MAX_OPEN_BYTES}"
        )


def typestore_of(connection: Connection, release: Stores = Stores.ROS2_JAZZY) -> Any:
    """Return the types for the deserialization of a connection's messages.

    A standard type of ROS has its standard fields, whatever the bag defines.

    Args:
        connection: connection of an opened bag.
        release: release of ROS that defines the standard types.

    Returns:
        rosbags typestore.

    Raises:
        InputError: the bag does not define the type, or its definition is invalid.
    """
    known = ros_types(release)
    if connection.msgtype in known.fielddefs:
        return known
    definition = connection.msgdef
    if definition.format != MessageDefinitionFormat.MSG:
        raise InputError(f"the bag does not define the messages of type {connection.msgtype}")
    if len(definition.data) > MAX_DEFINITION_CHARACTERS:
        raise InputError(
            f"the definition of {connection.msgtype} has {len(definition.data)} characters, "
            f"expected up to {MAX_DEFINITION_CHARACTERS}"
        )
    types = get_types_from_msg(definition.data, connection.msgtype)
    own = {name: fields for name, fields in types.items() if name not in known.fielddefs}
    for name, (_, fields) in own.items():
        _check_fields(name, fields)
    store = get_typestore(release)
    store.register(own)
    return store


@lru_cache(maxsize=2)
def ros_types(release: Stores) -> Any:
    """Return the rosbags typestore of a release of ROS."""
    return get_typestore(release)


def bound_decompression() -> None:
    """Limit rosbags' decompression of a chunk to its stated size and to this module's limits."""
    decompressors: dict[str, Callable[[bytes, int], bytes]] | None
    decompressors = getattr(storage_mcap, "DECOMPRESSORS", None)
    if decompressors is not None:
        decompressors["lz4"] = _decompress_lz4
        decompressors["zstd"] = _decompress_zstd


def decompress_message(data: bytes) -> bytes:
    """Decompress one message of a bag that is compressed message by message with zstd.

    Args:
        data: compressed message.

    Returns:
        Serialized message.

    Raises:
        InputError: the message would be decompressed beyond the limits.
    """
    limit = min(MAX_CHUNK_BYTES, MAX_EXPANSION * (len(data) + SMALL_CHUNK_BYTES))
    raw = _zstd().ZstdDecompressor().decompress(data, max_length=limit + 1)
    if len(raw) > limit:
        raise InputError(f"a message of {len(data)} bytes decompresses to more than {limit} bytes")
    return bytes(raw)


def _files_of(bag: Path) -> tuple[list[Path], bool]:
    """Return the files of a bag by its metadata, and whether the files are compressed."""
    origin = f"bag metadata {printable(bag / 'metadata.yaml')}"
    text = read_text(bag / "metadata.yaml", "bag metadata", MAX_METADATA_BYTES)
    content = parse_yaml(text, origin)
    try:
        metadata = content["rosbag2_bagfile_information"]
        names = [PurePath(name).name for name in metadata["relative_file_paths"]]
        mode = str(metadata.get("compression_mode") or "").lower()
        is_database = metadata["storage_identifier"] != "mcap"
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{origin} lists no files of a rosbag2") from error
    if mode == "file" and is_database:
        raise InputError(
            f"{printable(bag)} is a compressed database: decompress it with `ros2 bag convert`"
        )
    return [bag / name for name in names], mode == "file"


def _check_compressed(file: Path, size: int) -> None:
    """Refuse a file that decompresses to far more than a recording would."""
    limit = MAX_FILE_EXPANSION * size + MAX_CHUNK_BYTES
    count = 0
    with _zstd().open(file, "rb") as stream:
        while part := stream.read(READ_BYTES):
            count += len(part)
            if count > limit:
                raise InputError(f"{printable(file)} decompresses to more than {limit} bytes")


def _check_database(file: Path) -> None:
    """Refuse a database whose queries do more than read rows, or with too large messages."""
    try:
        database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            _check_schema(database, file)
            max_length = database.execute("SELECT max(length(data)) FROM messages").fetchone()[0]
        finally:
            database.close()
    except (sqlite3.Error, UnicodeError) as error:
        raise InputError(
            f"{printable(file)} is no database of a rosbag2 ({one_line(error)})"
        ) from error
    if (max_length or 0) > MAX_CHUNK_BYTES:
        raise InputError(
            f"{printable(file)} has a message of {max_length} bytes, expected up to "
            f"{MAX_CHUNK_BYTES}"
        )


def _check_schema(database: sqlite3.Connection, file: Path) -> None:
    query = "SELECT type, sql FROM sqlite_master LIMIT ?"
    rows = database.execute(query, (MAX_STATEMENTS + 1,)).fetchall()
    for kind, statement in rows:
        words = str(statement or "").upper().split()
        is_plain = kind in ("table", "index") and "VIRTUAL" not in words[:2] and "AS" not in words
        if not is_plain or len(rows) > MAX_STATEMENTS:
            raise InputError(
                f"{printable(file)} has views, triggers or computed columns: it was not written by "
                "rosbag2"
            )


def _check_fields(name: str, fields: Any) -> None:
    names = [field for field, _ in fields]
    is_valid = TYPE_NAME.fullmatch(name) and all(FIELD_NAME.fullmatch(field) for field in names)
    lengths = [kind[1][1] for _, kind in fields if kind[0] == Nodetype.ARRAY]
    if not is_valid or not fields or max(lengths, default=0) > MAX_ARRAY_LENGTH:
        raise InputError(f"{printable(name)[:80]!r} has no valid message definition")


def _decompress_lz4(data: bytes, size: int) -> bytes:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

    _check_expansion(len(data), size)
    raw = LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    return bytes(raw)


def _decompress_zstd(data: bytes, size: int) -> bytes:
    _check_expansion(len(data), size)
    return bytes(_zstd().ZstdDecompressor().decompress(data, max_length=size + 1))


def _zstd() -> Any:
    """Return the zstd module that rosbags uses: the standard library's, or its backport."""
    return vars(storage_mcap)["zstd"]


def _check_expansion(compressed: int, size: int) -> None:
    if size > MAX_CHUNK_BYTES or size > MAX_EXPANSION * (compressed + SMALL_CHUNK_BYTES):
        raise InputError(f"a chunk of {compressed} bytes states {size} bytes: the chunk is damaged")
