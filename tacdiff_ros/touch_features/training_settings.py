"""Settings file of `tacdiff touch train`: architecture and pretraining."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tacdiff_ros.settings_file import read_settings
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.pretraining_settings import PretrainingSettings

MAX_BYTES = 16_384


class TouchTrainingSettings(BaseModel):
    """Sections of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderSettings = EncoderSettings()
    """Architecture of the encoder."""
    pretraining: PretrainingSettings = PretrainingSettings()
    """Length, batches, losses and augmentation."""


def read_training_settings(path: Path) -> TouchTrainingSettings:
    """Read a YAML file of the sections `encoder` and `pretraining`; defaults for what it lacks.

    Args:
        path: settings file.

    Raises:
        InputError: the file is missing or not valid; the message names the value.
    """
    return read_settings(path, TouchTrainingSettings, "training settings", MAX_BYTES)
