"""Reading and writing of a trained generator.

    MODEL/weights.safetensors   weights; the model card (settings, sensor, training) as metadata
    MODEL/network.onnx          the same network for inference, with the same metadata

Both files are safe to read from untrusted sources: neither format can contain code.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.learning.model_card import card_metadata, existing_file, parse_card
from tacdiff_ros.learning.network_checks import NetworkInterface, check_sizes, read_network
from tacdiff_ros.learning.weights_file import (
    export_network,
    load_weights,
    read_metadata,
    weights_content,
)
from tacdiff_ros.output_files import Content, write_files
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, NETWORK = "weights.safetensors", "network.onnx"
FORMAT = "tacdiff_ros/generator/1"
INPUT, OUTPUT = "maps", "image"
KIND = "generator"
OPERATORS = frozenset(
    {
        *("Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv"),
        *("ConvTranspose", "DepthToSpace", "Div", "Expand", "Gather", "GridSample", "Identity"),
        *("LeakyRelu", "Mul", "Pad", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice"),
        *("SpaceToDepth", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
    }
)
# Margins of the largest allowed tensor: channels above the network's width, pixels of padding.
SPARE_CHANNELS, SPARE_PIXELS = 64, 64
ANY_SENSOR = "any"


class ModelCard(BaseModel):
    """Metadata that both files of a model contain."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    settings: NetworkSettings
    sensor_checksum: str = Field(
        pattern=r"^([0-9a-f]{16,128}|any)$",
        description="checksum of the sensor file whose images the model renders; `any`: the model "
        "renders the sensor whose light image it gets",
    )
    full_indentation_mm: float = Field(
        gt=0, description="indentation at which the third channel of the NOCS maps is 0, mm"
    )
    training: dict[str, Any] = Field({}, description="training settings and validation scores")


def save_model(folder: Path, generator: nn.Module, card: ModelCard) -> None:
    """Write both files of a model; both are on the disk before the first one is renamed.

    Args:
        folder: folder of the model; created if it does not exist.
        generator: trained network.
        card: metadata of the model.

    Raises:
        InputError: the folder cannot be written.
    """
    metadata = card_metadata(card, FORMAT)
    shape = (CHANNELS[card.settings.kind], card.settings.height_px, card.settings.width_px)
    contents: dict[str, Content] = {
        WEIGHTS: weights_content(generator, metadata),
        NETWORK: lambda path: export_network(generator, shape, (INPUT, [OUTPUT]), metadata, path),
    }
    write_files(folder, contents)


def read_card(folder: Path) -> ModelCard:
    """Return the model card in the weights file, without reading the weights.

    Args:
        folder: folder of the model.

    Returns:
        Validated model card.

    Raises:
        InputError: the file is missing, damaged, or of another format.
    """
    path = existing_file(folder, WEIGHTS, "model")
    return parse_card(read_metadata(path), FORMAT, ModelCard, "model", path)


def load_generator(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Load a generator for PyTorch.

    Args:
        folder: folder of the model.

    Returns:
        Network in evaluation mode, and its model card.

    Raises:
        InputError: the file is missing or damaged, or contains weights of another network.
    """
    from tacdiff_ros.translation.generator import build_generator

    card = read_card(folder)
    return load_weights(folder / WEIGHTS, lambda: build_generator(card.settings)), card


def check_sensor(card: ModelCard, checksum: str, full_indentation_mm: float) -> None:
    """Raise an error if a model was trained for another sensor or another NOCS depth range.

    Args:
        card: model card.
        checksum: checksum of the sensor file in use.
        full_indentation_mm: indentation at which the third NOCS channel is 0, mm, by the sensor
            file in use.

    Raises:
        InputError: the sensor or the depth range differs.
    """
    if card.sensor_checksum not in (ANY_SENSOR, checksum):
        raise InputError(
            f"the model renders sensor {card.sensor_checksum[:16]}, the sensor file is "
            f"{checksum[:16]}: train a model for it (`tacdiff train`), or use the renderer"
        )
    if card.full_indentation_mm != full_indentation_mm:
        raise InputError(
            f"the model's NOCS maps reach {card.full_indentation_mm:g} mm deep, those of the "
            f"sensor file {full_indentation_mm:g} mm: train a model for this sensor file"
        )


def load_network(folder: Path) -> tuple[bytes, ModelCard]:
    """Return an exported network after checking that it is safe to run.

    Args:
        folder: folder of the model.

    Returns:
        Bytes of the ONNX file, and its model card.

    Raises:
        InputError: the file is missing, damaged or of another format, refers to other files, or
            has tensors that do not fit the settings in its card.
    """
    path = existing_file(folder, NETWORK, "model")
    content, model = read_network(path, KIND, OPERATORS)
    card = parse_card(
        {entry.key: entry.value for entry in model.metadata_props}, FORMAT, ModelCard, "model", path
    )
    check_sizes(model, _interface(card.settings), path)
    return content, card


def _interface(settings: NetworkSettings) -> NetworkInterface:
    """Return the tensors that a generator of these settings may have."""
    pixels = (settings.height_px + SPARE_PIXELS) * (settings.width_px + SPARE_PIXELS)
    return NetworkInterface(
        kind=KIND,
        operators=OPERATORS,
        input_shape=(CHANNELS[settings.kind], settings.height_px, settings.width_px),
        output_shapes=((3, settings.height_px, settings.width_px),),
        max_values=(settings.width + SPARE_CHANNELS) * pixels + math.prod(settings.texture),
    )
