"""Sizes of indenters: default values, bounds and consistency checks."""

from __future__ import annotations

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec

# Lengths in mm, angles in degrees. The top of the body must stay above the gel in a press of 3 mm,
# so the height is at least 4 mm.
LENGTHS_MM = (0.2, 40.0)
BOUNDS: dict[str, tuple[float, float]] = {
    "height": (4.0, 40.0),
    "round": (0.05, 20.0),
    "fillet": (0.05, 20.0),
    "angle": (20.0, 160.0),
    "scale": (1e-4, 1e4),
    "spacing": (0.02, 1.0),
}
SUFFIXES = {"angle": " degrees", "scale": ""}  # of the sizes that are not lengths in mm
MAX_ROUNDING_FRACTION = 0.45


def bounded_sizes(
    spec: IndenterSpec, defaults: dict[str, float], texts: dict[str, str] | None = None
) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the sizes and texts of a specification after filling in defaults.

    Args:
        spec: parsed specification.
        defaults: default value of every size that the shape has, mm or degrees.
        texts: default value of every text that the shape has; None for a shape without texts.

    Returns:
        Tuple of the sizes and the texts by name.

    Raises:
        InputError: a key is not among the defaults, or a size is out of bounds.
    """
    sizes, words = spec.values(defaults, texts or {})
    for key, value in sizes.items():
        low, high = BOUNDS.get(key, LENGTHS_MM)
        if not low <= value <= high:
            suffix = SUFFIXES.get(key, " mm")
            raise InputError(
                f"indenter '{spec.name}': {key} is {value:g}{suffix}, expected {low:g} to {high:g}"
            )
    return sizes, words


def require(spec: IndenterSpec, condition: bool, actual: str, expected: str) -> None:
    """Raises an InputError that states actual and expected values unless a condition holds.

    Args:
        spec: specification that the message names.
        condition: whether the sizes are consistent.
        actual: description of the given sizes.
        expected: description of the permitted sizes.

    Raises:
        InputError: the condition is false.
    """
    if not condition:
        raise InputError(f"indenter '{spec.name}': {actual}, expected {expected}")


def require_rounding(
    spec: IndenterSpec, rounding_mm: float, extent_mm: float, extent_name: str
) -> None:
    """Raises an InputError unless a rounding is small compared with the extent that it shortens.

    Args:
        spec: specification that the message names.
        rounding_mm: radius of the rounding, mm.
        extent_mm: smallest extent that the rounding is subtracted from, mm.
        extent_name: name of that extent for the message.

    Raises:
        InputError: the rounding exceeds `MAX_ROUNDING_FRACTION` of the extent.
    """
    limit_mm = MAX_ROUNDING_FRACTION * extent_mm
    require(
        spec,
        rounding_mm <= limit_mm,
        f"round is {rounding_mm:g} mm",
        f"up to {limit_mm:.3g} mm, {MAX_ROUNDING_FRACTION:g} of the {extent_name} of "
        f"{extent_mm:g} mm",
    )
