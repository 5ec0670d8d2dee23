"""A small generator for one sensor unit: a texture laid over the gel, and a U-Net for its shading.

What moves with the gel (the dots) is a learned texture over the pad, looked up where the NOCS map
says (deferred neural rendering: Thies et al., SIGGRAPH 2019). What depends on shape (shading,
shadows, reflected light) is left to the U-Net:

    image = (background + shading) * transmission of the texture + rest

With depth as its input the texture is looked up at the pixel itself, for lack of anything better.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.shading_trunk import FOLD, ShadingTrunk

HEIGHT_GAIN, MOTION_GAIN, DEPTH_GAIN = 5.0, 20.0, 1.0  # bring inputs to about 1
PLACE_CHANNELS = 8  # learned, of every pixel
TRANSPARENT = 3.0  # logit


class TexturedGenerator(nn.Module):
    """Maps (B, C, H, W), `nocs` or `depth`, to images (B, 3, H, W), 1 for white, not clipped."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Of random weights; `set_reference` before training."""
        super().__init__()
        self.settings = settings
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
            self.texture[:, 0] = TRANSPARENT
        place = torch.randn(1, PLACE_CHANNELS, height // FOLD, width // FOLD)
        self.place = nn.Parameter(0.1 * place)
        self.trunk = ShadingTrunk(inputs + channels, PLACE_CHANNELS, 6, settings.width)

    def set_reference(self, maps: Tensor, image: Tensor) -> None:
        """Input (C, H, W) and image (3, H, W) of the untouched sensor."""
        with torch.no_grad():
            self.untouched.copy_(maps)
            self.background.copy_(image)

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        change, places = self._change(maps)
        texture = functional.grid_sample(
            self.texture.expand(maps.shape[0], -1, -1, -1),
            places,
            "bilinear",
            "border",
            align_corners=True,
        )
        coarse = self.place.expand(maps.shape[0], -1, -1, -1)
        drawn = self.trunk(torch.cat([change, texture], dim=1), coarse)
        shown = torch.sigmoid(texture[:, :1])
        return (self.background[None] + drawn[:, :3]) * shown + drawn[:, 3:]

    def _change(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """What differs from the untouched sensor, and where to look up the texture (B, H, W, 2)."""
        change = maps - self.untouched
        if self.settings.kind == "depth":
            return DEPTH_GAIN * change, self.pixels.expand(maps.shape[0], -1, -1, -1)
        scaled = torch.cat([MOTION_GAIN * change[:, :2], HEIGHT_GAIN * change[:, 2:]], dim=1)
        return scaled, 2.0 * maps[:, :2].permute(0, 2, 3, 1) - 1.0


def _pixel_grid(height: int, width: int) -> Tensor:
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]
