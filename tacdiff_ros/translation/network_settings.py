"""How a generator is built; kept in its weights' file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.translation.input_kinds import InputKind


class NetworkSettings(BaseModel):
    """Architecture of a generator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Literal["fast", "unet"] = Field(
        "fast", description="fast: for processors; unet: the one of Pix2Pix"
    )
    kind: InputKind = Field("nocs", description="what it is given")
    height_px: int = Field(240, ge=32, le=2048)
    width_px: int = Field(320, ge=32, le=2048)
    width: int = Field(24, ge=4, le=256, description="channels of the finest level")
    texture: tuple[int, int, int] = Field(
        (4, 416, 512), description="of `fast`: channels, rows and columns over the pad"
    )
