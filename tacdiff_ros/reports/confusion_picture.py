"""Picture of a confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

MAX_NAMED = 40  # classes whose names and counts are written
CELL_INCHES, MARGIN_INCHES, MAX_INCHES = 0.45, 2.0, 20.0
MAX_NAME = 24


def confusion_png(confusion: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Return a picture of a confusion matrix as a PNG file.

    Args:
        confusion: (C, C) number of images by true (rows) and predicted class (columns).
        classes: names of the classes.
    """
    fraction = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = min(MARGIN_INCHES + CELL_INCHES * len(classes), MAX_INCHES)
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(fraction, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(picture, ax=axes, label="fraction of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= MAX_NAMED:
        names = [name.replace("$", r"\$")[:MAX_NAME] for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=8)
        axes.set_yticks(range(len(classes)), names, fontsize=8)
        for row, column in np.argwhere(confusion > 0):
            colour = "white" if fraction[row, column] > 0.5 else "black"
            text = str(confusion[row, column])
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()
