"""Pictures of the results: confusion matrices and maps of embeddings."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEW_SHADE = 0.5  # fraction of white in the colour of views


def principal_components(embeddings: ArrayLike, count: int = 2) -> NDArray[np.float64]:
    """Return the coordinates of embeddings along their first principal components.

    Args:
        embeddings: (N, E) embeddings.
        count: number of components.

    Returns:
        (N, count) coordinates about the mean.

    Raises:
        InputError: there are fewer embeddings or dimensions than components.
    """
    values = np.asarray(embeddings, np.float64)
    if values.ndim != 2 or min(values.shape) < count:
        raise InputError(f"embeddings of shape {values.shape}: expected (N, E) of {count} or more")
    centred = values - values.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ directions[:count].T)


def embedding_map(
    views: ArrayLike, touches: ArrayLike, labels: ArrayLike, names: Sequence[str], title: str
) -> bytes:
    """Return a PNG of the first two principal components of views (light) and touches (dark).

    Args:
        views: (N, E) embeddings of views.
        touches: (N, E) embeddings of touches.
        labels: (N,) classes.
        names: names of the classes.
        title: title of the picture.
    """
    view, touch = np.asarray(views), np.asarray(touches)
    position = principal_components(np.concatenate([view, touch]))
    x, y = position.T
    classes = np.asarray(labels)
    figure = _figure((6.0, 5.5))
    axes = figure.add_subplot(title=title, xlabel="component 1", ylabel="component 2")
    for number, name in enumerate(names):
        own = np.flatnonzero(classes == number)
        colour = np.array(_colour(number))
        light = VIEW_SHADE + (1 - VIEW_SHADE) * colour
        axes.scatter(x[own], y[own], s=9, color=light, label=f"{name}, view")
        felt = len(view) + own
        axes.scatter(x[felt], y[felt], s=9, color=colour, label=f"{name}, touch")
    axes.legend(fontsize=7, ncols=2)
    return _png(figure)


def confusion_picture(matrix: ArrayLike, names: Sequence[str], title: str) -> bytes:
    """Return a PNG of a confusion matrix.

    Args:
        matrix: (C, C) counts, true classes in rows.
        names: names of the classes.
        title: title of the picture.
    """
    counts = np.asarray(matrix)
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure((1.5 + 0.7 * len(names), 1.2 + 0.65 * len(names)))
    axes = figure.add_subplot(title=title, xlabel="predicted", ylabel="true")
    axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if fraction[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return _png(figure)


def embedding_maps(
    maps: Mapping[str, tuple[ArrayLike, ArrayLike]], labels: ArrayLike, names: Sequence[str]
) -> dict[str, bytes]:
    """Return one PNG by file name for each pair of views and touches by title."""
    return {
        f"embedding_{title.replace(' ', '_')}.png": embedding_map(*pair, labels, names, title)
        for title, pair in maps.items()
    }


def _figure(inches: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=inches, layout="constrained")


def _colour(number: int) -> tuple[float, float, float]:
    import matplotlib

    red, green, blue, _ = matplotlib.colormaps["tab10"](number % 10)
    return red, green, blue


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
