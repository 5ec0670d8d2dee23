"""Settings of the pretraining of the touch encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Weights(BaseModel):
    """Weights of the losses; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    masked: float = Field(1.0, ge=0)
    """Reconstruction of masked patches."""
    next_frame: float = Field(0.3, ge=0)
    """Prediction of the frame 0.12 s later."""
    maps: float = Field(1.0, ge=0)
    """Surface, slopes and in-plane displacement of the gel, which only simulation knows."""
    words: float = Field(0.3, ge=0)
    """Contrastive alignment with attributes in words."""
    depth: float = Field(0.5, ge=0)
    """Contrastive alignment with the view of the surface."""
    sensors: float = Field(1.0, ge=0)
    """Contrastive alignment of the same touch on two sensors."""
    matching: float = Field(0.3, ge=0)
    """Decision whether two images show the same touch."""
    properties: float = Field(0.5, ge=0)
    """Regression of force, area, curvature, texture, compliance, slip."""


class PretrainingSettings(BaseModel):
    """Length, batches, losses and augmentation of the pretraining."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(3000, ge=1, le=10_000_000)
    first_level: float = Field(0.3, ge=0, le=1)
    """Fraction of the steps with masked inputs and the losses of pixels only."""
    batch: int = Field(64, ge=4, le=4096)
    """Images in a batch, in pairs of the same touch on two sensors where there are any."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0, le=1)
    temperature: float = Field(0.1, gt=0, le=10)
    masked_fraction: float = Field(0.5, ge=0, le=0.95)
    universal_token: float = Field(0.5, ge=0, le=1)
    """Probability that a sensor's token is replaced by the universal one."""
    augmentation: bool = True
    weights: Weights = Weights()
    seed: int = Field(0, ge=0)
    device: Literal["cpu", "cuda"] = "cpu"
    half_precision: bool = True
    checkpoint_every: int = Field(250, ge=1)
