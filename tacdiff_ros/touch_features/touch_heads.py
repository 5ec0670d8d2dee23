"""Heads of the touch encoder: surface of the gel, matching, and properties."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.touch_features.encoder import Encoded, TouchNetwork, embedding
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings

MAP_SHAPE = (30, 40)
MAP_SCALES = (0.3, 0.2, 0.2, 0.1, 0.1)  # typical size of each surface map: mm, slopes, mm
SURFACE_MAPS, COLOURS = 5, 3
WIDTH = 64


class TouchHeads(nn.Module):
    """Heads from the encoder's feature maps and embedding to what is known of a touch."""

    def __init__(self, settings: EncoderSettings, properties: int) -> None:
        """Build the heads with random weights.

        Args:
            settings: architecture of the encoder.
            properties: number of regressed quantities.
        """
        super().__init__()
        features = settings.features
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in settings.channels[1:])
        self.mixed = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
        self.pixels = nn.Conv2d(WIDTH, 2 * COLOURS + SURFACE_MAPS, 1)
        self.touch = projector(features, features)
        self.properties = projector(features, properties)

    def maps(self, encoded: Encoded) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N, 3, 30, 40) change, (N, 3, 30, 40) later change, (N, 5, 30, 40) surface.

        Args:
            encoded: output of the encoder.
        """
        coarse = encoded.stages[-1]
        x = self.lateral[-1](coarse)
        for layer, stage in zip(self.lateral[-2::-1], encoded.stages[-2:0:-1], strict=True):
            size = (stage.shape[2], stage.shape[3])
            x = layer(stage) + functional.interpolate(x, size, mode="bilinear")
        values = self.pixels(functional.relu(self.mixed(x)))
        change, later, surface = values.split([COLOURS, COLOURS, SURFACE_MAPS], dim=1)
        return change, later, surface


class TouchModel(nn.Module):
    """Encoder and heads as they are shipped and run, with the universal sensor token."""

    def __init__(self, settings: EncoderSettings, properties: int) -> None:
        """Build the model with random weights.

        Args:
            settings: architecture of the encoder.
            properties: number of regressed quantities.
        """
        super().__init__()
        self.network = TouchNetwork(settings.model_copy(update={"sensors": 0}))
        self.heads = TouchHeads(settings, properties)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return embedding, matching embedding of length 1, properties, and surface maps.

        Args:
            values: (N, 6, 240, 320) network input.
        """
        encoded = self.network(functional.avg_pool2d(values, 2))
        surface = self.heads.maps(encoded)[2] * torch.tensor(MAP_SCALES)[:, None, None]
        touch = self.heads.touch(encoded.code)
        touch = touch / (touch.square().sum(1, keepdim=True) + 1e-12).sqrt()
        features = embedding(self.network, values)
        return features, touch, self.heads.properties(encoded.code), surface


def projector(inputs: int, outputs: int) -> nn.Sequential:
    """Return a network of two linear layers.

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
    """
    return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, outputs))
