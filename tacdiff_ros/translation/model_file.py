"""A trained generator on disk.

    MODEL/weights.safetensors   weights; settings, sensor and training in its metadata
    MODEL/network.onnx          the same network for inference, with the same metadata

Both are safe to read from strangers: neither format can hold code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line, printable
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
    """What a model's files say of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    settings: NetworkSettings
    sensor_checksum: str = Field(
        pattern=r"^([0-9a-f]{16,128}|any)$",
        description="of the sensor file whose images it draws; `any`: the one whose light is given",
    )
    full_indentation_mm: float = Field(gt=0, description="that the NOCS maps' third channel means")
    training: dict[str, Any] = Field({}, description="how it was trained, and its scores")


def save_model(folder: Path, generator: nn.Module, card: ModelCard) -> None:
    """Write both files, each beside its place and then renamed.

    Raises:
        InputError: the folder cannot be written.
    """
    from safetensors.torch import save

    metadata = {"format": FORMAT, "card": card.model_dump_json()}
    weights = {name: value.detach().contiguous() for name, value in generator.state_dict().items()}
    beside, network = folder / f".{WEIGHTS}", folder / f".{NETWORK}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(save(weights, metadata))
        _export(generator, card.settings, metadata, network)
        beside.replace(folder / WEIGHTS)
        network.replace(folder / NETWORK)
    except OSError as error:
        raise InputError(f"cannot write the model {folder}: {error.strerror or error}") from error
    finally:
        for left in (beside, network):
            left.unlink(missing_ok=True)


def read_card(folder: Path) -> ModelCard:
    """What a model's weights say of it, the weights themselves unread.

    Raises:
        InputError: missing, damaged, or of another format.
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
    """The card in a file's metadata.

    Raises:
        InputError: of another format, or damaged.
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
    """A generator with its weights, for torch.

    Raises:
        InputError: missing, damaged, or weights of another network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from tacdiff_ros.translation.generator import build_generator

    card = read_card(folder)
    path = folder / WEIGHTS
    with torch.device("meta"):  # sizes without memory
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
    """InputError for a model that draws another sensor, or means other heights."""
    if card.sensor_checksum not in (ANY_SENSOR, checksum):
        raise InputError(
            f"the model draws sensor {card.sensor_checksum[:16]}, the sensor file is "
            f"{checksum[:16]}: train one for it (`tacdiff train`), or let the renderer draw"
        )
    if card.full_indentation_mm != full_indentation_mm:
        raise InputError(
            f"the model's NOCS maps reach {card.full_indentation_mm:g} mm deep, those of the "
            f"sensor file {full_indentation_mm:g} mm"
        )


def _existing_file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        raise InputError(f"{printable(folder)} holds no model: {name} cannot be read")
    return path


def _check_weights(path: Path, generator: nn.Module) -> None:
    """Compare names, shapes and types of a file's weights with a generator's, the values unread."""
    from safetensors import SafetensorError, safe_open

    expected = {
        name: (tuple(value.shape), value.dtype) for name, value in generator.state_dict().items()
    }
    try:
        with safe_open(path, "pt") as opened:
            names = set(opened.keys())
            if names != set(expected):
                odd = sorted(names.symmetric_difference(expected))[0]
                raise InputError(f"{path} does not fit its own settings ({printable(odd)[:80]})")
            for name, (shape, _) in expected.items():
                found = tuple(opened.get_slice(name).get_shape())
                if found != shape:
                    raise InputError(
                        f"{path} does not fit its own settings ({name} has shape {found}, "
                        f"expected {shape})"
                    )
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({one_line(error, 120)})") from error


def _export(
    generator: nn.Module, settings: NetworkSettings, metadata: dict[str, str], path: Path
) -> None:
    """ONNX with all weights inside, for batches of any size."""
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
    _forget_sources(network)
    onnx.helper.set_model_props(network, metadata)
    onnx.save(network, str(path))


def _forget_sources(network: Any) -> None:
    """Drop what the exporter notes of the files and lines that each node comes from."""
    graph = network.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


def load_network(folder: Path) -> tuple[bytes, ModelCard]:
    """Content of an exported network that may be run, and its card.

    Raises:
        InputError: missing, damaged, of another format, referring to other files, or with tensors
            that do not fit the settings in its card.
    """
    path = _existing_file(folder, NETWORK)
    content, model = read_network(path)
    card = parse_card({entry.key: entry.value for entry in model.metadata_props}, path)
    check_sizes(model, card.settings, path)
    return content, card
