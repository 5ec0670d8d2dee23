"""A small generator for one sensor: a learned texture of the gel, and a U-Net for its shading.

The markers, which move with the gel, are a learned texture over the pad that is sampled at the
coordinates in the NOCS map (deferred neural rendering: Thies et al., SIGGRAPH 2019). The U-Net
computes what depends on the shape of the gel (shading, shadows, indirect illumination):

    image = (background + shading) * transmission of the texture + offset

A depth map contains no gel coordinates, so for input `depth` the texture is sampled at the
coordinates of the pixel itself, as if the gel did not move sideways.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.shading_trunk import FOLD, ShadingTrunk

HEIGHT_GAIN, MOTION_GAIN, DEPTH_GAIN = 5.0, 20.0, 1.0  # scale inputs to about 1
POSITION_CHANNELS = 8  # learned features of every pixel position, at half the resolution
TRANSPARENT_LOGIT = 3.0  # start value of the texture's transmission: sigmoid(3) = 0.95


class TexturedGenerator(nn.Module):
    """Maps inputs (B, C, H, W) of kind `nocs` or `depth` to images (B, 3, H, W).

    White is 1; values are not clipped. Call `set_reference` before the training.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        """Build the network with random weights.

        Args:
            settings: kind of input, image size, texture size and number of channels.
        """
        super().__init__()
        self.settings = settings
        # Names of buffers and parameters (`untouched`, `place`) are part of the weights' file
        # format; `untouched` is the input of the undeformed gel.
        channels, rows, columns = settings.texture
        height, width = settings.height_px, settings.width_px
        inputs = 1 if settings.kind == "depth" else 3
        self.untouched: Tensor
        self.pixels: Tensor
        self.register_buffer("untouched", torch.zeros(inputs, height, width))
        self.register_buffer("pixels", _pixel_grid(height, width), persistent=False)
        self.background = nn.Parameter(torch.zeros(3, height, width))
        self.texture = nn.Parameter(0.1 * torch.randn(1, channels, rows, columns))
        with torch.no_grad():
            self.texture[:, 0] = TRANSPARENT_LOGIT
        position_features = torch.randn(1, POSITION_CHANNELS, height // FOLD, width // FOLD)
        self.place = nn.Parameter(0.1 * position_features)
        self.trunk = ShadingTrunk(
            channels=inputs + channels,
            coarse_channels=POSITION_CHANNELS,
            images=6,
            width=settings.width,
        )

    def set_reference(self, maps: Tensor, image: Tensor) -> None:
        """Set the input and the image of the undeformed gel, which changes are relative to.

        Args:
            maps: (C, H, W) input of the undeformed gel.
            image: (3, H, W) reference image, 1 for white.
        """
        with torch.no_grad():
            self.untouched.copy_(maps)
            self.background.copy_(image)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) of inputs (B, C, H, W)."""
        change, texture_coordinates = self._change(maps)
        texture = functional.grid_sample(
            self.texture.expand(maps.shape[0], -1, -1, -1),
            texture_coordinates,
            "bilinear",
            "border",
            align_corners=True,
        )
        position_features = self.place.expand(maps.shape[0], -1, -1, -1)
        output = self.trunk(torch.cat([change, texture], dim=1), position_features)
        shading, offset = output[:, :3], output[:, 3:]
        transmission = torch.sigmoid(texture[:, :1])
        return (self.background[None] + shading) * transmission + offset

    def _change(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled change from the undeformed gel (B, C, H, W), and texture coordinates (B, H, W, 2).

        Texture coordinates are x and y from -1 to 1.
        """
        change = maps - self.untouched
        if self.settings.kind == "depth":
            return DEPTH_GAIN * change, self.pixels.expand(maps.shape[0], -1, -1, -1)
        scaled = torch.cat([MOTION_GAIN * change[:, :2], HEIGHT_GAIN * change[:, 2:]], dim=1)
        return scaled, 2.0 * maps[:, :2].permute(0, 2, 3, 1) - 1.0


def _pixel_grid(height: int, width: int) -> Tensor:
    """(1, H, W, 2) x and y of every pixel, from -1 to 1."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]
