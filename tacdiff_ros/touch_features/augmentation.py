"""Augmentation of the network input, as lights, cameras and gels differ, and masks of patches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

GAIN = (0.6, 1.6)  # of the lights, all and each colour
DRIFT = 0.04  # largest smooth change of the brightness, in units of the input
NOISE = 0.03  # standard deviation of the noise, in units of the input
SHIFT_PX = 10
PATCH_PX = 20


def augment(inputs: Tensor, random: np.random.Generator) -> Tensor:
    """Return inputs with other gains, drift, noise and image position.

    Args:
        inputs: (N, 6, H, W) network input.
        random: random generator.
    """
    count = len(inputs)
    low, high = np.log(GAIN)
    gain = np.exp(random.uniform(low, high, (count, 1)) + random.uniform(-0.2, 0.2, (count, 3)))
    result = inputs * _column(np.concatenate([gain, gain], axis=1), inputs)
    coarse = torch.as_tensor(random.normal(0, DRIFT, (count, 3, 3, 4)), dtype=inputs.dtype)
    drift = functional.interpolate(coarse.to(inputs), inputs.shape[2:], mode="bicubic")
    strength = torch.as_tensor(random.uniform(0, NOISE, (count, 1, 1, 1))).to(inputs)
    result = result + strength * torch.randn_like(inputs)
    result[:, :3] += drift * torch.as_tensor(random.uniform(0, 1, (count, 1, 1, 1))).to(inputs)
    return result


def mask_patches(inputs: Tensor, fraction: float, random: np.random.Generator) -> Tensor:
    """Return inputs in which a random fraction of the square patches is 0.

    Args:
        inputs: (N, C, H, W) network input.
        fraction: fraction of the patches.
        random: random generator.
    """
    count, _, height, width = inputs.shape
    shape = (count, 1, -(-height // PATCH_PX), -(-width // PATCH_PX))
    keep = torch.as_tensor(random.random(shape) >= fraction).to(inputs)
    full = keep.repeat_interleave(PATCH_PX, 2).repeat_interleave(PATCH_PX, 3)
    return inputs * full[:, :, :height, :width]


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values[..., None, None]).to(like)
