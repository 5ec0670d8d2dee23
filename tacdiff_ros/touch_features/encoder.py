"""Network of the touch encoder: a small residual network with sensor tokens.

A token is a learned vector that scales and shifts the channels of two stages. Each sensor of the
training has one; sensors that were not in the training use the universal token, which replaces
the sensor's own at random during training (AnyTouch, Feng et al., ICLR 2025, section 4.5).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.touch_input import CHANNELS

UNIVERSAL = 0  # index of the universal token
EMBEDDED_STAGES = (1, 2)  # whose statistics are in the embedding
POOLS = (1, 2, 4, 8, 16)  # sides of the squares that are averaged for the energies, px
SMALLEST = 1e-3  # added before the logarithm


class Encoded(NamedTuple):
    """Output of the encoder.

    Attributes:
        code: (N, F) features of the last layer, which the heads read.
        stages: feature maps of the four stages.
    """

    code: Tensor
    stages: list[Tensor]


class TouchNetwork(nn.Module):
    """Network from the change of an image to an embedding."""

    def __init__(self, settings: EncoderSettings) -> None:
        """Build the network with random weights.

        Args:
            settings: architecture.
        """
        super().__init__()
        self.settings = settings
        first = settings.channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(CHANNELS, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        inputs = first
        for number, (channels, blocks) in enumerate(
            zip(settings.channels, settings.blocks, strict=True)
        ):
            self.stages.append(_stage(inputs, channels, blocks, 1 if number == 0 else 2))
            inputs = channels
        self.tokens = nn.Embedding(settings.sensors + 1, settings.token)
        nn.init.normal_(self.tokens.weight, std=0.02)
        conditioned = settings.channels[:2]
        self.conditions = nn.ModuleList(nn.Linear(settings.token, 2 * c) for c in conditioned)
        statistics = 2 * sum(settings.channels[1:])
        self.projection = nn.Sequential(
            nn.LayerNorm(statistics), nn.Linear(statistics, settings.features)
        )

    def forward(self, values: Tensor, sensor: Tensor | None = None) -> Encoded:
        """Encode a batch.

        Args:
            values: (N, 6, 120, 160) network input at half resolution, see `touch_input`.
            sensor: (N,) int64 indices of sensor tokens; None for the universal token.

        Returns:
            Features of the last layer, and feature maps.
        """
        maps = self.stage_maps(values, len(self.stages), sensor)
        statistics = torch.cat([_moments(values) for values in maps[1:]], dim=1)
        return Encoded(self.projection(statistics), maps)

    def stage_maps(self, values: Tensor, count: int, sensor: Tensor | None = None) -> list[Tensor]:
        """Return the feature maps of the first stages.

        Args:
            values: (N, 6, H, W) network input.
            count: number of stages.
            sensor: (N,) int64 indices of sensor tokens; None for the universal token.
        """
        token = self.tokens.weight[UNIVERSAL : UNIVERSAL + 1]
        if sensor is not None:
            token = self.tokens(sensor)
        x = self.stem(values)
        maps = []
        for number, stage in enumerate(self.stages[:count]):
            x = stage(x)
            if number < len(self.conditions):
                scale, shift = self.conditions[number](token)[..., None, None].chunk(2, dim=1)
                x = functional.relu(x * (1.0 + scale) + shift)
            maps.append(x)
        return maps


class _Block(nn.Module):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.skip(x) + self.body(x))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(inputs, outputs, stride)
    return nn.Sequential(first, *(_Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def embedding(network: TouchNetwork, values: Tensor) -> Tensor:
    """Return (N, E) features for linear probes: statistics of two stages, energies by scale.

    They carry over to real sensors better than the last layer, which is trained to ignore what the
    heads do not need. At full resolution they show fine texture, which half of it does not
    (`benchmarks/touch_features.py`).

    Args:
        network: encoder.
        values: (N, 6, 240, 320) network input at full resolution.
    """
    stages = network.stage_maps(values, max(EMBEDDED_STAGES) + 1)
    statistics = [_moments(stages[number]) for number in EMBEDDED_STAGES]
    energies = [_moments(functional.avg_pool2d(values.float(), k))[:, CHANNELS:] for k in POOLS]
    mean = values.float().abs().mean(dim=(2, 3))
    return (torch.cat([*statistics, *energies, mean], dim=1).abs() + SMALLEST).log()


def embedding_length(settings: EncoderSettings) -> int:
    """Return the length of the embedding of an architecture.

    Args:
        settings: architecture.
    """
    channels = sum(settings.channels[number] for number in EMBEDDED_STAGES)
    return 2 * channels + CHANNELS * (len(POOLS) + 1)


def _moments(maps: Tensor) -> Tensor:
    """Return mean and standard deviation of each channel over the image, (N, 2C)."""
    values = maps.float()
    mean = values.mean(dim=(2, 3), keepdim=True)
    stddev = ((values - mean).square().mean(dim=(2, 3)) + 1e-6).sqrt()
    return torch.cat([mean[..., 0, 0], stddev], dim=1)
