"""One run on disk: a rosbag2, an index that a person can read, and what was asked for.

    NAME/
      bag/            rosbag2 (mcap): `ros2 bag play NAME/bag`
      index.csv       one row a sample
      protocol.yaml   the protocol as it was run
      run.yaml        indenter, seed, poses of sensor and indenter, version, outcome

A killed process costs at most the last half second: chunks and rows are flushed that often, and
`repair_bag` closes a bag that its writer could not.
"""

from __future__ import annotations

import csv
import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from tacdiff_ros.acquisition.bag_repair import BAG_VERSION, lock_bag, write_yaml
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.errors import InputError

FLUSH_PERIOD_S = 0.4
LARGEST_BACKLOG = 4000  # messages; at 25 images/s and 1 kHz of states about four seconds
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


@dataclass(frozen=True)
class Topic:
    """A topic to record.

    Attributes:
        name: as subscribed, "/image_raw".
        type_name: "sensor_msgs/msg/Image".
    """

    name: str
    type_name: str


class RunRecorder:
    """Writes one run; messages come in serialised and are written by a thread of their own."""

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
            folder: must not exist.
            topics: what will be written.
            definitions: text of the .msg file of every type that ROS itself does not have, by name.
            protocol: goes to protocol.yaml.
            run: goes to run.yaml; `close` adds the outcome.

        Raises:
            InputError: the folder exists or cannot be written, or a definition is missing.
        """
        self.folder = folder
        self.bag = folder / "bag"
        self.failure: str | None = None
        self._run = dict(run)
        self._queue: queue.Queue[tuple[str, int, bytes] | list[Any] | None] = queue.Queue(
            LARGEST_BACKLOG
        )
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
                f"{folder} exists already: choose another name; nothing was overwritten"
            ) from error
        except (OSError, WriterError) as error:
            raise InputError(f"cannot record to {folder}: {error}") from error
        self._index = csv.writer(self._index_file)
        self._index.writerow(INDEX_COLUMNS)
        self._connections = {
            topic.name: self._writer.add_connection(topic.name, topic.type_name, typestore=store)
            for topic in topics
        }
        self._lock = lock_bag(self.bag)
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """Queue a serialised message; a full queue is a failure, not a silent loss."""
        self._put((topic, time_ns, data))

    def write_sample(self, sample: Sample) -> None:
        """Queue a row of the index."""
        self._put(index_row(sample))

    def close(self, outcome: Mapping[str, Any]) -> None:
        """Write what is queued, close the bag and note the outcome."""
        self._queue.put(None)
        self._thread.join()
        try:
            self._index_file.close()
            self._writer.close()
            write_yaml(self.folder / "run.yaml", {**self._run, "outcome": dict(outcome)})
        except OSError as error:
            self.failure = self.failure or f"cannot close the recording: {error}"
        finally:
            os.close(self._lock)

    def _put(self, item: tuple[str, int, bytes] | list[Any]) -> None:
        if self.failure is not None:
            return
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.failure = f"the disk does not keep up: {LARGEST_BACKLOG} messages are waiting"

    def _write_all(self) -> None:
        """Body of the writing thread."""
        while (item := self._queue.get()) is not None:
            if self.failure is not None:
                continue
            try:
                if isinstance(item, list):
                    self._index.writerow(item)
                else:
                    topic, time_ns, data = item
                    self._writer.write(self._connections[topic], time_ns, data)
                if time.monotonic() - self._flushed_s > FLUSH_PERIOD_S:
                    self._flush()
            except (OSError, WriterError) as error:
                self.failure = f"cannot record: {error}"

    def _flush(self) -> None:
        """Hand everything to the operating system, and look ahead for a full disk."""
        storage: Any = self._writer.storage
        storage.close_chunk()
        storage.bio.flush()
        self._index_file.flush()
        self._flushed_s = time.monotonic()
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize < FREE_SPACE_BYTES:
            self.failure = f"less than {FREE_SPACE_BYTES >> 20} MiB are free on the disk"


def index_row(sample: Sample) -> list[Any]:
    """Values of one sample in the order of `INDEX_COLUMNS`."""
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
    """Whether a type, "sensor_msgs/msg/Image", comes with ROS 2 itself."""
    return type_name in get_typestore(Stores.ROS2_JAZZY).types


def make_typestore(definitions: Mapping[str, str]) -> Any:
    """Typestore of ROS 2 Jazzy with further types by the text of their .msg files."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for name, text in definitions.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store


def _make_complete_typestore(definitions: Mapping[str, str], topics: list[Topic]) -> Any:
    try:
        store = make_typestore(definitions)
        for topic in topics:
            store.generate_msgdef(topic.type_name, ros_version=2)
    except (TypesysError, KeyError) as error:
        raise InputError(f"a message cannot be recorded without its definition: {error}") from error
    return store
