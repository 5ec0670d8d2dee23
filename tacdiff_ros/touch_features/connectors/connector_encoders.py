"""The two encoder families of the publication at a size that is trained from scratch on a CPU.

The publication fine-tunes ResNet-50 (23 M parameters) and ViT-B/16 (86 M), pretrained on ImageNet.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tacdiff_ros.errors import InputError

EncoderFamily = Literal["residual", "transformer"]
CHANNELS = (24, 48, 96)  # of the residual stages
POOLED = 4  # rows and columns of averaged features: a joint embedding needs the position
FEATURES = 128  # length of an encoder's output
PATCH_PX, WIDTH, LAYERS, HEADS = 8, 96, 3, 4


class ResidualEncoder(nn.Module):
    """Residual network (He et al., 2016): three stages of one block each, average and maximum."""

    def __init__(self, channels: int) -> None:
        """Build the network for images of `channels` channels."""
        super().__init__()
        self.stem = nn.Conv2d(channels, CHANNELS[0], 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS[0])
        before = (CHANNELS[0], *CHANNELS[:-1])
        self.stages = nn.Sequential(
            *(
                _ResidualBlock(inputs, outputs, stride=2)
                for inputs, outputs in zip(before, CHANNELS, strict=True)
            )
        )
        self.head = nn.Linear(CHANNELS[-1] * (POOLED**2 + 1), FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, 128) of images (B, C, H, W)."""
        x = functional.relu(self.stem_norm(self.stem(images)))
        x = self.stages(x)
        position = functional.adaptive_avg_pool2d(x, POOLED).flatten(1)
        return functional.relu(self.head(torch.cat([position, x.amax((2, 3))], dim=1)))


class TransformerEncoder(nn.Module):
    """Vision transformer (Dosovitskiy et al., 2020) with patches of 8 x 8 pixels."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        """Build the network for images of `channels` channels and `size` rows and columns.

        Raises:
            InputError: a side is no multiple of the patches' side.
        """
        super().__init__()
        if size[0] % PATCH_PX or size[1] % PATCH_PX or min(size) < PATCH_PX:
            raise InputError(
                f"images of {size[0]} x {size[1]} px: expected multiples of {PATCH_PX}"
            )
        tokens = size[0] * size[1] // PATCH_PX**2
        self.patches = nn.Conv2d(channels, WIDTH, PATCH_PX, stride=PATCH_PX)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens + 1, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, 128) of images (B, C, H, W)."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.position
        with sdpa_kernel(SDPBackend.MATH):  # five times as fast as the fused kernel on CPUs
            x = self.layers(x)
        return self.head(self.norm(x[:, 0]))


def build_encoder(family: EncoderFamily, channels: int, size: tuple[int, int]) -> nn.Module:
    """Return an encoder with random weights, whose outputs have 128 features.

    Args:
        family: `residual` or `transformer`.
        channels: number of channels of the images.
        size: rows and columns of the images.

    Raises:
        InputError: the family is unknown, or the size does not fit.
    """
    if family not in get_args(EncoderFamily):
        raise InputError(
            f"encoder '{family}': expected one of {', '.join(get_args(EncoderFamily))}"
        )
    return ResidualEncoder(channels) if family == "residual" else TransformerEncoder(channels, size)


class _ResidualBlock(nn.Module):
    """Two convolutions and a projection beside them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.beside: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.beside = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(y)) + self.beside(x))
