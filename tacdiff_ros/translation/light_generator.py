"""A small generator for any sensor unit: it adds what the light image of that unit lacks.

The light image comes from the unit's own sensor file and has its dots, colours and direct light;
the network learns cast shadows, smoothing and what shapes do to reflected light. It knows no
places and no texture, so nothing in it belongs to one unit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.shading_trunk import ShadingTrunk

SLOPE_GAIN = 100.0  # brings differences of neighbouring NOCS values to about 1


class LightGenerator(nn.Module):
    """Maps (B, 6, H, W), `nocs+light`, to images (B, 3, H, W), 1 for white, not clipped."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Of random weights; before training it gives the light image back."""
        super().__init__()
        self.settings = settings
        self.trunk = ShadingTrunk(9, 0, 6, settings.width)

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        nocs, light = maps[:, :3], maps[:, 3:]
        height = 1.0 - nocs[:, 2:]
        steps = SLOPE_GAIN * torch.cat([_step(height, 3), _step(height, 2)], dim=1)
        drawn = self.trunk(torch.cat([nocs, height, steps, light], dim=1))
        return light * (1.0 + drawn[:, :3]) + drawn[:, 3:]


def _step(values: Tensor, axis: int) -> Tensor:
    """Difference to the next pixel along an axis; 0 at the last."""
    ahead = torch.narrow(values, axis, 1, values.shape[axis] - 1)
    behind = torch.narrow(values, axis, 0, values.shape[axis] - 1)
    last = torch.zeros_like(torch.narrow(values, axis, 0, 1))
    return torch.cat([ahead - behind, last], dim=axis)
