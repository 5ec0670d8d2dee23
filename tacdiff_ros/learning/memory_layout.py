"""Memory layout of the tensors of convolutional networks in training."""

from __future__ import annotations

import torch


def training_layout(device: str, half_precision: bool) -> torch.memory_format:
    """Return the fastest layout that is safe.

    On a CPU in float32, the backward pass of convolutions of few channels crashes the process in
    the layout `channels_last` (PyTorch 2.13 with AMX), so it is used for bfloat16 only.

    Args:
        device: torch device, such as `cpu` or `cuda`.
        half_precision: whether products are computed in bfloat16.
    """
    safe = half_precision or device != "cpu"
    return torch.channels_last if safe else torch.contiguous_format
