"""Settings of the inversion, which trade speed against accuracy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class InversionSettings(BaseModel):
    """Settings of the inversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prior: Literal["elastic", "smooth"] = Field(
        "elastic", description="prior of the heights, for what the image does not determine"
    )
    mechanics: bool = Field(
        True,
        description="take the heights that carry no traction from the gel's mechanics; for a "
        "single image",
    )
    spacing_mm: float = Field(
        0.2, ge=0.1, le=1.0, description="spacing of the surface's vertices, mm"
    )
    width_px: int = Field(
        320, ge=80, le=640, description="width of the compared images, px (approximate)"
    )
    steps: int = Field(6, ge=1, le=60, description="Gauss-Newton steps for a single image")
    marker_rounds: int = Field(
        2,
        ge=0,
        le=5,
        description="rounds of marker refinement against rendered markers, for a single image",
        json_schema_extra={"renamed_from": "dot_rounds"},
    )
    steps_streaming: int = Field(
        1, ge=1, le=20, description="Gauss-Newton steps for each frame of a stream"
    )
    compensate_brightness: bool = Field(
        True,
        description="bring each colour of an image to the brightness of the reference, by position",
    )
    local_interreflection: bool = Field(
        True,
        description="render light that parts of the gel reflect to and hide from each other",
        json_schema_extra={"renamed_from": "near_light"},
    )


STREAMING = InversionSettings(
    spacing_mm=0.3, width_px=160, marker_rounds=0, local_interreflection=False
)
