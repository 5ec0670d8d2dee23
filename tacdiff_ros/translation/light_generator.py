"""A small generator for any sensor: it corrects the light image of the sensor in use.

The light image is rendered from the sensor's own sensor file and contains its markers, colours and
direct illumination. The network learns cast shadows, smoothing and the effect of the gel's shape on
indirect illumination. It has no parameters per pixel and no texture, so nothing in it is specific
to one sensor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.shading_trunk import ShadingTrunk

SLOPE_GAIN = 100.0  # scales differences of neighbouring NOCS values to about 1


class LightGenerator(nn.Module):
    """Maps inputs (B, 6, H, W) of kind `nocs+light` to images (B, 3, H, W).

    White is 1; values are not clipped. An untrained generator returns the light image unchanged.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        """Build the network with random weights.

        Args:
            settings: kind of input and number of channels.
        """
        super().__init__()
        self.settings = settings
        self.trunk = ShadingTrunk(9, 0, 6, settings.width)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) of inputs (B, 6, H, W): NOCS map, then light image."""
        nocs, light = maps[:, :3], maps[:, 3:]
        height = 1.0 - nocs[:, 2:]
        slopes = [_forward_difference(height, 3), _forward_difference(height, 2)]
        scaled_slopes = SLOPE_GAIN * torch.cat(slopes, dim=1)
        correction = self.trunk(torch.cat([nocs, height, scaled_slopes, light], dim=1))
        return light * (1.0 + correction[:, :3]) + correction[:, 3:]


def _forward_difference(values: Tensor, axis: int) -> Tensor:
    """Difference to the next pixel along an axis; 0 at the last pixel."""
    following = torch.narrow(values, axis, 1, values.shape[axis] - 1)
    current = torch.narrow(values, axis, 0, values.shape[axis] - 1)
    last = torch.zeros_like(torch.narrow(values, axis, 0, 1))
    return torch.cat([following - current, last], dim=axis)
