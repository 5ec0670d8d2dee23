"""Reading and writing of a trained generator.

    MODEL/weights.safetensors   weights; the model card (settings, sensor, training) as metadata
    MODEL/network.onnx          the same network for inference, with the same metadata

Both files are safe to read from untrusted sources: neither format can contain code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line, printable
from tacdiff_ros.output_files import Content, write_files
from tacdiff_ros.settings_file import first_complaint
from tacdiff_ros.translation.network_checks import check_sizes, read_network
from tacdiff_ros.translation.network_settings import NetworkSettings

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, NETWORK = "weights.safetensors", "network.onnx"
FORMAT = "tacdiff_ros/generator/1"
MAX_MODEL_BYTES = 160_000_000
OPSET = 18
INPUT, OUTPUT = "maps", "image"
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
    from safetensors.torch import save

    metadata = {"format": FORMAT, "card": card.model_dump_json()}
    weights = {name: value.detach().contiguous() for name, value in generator.state_dict().items()}
    contents: dict[str, Content] = {
        WEIGHTS: save(weights, metadata),
        NETWORK: lambda path: _export(generator, card.settings, metadata, path),
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
    from safetensors import SafetensorError, safe_open

    path = _existing_file(folder, WEIGHTS)
    check_file(path, "model", MAX_MODEL_BYTES)
    try:
        with safe_open(path, "numpy") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged ({one_line(error, 120)})") from error
    return parse_card(metadata, path)


def parse_card(metadata: dict[str, str], origin: Path) -> ModelCard:
    """Return the model card in the metadata of a file.

    Args:
        metadata: texts by name, as the file contains them.
        origin: path of the file, for error messages.

    Returns:
        Validated model card.

    Raises:
        InputError: the metadata is damaged or of another format.
    """
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{origin} is no model of this package: format {metadata.get('format', '')[:80]!r}, "
            f"expected {FORMAT!r}"
        )
    try:
        return ModelCard.model_validate_json(metadata.get("card", ""))
    except ValidationError as error:
        raise InputError(f"{origin}: {first_complaint(error)}") from error


def load_generator(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Load a generator for PyTorch.

    Args:
        folder: folder of the model.

    Returns:
        Network in evaluation mode, and its model card.

    Raises:
        InputError: the file is missing or damaged, or contains weights of another network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from tacdiff_ros.translation.generator import build_generator

    card = read_card(folder)
    path = folder / WEIGHTS
    with torch.device("meta"):  # only shapes and types, no memory for values
        _check_weights(path, build_generator(card.settings))
    generator = build_generator(card.settings)
    try:
        weights = load_file(path)
        generator.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} does not fit its own settings ({one_line(error, 160)})"
        ) from error
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InputError(f"{path} has weights that are not finite: train the model again")
    return generator.eval(), card


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


def _existing_file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        raise InputError(f"{printable(folder)} contains no model: {name} cannot be read")
    return path


def _check_weights(path: Path, generator: nn.Module) -> None:
    """Raise an InputError unless a file's weights have the names and shapes of a generator's.

    The values of the weights are not read.
    """
    from safetensors import SafetensorError, safe_open

    expected = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    try:
        with safe_open(path, "pt") as opened:
            names = set(opened.keys())
            if names != set(expected):
                name = sorted(names.symmetric_difference(expected))[0]
                problem = "is missing" if name in expected else "is unexpected"
                raise InputError(
                    f"{path} does not fit its own settings ({printable(name)[:80]} {problem})"
                )
            for name, expected_shape in expected.items():
                shape = tuple(opened.get_slice(name).get_shape())
                if shape != expected_shape:
                    raise InputError(
                        f"{path} does not fit its own settings ({name} has shape {shape}, "
                        f"expected {expected_shape})"
                    )
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({one_line(error, 120)})") from error


def _export(
    generator: nn.Module, settings: NetworkSettings, metadata: dict[str, str], path: Path
) -> None:
    """Write a generator as an ONNX file that contains all weights and accepts any batch size."""
    import onnx
    import torch

    from tacdiff_ros.translation.input_kinds import CHANNELS
    from tacdiff_ros.translation.quiet_export import quiet

    shape = (2, CHANNELS[settings.kind], settings.height_px, settings.width_px)
    was_training = generator.training
    with quiet():
        torch.onnx.export(
            generator.eval().cpu(),
            (torch.full(shape, 0.5),),
            str(path),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=256)},),
            external_data=False,
        )
    generator.train(was_training)
    network = onnx.load(str(path))
    _remove_source_locations(network)
    onnx.helper.set_model_props(network, metadata)
    onnx.save(network, str(path))


def _remove_source_locations(network: Any) -> None:
    """Remove the source files and lines that the exporter records for every node."""
    graph = network.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


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
    path = _existing_file(folder, NETWORK)
    content, model = read_network(path)
    card = parse_card({entry.key: entry.value for entry in model.metadata_props}, path)
    check_sizes(model, card.settings, path)
    return content, card
