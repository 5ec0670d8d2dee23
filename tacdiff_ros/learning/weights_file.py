"""Weights of a network in a safetensors file, and its export to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line, printable

if TYPE_CHECKING:
    from torch import nn

MAX_MODEL_BYTES = 160_000_000
OPSET = 18


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, without reading the weights.

    Args:
        path: safetensors file.

    Returns:
        Texts by name.

    Raises:
        InputError: the file is too large or damaged.
    """
    from safetensors import SafetensorError, safe_open

    check_file(path, "model", MAX_MODEL_BYTES)
    try:
        with safe_open(path, "numpy") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged ({one_line(error, 120)})") from error


def load_weights(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network and load its weights, after checking names, shapes and values.

    Args:
        path: safetensors file.
        build: builder of the network that the file's metadata describe.

    Returns:
        Network in evaluation mode.

    Raises:
        InputError: the file is damaged or contains weights of another network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with torch.device("meta"):  # only shapes and types, no memory for values
        _check_weights(path, build())
    network = build()
    try:
        weights = load_file(path)
        network.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} does not fit its own settings ({one_line(error, 160)})"
        ) from error
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InputError(f"{path} has weights that are not finite: train the model again")
    return network.eval()


def weights_content(network: nn.Module, metadata: dict[str, str]) -> bytes:
    """Return the content of the safetensors file of a network.

    Args:
        network: network.
        metadata: texts by name.
    """
    from safetensors.torch import save

    weights = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    return save(weights, metadata)


def export_network(
    network: nn.Module,
    shape: tuple[int, ...],
    names: tuple[str, Sequence[str]],
    metadata: dict[str, str],
    path: Path,
) -> None:
    """Write a network as an ONNX file that contains all weights and accepts any batch size.

    Args:
        network: network with one input.
        shape: shape of the input, without the batch.
        names: name of the input, and names of the outputs.
        metadata: texts by name.
        path: ONNX file.
    """
    import onnx
    import torch

    from tacdiff_ros.learning.quiet_export import quiet

    was_training = network.training
    with quiet():
        torch.onnx.export(
            network.eval().cpu(),
            (torch.full((2, *shape), 0.5),),
            str(path),
            dynamo=True,
            input_names=[names[0]],
            output_names=list(names[1]),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=256)},),
            external_data=False,
        )
    network.train(was_training)
    exported = onnx.load(str(path))
    _remove_source_locations(exported)
    onnx.helper.set_model_props(exported, metadata)
    onnx.save(exported, str(path))


def _remove_source_locations(network: Any) -> None:
    """Remove the source files and lines that the exporter records for every node."""
    graph = network.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


def _check_weights(path: Path, network: nn.Module) -> None:
    """Raise an InputError unless a file's weights have the names and shapes of a network's.

    The values of the weights are not read.
    """
    from safetensors import SafetensorError, safe_open

    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
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
