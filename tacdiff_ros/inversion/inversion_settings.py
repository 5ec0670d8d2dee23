"""How images are inverted: speed against accuracy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class InversionSettings(BaseModel):
    """Settings of the inversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prior: Literal["elastic", "smooth"] = Field(
        "elastic", description="what settles what the image leaves open"
    )
    spacing_mm: float = Field(0.2, ge=0.1, le=1.0, description="of the surface's vertices")
    width_px: int = Field(320, ge=80, le=640, description="of the images that are compared")
    steps: int = Field(10, ge=1, le=60, description="of Gauss-Newton, for a single image")
    marker_rounds: int = Field(
        2, ge=0, le=5, description="of laying the drawn dots over a single image's"
    )
    steps_streaming: int = Field(1, ge=1, le=20, description="of Gauss-Newton, for each frame")
    local_interreflection: bool = Field(
        True, description="draw the light that parts of the gel send to and hide from each other"
    )


STREAMING = InversionSettings(
    spacing_mm=0.3, width_px=160, marker_rounds=0, local_interreflection=False
)
