"""Indenters as text: `name:key=value,...` with sizes in mm."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tacdiff_ros.errors import InputError

LONGEST_SPEC = 200


@dataclass(frozen=True)
class IndenterSpec:
    """An indenter's name and sizes in mm, as given; what they mean is up to the shape."""

    name: str
    sizes_mm: dict[str, float] = field(default_factory=dict)

    def sizes(self, **defaults: float) -> dict[str, float]:
        """Sizes with defaults filled in; InputError for a size that is not among them."""
        for key in self.sizes_mm:
            if key not in defaults:
                raise InputError(
                    f"indenter '{self.name}' has no size '{key}'; it takes {', '.join(defaults)}"
                )
        return {**defaults, **self.sizes_mm}


def parse_indenter(text: str) -> IndenterSpec:
    """Read a spec such as `none` or `sphere:diameter=5.0`.

    Raises:
        InputError: not of that form, or a size that is not a number above 0.
    """
    match = re.fullmatch(r"\s*([a-z_]+)\s*(?::(.*))?", text[:LONGEST_SPEC])
    if match is None or len(text) > LONGEST_SPEC:
        raise InputError(
            f"indenter {text[:60]!r}: expected NAME or NAME:key=value,..., "
            "such as sphere:diameter=5.0"
        )
    sizes = {}
    for part in filter(None, (match[2] or "").split(",")):
        key, _, value = part.partition("=")
        sizes[key.strip()] = _size(text, key.strip(), value)
    return IndenterSpec(match[1], sizes)


def _size(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"indenter {text!r}: '{key}' is {value!r}, expected a length above 0 mm")
    return number
