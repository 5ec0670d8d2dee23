"""Table of a pretraining's losses, which a resumed pretraining extends."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_table, require_columns
from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.pretraining_settings import Weights

MAX_ROWS = 1000
MAX_BYTES = 2**20
COLUMNS = ("step", *Weights.model_fields)


class LossTable:
    """Means of the losses over equal parts of the steps, in a CSV file."""

    def __init__(self, path: Path, steps: int) -> None:
        """Start; rows of an interrupted pretraining are kept up to the step of its checkpoint.

        Args:
            path: CSV file.
            steps: number of steps of the pretraining.

        Raises:
            InputError: the file exists and is no such table.
        """
        self._path, self._steps_per_row = path, -(-steps // MAX_ROWS)
        self._sums: dict[str, float] = {}
        self._count = 0
        self._rows: list[list[str]] = []
        if path.exists():
            columns = read_table(path, "table of losses", MAX_BYTES)
            require_columns(columns, COLUMNS, f"table of losses {printable(path)}")
            rows = zip(*(columns[name] for name in COLUMNS), strict=True)
            self._rows = [_checked(list(row), path) for row in rows]

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Add the losses of the next step.

        Args:
            step: number of the step, from 1.
            losses: losses by name.
        """
        while self._rows and int(self._rows[-1][0]) >= step:  # after the checkpoint
            self._rows.pop()
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % self._steps_per_row == 0:
            means = {name: f"{value / self._count:.5f}" for name, value in self._sums.items()}
            self._rows.append([str(step), *(means.get(name, "") for name in COLUMNS[1:])])
            self._sums, self._count = {}, 0

    @property
    def last(self) -> dict[str, float]:
        """Losses of the last row."""
        row = self._rows[-1] if self._rows else []
        pairs = zip(COLUMNS[1:], row[1:], strict=False)
        return {name: float(value) for name, value in pairs if value}

    def write(self) -> None:
        """Write the file.

        Raises:
            InputError: it cannot be written.
        """
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *self._rows])
        write_files(self._path.parent, {self._path.name: text.getvalue()})


def _checked(row: list[str], path: Path) -> list[str]:
    try:
        int(row[0])
        [float(value) for value in row[1:] if value]
    except ValueError as error:
        raise InputError(
            f"table of losses {printable(path)} is damaged ({one_line(error)}): delete it"
        ) from error
    return row
