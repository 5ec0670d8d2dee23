"""Retrieval of a touch on one sensor by its image on another one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from tacdiff_ros.touch_features.touch_heads import TouchModel
from tacdiff_ros.touch_features.training_batches import TouchBatches

MIN_PAIRS = 4


class Retrieval(NamedTuple):
    """Result of a retrieval.

    Attributes:
        top1: fraction of the touches whose most similar image on the other sensors shows the same.
        pairs: number of touches.
    """

    top1: float
    pairs: int


def pair_retrieval(
    model: TouchModel, batches: TouchBatches, random: np.random.Generator, pairs: int = 128
) -> Retrieval | None:
    """Return how well touches are retrieved across the sensors of the touch sets.

    Args:
        model: encoder and heads.
        batches: pairs of images of the same touch.
        random: random generator of the pairs.
        pairs: maximum number of touches.

    Returns:
        Retrieval among different touches, each on two sensors; None if the sets have too few.
    """
    batch = batches.draw(random, 2 * min(pairs, batches.images))
    half = len(batch.touch) // 2
    is_pair = batch.touch[:half] == batch.touch[half:]
    is_pair &= batch.sensor[:half] != batch.sensor[half:]
    candidates = np.flatnonzero(is_pair)
    rows = candidates[np.unique(batch.touch[candidates], return_index=True)[1]]
    if len(rows) < MIN_PAIRS:
        return None
    with torch.inference_mode():
        inputs = torch.from_numpy(batch.inputs[np.concatenate([rows, rows + half])])
        touch = torch.cat([model(part)[1] for part in inputs.split(32)])
    similarity = touch[: len(rows)] @ touch[len(rows) :].T
    correct = similarity.argmax(1) == torch.arange(len(rows))
    return Retrieval(float(correct.float().mean()), len(rows))
