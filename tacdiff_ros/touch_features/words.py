"""Words for the attributes of a touch: bounded vocabulary, bags of words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SCALES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "force": ((0.3, 1.5, 5.0), ("feather", "light", "firm", "strong")),
    "texture_rms_mm": ((0.01, 0.04, 0.12), ("smooth", "fine relief", "rough", "bumpy")),
    "texture_wavelength_mm": ((0.6, 1.5, 3.0), ("dense", "close", "spaced", "sparse")),
    "compliance": ((0.25, 1.0, 3.0), ("hard", "firm object", "soft", "very soft")),
    "curvature": ((0.02, 0.1, 0.3), ("flat", "slightly curved", "curved", "pointed")),
    "contact_area_mm2": ((2.0, 20.0, 80.0), ("tiny", "small", "medium", "large")),
    "slip_fraction": ((0.2, 0.6, 0.99), ("sticking", "rim slips", "about to slip", "slipping")),
}
"""Limits of each quantity, in the units of the touch set, and the words between them."""

CLASSES = ("base", "texture")
"""Columns whose text is a word itself."""


def word_bags(
    labels: Mapping[str, NDArray], vocabulary: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the vocabulary, and the bag of words of each touch.

    Args:
        labels: columns of a touch set, each (N, ...); unknown values are NaN or empty texts.
        vocabulary: vocabulary to use; None for that of these touches.

    Returns:
        Words, and (N, len(words)) float32 with 1 for each word that applies.
    """
    columns = _scaled_words(labels) + _class_words(labels)
    words = vocabulary or tuple(sorted({word for column in columns for word in column if word}))
    index = {word: number for number, word in enumerate(words)}
    count = len(columns[0]) if columns else 0
    bags = np.zeros((count, len(words)), np.float32)
    for column in columns:
        for row, word in enumerate(column):
            if word in index:
                bags[row, index[word]] = 1.0
    return words, bags


def _scaled_words(labels: Mapping[str, NDArray]) -> list[list[str]]:
    columns = []
    for name, (limits, words) in SCALES.items():
        values = quantity(labels, name)
        if values is None:
            continue
        level = np.searchsorted(limits, np.nan_to_num(values))
        known = np.isfinite(values)
        columns.append([words[k] if ok else "" for k, ok in zip(level, known, strict=True)])
    return columns


def _class_words(labels: Mapping[str, NDArray]) -> list[list[str]]:
    return [[str(word) for word in labels[name]] for name in CLASSES if name in labels]


def quantity(labels: Mapping[str, NDArray], name: str) -> NDArray[np.float64] | None:
    """Return a scalar quantity of each touch; None if the labels do not have it.

    Args:
        labels: columns of a touch set.
        name: name of a column, or `force` (magnitude, N) or `curvature` (largest, 1/mm).
    """
    if name == "force":
        force = labels.get("force_n")
        return None if force is None else np.linalg.norm(np.asarray(force, float), axis=1)
    values = labels.get(name)
    if values is None:
        return None
    numbers = np.asarray(values, float)
    return np.abs(numbers).max(axis=1) if numbers.ndim == 2 else numbers
