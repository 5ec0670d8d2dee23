"""Read a recorded run back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from tacdiff_ros.acquisition.bag_repair import is_finished, repair_bag
from tacdiff_ros.errors import InputError

IMAGE_TYPE = "sensor_msgs/msg/Image"
SIMULATED = "simulated/"
LARGEST_RUN_FILE_BYTES = 1024 * 1024
TEXT_COLUMNS = {"phase", "step", "motion"}


@dataclass(frozen=True)
class RecordedRun:
    """What a run left on disk.

    Attributes:
        folder: of the run.
        columns: the index: column name to (N,) array, numbers as float64, names as str.
        run: content of run.yaml.
        repaired: the bag had not been closed and was repaired.
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
        """Rows of the index."""
        return len(self.columns["sample"])


def open_run(folder: Path) -> RecordedRun:
    """Read the index of a run, and repair its bag when its writer was killed.

    Raises:
        InputError: the folder holds no run, or its bag cannot be read.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise InputError(f"{folder} holds no recorded run: {index.name} is missing")
    repaired = not is_finished(folder / "bag") and repair_bag(folder / "bag")
    return RecordedRun(folder, _read_index(index), _read_run(folder / "run.yaml"), repaired)


def images(bag: Path, topic: str | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Stamps in ns and images (H, W, 3) uint8 RGB of a bag, in the order of recording.

    Args:
        bag: rosbag2 folder, mcap or sqlite3.
        topic: None for `image_raw`, or the only image topic.

    Raises:
        InputError: the bag cannot be read, or has no such images.
    """
    for stamp_ns, message in messages(bag, IMAGE_TYPE, topic):
        if message.encoding not in ("rgb8", "bgr8"):
            raise InputError(f"{bag} holds images as {message.encoding}; expected rgb8 or bgr8")
        if message.data.size != message.height * message.step or message.step < 3 * message.width:
            raise InputError(f"{bag} holds an image whose size and number of bytes do not agree")
        rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
        image = rows.reshape(message.height, message.width, 3)
        yield stamp_ns, image if message.encoding == "rgb8" else image[..., ::-1]


def messages(bag: Path, type_name: str, topic: str | None = None) -> Iterator[tuple[int, Any]]:
    """Header stamps in ns and messages of one type, in the order of recording.

    Raises:
        InputError: the bag cannot be read, or holds nothing of that type on that topic.
    """
    try:
        with AnyReader([bag]) as reader:
            found = [
                connection
                for connection in reader.connections
                if connection.msgtype == type_name and topic in (None, connection.topic)
            ]
            if not found:
                raise InputError(
                    f"{bag} has no topic with {type_name}" + (f" named {topic}" if topic else "")
                )
            for connection, _, data in reader.messages([_recorded(found)]):
                message: Any = reader.deserialize(data, connection.msgtype)
                stamp = message.header.stamp
                yield stamp.sec * 1_000_000_000 + stamp.nanosec, message
    except InputError:
        raise
    except Exception as error:  # damaged bytes leave rosbags as nearly any exception
        raise InputError(f"cannot read the bag {bag}: {' '.join(str(error).split())}") from error


def _recorded(connections: list[Any]) -> Any:
    """The sensor's own topic, where simulated ones were recorded beside it."""
    return min(connections, key=lambda c: (SIMULATED in c.topic, not c.topic.endswith("image_raw")))


def _read_index(path: Path) -> dict[str, NDArray[Any]]:
    """Columns of the index without a last row that its writer did not finish."""
    try:
        content = path.read_text(encoding="utf-8")
        whole = content[: content.rfind("\n") + 1]
        rows = list(csv.DictReader(io.StringIO(whole, newline="")))
        names = list(rows[0]) if rows else []
        columns = {name: _column(name, [row[name] for row in rows]) for name in names}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is no index of a run: {error}") from error
    return columns or {"sample": np.zeros(0)}


def _column(name: str, values: list[str]) -> NDArray[Any]:
    kind = str if name in TEXT_COLUMNS else np.int64 if name == "stamp_ns" else np.float64
    return np.array(values).astype(kind)


def _read_run(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > LARGEST_RUN_FILE_BYTES:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    return content if isinstance(content, dict) else {}
