"""ROS parameters from the core's settings models.

Each field of a pydantic model becomes a parameter with the field's default, description and range,
so that a limit is written once. Names not known to the node are refused, not ignored: a misspelt
safety limit must not go unnoticed.
"""

from __future__ import annotations

from array import array
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from tacdiff_ros.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides")
MAX_FLOAT = 1e9
MAX_INTEGER = 2**31 - 1


def declare_model(node: Node, prefix: str, model: type[Model]) -> Model:
    """Declare the fields of a settings model under a prefix and read them.

    Raises:
        InputError: a given value has the wrong type or is out of range; the message names it.
    """
    values = {}
    for name, field in model.model_fields.items():
        if field.is_required():
            values[name] = _declare_required(node, f"{prefix}.{name}", field)
            continue
        whole = f"{prefix}.{name}" if prefix else name
        _take_old_name(node, whole, field)
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        descriptor = _descriptor(field.description or name.replace("_", " "), default, field)
        values[name] = declare(node, whole, default, descriptor)
    return validate(model, values, prefix)


def _take_old_name(node: Node, name: str, field: Any) -> None:
    """Let a value that was given under a parameter's former name count, with a warning."""
    former = (field.json_schema_extra or {}).get("renamed_from")
    if not former:
        return
    old = name.removesuffix(name.rpartition(".")[2]) + former
    given = node._parameter_overrides.pop(old, None)
    if given is None:
        return
    node.get_logger().warning(f"parameter '{old}' is now called '{name}': use the new name")
    value = Parameter(name, given.type_, given.value)
    node._parameter_overrides.setdefault(name, value)


def _declare_required(node: Node, name: str, field: Any) -> Any:
    """A parameter without a safe default: positions that differ from robot to robot."""
    description = field.description or name.rsplit(".", maxsplit=1)[-1].replace("_", " ")
    value = declare(node, name, Parameter.Type.DOUBLE_ARRAY, description)
    if value is None:
        raise InputError(f"parameter '{name}' must be given: {description}, a list of numbers")
    return list(value)


def validate(model: type[Model], values: dict[str, Any], prefix: str = "") -> Model:
    """A settings model from values, with an error that names the parameter.

    Raises:
        InputError: a value is of the wrong kind or out of range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
        given = "" if isinstance(first["input"], dict) else f" is {first['input']!r}:"
        raise InputError(f"parameter '{name}'{given} {first['msg']}") from error


def declare(node: Node, name: str, default: Any, description: str | ParameterDescriptor) -> Any:
    """Declare one parameter and read it.

    Raises:
        InputError: the given value has the wrong type or is out of range.
    """
    if isinstance(description, str):
        description = ParameterDescriptor(description=description)
    description.read_only = True
    try:
        value = node.declare_parameter(name, default, description).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        given = node._parameter_overrides[name].value
        raise InputError(f"parameter '{name}' is {given!r}: {_one_line(error)}") from error
    if value is None and isinstance(default, list):
        return []  # what rcl makes of an empty list
    return list(value) if isinstance(value, array) else value


def refuse_unknown(node: Node) -> None:
    """Refuse values given for parameters that the node does not have.

    Raises:
        InputError: there is one; the message lists the known ones.
    """
    given = node._parameter_overrides  # rclpy has no public way to ask for these
    unknown = [name for name in given if not node.has_parameter(name) and not _is_built_in(name)]
    if unknown:
        known = sorted(name for name in node._parameters if not _is_built_in(name))
        raise InputError(
            f"unknown parameter '{unknown[0]}' for node '{node.get_name()}': one of "
            + ", ".join(known)
        )


def _descriptor(description: str, default: Any, field: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description)
    low = next(
        (_bound(item, "ge", "gt") for item in field.metadata if _has(item, "ge", "gt")), None
    )
    high = next(
        (_bound(item, "le", "lt") for item in field.metadata if _has(item, "le", "lt")), None
    )
    if low is None and high is None:
        return descriptor
    if isinstance(default, float):
        span = FloatingPointRange(
            from_value=float(-MAX_FLOAT if low is None else low),
            to_value=float(MAX_FLOAT if high is None else high),
        )
        descriptor.floating_point_range = [span]
    elif isinstance(default, int) and not isinstance(default, bool):
        whole = IntegerRange(
            from_value=-MAX_INTEGER if low is None else int(low),
            to_value=MAX_INTEGER if high is None else int(high),
            step=1,
        )
        descriptor.integer_range = [whole]
    return descriptor


def _has(item: Any, *names: str) -> bool:
    return any(getattr(item, name, None) is not None for name in names)


def _bound(item: Any, *names: str) -> Any:
    return next(value for name in names if (value := getattr(item, name, None)) is not None)


def _is_built_in(name: str) -> bool:
    return name.startswith(BUILT_IN)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
