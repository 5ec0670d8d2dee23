"""A small U-Net at half the image's resolution."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

FOLD = 2


class ShadingTrunk(nn.Module):
    """Features (B, C, H, W) at full resolution to images (B, N, H, W).

    A U-Net (Ronneberger et al., MICCAI 2015) of four levels with sums for skips. Its ends are
    folded and unfolded by two (Shi et al., CVPR 2016), so that no pixel is lost at a quarter of
    the cost. It gives 0 before training.
    """

    def __init__(self, channels: int, coarse_channels: int, images: int, width: int) -> None:
        """Build it.

        Args:
            channels: of the features at full resolution.
            coarse_channels: of those that are given at half the resolution.
            images: channels that come out.
            width: channels of the finest level.
        """
        super().__init__()
        sizes = [width, 2 * width, 3 * width, 4 * width]
        self.enter = _convolution(FOLD**2 * channels + coarse_channels, sizes[0])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b))
            for a, b in itertools.pairwise(sizes)
        )
        self.rise = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(sizes))
        self.join = nn.ModuleList(_convolution(a, a) for a in sizes[:-1])
        self.leave = nn.Conv2d(sizes[0], images * FOLD**2, 3, padding=1)
        for value in self.leave.parameters():
            nn.init.zeros_(value)

    def forward(self, features: Tensor, coarse: Tensor | None = None) -> Tensor:
        """See the class; sides are even."""
        folded = functional.pixel_unshuffle(features, FOLD)
        value = self.enter(folded if coarse is None else torch.cat([folded, coarse], dim=1))
        skips = []
        for down in self.down:
            skips.append(value)
            value = down(value)
        steps = zip(reversed(self.rise), reversed(self.join), reversed(skips), strict=True)
        for rise, join, skip in steps:
            risen = functional.interpolate(rise(value), skip.shape[2:], mode="nearest")
            value = join(risen + skip)
        return functional.pixel_shuffle(self.leave(value), FOLD)


def _convolution(channels: int, out: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1), nn.ReLU(inplace=True))
