"""How a generator is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """Pix2Pix: mean absolute difference, and a discriminator's opinion beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(20_000, ge=1, le=10_000_000, description="of the optimiser")
    batch: int = Field(8, ge=1, le=1024, description="samples a step")
    learning_rate: float = Field(2e-3, gt=0, le=1.0, description="at the start; falls as a cosine")
    texture_rate: float = Field(
        10.0, gt=0, le=1000, description="factor of the rate for textures and backgrounds"
    )
    adversarial_weight: float = Field(
        0.0, ge=0, le=10, description="of the discriminator's opinion; Pix2Pix: 0.01"
    )
    validate_every: int = Field(500, ge=1, le=1_000_000, description="steps")
    validated: int = Field(200, ge=1, le=100_000, description="samples a validation")
    patience: int = Field(20, ge=1, le=10_000, description="validations without a better one")
    seed: int = Field(0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    half_precision: bool = Field(True, description="bfloat16 in the network's products")
    readers: int = Field(
        0, ge=0, le=64, description="processes that read samples; 0: what the device needs"
    )
