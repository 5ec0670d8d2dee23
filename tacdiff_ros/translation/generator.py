"""The generator that settings ask for."""

from __future__ import annotations

from torch import nn

from tacdiff_ros.translation.light_generator import LightGenerator
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.pix2pix import UNetGenerator
from tacdiff_ros.translation.textured_generator import TexturedGenerator


def build_generator(settings: NetworkSettings) -> nn.Module:
    """A generator of random weights: maps (B, C, H, W) to images (B, 3, H, W)."""
    if settings.architecture == "unet":
        return UNetGenerator(settings)
    if settings.kind == "nocs+light":
        return LightGenerator(settings)
    return TexturedGenerator(settings)
