"""Construction of the generator network that the settings name."""

from __future__ import annotations

from torch import nn

from tacdiff_ros.translation.light_generator import LightGenerator
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.pix2pix import UNetGenerator
from tacdiff_ros.translation.textured_generator import TexturedGenerator


def build_generator(settings: NetworkSettings) -> nn.Module:
    """Return an untrained generator with random weights.

    Args:
        settings: architecture, kind of input and image size.

    Returns:
        Network that maps inputs (B, C, H, W) float32 to images (B, 3, H, W) float32.
    """
    if settings.architecture == "unet":
        return UNetGenerator(settings)
    if settings.kind == "nocs+light":
        return LightGenerator(settings)
    return TexturedGenerator(settings)
