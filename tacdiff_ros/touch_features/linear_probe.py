"""Linear probe: what a linear classifier reads from frozen features.

A ridge classifier (one column of targets -1 and 1 per class) with class weights, so that rare
classes count as much as frequent ones. Its strength is the one with the least squared error in an
inner cross-validation (accuracy is too coarse to choose by). Both cross-validations keep the images
of a group (an object, a video) together, so that no fold is tested on images of what it was trained
on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError

STRENGTHS = tuple(float(value) for value in 10.0 ** np.arange(-4, 2.1, 0.5))
INNER_FOLDS = 5
MAX_CLASSES = 1000
MAX_FEATURES = 8192
CONSTANT = 1e-9  # standard deviation below which a feature is constant and only centred

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LinearProbe:
    """Linear classifier of standardized features.

    Attributes:
        classes: (C,) labels, sorted.
        mean: (F,) mean of the training features.
        stddev: (F,) standard deviation of the training features.
        weights: (F, C) weights of the standardized features.
        intercept: (C,) scores of the mean features.
        strength: ridge strength, in units of the standardized features' variance.
    """

    classes: NDArray[Any]
    mean: Floats
    stddev: Floats
    weights: Floats
    intercept: Floats
    strength: float

    def scores(self, features: ArrayLike) -> Floats:
        """Return (N, C) scores: 1 for images of a class and -1 for others in the training.

        Args:
            features: (N, F) features.

        Raises:
            InputError: the features have another length or are not finite.
        """
        values = _checked_features(features)
        if values.shape[1] != len(self.mean):
            raise InputError(
                f"features of length {values.shape[1]}, expected {len(self.mean)} as in the "
                "training of the probe"
            )
        return (values - self.mean) / self.stddev @ self.weights + self.intercept

    def predict(self, features: ArrayLike) -> NDArray[Any]:
        """Return (N,) labels of the highest scores.

        Args:
            features: (N, F) features.
        """
        return self.classes[self.scores(features).argmax(1)]


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of images by probes that were trained without their groups.

    Attributes:
        classes: (C,) labels, sorted.
        labels: (N,) true labels.
        predicted: (N,) predicted labels.
        scores: (N, C) scores; -inf for a class that the training of a fold did not have.
        fold: (N,) fold of each image.
        strengths: ridge strength of each fold.
    """

    classes: NDArray[Any]
    labels: NDArray[Any]
    predicted: NDArray[Any]
    scores: Floats
    fold: Integers
    strengths: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose label is predicted."""
        return float((self.predicted == self.labels).mean())

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes of the fraction of their images whose label is predicted."""
        return balanced_accuracy(self.labels, self.predicted)

    @property
    def confusion(self) -> Integers:
        """(C, C) number of images by true (rows) and predicted label (columns)."""
        count = len(self.classes)
        rows = np.searchsorted(self.classes, self.labels)
        columns = np.searchsorted(self.classes, self.predicted)
        return np.bincount(rows * count + columns, minlength=count * count).reshape(count, count)


def balanced_accuracy(labels: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the mean over the true classes of the fraction of correct predictions.

    Args:
        labels: (N,) true labels.
        predicted: (N,) predicted labels.
    """
    correct = np.asarray(labels == predicted)
    return float(np.mean([correct[labels == value].mean() for value in np.unique(labels)]))


def fit_probe(
    features: ArrayLike, labels: ArrayLike, groups: ArrayLike, seed: int = 0
) -> LinearProbe:
    """Fit a probe whose strength an inner cross-validation by group chooses.

    Args:
        features: (N, F) features.
        labels: (N,) labels, texts or integers.
        groups: (N,) groups of the images; those of a group stay together.
        seed: seed of the inner folds.

    Returns:
        Fitted probe.

    Raises:
        InputError: shapes differ, features are not finite, or there are fewer than 2 classes.
    """
    values, classes, target, group = _checked(features, labels, groups)
    strength = _best_strength(values, target, group, len(classes), seed)
    return _solve(values, classes, target, (strength,))[0]


def cross_validate(
    features: ArrayLike, labels: ArrayLike, groups: ArrayLike, folds: int, seed: int = 0
) -> CrossValidation:
    """Predict the label of each image by a probe that was trained without the image's group.

    Args:
        features: (N, F) features.
        labels: (N,) labels, texts or integers.
        groups: (N,) groups of the images.
        folds: number of folds, at most the number of groups.
        seed: seed of the folds.

    Returns:
        Predictions of all images.

    Raises:
        InputError: shapes differ, features are not finite, there are fewer than 2 classes, more
            folds than groups, or a class is in one group only.
    """
    values, classes, target, group = _checked(features, labels, groups)
    if not 2 <= folds <= group.max() + 1:
        raise InputError(
            f"{folds} folds of {group.max() + 1} groups: expected 2 to the number of groups"
        )
    for number, label in enumerate(classes):
        if len(np.unique(group[target == number])) < 2:
            raise InputError(
                f"label {str(label)[:80]!r} is in one group only, so that no fold can be trained "
                "and tested on it: leave it out, or group by something finer"
            )
    fold = group_folds(target, group, folds, seed)
    scores = np.full((len(values), len(classes)), -np.inf)
    strengths = []
    for number in range(folds):
        test, training = fold == number, fold != number
        probe = fit_probe(values[training], target[training], group[training], seed + number + 1)
        scores[np.ix_(np.flatnonzero(test), probe.classes)] = probe.scores(values[test])
        strengths.append(probe.strength)
    predicted = scores.argmax(1)
    return CrossValidation(
        classes, classes[target], classes[predicted], scores, fold, tuple(strengths)
    )


def group_folds(labels: ArrayLike, groups: ArrayLike, folds: int, seed: int) -> Integers:
    """Return (N,) fold of each image; groups stay whole, and classes are spread over the folds.

    Groups are assigned from the largest to the smallest, in random order among equals, each to the
    fold that has the fewest images of the group's classes, then the fewest images.

    Args:
        labels: (N,) labels.
        groups: (N,) groups.
        folds: number of folds.
        seed: seed of the order.
    """
    target = np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)
    group = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    count = np.zeros((group.max() + 1, target.max() + 1))
    np.add.at(count, (group, target), 1)
    relative = count / count.sum(0)  # each class counts as much as another one
    order = np.random.default_rng(seed).permutation(len(count))
    order = order[np.argsort(-count[order].sum(1), kind="stable")]
    assigned = np.zeros(len(count), np.int64)
    filled, size = np.zeros((folds, count.shape[1])), np.zeros(folds)
    for number in order:
        overlap = (filled * relative[number]).sum(1)
        best = np.lexsort((size, overlap))[0]
        assigned[number] = best
        filled[best] += relative[number]
        size[best] += count[number].sum()
    return assigned[group]


def _best_strength(
    values: Floats, target: Integers, group: Integers, classes: int, seed: int
) -> float:
    """Return the strength with the least squared error of the scores, all classes weighing alike.

    A class that the training of an inner fold does not have is scored as absent (-1) there.
    """
    folds = min(INNER_FOLDS, len(np.unique(group)))
    if folds < 2:
        return 1.0
    fold = group_folds(target, group, folds, seed)
    wanted = np.where(target[:, None] == np.arange(classes), 1.0, -1.0)
    weight = 1.0 / np.bincount(target, minlength=classes)[target]
    errors = np.zeros(len(STRENGTHS))
    for number in range(folds):
        test, training = fold == number, fold != number
        present = np.unique(target[training])
        if len(present) < 2:
            continue
        inner = np.searchsorted(present, target[training])
        for row, probe in enumerate(_solve(values[training], present, inner, STRENGTHS)):
            scores = np.full((int(test.sum()), classes), -1.0)
            scores[:, present] = probe.scores(values[test])
            errors[row] += (weight[test] * np.square(scores - wanted[test]).sum(1)).sum()
    return STRENGTHS[int(errors.argmin())]


def _solve(
    values: Floats, classes: NDArray[Any], target: Integers, strengths: tuple[float, ...]
) -> list[LinearProbe]:
    """Return one probe per strength from one eigenvalue decomposition.

    Args:
        values: (N, F) features.
        classes: (C,) labels.
        target: (N,) row of each image's label in `classes`.
        strengths: ridge strengths.
    """
    mean, stddev = values.mean(0), values.std(0)
    stddev = np.where(stddev > CONSTANT * (1.0 + np.abs(mean)), stddev, 1.0)
    x = (values - mean) / stddev
    y = np.where(target[:, None] == np.arange(len(classes)), 1.0, -1.0)
    weight = 1.0 / (len(classes) * np.bincount(target, minlength=len(classes))[target])
    x_mean, y_mean = weight @ x, weight @ y
    x -= x_mean
    scaled = x * weight[:, None]
    eigenvalues, basis = np.linalg.eigh(scaled.T @ x)
    right = basis.T @ (scaled.T @ (y - y_mean))
    probes = []
    for strength in strengths:
        inverse = 1.0 / (np.maximum(eigenvalues, 0.0) + strength)
        weights = basis @ (right * inverse[:, None])
        intercept = y_mean - x_mean @ weights
        probes.append(LinearProbe(classes, mean, stddev, weights, intercept, strength))
    return probes


def _checked(
    features: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> tuple[Floats, NDArray[Any], Integers, Integers]:
    values = _checked_features(features)
    columns = {"labels": np.asarray(labels), "groups": np.asarray(groups)}
    for name, column in columns.items():
        if column.shape != (len(values),) or column.dtype.kind not in "iubU":
            raise InputError(
                f"{name} of shape {column.shape} and type {column.dtype}; expected "
                f"({len(values)},) texts or integers"
            )
    classes, target = np.unique(columns["labels"], return_inverse=True)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise InputError(f"{len(classes)} different labels, expected 2 to {MAX_CLASSES}")
    group = np.unique(columns["groups"], return_inverse=True)[1]
    return values, classes, target.reshape(-1), group.reshape(-1)


def _checked_features(features: ArrayLike) -> Floats:
    values = np.asarray(features, float)
    if values.ndim != 2 or not len(values) or not 0 < values.shape[1] <= MAX_FEATURES:
        raise InputError(
            f"features of shape {values.shape}; expected (N, F) with F up to {MAX_FEATURES}"
        )
    if not np.isfinite(values).all():
        raise InputError("features contain values that are not finite: leave these images out")
    return values
