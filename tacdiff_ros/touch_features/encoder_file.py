"""Reading and writing of a trained touch encoder with its heads.

    ENCODER/weights.safetensors   weights; the card (architecture, properties, training)
    ENCODER/network.onnx          the same network for inference, with the same card

Both files are safe to read from untrusted sources: neither format can contain code.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.learning.model_card import card_metadata, existing_file, parse_card
from tacdiff_ros.learning.network_checks import NetworkInterface, check_sizes, read_network
from tacdiff_ros.learning.weights_file import (
    export_network,
    load_weights,
    read_metadata,
    weights_content,
)
from tacdiff_ros.output_files import Content, write_files
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.touch_input import CHANNELS, HEIGHT, WIDTH

if TYPE_CHECKING:
    from tacdiff_ros.touch_features.touch_heads import TouchModel

WEIGHTS, NETWORK = "weights.safetensors", "network.onnx"
FORMAT = "tacdiff_ros/touch_encoder/2"
KIND = "touch encoder"
INPUT, OUTPUTS = "change", ("embedding", "touch", "properties", "surface")
INPUT_SHAPE = (CHANNELS, HEIGHT, WIDTH)
SURFACE_SHAPE = (5, 30, 40)
OPERATORS = frozenset(
    {
        *(
            "Abs",
            "Add",
            "AveragePool",
            "BatchNormalization",
            "Cast",
            "Concat",
            "Constant",
            "Conv",
            "Div",
            "Expand",
        ),
        *("Flatten", "Gemm", "Identity", "LayerNormalization", "Log", "MatMul", "Mul", "Pow"),
        *("ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Slice", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Gather"),
    }
)


class EncoderCard(BaseModel):
    """Metadata that both files of an encoder contain."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    settings: EncoderSettings
    properties: tuple[str, ...] = Field(max_length=64)
    """Names of the quantities that the encoder estimates."""
    floors: tuple[float, ...]
    """Value that is added to each quantity before its logarithm, in the quantity's unit."""
    mean: tuple[float, ...]
    """Mean of each quantity's logarithm in the training set."""
    stddev: tuple[float, ...]
    """Standard deviation of each quantity's logarithm in the training set."""
    withheld: tuple[str, ...] = ()
    """Quantities that are given as NaN, because tests on other objects and sensors were too bad."""
    training: dict[str, Any] = {}
    """Training settings, sets and scores."""

    def model_post_init(self, _context: Any) -> None:
        """Check that all properties have their numbers.

        Raises:
            ValueError: they do not.
        """
        sizes = {len(self.properties), len(self.floors), len(self.mean), len(self.stddev)}
        if len(sizes) != 1:
            raise ValueError("properties, floors, mean and stddev differ in length")


def save_encoder(folder: Path, model: TouchModel, card: EncoderCard) -> None:
    """Write both files of an encoder; both are on the disk before the first one is renamed.

    Args:
        folder: folder of the encoder; created if it does not exist.
        model: trained encoder and heads.
        card: metadata.

    Raises:
        InputError: the folder cannot be written.
    """
    metadata = card_metadata(card, FORMAT)
    contents: dict[str, Content] = {
        WEIGHTS: weights_content(model, metadata),
        NETWORK: lambda path: export_network(model, INPUT_SHAPE, (INPUT, OUTPUTS), metadata, path),
    }
    write_files(folder, contents)


def load_model(folder: Path) -> tuple[TouchModel, EncoderCard]:
    """Load an encoder for PyTorch.

    Args:
        folder: folder of the encoder.

    Returns:
        Encoder with its heads in evaluation mode, and its card.

    Raises:
        InputError: the file is missing or damaged, or contains weights of another network.
    """
    from tacdiff_ros.touch_features.touch_heads import TouchModel

    path = existing_file(folder, WEIGHTS, KIND)
    card = parse_card(read_metadata(path), FORMAT, EncoderCard, KIND, path)
    model = load_weights(path, lambda: TouchModel(card.settings, len(card.properties)))
    return model, card  # type: ignore[return-value]


def load_network(folder: Path) -> tuple[bytes, EncoderCard]:
    """Return an exported encoder after checking that it is safe to run.

    Args:
        folder: folder of the encoder.

    Returns:
        Bytes of the ONNX file, and the card.

    Raises:
        InputError: the file is missing, damaged or of another format, refers to other files, or
            has tensors that do not fit the settings in its card.
    """
    path = existing_file(folder, NETWORK, KIND)
    content, model = read_network(path, KIND, OPERATORS)
    card = parse_card(
        {entry.key: entry.value for entry in model.metadata_props}, FORMAT, EncoderCard, KIND, path
    )
    check_sizes(model, _interface(card), path)
    return content, card


def _interface(card: EncoderCard) -> NetworkInterface:
    """Return the tensors that an encoder of this architecture may have."""
    settings = card.settings
    from tacdiff_ros.touch_features.encoder import embedding_length

    features, properties = (settings.features,), (len(card.properties),)
    halved = [c * HEIGHT * WIDTH // 4 ** (k + 1) for k, c in enumerate(settings.channels)]
    widest = max(CHANNELS * HEIGHT * WIDTH, *halved)
    return NetworkInterface(
        kind=KIND,
        operators=OPERATORS,
        input_shape=INPUT_SHAPE,
        output_shapes=(
            (embedding_length(settings),),
            features,
            properties,
            SURFACE_SHAPE,
        ),
        max_values=max(widest, 2 * 1024 * math.prod(features)),
    )
