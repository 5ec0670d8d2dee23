"""Sizes of indenters: which a shape takes, and between which bounds."""

from __future__ import annotations

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec

# Lengths in mm, angles in degrees. A press of 3 mm must not dip the top: 4 mm of height at least.
LENGTHS_MM = (0.2, 40.0)
BOUNDS: dict[str, tuple[float, float]] = {
    "height": (4.0, 40.0),
    "round": (0.05, 20.0),
    "fillet": (0.05, 20.0),
    "angle": (20.0, 160.0),
    "scale": (1e-4, 1e4),
    "spacing": (0.02, 1.0),
}
UNITS = {"angle": " degrees", "scale": ""}


def bounded_sizes(
    spec: IndenterSpec, defaults: dict[str, float], texts: dict[str, str] | None = None
) -> tuple[dict[str, float], dict[str, str]]:
    """Sizes and texts of a spec with defaults filled in, within the bounds of their names.

    Raises:
        InputError: a key that is not among the defaults, or a size out of bounds.
    """
    sizes, words = spec.values(defaults, texts or {})
    for key, value in sizes.items():
        low, high = BOUNDS.get(key, LENGTHS_MM)
        if not low <= value <= high:
            unit = UNITS.get(key, " mm")
            raise InputError(
                f"indenter '{spec.name}': {key} is {value:g}{unit}, expected {low:g} to {high:g}"
            )
    return sizes, words


def require(spec: IndenterSpec, fits: bool, what: str, expected: str) -> None:
    """InputError that says what came and what was expected, unless the sizes fit each other."""
    if not fits:
        raise InputError(f"indenter '{spec.name}': {what}, expected {expected}")


def require_rounding(spec: IndenterSpec, rounding: float, least_mm: float, of: str) -> None:
    """InputError for a rounding of more than 0.45 of the least extent, which `of` names."""
    most = 0.45 * least_mm
    require(
        spec,
        rounding <= most,
        f"round is {rounding:g} mm",
        f"up to {most:.3g} mm, 0.45 of the {of} of {least_mm:g} mm",
    )
