"""Architecture of the touch encoder."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MAX_SENSORS = 4096


class EncoderSettings(BaseModel):
    """Architecture of the encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    """Channels of the four stages, each at half the resolution of the one before."""
    blocks: tuple[int, int, int, int] = (1, 1, 2, 2)
    """Residual blocks of the four stages."""
    features: int = Field(256, ge=8, le=1024)
    """Length of the last layer, and of the features of a touch."""
    token: int = Field(16, ge=1, le=128)
    """Length of a sensor token."""
    sensors: int = Field(0, ge=0, le=MAX_SENSORS)
    """Number of sensor tokens beside the universal one."""
