"""What an ONNX network from outside must satisfy before a runtime loads it.

ONNX holds no code, but it can name other files as weights, call itself in loops, and ask for
tensors of any size. A network passes only if it holds all its weights, consists of the operators
that generators are exported with, and every tensor in it has a known size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable, read_bytes
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings

MAX_NETWORK_BYTES = 160_000_000
MAX_NODES = 2000
OPSETS = (9, 30)  # versions of the operators; OpenVINO counts through them one by one
MAX_TOTAL = 64  # values of all tensors, over those of the largest that is allowed
SPARE_CHANNELS, SPARE_PIXELS = 64, 64  # beside the width, and for padding
MAX_AXES = 8
OPERATORS = {
    *("Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose"),
    *("DepthToSpace", "Div", "Expand", "Gather", "GridSample", "Identity", "LeakyRelu", "Mul"),
    *("Pad", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "SpaceToDepth", "Split"),
    *("Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
}


def read_network(path: Path) -> tuple[bytes, Any]:
    """Content of an ONNX file and its parsed model, with all weights inside.

    Raises:
        InputError: missing, too large, damaged, refers to other files, or has operators that no
            generator has.
    """
    import onnx

    content = read_bytes(path, "network", MAX_NETWORK_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises its own, unexported errors
        raise InputError(f"{printable(path)} is damaged: no ONNX network") from error
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto):
            _check_tensor(message, path)
    _check_operators(model, path)
    return content, model


def check_sizes(model: Any, settings: NetworkSettings, path: Path) -> None:
    """Infer the size of every tensor for one input of the settings' size.

    Args:
        model: parsed ONNX network; its batch size is set to 1.
        settings: architecture that the network's card states.
        path: name for messages.

    Raises:
        InputError: input or output have other sizes than the settings say, a size cannot be told
            beforehand, or a tensor is larger than in any generator of these settings.
    """
    import onnx

    _fix_batch(model, settings, path)
    try:
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:  # its own errors, and those of its C++ part
        raise InputError(f"{printable(path)} is damaged: shapes that do not fit") from error
    graph = inferred.graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
    largest = _largest_tensor(settings)
    total = 0
    for node in graph.node:
        for name in filter(None, node.output):
            shape = shapes.get(name)
            if shape is None or math.prod(shape) > largest:
                raise InputError(
                    f"{printable(path)} has a tensor of shape {shape} behind {node.op_type}, "
                    f"expected up to {largest} values for its settings"
                )
            total += math.prod(shape)
    expected = (1, 3, settings.height_px, settings.width_px)
    if total > MAX_TOTAL * largest or shapes.get(graph.output[0].name) != expected:
        raise InputError(f"{printable(path)} is no generator of images {expected}")


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all messages in it, however deep."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else (value,):
                yield from _messages(part)


def _check_tensor(tensor: Any, path: Path) -> None:
    import onnx

    if tensor.data_location != onnx.TensorProto.DEFAULT or len(tensor.external_data):
        raise InputError(
            f"{printable(path)} refers to other files for its weights, expected all of them inside"
        )
    size = math.prod(tensor.dims)
    try:
        item_bytes = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{printable(path)} has weights of an unknown type") from error
    listed = sum(len(value) for field, value in tensor.ListFields() if field.name.endswith("_data"))
    held = len(tensor.raw_data) / item_bytes if tensor.HasField("raw_data") else listed
    if min(tensor.dims, default=0) < 0 or len(tensor.dims) > MAX_AXES or size != held:
        raise InputError(
            f"{printable(path)} is damaged: weights of shape {tuple(tensor.dims)} with {held:g} "
            "values"
        )


def _check_operators(model: Any, path: Path) -> None:
    graph = model.graph
    whole = not (model.functions or model.training_info or graph.sparse_initializer)
    domains = {node.domain for node in graph.node} | {part.domain for part in model.opset_import}
    versions = [part.version for part in model.opset_import]
    if len(versions) != 1 or not OPSETS[0] <= versions[0] <= OPSETS[1]:
        raise InputError(
            f"{printable(path)} needs operators of versions {versions}, expected one of "
            f"{OPSETS[0]} to {OPSETS[1]}"
        )
    if not whole or domains - {"", "ai.onnx"} or not 0 < len(graph.node) <= MAX_NODES:
        raise InputError(
            f"{printable(path)} is no generator: expected up to {MAX_NODES} standard operators, "
            "without functions"
        )
    for node in graph.node:
        nested = any(part.HasField("g") or part.graphs for part in node.attribute)
        sparse = any(part.HasField("sparse_tensor") for part in node.attribute)
        if node.op_type not in OPERATORS or nested or sparse:
            raise InputError(
                f"{printable(path)} has the operator {printable(node.op_type)[:40]!r}, which no "
                "generator has"
            )


def _fix_batch(model: Any, settings: NetworkSettings, path: Path) -> None:
    """Set a batch of one, and forget what the file states of sizes behind the input."""
    graph = model.graph
    expected = (CHANNELS[settings.kind], settings.height_px, settings.width_px)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(f"{printable(path)} is no generator: expected one input and one output")
    axes = inputs[0].type.tensor_type.shape.dim
    if len(axes) != 4 or tuple(axis.dim_value for axis in axes[1:]) != expected:
        raise InputError(f"{printable(path)} does not take inputs {expected} as its settings say")
    axes[0].Clear()
    axes[0].dim_value = 1
    del graph.value_info[:]
    graph.output[0].type.tensor_type.ClearField("shape")


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a tensor; None where an axis is not known."""
    axes = value.type.tensor_type.shape.dim
    known = value.type.tensor_type.HasField("shape") and all(a.HasField("dim_value") for a in axes)
    return tuple(axis.dim_value for axis in axes) if known else None


def _largest_tensor(settings: NetworkSettings) -> int:
    """Number of values that no tensor of a generator exceeds."""
    pixels = (settings.height_px + SPARE_PIXELS) * (settings.width_px + SPARE_PIXELS)
    return (settings.width + SPARE_CHANNELS) * pixels + math.prod(settings.texture)
