"""Architecture settings of a generator; stored in the model card."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tacdiff_ros.translation.input_kinds import InputKind

MAX_PIXELS = 2**20
MAX_TEXTURE_VALUES = 2**22
MAX_UNET_WIDTH = 64  # width of the Pix2Pix publication


class NetworkSettings(BaseModel):
    """Architecture of a generator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Literal["fast", "unet"] = Field(
        "fast", description="fast: small network for CPUs; unet: the network of Pix2Pix"
    )
    kind: InputKind = Field("nocs", description="kind of input, see `input_kinds`")
    height_px: int = Field(240, ge=32, le=2048)
    width_px: int = Field(320, ge=32, le=2048)
    width: int = Field(24, ge=4, le=128, description="channels of the finest level")
    texture: tuple[
        Annotated[int, Field(ge=1, le=16)],
        Annotated[int, Field(ge=2, le=2048)],
        Annotated[int, Field(ge=2, le=2048)],
    ] = Field(
        (4, 416, 512), description="texture of `fast`: channels, rows and columns over the pad"
    )

    @model_validator(mode="after")
    def _check_size(self) -> NetworkSettings:
        if self.height_px * self.width_px > MAX_PIXELS:
            raise ValueError(
                f"images of {self.width_px} x {self.height_px} pixels, expected up to "
                f"{MAX_PIXELS} pixels in all"
            )
        if math.prod(self.texture) > MAX_TEXTURE_VALUES:
            raise ValueError(
                f"texture of shape {self.texture} has over {MAX_TEXTURE_VALUES} values: give fewer "
                "channels, rows or columns"
            )
        if self.architecture == "unet" and self.width > MAX_UNET_WIDTH:
            raise ValueError(f"unet of width {self.width}, expected up to {MAX_UNET_WIDTH}")
        if self.architecture == "fast" and (self.height_px % 2 or self.width_px % 2):
            raise ValueError(
                f"images of {self.width_px} x {self.height_px} pixels, expected even sides"
            )
        return self
