"""Declares ROS parameters from the core's settings models.

Each field of a pydantic model becomes a parameter with the default, description and range of the
field, so that a limit is defined only once. Unknown parameter names are refused, not ignored, so
that a misspelt safety limit cannot remain unnoticed.
"""

from __future__ import annotations

from array import array
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from tacdiff_ros.acquisition.rig_settings import INHERITED
from tacdiff_ros.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides")
SHARED = "rig."  # parameter files give these to all nodes; nodes without a rig ignore them
MAX_FLOAT = 1e9
MAX_INTEGER = 2**31 - 1


def declare_model(node: Node, prefix: str, model: type[Model]) -> Model:
    """Declare the fields of a settings model as parameters and read their values.

    Args:
        node: node that gets the parameters.
        prefix: prefix of the parameter names, such as "limits"; empty for none.
        model: settings model.

    Returns:
        Validated settings.

    Raises:
        InputError: a value has the wrong type or is out of range; the message names the parameter.
    """
    values = {}
    if not prefix:
        _inherit_from_rig(node, model)
    for name, field in model.model_fields.items():
        if field.is_required():
            values[name] = _declare_required(node, f"{prefix}.{name}", field)
            continue
        full_name = f"{prefix}.{name}" if prefix else name
        _accept_former_name(node, full_name, field)
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        descriptor = _descriptor(field.description or name.replace("_", " "), default, field)
        values[name] = declare(node, full_name, default, descriptor)
    return validate(model, values, prefix)


def _inherit_from_rig(node: Node, model: type[BaseModel]) -> None:
    """Take what the rig says of parameters that are not given, or empty."""
    for name in INHERITED:
        shared = node._parameter_overrides.get(SHARED + name)
        field: Any = model.model_fields.get(name)
        given = node._parameter_overrides.get(name)
        if field is None or shared is None or not shared.value or (given and given.value):
            continue
        if not (field.json_schema_extra or {}).get("is_own"):
            node._parameter_overrides[name] = Parameter(name, shared.type_, shared.value)


def _accept_former_name(node: Node, name: str, field: Any) -> None:
    """Transfer a value given under a parameter's former name to the new name, with a warning."""
    former = (field.json_schema_extra or {}).get("renamed_from")
    if not former:
        return
    former_name = name.removesuffix(name.rpartition(".")[2]) + former
    given = node._parameter_overrides.pop(former_name, None)
    if given is None:
        return
    node.get_logger().warning(f"parameter '{former_name}' is now '{name}': use the new name")
    value = Parameter(name, given.type_, given.value)
    node._parameter_overrides.setdefault(name, value)


def _declare_required(node: Node, name: str, field: Any) -> Any:
    """Declare a parameter without a safe default, such as a position that depends on the robot."""
    description = field.description or name.rsplit(".", maxsplit=1)[-1].replace("_", " ")
    value = declare(node, name, Parameter.Type.DOUBLE_ARRAY, description)
    if value is None:
        raise InputError(f"parameter '{name}' must be given: {description}, a list of numbers")
    return list(value)


def validate(model: type[Model], values: dict[str, Any], prefix: str = "") -> Model:
    """Validate values against a settings model.

    Args:
        model: settings model.
        values: values by field name.
        prefix: prefix of the parameter names in error messages.

    Returns:
        Validated settings.

    Raises:
        InputError: a value has the wrong type or is out of range; the message names the parameter.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
        given = "" if isinstance(first["input"], dict) else f" is {first['input']!r}:"
        raise InputError(f"parameter '{name}'{given} {first['msg']}") from error


def declare(node: Node, name: str, default: Any, description: str | ParameterDescriptor) -> Any:
    """Declare one read-only parameter and read its value.

    Args:
        node: node that gets the parameter.
        name: name of the parameter.
        default: default value, which also determines the type; or a type, if there is no default.
        description: description text, or a descriptor with a range.

    Returns:
        Value of the parameter; None if it has no default and was not given.

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
        return []  # rcl returns None for an empty list
    return list(value) if isinstance(value, array) else value


def refuse_unknown(node: Node) -> None:
    """Check that no value was given for a parameter that the node does not have.

    Args:
        node: node whose parameters are all declared.

    Raises:
        InputError: a name is unknown; the message lists the known names.
    """
    given = node._parameter_overrides  # rclpy has no public access to the given values
    shared = SHARED if not any(name.startswith(SHARED) for name in node._parameters) else None
    unknown = [
        name
        for name in given
        if not (node.has_parameter(name) or _is_built_in(name))
        and not (shared and name.startswith(shared))
    ]
    if unknown:
        known = sorted(name for name in node._parameters if not _is_built_in(name))
        raise InputError(
            f"unknown parameter '{unknown[0]}' of node '{node.get_name()}': expected one of "
            + ", ".join(known)
        )


def _descriptor(description: str, default: Any, field: Any) -> ParameterDescriptor:
    """Return a descriptor with the range of a field, if it has one.

    Args:
        description: description of the parameter.
        default: default value; its type determines the type of the range.
        field: pydantic field with the bounds.
    """
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
        float_range = FloatingPointRange(
            from_value=float(-MAX_FLOAT if low is None else low),
            to_value=float(MAX_FLOAT if high is None else high),
        )
        descriptor.floating_point_range = [float_range]
    elif isinstance(default, int) and not isinstance(default, bool):
        integer_range = IntegerRange(
            from_value=-MAX_INTEGER if low is None else int(low),
            to_value=MAX_INTEGER if high is None else int(high),
            step=1,
        )
        descriptor.integer_range = [integer_range]
    return descriptor


def _has(item: Any, *names: str) -> bool:
    return any(getattr(item, name, None) is not None for name in names)


def _bound(item: Any, *names: str) -> Any:
    return next(value for name in names if (value := getattr(item, name, None)) is not None)


def _is_built_in(name: str) -> bool:
    return name.startswith(BUILT_IN)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
