"""Scores of connector networks: accuracy, confusion, retrieval, and classes enrolled later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError

Floats = NDArray[np.float64]
NEIGHBOURS = 9  # of a touch among the remembered ones


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix (classes, classes): true classes in rows.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        classes: number of classes.

    Raises:
        InputError: the lengths differ, or a class is out of range.
    """
    true, said = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    if true.shape != said.shape or true.ndim != 1:
        raise InputError(f"{true.shape} labels and {said.shape} predictions: expected as many")
    if len(true) and not 0 <= min(true.min(), said.min()) <= max(true.max(), said.max()) < classes:
        raise InputError(f"a class is not 0 to {classes - 1}")
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (true, said), 1)
    return matrix


@dataclass(frozen=True)
class Retrieval:
    """Scores of the retrieval of one's own view by a touch.

    Attributes:
        rank: (N,) number of views more similar to the touch than its own; 0 is a hit.
        nearest: (N,) the most similar view.
    """

    rank: NDArray[np.int64]
    nearest: NDArray[np.int64]

    def recall(self, count: int = 1) -> float:
        """Return the fraction of touches whose own view is among the `count` most similar."""
        return float((self.rank < count).mean())


def retrieve(touches: ArrayLike, views: ArrayLike) -> Retrieval:
    """Rank all views by their similarity with each touch.

    Ties count against the touch: a constant embedding finds nothing.

    Args:
        touches: (N, E) unit embeddings of touches.
        views: (N, E) unit embeddings of the views of the same poses.

    Raises:
        InputError: the shapes differ.
    """
    touch, view = np.asarray(touches, np.float64), np.asarray(views, np.float64)
    if touch.shape != view.shape or touch.ndim != 2 or not len(touch):
        raise InputError(f"embeddings {touch.shape} and {view.shape}: expected equal (N, E)")
    similarity = touch @ view.T
    own = np.diag(similarity)[:, None]
    rank = (similarity >= own).sum(axis=1) - 1
    return Retrieval(rank, similarity.argmax(axis=1))


def recognise(
    remembered: ArrayLike, labels: ArrayLike, features: ArrayLike, neighbours: int = NEIGHBOURS
) -> NDArray[np.int64]:
    """Return the class of touches by their most similar remembered ones.

    A class is enrolled by remembering its touches; nothing is trained.

    Args:
        remembered: (M, E) features of remembered touches.
        labels: (M,) their classes, 0 or more.
        features: (N, E) features of the touches.
        neighbours: number of remembered touches that vote with their similarity.

    Returns:
        (N,) classes.

    Raises:
        InputError: the shapes do not fit, or there are fewer touches than `neighbours`.
    """
    memory, queries = np.asarray(remembered, float), np.asarray(features, float)
    classes = np.asarray(labels, np.int64)
    fits = memory.ndim == queries.ndim == 2 and memory.shape[1:] == queries.shape[1:]
    if not fits or classes.shape != (len(memory),) or not 1 <= neighbours <= len(memory):
        raise InputError(
            f"features {memory.shape} with {classes.shape} labels and {queries.shape}: expected "
            f"(M, E), (M,) and (N, E) with M of at least {neighbours}"
        )
    similarity = _normalised(queries) @ _normalised(memory).T
    nearest = np.argpartition(-similarity, neighbours - 1, axis=1)[:, :neighbours]
    votes = np.zeros((len(queries), int(classes.max()) + 1))
    rows = np.repeat(np.arange(len(queries)), neighbours)
    columns = classes[nearest].ravel()
    np.add.at(votes, (rows, columns), 1.0 + np.take_along_axis(similarity, nearest, 1).ravel())
    return votes.argmax(axis=1)


def _normalised(features: Floats) -> Floats:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12))
