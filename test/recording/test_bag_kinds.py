"""Bags as users have them: any encoding, file, version and topic, and bags that were not closed."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags import rosbag1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from tacdiff_ros.errors import InputError
from tacdiff_ros.recording import ros1_reader
from tacdiff_ros.recording.bag_reading import bag_images, images
from tacdiff_ros.recording.bag_repair import MCAP_END
from tacdiff_ros.recording.bag_storage import is_bag, open_bag
from tacdiff_ros.replay.replay_frames import open_recording

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
RGB = np.random.default_rng(5).integers(0, 256, (12, 16, 3), np.uint8)
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 40_000_000
ROS1, ROS2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_JAZZY)


def picture(number: int) -> np.ndarray:
    return np.roll(RGB, number, axis=1)


def image_message(store: Any, encoding: str, number: int, stamp_ns: int, rgb: np.ndarray) -> Any:
    """An image message; encoding "png" is a compressed one."""
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    sequence = {"seq": number} if store is ROS1 else {}
    header = store.types["std_msgs/msg/Header"](**sequence, stamp=stamp, frame_id="gel")
    if encoding == "png":
        data = cv2.imencode(".png", rgb[..., ::-1])[1].ravel()
        return store.types[COMPRESSED](header, format="rgb8; png", data=data)
    grey, opaque = rgb[..., :1], np.full_like(rgb[..., :1], 255)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "8UC3": rgb[..., ::-1],
        "mono8": grey,
        "8UC1": grey,
        "rgba8": np.concatenate([rgb, opaque], axis=2),
        "bgra8": np.concatenate([rgb[..., ::-1], opaque], axis=2),
    }[encoding]
    data = np.ascontiguousarray(pixels).ravel()
    height, width = rgb.shape[:2]
    return store.types[IMAGE](header, height, width, encoding, 0, data.size // height, data)


def write_images(
    writer: Any, store: Any, topics: dict[str, str], count: int, stamped: bool, rgb: Any
) -> None:
    """Write the same pictures to topics, whose encodings are given by name."""
    types = {name: COMPRESSED if kind == "png" else IMAGE for name, kind in topics.items()}
    serialize = store.serialize_ros1 if store is ROS1 else store.serialize_cdr
    connections = {
        name: writer.add_connection(name, kind, typestore=store) for name, kind in types.items()
    }
    for number in range(count):
        time_ns = START_NS + number * PERIOD_NS
        for name, encoding in topics.items():
            shown = picture(number) if rgb is None else rgb
            message = image_message(store, encoding, number, time_ns if stamped else 0, shown)
            writer.write(connections[name], time_ns, bytes(serialize(message, types[name])))
        if number % 3 == 2 and hasattr(writer, "storage"):
            getattr(writer.storage, "close_chunk", lambda: None)()


def write_bag(
    bag: Path,
    topics: dict[str, str] | None = None,
    count: int = 9,
    sqlite: bool = False,
    stamped: bool = True,
    rgb: np.ndarray | None = None,
) -> Path:
    plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
    with Writer(bag, version=9, storage_plugin=plugin) as writer:
        write_images(writer, ROS2, topics or {"/gel/image": "rgb8"}, count, stamped, rgb)
    return bag


def assert_first_pictures(bag: Path, count: int) -> None:
    """The images are the first ones that were written, in their order."""
    found = list(bag_images(bag))
    assert [entry.stamp_ns for entry in found] == [START_NS + k * PERIOD_NS for k in range(count)]
    for number, entry in enumerate(found):
        np.testing.assert_array_equal(entry.image, picture(number))


def notes_of(bag: Path) -> tuple[str, ...]:
    with open_bag(bag) as opened:
        return opened.notes


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- encodings -----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "png"])
def test_every_encoding_of_a_bag_gives_the_same_picture(tmp_path, encoding):
    assert_first_pictures(write_bag(tmp_path / "bag", {"/gel/image": encoding}), 9)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_images_of_a_bag_have_three_equal_channels(tmp_path, encoding):
    (_, image), *_ = images(write_bag(tmp_path / "bag", {"/gel/image": encoding}))
    np.testing.assert_array_equal(image, np.repeat(RGB[..., :1], 3, axis=2))


# --- kinds of bags -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mcap", "db3"])
def test_a_bag_may_be_given_as_its_file(tmp_path, ending):
    bag = write_bag(tmp_path / "bag", sqlite=ending == "db3")
    assert_first_pictures(bag / f"bag.{ending}", 9)
    assert notes_of(bag / f"bag.{ending}") == ()


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
def test_a_ros1_bag_is_read(tmp_path, compression):
    writer = rosbag1.Writer(tmp_path / "old.bag")
    if compression:
        writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
    with writer:
        write_images(writer, ROS1, {"/gel/image": "bgr8"}, 9, True, None)
    assert_first_pictures(tmp_path / "old.bag", 9)


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
def test_a_chunk_of_a_ros1_bag_is_not_read_without_limit(tmp_path, monkeypatch, compression):
    writer = rosbag1.Writer(tmp_path / "old.bag")
    if compression:
        writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
    with writer:
        write_images(writer, ROS1, {"/gel/image": "bgr8"}, 30, True, np.zeros_like(RGB))
    monkeypatch.setattr(ros1_reader, "MAX_CHUNK_BYTES", 9000)
    with pytest.raises(InputError, match=r"decompresses to more than 9000|a chunk has \d+ bytes"):
        list(images(tmp_path / "old.bag"))


@pytest.mark.parametrize("head", [b"", b"#ROSBAG V2.0\n", b"#ROSBAG V2.0\n\0\0\0\xc0"])
def test_of_a_sparse_ros1_bag_no_large_record_is_read(tmp_path, head):
    bag = tmp_path / "old.bag"
    bag.write_bytes(head)
    os.truncate(bag, 2**40)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"magic|op|a record has 3221225472 bytes"):
        list(images(bag))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("ending", ["mcap", "db3"])
def test_a_split_bag_without_metadata_is_read_from_its_files_in_order(tmp_path, ending):
    bag = tmp_path / "drive"
    bag.mkdir()
    for part in (*range(3), 10):
        source = write_bag(tmp_path / f"p{part}", count=part + 1, sqlite=ending == "db3")
        (source / f"p{part}.{ending}").rename(bag / f"drive_{part}.{ending}")
    lengths = [1, 2, 3, 11]
    stamps = [START_NS + k * PERIOD_NS for length in lengths for k in range(length)]
    assert [entry.stamp_ns for entry in bag_images(bag)] == stamps
    (note,) = notes_of(bag)
    assert "has no metadata.yaml: it was read from drive_0" in note
    shutil.copy(bag / f"drive_0.{ending}", bag / f"other_0.{ending}")
    with pytest.raises(InputError, match=r"several bags \(drive_0.*: give one of the files"):
        list(images(bag))


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("tail", [b"", bytes(1000)])
def test_a_bag_whose_recorder_was_killed_is_read_as_far_as_it_goes(tmp_path, metadata, tail):
    bag = write_bag(tmp_path / "bag")
    file = bag / "bag.mcap"
    whole = file.read_bytes()
    third_chunk = whole.index(picture(6).tobytes())
    file.write_bytes(whole[: third_chunk + 100] + tail)
    if not metadata:
        (bag / "metadata.yaml").unlink()
    before = content_of(bag)
    assert_first_pictures(bag, 6)
    assert_first_pictures(file, 6)
    (note,) = notes_of(bag)
    assert "bag.mcap was not closed by its recorder: it was read up to its last complete" in note
    assert content_of(bag) == before


def test_an_unfinished_bag_may_have_messages_out_of_order(tmp_path):
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=ROS2)
        for number in (0, 2, 1, 3):
            time_ns = START_NS + number * PERIOD_NS
            message = image_message(ROS2, "rgb8", number, time_ns, picture(number))
            writer.write(connection, time_ns, bytes(ROS2.serialize_cdr(message, IMAGE)))
    file = tmp_path / "bag" / "bag.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: -len(MCAP_END) - 1])
    assert len(list(images(file))) == 4


def test_messages_that_sqlite_has_not_moved_into_the_file_are_named(tmp_path):
    bag = write_bag(tmp_path / "bag", sqlite=True)
    database = sqlite3.connect(bag / "bag.db3")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("DELETE FROM messages WHERE id > 5")
    database.commit()
    copy = tmp_path / "killed"
    shutil.copytree(bag, copy)  # as it is on the disk while the writer lives
    database.close()
    before = content_of(copy)
    notes = notes_of(copy)
    assert content_of(copy) == before
    assert len(notes) == 1
    assert "messages in bag.db3-wal are missing; `sqlite3 bag.db3 'PRAGMA wal_ch" in notes[0]
    assert len(list(images(copy))) == 9
    sqlite3.connect(copy / "bag.db3").execute("PRAGMA wal_checkpoint").close()
    gc.collect()
    assert notes_of(copy) == ()
    assert len(list(images(copy))) == 5


@pytest.mark.parametrize("name", ["metadata.yaml", "a.mcap", "b.db3", "c.mcap.zstd"])
def test_folders_are_bags_by_their_files(tmp_path, name):
    assert not is_bag(tmp_path)
    (tmp_path / name).write_bytes(b"x")
    assert is_bag(tmp_path)
    with pytest.raises(InputError, match="cannot read the bag"):
        list(images(tmp_path))


# --- topics --------------------------------------------------------------------------------


def test_several_image_topics_are_listed_and_one_must_be_chosen(tmp_path):
    topics = {"/scene/image_raw": "rgb8", "/gel/image_raw": "bgr8", "/gel/compressed": "png"}
    bag = write_bag(tmp_path / "bag", topics)
    with pytest.raises(InputError) as caught:
        list(images(bag))
    text = str(caught.value)
    assert "has 3 image topics, choose one by --topic" in text
    assert "/scene/image_raw (Image, 9 of 16 x 12 rgb8)" in text
    assert "/gel/compressed (CompressedImage, 9 of 16 x 12 rgb8; png)" in text
    for name in ("/gel/image_raw", "gel/image_raw", "/gel/compressed"):
        _, image = next(images(bag, name))
        np.testing.assert_array_equal(image, RGB)
    with pytest.raises(InputError, match=r"no images named /other; images: /scene/image_raw \("):
        list(images(bag, "/other"))


def test_simulated_images_do_not_count_beside_recorded_ones(tmp_path):
    topics = {"/simulated/image_raw": "rgb8", "/gel/image_raw": "rgb8"}
    bag = write_bag(tmp_path / "bag", topics)
    assert len(list(images(bag))) == 9
    assert len(list(images(bag, "/simulated/image_raw"))) == 9


# --- stamps --------------------------------------------------------------------------------


def test_images_without_stamp_are_named_and_get_the_times_of_recording(tmp_path):
    recording = open_recording(write_bag(tmp_path / "bag", stamped=False))
    assert recording.notes == (
        "the images carry no stamp (header.stamp is 0): times are those of recording",
    )
    stamps = [frame.stamp_ns for frame in recording.frames()]
    assert stamps == [START_NS + k * PERIOD_NS for k in range(9)]


# --- memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mcap", "db3", "killed"])
def test_memory_does_not_grow_with_the_bag(tmp_path, kind):
    rgb = np.zeros((120, 160, 3), np.uint8)
    peaks = []
    for count in (20, 220):
        bag = write_bag(tmp_path / f"{count}", count=count, sqlite=kind == "db3", rgb=rgb)
        if kind == "killed":
            file = bag / f"{count}.mcap"
            file.write_bytes(file.read_bytes()[:-100])
        tracemalloc.start()
        number = sum(1 for _ in open_recording(bag).frames())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert number == count
    assert peaks[1] - peaks[0] < 1e6  # the 200 further images are 11.5 MB
