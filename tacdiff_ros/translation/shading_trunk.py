"""A small U-Net that works at half the resolution of the image."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

FOLD = 2  # side in pixels of the blocks that become the channels of one coarse pixel


class ShadingTrunk(nn.Module):
    """Maps features (B, C, H, W) at full resolution to images (B, N, H, W).

    The network is a U-Net (Ronneberger et al., MICCAI 2015) of four levels whose skip connections
    are sums. Pixel unshuffling by two at its input and pixel shuffling at its output (Shi et al.,
    CVPR 2016) quarter the cost without discarding pixels. An untrained network returns 0.
    """

    def __init__(self, channels: int, coarse_channels: int, images: int, width: int) -> None:
        """Build the network; the last layer is 0, all others have random weights.

        Args:
            channels: number of feature channels at full resolution, C.
            coarse_channels: number of additional feature channels at half the resolution.
            images: number of output channels, N.
            width: number of channels of the finest level.
        """
        super().__init__()
        # The names of the layers are part of the weights' file format.
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
        """Return images (B, N, H, W).

        Args:
            features: (B, C, H, W) features; H and W are even.
            coarse: (B, coarse_channels, H / 2, W / 2) additional features; None if there are none.

        Returns:
            (B, N, H, W) images.
        """
        folded = functional.pixel_unshuffle(features, FOLD)
        value = self.enter(folded if coarse is None else torch.cat([folded, coarse], dim=1))
        skips = []
        for down in self.down:
            skips.append(value)
            value = down(value)
        levels = zip(reversed(self.rise), reversed(self.join), reversed(skips), strict=True)
        for rise, join, skip in levels:
            upsampled = functional.interpolate(rise(value), skip.shape[2:], mode="nearest")
            value = join(upsampled + skip)
        return functional.pixel_shuffle(self.leave(value), FOLD)


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))
