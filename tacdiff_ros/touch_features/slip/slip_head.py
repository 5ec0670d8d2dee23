"""Slip head of a touch encoder: a small recurrent network on the statistics of the shear.

    ENCODER/slip.safetensors   weights; the card (encoder, scales, training)

It is trained on simulated grasps (`slip_training.py`) and runs with NumPy. The file is safe to read
from untrusted sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line
from tacdiff_ros.learning.model_card import card_metadata, parse_card
from tacdiff_ros.learning.weights_file import read_metadata
from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.slip.shear_statistics import STATISTICS, ShearStatistics

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]

FILE = "slip.safetensors"
FORMAT = "tacdiff_ros/slip_head/1"
MIN_PERIOD_S = 0.03  # images that come faster are left out
MAX_PERIOD_S = 0.1  # slower images say too little of the motion


class SlipCard(BaseModel):
    """Metadata of a slip head."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    encoder: str = Field(max_length=64)
    """SHA-256 of the encoder whose surface maps it reads."""
    hidden: int = Field(ge=1, le=512)
    """Units of the recurrent layer."""
    mean: tuple[float, ...] = Field(min_length=STATISTICS, max_length=STATISTICS)
    """Mean of each statistic in the training."""
    stddev: tuple[float, ...] = Field(min_length=STATISTICS, max_length=STATISTICS)
    """Standard deviation of each statistic in the training."""
    training: dict[str, Any] = {}
    """Settings and scores of the training."""


def shapes(hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight.

    Args:
        hidden: units of the recurrent layer.
    """
    return {
        "inputs.weight": (hidden, STATISTICS),
        "inputs.bias": (hidden,),
        "memory.weight_ih_l0": (3 * hidden, hidden),
        "memory.weight_hh_l0": (3 * hidden, hidden),
        "memory.bias_ih_l0": (3 * hidden,),
        "memory.bias_hh_l0": (3 * hidden,),
        "output.weight": (1, hidden),
        "output.bias": (1,),
    }


def save_slip_head(folder: Path, weights: Weights, card: SlipCard) -> None:
    """Write the slip head of an encoder.

    Args:
        folder: folder of the encoder.
        weights: weights by name.
        card: metadata.

    Raises:
        InputError: the folder cannot be written.
    """
    from safetensors.numpy import save

    write_files(folder, {FILE: save(dict(weights), card_metadata(card, FORMAT))})


def load_slip_head(folder: Path, encoder: str) -> SlipHead | None:
    """Return the slip head of an encoder; None if it has none.

    Args:
        folder: folder of the encoder.
        encoder: SHA-256 of the encoder.

    Raises:
        InputError: the file is damaged, or belongs to another encoder.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    if not path.exists():
        return None
    card = parse_card(read_metadata(path), FORMAT, SlipCard, "slip head", path)
    if card.encoder != encoder:
        raise InputError(
            f"{path} belongs to another encoder: train it again (`tacdiff touch slip`) or delete it"
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged ({one_line(error, 120)})") from error
    given = {name: (value.shape, value.dtype.name) for name, value in weights.items()}
    if given != {name: (shape, "float32") for name, shape in shapes(card.hidden).items()}:
        raise InputError(f"{path} does not fit its own settings: train it again")
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise InputError(f"{path} has weights that are not finite: train it again")
    return SlipHead(weights, card)


class SlipHead:
    """Slip fraction of one touch after another, of one sensor."""

    def __init__(self, weights: Weights, card: SlipCard) -> None:
        """Start without images.

        Args:
            weights: weights by name, float32 and of the shapes that `shapes` gives.
            card: metadata.
        """
        self._weights, self.card = weights, card
        self._mean = np.array(card.mean, np.float32)
        self._stddev = np.array(card.stddev, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the touch."""
        self._statistics = ShearStatistics()
        self._state = np.zeros(self.card.hidden, np.float32)
        self._last_s = -np.inf
        self._fraction = 0.0

    def update(self, surface: Floats, stamp_s: float) -> float:
        """Return the slip fraction, 0 to 1, after the next image of a touch.

        Args:
            surface: (5, 30, 40) surface maps of the image, as in `TouchReading`.
            stamp_s: time of the image, s.

        Returns:
            Estimated fraction of the contact area that slips; NaN where images are more than
            0.1 s apart.
        """
        period_s = stamp_s - self._last_s
        if period_s < MIN_PERIOD_S:
            return self._fraction
        is_after_pause = MAX_PERIOD_S < period_s < np.inf
        if is_after_pause:
            self.reset()
        self._last_s = stamp_s
        values = self._statistics.update(surface, stamp_s)
        estimate = self._step((values - self._mean) / self._stddev)
        self._fraction = np.nan if is_after_pause else min(1.0, max(0.0, estimate))
        return self._fraction

    def _step(self, values: Floats) -> float:
        """Return the output of the network after its next input (gated recurrent unit)."""
        w = self._weights
        x = np.maximum(w["inputs.weight"] @ values + w["inputs.bias"], np.float32(0.0))
        of_input = w["memory.weight_ih_l0"] @ x + w["memory.bias_ih_l0"]
        of_state = w["memory.weight_hh_l0"] @ self._state + w["memory.bias_hh_l0"]
        size = self.card.hidden
        reset = _sigmoid(of_input[:size] + of_state[:size])
        keep = _sigmoid(of_input[size : 2 * size] + of_state[size : 2 * size])
        new = np.tanh(of_input[2 * size :] + reset * of_state[2 * size :])
        self._state = (1.0 - keep) * new + keep * self._state
        return float((w["output.weight"] @ self._state + w["output.bias"])[0])


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)
