"""Linear probe against its normal equations, and folds that keep groups together."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.linear_probe import (
    INNER_FOLDS,
    STRENGTHS,
    balanced_accuracy,
    cross_validate,
    fit_probe,
    group_folds,
)


def blobs(
    seed: int, distance: float, groups_per_class: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of three classes, each with groups of its own; the last class is rare."""
    random = np.random.default_rng(seed)
    labels, groups, features = [], [], []
    for number, name in enumerate(("coin", "key", "nut")):
        centre = np.zeros(8)
        centre[number] = distance
        for group in range(groups_per_class):
            images = 3 if name == "nut" else 10
            offset = random.normal(0, 0.3, 8)
            features.append(centre + offset + random.normal(0, 1, (images, 8)))
            labels += [name] * images
            groups += [f"{name}{group}"] * images
    return np.concatenate(features), np.array(labels), np.array(groups)


def test_weights_solve_the_weighted_normal_equations() -> None:
    features, labels, groups = blobs(0, 2.0)
    probe = fit_probe(features, labels, groups)
    x = (features - features.mean(0)) / features.std(0)
    y = np.where(labels[:, None] == probe.classes, 1.0, -1.0)
    weight = np.array([1.0 / (3 * (labels == label).sum()) for label in labels])
    rows = np.concatenate([np.sqrt(weight)[:, None] * np.c_[x, np.ones(len(x))]])
    penalty = np.sqrt(probe.strength) * np.eye(9)[:8]  # the intercept has none
    left = np.concatenate([rows, penalty])
    right = np.concatenate([np.sqrt(weight)[:, None] * y, np.zeros((8, 3))])
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    np.testing.assert_allclose(probe.weights, solution[:8], atol=1e-10)
    np.testing.assert_allclose(probe.intercept, solution[8], atol=1e-10)


def test_the_strength_has_the_least_squared_error_on_unseen_groups() -> None:
    features, labels, groups = blobs(5, 1.0)
    features = np.c_[features, np.random.default_rng(6).normal(size=(len(features), 60))]
    classes, target = np.unique(labels, return_inverse=True)
    fold = group_folds(labels, groups, INNER_FOLDS, seed=0)
    errors = np.zeros(len(STRENGTHS))
    for number in range(INNER_FOLDS):
        x, y = features[fold != number], target[fold != number]
        mean, stddev = x.mean(0), x.std(0)
        weight = 1.0 / (3 * np.bincount(y)[y])
        wanted = np.where(y[:, None] == np.arange(3), 1.0, -1.0)
        x = (x - mean) / stddev
        centre, level = weight @ x, weight @ wanted
        left = (x - centre).T * weight @ (x - centre)
        right = (x - centre).T * weight @ (wanted - level)
        unseen = (features[fold == number] - mean) / stddev - centre
        of_class = target[fold == number]
        for row, strength in enumerate(STRENGTHS):
            scores = unseen @ np.linalg.solve(left + strength * np.eye(len(left)), right) + level
            error = np.square(scores - np.where(of_class[:, None] == np.arange(3), 1.0, -1.0))
            errors[row] += (error.sum(1) / np.bincount(target)[of_class]).sum()
    probe = fit_probe(features, labels, groups)
    assert probe.strength == STRENGTHS[errors.argmin()]
    assert set(probe.classes) == set(classes)


def test_separate_classes_are_predicted_and_noise_is_not() -> None:
    features, labels, groups = blobs(1, 8.0)
    result = cross_validate(features, labels, groups, folds=3)
    assert result.accuracy == result.balanced_accuracy == 1.0
    assert (result.confusion == np.diag([60, 60, 18])).all()
    noise = np.random.default_rng(2).normal(size=features.shape)
    assert cross_validate(noise, labels, groups, folds=3).balanced_accuracy < 0.5


def test_features_that_only_name_the_group_score_no_better_than_chance() -> None:
    _, labels, groups = blobs(3, 0.0, groups_per_class=8)
    identity = (groups[:, None] == np.unique(groups)).astype(float)
    assert cross_validate(identity, labels, groups, folds=4).balanced_accuracy < 0.5


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    features, labels, groups = blobs(4, 2.5)
    result = cross_validate(features, labels, groups, folds=3)
    recall = np.diag(result.confusion) / result.confusion.sum(1)
    assert recall.min() > 0.7
    assert result.balanced_accuracy == pytest.approx(recall.mean())
    assert balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])) == 0.5


def test_folds_keep_groups_whole_and_hold_every_class() -> None:
    _, labels, groups = blobs(5, 1.0)
    fold = group_folds(labels, groups, 3, seed=0)
    assert all(len(np.unique(fold[groups == group])) == 1 for group in np.unique(groups))
    for number in range(3):
        assert set(labels[fold == number]) == {"coin", "key", "nut"}


def test_unusable_input_is_refused() -> None:
    features, labels, groups = blobs(6, 1.0)
    cases = [
        ((features[:, 0], labels, groups), r"expected \(N, F\)"),
        ((features * np.nan, labels, groups), "not finite"),
        ((features, labels[1:], groups), "labels of shape"),
        ((features, np.full(len(labels), "same"), groups), "1 different labels"),
        ((features, np.where(groups == "nut0", "odd", labels), groups), "'odd' is in one group"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            cross_validate(*arguments, folds=3)
    with pytest.raises(InputError, match="19 folds of 18 groups"):
        cross_validate(features, labels, groups, folds=19)
    with pytest.raises(InputError, match="length 7, expected 8"):
        fit_probe(features, labels, groups).predict(features[:, :7])
