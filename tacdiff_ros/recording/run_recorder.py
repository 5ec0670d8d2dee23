"""Recorder of one run: a rosbag2, an index in plain text, the protocol and the outcome.

    NAME/
      bag/            rosbag2 (mcap): `ros2 bag play NAME/bag`
      index.csv       one row per sample
      protocol.yaml   protocol of the run
      run.yaml        indenter, seed, image topic, poses of sensor and indenter, version, outcome

Chunks and rows are flushed twice per second, so that a killed process loses at most the last half
second. `repair_bag` closes a bag that its writer did not close.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.recording.bag_repair import (
    BAG_VERSION,
    is_finished,
    lock_bag,
    repair_bag,
    write_yaml,
)

LOGGER = logging.getLogger(__name__)
FLUSH_PERIOD_S = 0.4
CLOSE_TIMEOUT_S = 20.0  # maximum time to write the backlog and the index of the bag
MAX_BACKLOG = 4000  # messages; about four seconds at 25 images/s and 1,000 states/s
FREE_SPACE_BYTES = 200 * 1024 * 1024
POSE_COLUMNS = ["x_mm", "y_mm", "depth_mm", "yaw_rad"]
INDEX_COLUMNS = [
    *["sample", "stamp_ns", "trial", "phase", "step", "motion", "in_contact"],
    *[f"commanded_{name}" for name in POSE_COLUMNS],
    *[f"measured_{name}" for name in POSE_COLUMNS],
    *[f"gel_{name}" for name in ("x_mm", "y_mm", "z_mm", "qx", "qy", "qz", "qw")],
    *[f"force_{axis}_n" for axis in "xyz"],
    *[f"torque_{axis}_n_m" for axis in "xyz"],
    "pose_gap_ms",
]


_Item: TypeAlias = "tuple[str, int, bytes] | list[Any]"  # a message, or a row of the index


@dataclass(frozen=True)
class Topic:
    """A topic to record.

    Attributes:
        name: resolved name, such as "/image_raw".
        type_name: message type, such as "sensor_msgs/msg/Image".
    """

    name: str
    type_name: str


class RunRecorder:
    """Writes one run; a separate thread writes the serialised messages.

    The first exception in that thread becomes `failure`, in one line; an unexpected exception also
    leaves its traceback in the log. Messages after a failure are discarded.

    Attributes:
        folder: folder of the run.
        bag: folder of the rosbag2 inside it.
        failure: reason for an incomplete recording; None while the recording is complete.
    """

    def __init__(
        self,
        folder: Path,
        topics: list[Topic],
        definitions: Mapping[str, str],
        protocol: Mapping[str, Any],
        run: Mapping[str, Any],
    ) -> None:
        """Create the folder and start writing.

        Args:
            folder: folder of the run; it must not exist.
            topics: topics to record.
            definitions: text of the .msg file of every non-standard type, by type name.
            protocol: content of protocol.yaml.
            run: content of run.yaml; `close` adds the outcome.

        Raises:
            InputError: the folder exists or cannot be written, or a definition is missing.
        """
        self.folder = folder
        self.bag = folder / "bag"
        self.failure: str | None = None
        self._run = dict(run)
        self._outcome: dict[str, Any] = {}
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._storage_damaged = False  # the bag may end with an incomplete record
        self._abandoned = False  # `close` stopped waiting for the thread
        self._flushed_s = time.monotonic()
        store = _make_complete_typestore(definitions, topics)
        try:
            folder.mkdir(parents=True)
            write_yaml(folder / "protocol.yaml", protocol)
            write_yaml(folder / "run.yaml", self._run)
            self._index_file = (folder / "index.csv").open("w", newline="", encoding="utf-8")
            self._writer = Writer(self.bag, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except FileExistsError as error:
            raise InputError(
                f"{folder} exists already, and nothing was overwritten: choose another name"
            ) from error
        except (OSError, WriterError, InputError) as error:
            shutil.rmtree(folder, ignore_errors=True)  # created above: it would block the name
            raise InputError(f"cannot record to {folder}: {error}") from error
        self._index = csv.writer(self._index_file)
        self._index.writerow(INDEX_COLUMNS)
        self._connections = {
            topic.name: self._writer.add_connection(topic.name, topic.type_name, typestore=store)
            for topic in topics
        }
        self._bag_lock: int | None = lock_bag(self.bag)
        self._release = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """Queue a serialised message; a full queue is a failure of the recording.

        Args:
            topic: name of the topic.
            time_ns: time of reception, ns.
            data: serialised message.
        """
        self._put((topic, time_ns, data))

    def write_sample(self, sample: Sample) -> None:
        """Queue the row of a sample for the index."""
        self._put(index_row(sample))

    def close(self, outcome: Mapping[str, Any]) -> None:
        """Write the queued messages, close the bag and write the outcome.

        It takes at most `CLOSE_TIMEOUT_S` and raises nothing: an error is stored in `failure`, and
        in run.yaml instead of a success. A bag that its writer cannot close is repaired. If the
        disk does not respond in time, the recording is abandoned: the thread writes nothing after
        the blocked call, the bag is unlocked, and its next reader repairs it.

        Args:
            outcome: entry `outcome` of run.yaml.
        """
        self._outcome = dict(outcome)
        self._queue.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self._abandoned = True
            self._fail(
                f"cannot close the recording: the disk did not respond for {CLOSE_TIMEOUT_S:g} s"
            )
            self._unlock()

    def _put(self, item: _Item) -> None:
        if self.failure is not None:
            return
        if self._queue.qsize() >= MAX_BACKLOG:
            self._fail(f"the disk does not keep up: {MAX_BACKLOG} messages are waiting")
            return
        self._queue.put(item)

    def _fail(self, cause: str) -> None:
        """Record a failure, unless one is recorded already."""
        self.failure = self.failure or cause

    def _fail_with(self, task: str, error: BaseException) -> None:
        """Record an exception as failure; log the traceback of an unexpected one."""
        if isinstance(error, (OSError, WriterError, InputError)):
            self._fail(f"{task}: {error}")
            return
        self._fail(log_exception(LOGGER, task, error))

    def _work(self) -> None:
        """Run the writing thread; at its end, the bag is closed and unlocked."""
        try:
            while (item := self._queue.get()) is not None:
                if self.failure is None:
                    self._write_item(item)
            if self._abandoned:
                self._discard_buffers()
            else:
                self._close_files()
        except BaseException as error:  # no other code would notice the end of the thread
            self._fail_with("the recorder's thread ended", error)
        finally:
            self._unlock()

    def _write_item(self, item: _Item) -> None:
        """Write a message to the bag or a row to the index, and flush both when it is due."""
        try:
            if isinstance(item, list):
                self._index.writerow(item)
            else:
                topic, time_ns, data = item
                self._writer.write(self._connections[topic], time_ns, data)
            if self.failure is None and time.monotonic() - self._flushed_s > FLUSH_PERIOD_S:
                self._flush()
        except BaseException as error:  # any exception must become the failure of the run
            self._storage_damaged = isinstance(error, (OSError, MemoryError))
            self._fail_with("cannot record", error)

    def _close_files(self) -> None:
        """Close index and bag and write the outcome, continuing after a step that fails."""
        steps = [self._index_file.close, self._writer.close, self._repair, self._write_outcome]
        if self._storage_damaged:
            steps.remove(self._writer.close)
        for step in steps:
            try:
                step()
            except BaseException as error:  # as in `_write_item`
                self._fail_with("cannot close the recording", error)

    def _discard_buffers(self) -> None:
        """Close the files without writing their buffers: a reader may have repaired the bag."""
        storage: Any = self._writer.storage
        storage.bio.raw.close()
        index_buffer: Any = self._index_file.buffer
        index_buffer.raw.close()

    def _repair(self) -> None:
        """Repair the bag if its writer could not close it."""
        if is_finished(self.bag):
            return
        with contextlib.suppress(Exception):  # `failure` has the cause already
            self._writer.abort()
        self._unlock()
        repair_bag(self.bag)

    def _write_outcome(self) -> None:
        outcome = self._outcome
        if self.failure is not None and outcome.get("success"):
            cause = Cause.RECORDING_FAILED.value
            outcome = {**outcome, "success": False, "message": self.failure, "cause": cause}
        write_yaml(self.folder / "run.yaml", {**self._run, "outcome": outcome})

    def _unlock(self) -> None:
        """Release the lock of the bag; more than one call is allowed."""
        with self._release:
            bag_lock, self._bag_lock = self._bag_lock, None
        if bag_lock is not None:
            os.close(bag_lock)

    def _flush(self) -> None:
        """Flush all buffers to the operating system, and check the free space of the disk."""
        storage: Any = self._writer.storage
        storage.close_chunk()
        storage.bio.flush()
        self._index_file.flush()
        self._flushed_s = time.monotonic()
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize < FREE_SPACE_BYTES:
            self._fail(f"less than {FREE_SPACE_BYTES >> 20} MiB are free on the disk")


def index_row(sample: Sample) -> list[Any]:
    """Return the row of one sample, in the order of `INDEX_COLUMNS`."""
    activity = sample.activity
    poses = [
        value
        for pose in (sample.commanded, sample.measured)
        for value in (pose.position_mm[0], pose.position_mm[1], -pose.position_mm[2], pose.yaw_rad)
    ]
    numbers = [*poses, *sample.gel.position_mm, *sample.gel.quaternion_xyzw]
    numbers += [*sample.force_n, *sample.torque_n_m, 1e3 * sample.gap_s]
    return [
        sample.index,
        sample.stamp_ns,
        activity.trial,
        activity.phase.name.lower(),
        activity.step,
        activity.motion,
        int(activity.in_contact),
        *(f"{value:.6g}" for value in numbers),
    ]


def is_standard(type_name: str) -> bool:
    """Return whether a type, such as "sensor_msgs/msg/Image", is a standard type of ROS 2."""
    return type_name in get_typestore(Stores.ROS2_JAZZY).types


def make_typestore(definitions: Mapping[str, str]) -> Any:
    """Return the typestore of ROS 2 Jazzy with additional types.

    The first call takes a tenth of a second, later ones with the same definitions no time: a node
    makes it before its first run, because nothing else is processed meanwhile.

    Args:
        definitions: text of the .msg file of each additional type, by type name.

    Returns:
        rosbags typestore, to be read only.

    Raises:
        InputError: a definition cannot be read.
    """
    return _typestore(tuple(sorted(definitions.items())))


@functools.lru_cache(maxsize=4)
def _typestore(definitions: tuple[tuple[str, str], ...]) -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    try:
        for name, text in definitions:
            types.update(get_types_from_msg(text, name))
        store.register(types)
    except TypesysError as error:
        raise InputError(f"a message definition cannot be read: {error}") from error
    return store


def _make_complete_typestore(definitions: Mapping[str, str], topics: list[Topic]) -> Any:
    """Return the typestore of all topics; InputError if a definition is missing."""
    try:
        store = make_typestore(definitions)
        for topic in topics:
            store.generate_msgdef(topic.type_name, ros_version=2)
    except (TypesysError, KeyError) as error:
        raise InputError(f"a message cannot be recorded without its definition: {error}") from error
    return store
