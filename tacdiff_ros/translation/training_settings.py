"""Settings of the training of a generator."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """Training as in Pix2Pix: mean absolute error (L1) plus a weighted adversarial loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(20_000, ge=1, le=10_000_000, description="number of optimizer steps")
    batch: int = Field(8, ge=1, le=1024, description="samples per step")
    learning_rate: float = Field(
        2e-3, gt=0, le=1.0, description="highest learning rate; decays as a cosine"
    )
    texture_rate: float = Field(
        10.0,
        gt=0,
        le=1000,
        description="factor of the learning rate for textures and backgrounds",
    )
    adversarial_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="weight of the adversarial loss; 0: no discriminator; Pix2Pix: 0.01",
    )
    validate_every: int = Field(500, ge=1, le=1_000_000, description="steps between validations")
    validated: int = Field(200, ge=1, le=100_000, description="samples per validation")
    patience: int = Field(
        20,
        ge=1,
        le=10_000,
        description="validations without improvement after which the training stops",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights and of the samples' order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="training device; auto: cuda if it is available"
    )
    half_precision: bool = Field(True, description="bfloat16 in the network's products")
    readers: int = Field(
        0,
        ge=0,
        le=64,
        description="processes that read samples; 0: none for cpu, one per core for cuda",
    )
