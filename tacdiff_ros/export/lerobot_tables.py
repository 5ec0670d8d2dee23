"""Parquet tables of the LeRobot dataset format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGE_KEY = "observation.images.gel"
ACTION_LENGTH = 4


def frame_schema(state_length: int, with_images: bool) -> Any:
    """Return the Arrow schema of the data table.

    Args:
        state_length: number of components of `observation.state`.
        with_images: whether the table contains the images.
    """
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.schema(
        [
            *([(IMAGE_KEY, image)] if with_images else []),
            ("observation.state", pa.list_(pa.float32(), state_length)),
            ("action", pa.list_(pa.float32(), ACTION_LENGTH)),
            ("observation.phase", pa.int64()),
            ("observation.in_contact", pa.bool_()),
            ("observation.time_s", pa.float32()),
            ("timestamp", pa.float32()),
            *((f"{name}", pa.int64()) for name in ("frame_index", "episode_index", "index")),
            ("task_index", pa.int64()),
        ]
    )


class TableFile:
    """Numbered Parquet files of consecutive episodes; a full file is followed by another."""

    def __init__(self, path_of: Callable[[int], Path], schema: Any, max_mb: float) -> None:
        """Remember where to write; the first file is created with its first episode.

        Args:
            path_of: function that returns the path of a file by its number.
            schema: Arrow schema.
            max_mb: size from which the next episode begins a new file, MB.
        """
        self._path_of, self._schema, self._max_bytes = path_of, schema, 1e6 * max_mb
        self._number = -1
        self._writer: Any = None

    def begin_episode(self) -> int:
        """Return the number of the file that the next rows are written to."""
        import pyarrow.parquet as pq

        if self._writer is not None and self._bytes() > self._max_bytes:
            self.close()
        if self._writer is None:
            self._number += 1
            path = self._path_of(self._number)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, self._schema, compression="snappy")
        return self._number

    def write(self, columns: dict[str, list[Any]]) -> None:
        """Write rows as one row group."""
        import pyarrow as pa

        if self._writer is None:
            raise RuntimeError("rows before `begin_episode`")
        arrays = {
            field.name: pa.array([_plain(v) for v in columns[field.name]], field.type)
            for field in self._schema
        }
        self._writer.write_table(pa.table(arrays, schema=self._schema))

    def _bytes(self) -> int:
        return self._path_of(self._number).stat().st_size

    def close(self) -> None:
        """Write the footer of the open file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def write_task_table(path: Path, tasks: list[str]) -> None:
    """Write the numbers of the tasks, with their texts as the index of a Pandas table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = "__index_level_0__"
    types = (("task_index", "task_index", "int64"), (None, index, "unicode"))
    columns = [
        {
            "name": name,
            "field_name": field,
            "pandas_type": kind,
            "numpy_type": kind,
            "metadata": None,
        }
        for name, field, kind in types
    ]
    columns[1]["numpy_type"] = "object"
    description = {"index_columns": [index], "column_indexes": [], "columns": columns}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: tasks})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(description)}), path)


def write_episode_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row for each episode."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
