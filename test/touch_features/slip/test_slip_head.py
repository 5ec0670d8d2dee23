"""The slip head: statistics of the shear, its network in NumPy against torch, its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from safetensors.numpy import load_file, save

from tacdiff_ros.errors import InputError
from tacdiff_ros.learning.model_card import card_metadata
from tacdiff_ros.touch_features.simulation.simulated_grips import Grips
from tacdiff_ros.touch_features.slip.shear_statistics import STATISTICS, ShearStatistics
from tacdiff_ros.touch_features.slip.slip_head import (
    FILE,
    FORMAT,
    SlipCard,
    SlipHead,
    load_slip_head,
    save_slip_head,
)
from tacdiff_ros.touch_features.slip.slip_training import (
    SlipNetwork,
    SlipTrainingSettings,
    slip_scores,
    train_slip_head,
)
from tacdiff_ros.touch_features.slip.slip_watch import SlipWatch
from tacdiff_ros.touch_features.touch_encoder import TouchReading

FRAMES, PERIOD_S, HIDDEN = 40, 0.04, 6
ENCODER = "e" * 64
CARD = SlipCard(
    encoder=ENCODER, hidden=HIDDEN, mean=(-3.0,) * STATISTICS, stddev=(2.0,) * STATISTICS
)
Y, X = np.mgrid[:30, :40]
BUMP = np.exp(-((X - 20.0) ** 2 + (Y - 15.0) ** 2) / 50.0)


def maps_of(shear_mm: float, border_mm: float | None = None) -> np.ndarray:
    """Surface maps of a contact whose middle and border are sheared."""
    border = shear_mm if border_mm is None else border_mm
    shear = np.where(BUMP > 0.6, shear_mm, border) * (BUMP > 0.02)
    zero = np.zeros_like(BUMP)
    return np.stack([0.5 * BUMP, zero, zero, shear, zero]).astype(np.float32)


def network() -> SlipNetwork:
    torch.manual_seed(1)
    return SlipNetwork(HIDDEN).eval()


def weights() -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in network().state_dict().items()}


def test_the_statistics_tell_a_slipping_border_from_a_sticking_contact() -> None:
    sticking, slipping = ShearStatistics(), ShearStatistics()
    for k in range(10):
        shear = 0.02 * k
        sticks = sticking.update(maps_of(shear), PERIOD_S * k)
        slips = slipping.update(maps_of(shear, 0.5 * shear), PERIOD_S * k)
    middle, border = 6, 7  # of the change during the shortest lag
    assert np.exp(sticks[middle]) == pytest.approx(0.06 + 2e-3, abs=3e-3)
    assert sticks[border] == pytest.approx(sticks[middle], abs=0.02)
    assert slips[middle] - slips[border] > 0.3


def test_numpy_gives_what_torch_gives() -> None:
    head, statistics = SlipHead(weights(), CARD), ShearStatistics()
    surfaces = [maps_of(0.01 * k, 0.006 * k) for k in range(12)]
    values = [statistics.update(maps, PERIOD_S * k) for k, maps in enumerate(surfaces)]
    with torch.no_grad():
        expected = network()((torch.from_numpy(np.array(values)) + 3.0)[None] / 2.0)[0].numpy()
    estimate = [head.update(maps, PERIOD_S * k) for k, maps in enumerate(surfaces)]
    assert np.ptp(expected) > 1e-3
    assert estimate == pytest.approx(np.clip(expected, 0.0, 1.0), abs=1e-5)


def test_faster_images_are_left_out_and_a_pause_gives_no_estimate() -> None:
    head, twice = SlipHead(weights(), CARD), SlipHead(weights(), CARD)
    for k in range(8):
        last = head.update(maps_of(0.01 * k), PERIOD_S * k)
        assert twice.update(maps_of(0.01 * k), PERIOD_S * k) == last
        assert twice.update(maps_of(0.5), PERIOD_S * k + 0.016) == last
    assert np.isnan(head.update(maps_of(0.1), PERIOD_S * 8 + 0.3))
    assert np.isfinite(head.update(maps_of(0.1), PERIOD_S * 9 + 0.3))


def test_the_file_gives_the_same_head(tmp_path: Path) -> None:
    assert load_slip_head(tmp_path, ENCODER) is None
    save_slip_head(tmp_path, weights(), CARD)
    head = load_slip_head(tmp_path, ENCODER)
    assert head is not None and head.card == CARD
    given = SlipHead(weights(), CARD).update(maps_of(0.1), 0.0)
    assert head.update(maps_of(0.1), 0.0) == given


def damaged(name: str, value: Any) -> bytes:
    return save(weights() | {name: value}, card_metadata(CARD, FORMAT))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing", "damaged"),
        (save(weights(), {"format": "other"}), "no slip head"),
        (damaged("output.bias", np.zeros(2, np.float32)), "does not fit"),
        (damaged("output.bias", np.zeros(1)), "does not fit"),
        (damaged("further", np.zeros(2, np.float32)), "does not fit"),
        (damaged("output.bias", np.full(1, np.nan, np.float32)), "not finite"),
    ],
    ids=["bytes", "format", "shape", "type", "name", "nan"],
)
def test_unusable_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_slip_head(tmp_path, ENCODER)


def test_a_head_of_another_encoder_is_refused(tmp_path: Path) -> None:
    save_slip_head(tmp_path, weights(), CARD)
    assert load_file(tmp_path / FILE).keys() == weights().keys()
    with pytest.raises(InputError, match="another encoder"):
        load_slip_head(tmp_path, "f" * 64)


def grips(count: int = 24) -> Grips:
    """Contacts that are sheared; in half of them the border slips more and more."""
    random = np.random.default_rng(0)
    fractions = np.zeros((count, FRAMES), np.float32)
    fractions[::2, 15:] = np.linspace(0.0, 1.0, FRAMES - 15)
    speed = random.uniform(0.003, 0.01, count)
    surface = [
        [maps_of(s * k, s * k * (1.0 - f)) for k, f in enumerate(row)]
        for s, row in zip(speed, fractions, strict=True)
    ]
    return Grips(
        surface=np.array(surface, np.float16),
        slip_fraction=fractions,
        gross_slip=fractions > 0.98,
        begin_s=np.zeros(count),
        grasp=np.arange(count),
        has_markers=np.ones(count, bool),
    )


def test_a_training_learns_slip_that_the_border_shows(tmp_path: Path) -> None:
    settings = SlipTrainingSettings(hidden=8, epochs=100, learning_rate=0.02, noise=0.05, folds=3)
    given = grips()
    trained = train_slip_head(given, ENCODER, settings)
    assert trained.scores.correlation > 0.8 and trained.scores.area_under_curve > 0.9
    save_slip_head(tmp_path, trained.weights, trained.card)
    head = load_slip_head(tmp_path, ENCODER)
    assert head is not None
    for step in (1, 2):  # 25 Hz, and half of it
        head.reset()
        chosen = enumerate(given.surface[0][::step])
        assert [head.update(m, PERIOD_S * step * k) for k, m in chosen][-1] > 0.6
    head.reset()
    assert [head.update(m, PERIOD_S * k) for k, m in enumerate(given.surface[1])][-1] < 0.3


def test_the_watch_follows_the_head_and_forgets_with_the_contact() -> None:
    none = np.zeros(1, np.float32)
    watch, head = SlipWatch(0.5, SlipHead(weights(), CARD)), SlipHead(weights(), CARD)

    def reading(shear_mm: float, depth: float = 1.0) -> TouchReading:
        return TouchReading(none, none, {"slip_fraction": 0.9}, depth * maps_of(shear_mm))

    for _ in range(2):
        head.reset()
        estimates = [head.update(maps_of(0.05 * k), PERIOD_S * k) for k in range(6)]
        states = [watch.update(reading(0.05 * k), PERIOD_S * k) for k in range(6)]
        assert states[-1].slip_fraction == pytest.approx(np.mean(estimates[-3:]))
        assert states[-1].warning == (np.mean(estimates[-3:]) >= 0.5)
        watch.update(reading(0.0, depth=0.0), PERIOD_S * 6)


def test_scores_of_the_truth_are_perfect() -> None:
    given = grips()
    scores = slip_scores(given.slip_fraction, given)
    assert scores == (1.0, 1.0)
    reversed_scores = slip_scores(1.0 - given.slip_fraction, given)
    assert reversed_scores == (-1.0, 0.0)
