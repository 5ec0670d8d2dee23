"""Checks that an ONNX network from an untrusted source must pass before a runtime loads it.

An ONNX file contains no code, but it can refer to other files for its weights, contain loops, and
require tensors of any size. A network passes only if the file contains all its weights, if it
consists of the operators that its kind is exported with, and if the size of every tensor is known
in advance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable, read_bytes

MAX_NETWORK_BYTES = 160_000_000
MAX_NODES = 2000
# First and last supported operator set; OpenVINO iterates over all versions up to the stated one.
OPSETS = (9, 30)
# Ratio of the number of values of all tensors to that of the largest allowed tensor.
MAX_TOTAL = 64
MAX_AXES = 8


@dataclass(frozen=True)
class NetworkInterface:
    """What a kind of network may consist of.

    Attributes:
        kind: name of the kind, for error messages.
        operators: names of the ONNX operators that the kind is exported with.
        input_shape: shape of the only input, without the batch.
        output_shapes: shape of each output, without the batch, in order.
        max_values: largest number of values of a tensor.
    """

    kind: str
    operators: frozenset[str]
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    max_values: int


def read_network(path: Path, kind: str, operators: Set[str]) -> tuple[bytes, Any]:
    """Read an ONNX file and check that it contains all its weights and only known operators.

    Args:
        path: ONNX file.
        kind: kind of the network, for error messages.
        operators: names of the operators that the kind is exported with.

    Returns:
        Bytes of the file, and the parsed `onnx.ModelProto`.

    Raises:
        InputError: the file is missing, too large or damaged, refers to other files, or has
            operators that its kind does not have.
    """
    import onnx

    content = read_bytes(path, "network", MAX_NETWORK_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the types of protobuf's errors are not public
        raise InputError(f"{printable(path)} is damaged: it is no ONNX network") from error
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto):
            _check_tensor(message, path)
    _check_operators(model, kind, operators, path)
    return content, model


def check_sizes(model: Any, interface: NetworkInterface, path: Path) -> None:
    """Infer the size of every tensor for a batch of one input and check it.

    Args:
        model: parsed ONNX network; its batch size is set to 1 in place.
        interface: sizes that the settings in the network's card imply.
        path: path of the file, for error messages.

    Raises:
        InputError: the size of the input or an output differs, a size cannot be inferred, or a
            tensor is larger than expected.
    """
    import onnx

    _fix_batch(model, interface, path)
    try:
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:  # ONNX raises its own error types and those of its C++ library
        raise InputError(f"{printable(path)} is damaged: its tensor shapes do not match") from error
    graph = inferred.graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
    max_values = interface.max_values
    total = 0
    for node in graph.node:
        for name in filter(None, node.output):
            shape = shapes.get(name)
            if shape is None or math.prod(shape) > max_values:
                raise InputError(
                    f"{printable(path)} has a tensor of shape {shape} after {node.op_type}, "
                    f"expected up to {max_values} values for its settings"
                )
            total += math.prod(shape)
    expected = [(1, *shape) for shape in interface.output_shapes]
    outputs = [shapes.get(output.name) for output in graph.output]
    if total > MAX_TOTAL * max_values or outputs != expected:
        raise InputError(
            f"{printable(path)} is no {interface.kind}: its outputs are not {expected}"
        )


def _messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all messages nested in it at any depth."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else (value,):
                yield from _messages(part)


def _check_tensor(tensor: Any, path: Path) -> None:
    """Raise an InputError unless a tensor's data is inside the file and matches its shape."""
    import onnx

    if tensor.data_location != onnx.TensorProto.DEFAULT or len(tensor.external_data):
        raise InputError(
            f"{printable(path)} refers to other files for its weights, expected all of them inside"
        )
    expected_values = math.prod(tensor.dims)
    try:
        item_bytes = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{printable(path)} has weights of an unknown type") from error
    listed = sum(len(value) for field, value in tensor.ListFields() if field.name.endswith("_data"))
    values = len(tensor.raw_data) / item_bytes if tensor.HasField("raw_data") else listed
    if min(tensor.dims, default=0) < 0 or len(tensor.dims) > MAX_AXES or expected_values != values:
        raise InputError(
            f"{printable(path)} is damaged: weights of shape {tuple(tensor.dims)} with {values:g} "
            "values"
        )


def _check_operators(model: Any, kind: str, operators: Set[str], path: Path) -> None:
    """Raise an InputError unless a network consists of the operators of its kind.

    Functions, subgraphs (loops and branches), training graphs and sparse weights are refused, and
    so are operators of other domains or of unsupported versions.
    """
    graph = model.graph
    has_only_nodes = not (model.functions or model.training_info or graph.sparse_initializer)
    domains = {node.domain for node in graph.node} | {part.domain for part in model.opset_import}
    versions = [part.version for part in model.opset_import]
    if len(versions) != 1 or not OPSETS[0] <= versions[0] <= OPSETS[1]:
        raise InputError(
            f"{printable(path)} needs {len(versions)} operator sets, of versions "
            f"{sorted(set(versions))[:5]}, expected one of {OPSETS[0]} to {OPSETS[1]}"
        )
    has_other_domains = bool(domains - {"", "ai.onnx"})
    if not has_only_nodes or has_other_domains or not 0 < len(graph.node) <= MAX_NODES:
        raise InputError(
            f"{printable(path)} is no {kind}: expected up to {MAX_NODES} standard operators, "
            "without functions"
        )
    for node in graph.node:
        nested = any(part.HasField("g") or part.graphs for part in node.attribute)
        sparse = any(part.HasField("sparse_tensor") for part in node.attribute)
        if node.op_type not in operators or nested or sparse:
            raise InputError(
                f"{printable(path)} has the operator {printable(node.op_type)[:40]!r}, which no "
                f"{kind} has"
            )


def _fix_batch(model: Any, interface: NetworkInterface, path: Path) -> None:
    """Set the batch size to 1, and remove the sizes that the file states for later tensors."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    outputs = len(interface.output_shapes)
    if len(inputs) != 1 or len(graph.output) != outputs:
        raise InputError(
            f"{printable(path)} is no {interface.kind}: {len(inputs)} inputs and "
            f"{len(graph.output)} outputs, expected 1 and {outputs}"
        )
    axes = inputs[0].type.tensor_type.shape.dim
    if tuple(axis.dim_value for axis in axes[1:]) != interface.input_shape:
        raise InputError(
            f"{printable(path)} does not take inputs of shape {interface.input_shape}, as its "
            "settings state"
        )
    axes[0].Clear()
    axes[0].dim_value = 1
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a tensor; None if the length of an axis is not known."""
    axes = value.type.tensor_type.shape.dim
    known = value.type.tensor_type.HasField("shape") and all(a.HasField("dim_value") for a in axes)
    return tuple(axis.dim_value for axis in axes) if known else None
