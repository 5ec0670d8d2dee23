"""Remembering, recognition and matching of the present touches of one or two sensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.touch_features.touch_memory import Recognition, TouchMemory, read_memory
from tacdiff_ros.touch_features.touched_sensor import TouchedSensor

SAME = 0.5  # similarity from which two touches count as the same


class TouchSession:
    """Requests about the present touches; the memory's file always holds what is remembered."""

    def __init__(self, sensors: Sequence[TouchedSensor], memory_file: Path, encoder: str) -> None:
        """Read the memory if its file exists.

        Args:
            sensors: one sensor, or the two of a hand.
            memory_file: `.npz` file of the remembered touches.
            encoder: checksum of the encoder.

        Raises:
            InputError: the file is damaged, or holds touches of another encoder.
        """
        self._sensors, self._file = tuple(sensors), memory_file
        self._memory = read_memory(memory_file) if memory_file.exists() else TouchMemory(encoder)
        if self._memory.encoder != encoder:
            raise InputError(
                f"{printable(memory_file)} holds touches of another encoder, which are not "
                "comparable: give another memory_file, or delete it and remember again"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Remembered names."""
        return self._memory.names

    def remember(self, name: str, now_s: float) -> int:
        """Remember the present touch of each sensor that is touched.

        Args:
            name: name of what is touched.
            now_s: present time, s.

        Returns:
            Number of examples of the name.

        Raises:
            InputError: no sensor is touched, the name is unusable, or the file cannot be written;
                the memory is unchanged.
        """
        readings, refusals = [], []
        for sensor in self._sensors:
            try:
                readings.append(sensor.touch(now_s))
            except InputError as error:
                refusals.append(str(error))
        if not readings:
            raise InputError("; ".join(refusals))
        memory, count = self._memory.copy(), 0
        for reading in readings:
            count = memory.remember(name, reading.touch)
        self._replace(memory)
        return count

    def forget(self, name: str) -> None:
        """Forget a name.

        Args:
            name: remembered name.

        Raises:
            InputError: the name is not remembered, or the file cannot be written.
        """
        memory = self._memory.copy()
        if not memory.forget(name):
            raise InputError(f"{printable(name)[:80]!r} is not remembered: nothing to forget")
        self._replace(memory)

    def recognize(self, now_s: float) -> Recognition:
        """Compare the present touch of the first sensor with the remembered ones.

        Args:
            now_s: present time, s.

        Raises:
            InputError: there is no present touch, or nothing is remembered.
        """
        return self._memory.recognize(self._sensors[0].touch(now_s).touch)

    def match(self, now_s: float) -> float:
        """Return the similarity of the two sensors' touches, -1 to 1.

        Args:
            now_s: present time, s.

        Raises:
            InputError: there is one sensor only, or one of them is not touched.
        """
        self._require_two()
        first, second = (sensor.touch(now_s).touch for sensor in self._sensors)
        return float(np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second)))

    def identify(self, now_s: float) -> Recognition:
        """Compare the touches of both sensors with the remembered ones.

        Args:
            now_s: present time, s.

        Returns:
            All names by the mean of both sensors' similarities.

        Raises:
            InputError: there is one sensor only, one of them is not touched, or nothing is
                remembered.
        """
        self._require_two()
        total: dict[str, float] = dict.fromkeys(self._memory.names, 0.0)
        for reading in [sensor.touch(now_s) for sensor in self._sensors]:
            recognition = self._memory.recognize(reading.touch)
            for name, value in zip(recognition.names, recognition.similarity, strict=True):
                total[name] += float(value) / len(self._sensors)
        names = sorted(total, key=lambda name: -total[name])
        return Recognition(tuple(names), np.array([total[name] for name in names]))

    def _require_two(self) -> None:
        if len(self._sensors) < 2:
            raise InputError("this needs the images of two sensors: set second_sensor to true")

    def _replace(self, memory: TouchMemory) -> None:
        memory.save(self._file)
        self._memory = memory


def describe(recognition: Recognition) -> str:
    """Return the result of a recognition in words.

    Args:
        recognition: remembered names by similarity.
    """
    name, similarity = recognition.names[0], recognition.similarity[0]
    if recognition.known:
        return f"{name} (similarity {similarity:.2f})"
    return f"unknown: the most similar is {name} (similarity {similarity:.2f})"
