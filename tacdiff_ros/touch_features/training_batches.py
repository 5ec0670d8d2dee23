"""Batches of the pretraining: pairs of images that show the same touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.encoder_file import EncoderCard
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.touch_input import network_input
from tacdiff_ros.touch_features.touch_set import TouchSet
from tacdiff_ros.touch_features.words import quantity, word_bags

PROPERTIES = (
    "force",
    "contact_area_mm2",
    "curvature",
    "texture_rms_mm",
    "texture_wavelength_mm",
    "compliance",
    "slip_fraction",
)
FLOORS = (
    0.05,
    0.5,
    0.005,
    0.003,
    0.2,
    0.05,
    0.05,
)  # added before the logarithm, unit of the property
NO_MOTION = 0.3  # fraction of the images that get no earlier one

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Images in two halves: image k and image k + N/2 show the same touch.

    Attributes:
        inputs: (N, 6, 120, 160) network input.
        later: (N, 3, 120, 160) change of the image 0.12 s later; NaN where there is none.
        maps: (N, 5, 30, 40) surface maps; NaN where they are unknown.
        sensor: (N,) int64 sensor tokens.
        touch: (N,) int64 number of the touch.
        words: (N, V) bags of words.
        properties: (N, P) properties, standardized; NaN where they are unknown.
    """

    inputs: Floats
    later: Floats
    maps: Floats
    sensor: NDArray[np.int64]
    touch: NDArray[np.int64]
    words: Floats
    properties: Floats


class TouchBatches:
    """Random batches of one or several touch sets.

    Attributes:
        vocabulary: words of the attributes.
        sensors: number of sensors.
        images: number of images.
        mean: (P,) mean of each property's logarithm.
        stddev: (P,) standard deviation of each property's logarithm.
    """

    def __init__(self, sets: Sequence[TouchSet]) -> None:
        """Index the sets.

        Args:
            sets: touch sets, which may be memory-mapped.

        Raises:
            InputError: there are fewer than two images.
        """
        if sum(len(touches.images) for touches in sets) < 2:
            raise InputError("the touch sets have fewer than 2 images; make more touches")
        self._sets = tuple(sets)
        self._set_of = np.repeat(np.arange(len(sets)), [len(s.images) for s in sets])
        self._row = np.concatenate([np.arange(len(s.images)) for s in sets])
        self._first = np.cumsum([0, *(len(s.images) for s in sets)])
        self._touch, self._video = _joined(sets, "touch"), _joined(sets, "video")
        self._sensor = 1 + _joined(sets, "sensor")
        self.sensors, self.images = int(self._sensor.max()), len(self._row)
        self._earlier = np.concatenate(
            [
                np.where(s.earlier >= 0, s.earlier + first, -1)
                for s, first in zip(sets, self._first[:-1], strict=True)
            ]
        )
        self._later = np.full(len(self._row), -1)
        known = self._earlier >= 0
        self._later[self._earlier[known]] = np.flatnonzero(known)
        self._members = _groups(self._touch)
        self._videos = _groups(self._video)
        bags = [word_bags(s.labels)[0] for s in sets]
        self.vocabulary = tuple(sorted({word for words in bags for word in words}))
        self._words = np.concatenate([_bags(s, self.vocabulary) for s in sets])
        values = np.concatenate([_properties(s) for s in sets])
        known_values = np.isfinite(values)
        count = np.maximum(known_values.sum(0), 1)
        self.mean = np.where(known_values, values, 0).sum(0) / count
        self.stddev = np.sqrt(
            np.where(known_values, np.square(values - self.mean), 0).sum(0) / count
        )
        self.stddev = np.maximum(self.stddev, 1e-3)
        self._properties = ((values - self.mean) / self.stddev).astype(np.float32)

    def card(self, settings: EncoderSettings, training: dict[str, Any]) -> EncoderCard:
        """Return the card of an encoder that was trained on these batches.

        Args:
            settings: architecture of the encoder.
            training: training settings, sets and scores.
        """
        return EncoderCard(
            settings=settings,
            properties=PROPERTIES,
            floors=FLOORS,
            mean=tuple(self.mean.tolist()),
            stddev=tuple(self.stddev.tolist()),
            training=training,
        )

    def draw(self, random: np.random.Generator, size: int) -> Batch:
        """Draw a batch.

        Args:
            random: random generator.
            size: number of images, even.
        """
        first = random.choice(len(self._row), size // 2, replace=False)
        rows = np.concatenate([first, [self._partner(row, random) for row in first]])
        still = random.random(len(rows)) < NO_MOTION
        earlier = np.where(still | (self._earlier[rows] < 0), rows, self._earlier[rows])
        later = self._later[rows]
        images, references = self._images(rows), self._references(rows)
        change = network_input(self._images(np.where(later < 0, rows, later)), references)[:, :3]
        change[later < 0] = np.nan
        return Batch(
            inputs=network_input(images, references, self._images(earlier)),
            later=change,
            maps=self._maps(rows),
            sensor=self._sensor[rows],
            touch=self._touch[rows],
            words=self._words[rows],
            properties=self._properties[rows],
        )

    def _partner(self, row: int, random: np.random.Generator) -> int:
        """Return another sensor's image of the same touch, else another one of the video."""
        for groups, key in ((self._members, self._touch), (self._videos, self._video)):
            others = groups[key[row]]
            others = others[others != row]
            if len(others):
                return int(random.choice(others))
        return row

    def _images(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        return np.stack([self._sets[self._set_of[r]].images[self._row[r]] for r in rows])

    def _references(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        sets = [(self._sets[self._set_of[r]], self._row[r]) for r in rows]
        return np.stack([touches.references[touches.sensor[k]] for touches, k in sets])

    def _maps(self, rows: NDArray[np.integer]) -> Floats:
        unknown = np.full((5, 30, 40), np.nan, np.float32)
        sets = [(self._sets[self._set_of[r]].maps, self._row[r]) for r in rows]
        return np.stack([unknown if m is None else np.asarray(m[k], np.float32) for m, k in sets])


def _joined(sets: Sequence[TouchSet], name: str) -> NDArray[np.int64]:
    """Return one column of all sets, with numbers that differ between sets."""
    parts, offset = [], 0
    for touches in sets:
        values = np.asarray(getattr(touches, name), np.int64)
        parts.append(values + offset)
        offset += int(values.max(initial=-1)) + 1
    return np.concatenate(parts)


def _groups(keys: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))


def _bags(touches: TouchSet, vocabulary: tuple[str, ...]) -> Floats:
    bags = word_bags(touches.labels, vocabulary)[1]
    return bags if len(bags) else np.zeros((len(touches.images), len(vocabulary)), np.float32)


def _properties(touches: TouchSet) -> NDArray[np.float64]:
    columns = []
    for name, floor in zip(PROPERTIES, FLOORS, strict=True):
        values = quantity(touches.labels, name)
        if values is None:
            values = np.full(len(touches.images), np.nan)
        columns.append(np.log(np.maximum(values, 0.0) + floor))
    return np.stack(columns, axis=1)
