"""The networks of Pix2Pix (Isola et al., CVPR 2017): U-Net generator, PatchGAN discriminator.

As published but for the depth: six halvings instead of eight, as 320 x 240 pixels (padded to
320 x 256) allow.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings

LEVELS = 6
DROPPED = 0.5  # of the innermost levels' values, in place of a noise input
DEPTH_MIDDLE_MM, DEPTH_SPAN_MM = 22.0, 2.0


class UNetGenerator(nn.Module):
    """Maps (B, C, H, W) to images (B, 3, H, W) in [0, 1]."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Of `settings.width` channels at the finest level; 64 in the publication."""
        super().__init__()
        self.settings = settings
        width = settings.width
        sizes = [width * min(2**level, 8) for level in range(LEVELS)]
        channels = CHANNELS[settings.kind]
        self.down = nn.ModuleList(
            _halve(a, b, level)
            for level, (a, b) in enumerate(zip([channels, *sizes[:-1]], sizes, strict=True))
        )
        inner = sizes[::-1]
        outer = [*inner[1:], 3]
        self.up = nn.ModuleList(
            _double(a * (1 if level == 0 else 2), b, level)
            for level, (a, b) in enumerate(zip(inner, outer, strict=True))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
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
    """Maps and images (B, C + 3, H, W) to scores of patches of 70 pixels, above 0 for real ones."""

    def __init__(self, channels: int, width: int = 64) -> None:
        """For maps of so many channels; 64 wide in the publication."""
        super().__init__()
        sizes = [width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(channels + 3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level, (a, b) in enumerate(itertools.pairwise(sizes)):
            stride = 2 if level < 2 else 1
            layers += [nn.Conv2d(a, b, 4, stride, 1), nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(sizes[-1], 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pair: Tensor) -> Tensor:
        """See the class."""
        return self.layers(pair)


def _halve(channels: int, out: int, level: int) -> nn.Module:
    layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(channels, out, 4, 2, 1))
    if 0 < level < LEVELS - 1:
        layers.append(nn.BatchNorm2d(out))
    return nn.Sequential(*layers)


def _double(channels: int, out: int, level: int) -> nn.Module:
    layers: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(channels, out, 4, 2, 1)]
    if level < LEVELS - 1:
        layers.append(nn.BatchNorm2d(out))
    if 0 < level < 3:
        layers.append(nn.Dropout(DROPPED))
    return nn.Sequential(*layers)
