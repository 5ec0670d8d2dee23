"""The networks of Pix2Pix (Isola et al., CVPR 2017): U-Net generator, PatchGAN discriminator.

The networks are those of the publication except for the depth of the generator: images of
320 x 240 pixels (padded to 320 x 256) can be halved six times, not eight times.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings

LEVELS = 6
DROPOUT_RATE = 0.5  # at the innermost levels; the publication uses it in place of a noise input
DEPTH_MIDDLE_MM, DEPTH_SPAN_MM = 22.0, 2.0  # scale the distance from the camera to about -1 to 1


class UNetGenerator(nn.Module):
    """Maps inputs (B, C, H, W) to images (B, 3, H, W) in [0, 1]."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Build the network with random weights.

        Args:
            settings: kind of input and `width`, the number of channels at the finest level, which
                is 64 in the publication.
        """
        super().__init__()
        self.settings = settings
        width = settings.width
        sizes = [width * min(2**level, 8) for level in range(LEVELS)]
        channels = CHANNELS[settings.kind]
        self.down = nn.ModuleList(
            _downsampling_block(a, b, level)
            for level, (a, b) in enumerate(zip([channels, *sizes[:-1]], sizes, strict=True))
        )
        inner = sizes[::-1]
        outer = [*inner[1:], 3]
        self.up = nn.ModuleList(
            _upsampling_block(a * (1 if level == 0 else 2), b, level)
            for level, (a, b) in enumerate(zip(inner, outer, strict=True))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) in [0, 1] of inputs (B, C, H, W)."""
        height, width = maps.shape[2:]
        side = 2**LEVELS
        pad = (0, -width % side, 0, -height % side)
        if self.settings.kind == "depth":
            maps = (maps - DEPTH_MIDDLE_MM) / DEPTH_SPAN_MM
        else:
            maps = 2.0 * maps - 1.0
        value = functional.pad(maps, pad, mode="replicate")
        skips: list[Tensor] = []
        for down in self.down:
            value = down(value)
            skips.append(value)
        value = self.up[0](skips.pop())
        for up, skip in zip(self.up[1:], reversed(skips), strict=True):
            value = up(torch.cat([value, skip], dim=1))
        return 0.5 + 0.5 * torch.tanh(value[:, :, :height, :width])


class PatchDiscriminator(nn.Module):
    """Maps inputs with images (B, C + 3, H, W) to one logit per patch of 70 x 70 pixels.

    Logits above 0 mean that the image is judged to be real.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        """Build the network with random weights.

        Args:
            channels: number of channels of the generator's input, C.
            width: number of channels of the first layer; 64 in the publication.
        """
        super().__init__()
        sizes = [width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(channels + 3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level, (a, b) in enumerate(itertools.pairwise(sizes)):
            stride = 2 if level < 2 else 1
            layers += [nn.Conv2d(a, b, 4, stride, 1), nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(sizes[-1], 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pair: Tensor) -> Tensor:
        """Return the logits (B, 1, rows, columns) of inputs with images (B, C + 3, H, W)."""
        return self.layers(pair)


def _downsampling_block(in_channels: int, out_channels: int, level: int) -> nn.Module:
    """Block of the U-Net's encoder that halves the resolution."""
    layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(in_channels, out_channels, 4, 2, 1))
    if 0 < level < LEVELS - 1:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


def _upsampling_block(in_channels: int, out_channels: int, level: int) -> nn.Module:
    """Block of the U-Net's decoder that doubles the resolution."""
    layers: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1)]
    if level < LEVELS - 1:
        layers.append(nn.BatchNorm2d(out_channels))
    if 0 < level < 3:
        layers.append(nn.Dropout(DROPOUT_RATE))
    return nn.Sequential(*layers)
