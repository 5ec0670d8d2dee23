"""Training of the slip head of an encoder on simulated grasps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.touch_features.simulation.simulated_grips import Grips
from tacdiff_ros.touch_features.simulation.touch_motion import RATE_HZ
from tacdiff_ros.touch_features.slip.shear_statistics import STATISTICS, ShearStatistics
from tacdiff_ros.touch_features.slip.slip_head import SlipCard, Weights

Floats = NDArray[np.float32]

STEPS = (1, 2)  # frames between two inputs: cameras of 25 Hz and of half of it
DROPOUT = 0.2
BATCH = 32
WEIGHT_DECAY = 0.05
MAX_START = 0.3  # of a sequence: random first input, so that the time tells nothing
FIRST_S = 0.5  # time from which estimates are rated: the grasp is closed


class SlipTrainingSettings(BaseModel):
    """Settings of the training of a slip head."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: int = Field(32, ge=1, le=512, description="units of the recurrent layer")
    epochs: int = Field(30, ge=1, le=10_000, description="passes over all grasps")
    learning_rate: float = Field(4e-3, gt=0, le=1, description="largest learning rate")
    noise: float = Field(0.3, ge=0, le=10, description="noise on inputs, in standard deviations")
    folds: int = Field(4, ge=2, le=20, description="folds by grasp that rate the training")
    seed: int = Field(0, ge=0, description="seed of the weights")


class SlipScores(NamedTuple):
    """Quality of the slip estimate on grasps that were not in the training.

    Attributes:
        correlation: correlation of estimated and true slip fraction.
        area_under_curve: probability that a frame with over half of the contact slipping has a
            higher estimate than one with less than a fifth.
    """

    correlation: float
    area_under_curve: float


@dataclass(frozen=True)
class TrainedSlipHead:
    """Result of a training.

    Attributes:
        weights: weights by name.
        card: metadata.
        scores: scores by cross-validation over the grasps.
    """

    weights: Weights
    card: SlipCard
    scores: SlipScores


class SlipNetwork(nn.Module):
    """The network of `SlipHead`, for training."""

    def __init__(self, hidden: int) -> None:
        """Build the network with random weights.

        Args:
            hidden: units of the recurrent layer.
        """
        super().__init__()
        self.inputs = nn.Linear(STATISTICS, hidden)
        self.memory = nn.GRU(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Return (N, T) slip fractions.

        Args:
            values: (N, T, STATISTICS) scaled statistics.
        """
        x = functional.dropout(functional.relu(self.inputs(values)), DROPOUT, self.training)
        return self.output(self.memory(x)[0])[..., 0]


def train_slip_head(
    grips: Grips,
    encoder: str,
    settings: SlipTrainingSettings,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedSlipHead:
    """Train a slip head, and rate it by cross-validation over the grasps.

    Args:
        grips: simulated grasps.
        encoder: SHA-256 of the encoder that read them.
        settings: settings of the training.
        progress: callback with the number of finished trainings and of all.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network is slower with more
    try:
        return _rated_and_trained(grips, encoder, settings, progress or (lambda _done, _all: None))
    finally:
        torch.set_num_threads(threads)


def _rated_and_trained(
    grips: Grips,
    encoder: str,
    settings: SlipTrainingSettings,
    progress: Callable[[int, int], None],
) -> TrainedSlipHead:
    sets = [_statistics(grips, step) for step in STEPS]
    mean = sets[0].reshape(-1, STATISTICS).mean(0)
    stddev = sets[0].reshape(-1, STATISTICS).std(0) + 1e-6
    scaled = [(values - mean) / stddev for values in sets]
    fold = np.unique(grips.grasp, return_inverse=True)[1] % settings.folds
    estimate = np.zeros(grips.slip_fraction.shape, np.float32)
    for number in range(settings.folds):
        network = _trained(scaled, grips, fold != number, settings)
        with torch.no_grad():
            estimate[fold == number] = network(torch.from_numpy(scaled[0][fold == number]))
        progress(number + 1, settings.folds + 1)
    scores = slip_scores(estimate, grips)
    network = _trained(scaled, grips, np.ones(len(fold), bool), settings)
    progress(settings.folds + 1, settings.folds + 1)
    card = SlipCard(
        encoder=encoder,
        hidden=settings.hidden,
        mean=tuple(mean.tolist()),
        stddev=tuple(stddev.tolist()),
        training=settings.model_dump() | {"scores": scores._asdict()},
    )
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    return TrainedSlipHead(weights, card, scores)


def slip_scores(estimate: Floats, grips: Grips) -> SlipScores:
    """Rate estimated slip fractions.

    Args:
        estimate: (N, T) estimated slip fractions.
        grips: grasps.
    """
    rated = np.isfinite(grips.slip_fraction) & np.isfinite(estimate)
    rated &= np.arange(grips.slip_fraction.shape[1]) >= FIRST_S * RATE_HZ
    given, true = estimate[rated], grips.slip_fraction[rated]
    slipping, sticking = given[true > 0.5], np.sort(given[true < 0.2])
    above = np.searchsorted(sticking, slipping).mean() / max(len(sticking), 1)
    return SlipScores(round(float(np.corrcoef(given, true)[0, 1]), 4), round(float(above), 4))


def _statistics(grips: Grips, step: int) -> Floats:
    """Return the (N, T, STATISTICS) statistics of every `step`-th frame."""
    result = []
    for surfaces in grips.surface:
        statistics = ShearStatistics()
        result.append(
            [
                statistics.update(surface.astype(np.float32), k * step / RATE_HZ)
                for k, surface in enumerate(surfaces[::step])
            ]
        )
    return np.array(result, np.float32)


def _trained(
    scaled: list[Floats], grips: Grips, chosen: NDArray[np.bool_], settings: SlipTrainingSettings
) -> SlipNetwork:
    """Return a network that is trained on the chosen sequences."""
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    network = SlipNetwork(settings.hidden)
    parameters = network.parameters()
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
    sequences = np.flatnonzero(chosen)
    for _ in range(settings.epochs):
        order = random.permutation(sequences)
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            step = int(random.choice(STEPS))
            values, truth = scaled[STEPS.index(step)][rows], grips.slip_fraction[rows, ::step]
            start = int(random.integers(0, max(1, int(MAX_START * truth.shape[1]))))
            loss = _loss(network, values[:, start:], truth[:, start:], settings.noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def _loss(network: SlipNetwork, values: Floats, truth: Floats, noise: float) -> Tensor:
    known = torch.from_numpy(np.isfinite(truth))
    inputs = torch.from_numpy(values)
    estimate = network(inputs + noise * torch.randn_like(inputs))
    return (estimate - torch.from_numpy(truth))[known].square().mean()
