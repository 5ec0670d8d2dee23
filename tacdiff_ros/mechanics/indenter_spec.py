"""Indenters as text: `name:key=value,...` with lengths in mm and angles in degrees."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from tacdiff_ros.errors import InputError

MAX_SPEC = 280
MAX_TEXT = 220
TEXT_KEYS = ("word", "file")


@dataclass(frozen=True)
class IndenterSpec:
    """An indenter's name and sizes, as given; what they mean is up to the shape.

    Attributes:
        name: of the shape, such as `sphere`.
        sizes_mm: sizes in mm, angles in degrees.
        texts: values of the keys that are no numbers, `word` and `file`.
    """

    name: str
    sizes_mm: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def sizes(self, **defaults: float) -> dict[str, float]:
        """Sizes with defaults filled in; InputError for a size that is not among them."""
        return self.values(defaults, {})[0]

    def values(
        self, sizes: dict[str, float], texts: dict[str, str]
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Sizes and texts with defaults filled in; InputError for a key that is not among them."""
        for kind, given, known in (("size", self.sizes_mm, sizes), ("text", self.texts, texts)):
            for key in given:
                if key not in known:
                    takes = ", ".join((*texts, *sizes)) or "none"
                    raise InputError(
                        f"indenter '{self.name}' has no {kind} '{key}'; it takes {takes}"
                    )
        return {**sizes, **self.sizes_mm}, {**texts, **self.texts}


def parse_indenter(text: str) -> IndenterSpec:
    """Read a spec such as `none`, `sphere:diameter=5.0` or `text:word=GEL,size=4`.

    Limits: texts cannot have commas in them.

    Raises:
        InputError: not of that form, a size that is not a number above 0, or a text that is
            empty, longer than `MAX_TEXT` or not printable.
    """
    match = re.fullmatch(r"\s*([a-z_]+)\s*(?::(.*))?", text[:MAX_SPEC])
    if match is None or len(text) > MAX_SPEC:
        raise InputError(
            f"indenter {text[:60]!r}: expected NAME or NAME:key=value,..., "
            "such as sphere:diameter=5.0"
        )
    sizes, texts = {}, {}
    for part in filter(None, (match[2] or "").split(",")):
        key, _, value = part.partition("=")
        if key.strip() in TEXT_KEYS:
            texts[key.strip()] = _text(text, key.strip(), value.strip())
        else:
            sizes[key.strip()] = _size(text, key.strip(), value)
    return IndenterSpec(match[1], sizes, texts)


def confine_files(spec: IndenterSpec, folder: Path) -> IndenterSpec:
    """The same spec with its file inside a folder: for specs that come over the network.

    Args:
        spec: whose file is relative to the folder, or inside it.
        folder: folder of the readable files.

    Raises:
        InputError: the file lies elsewhere, links followed.
    """
    if "file" not in spec.texts:
        return spec
    root = folder.resolve()
    path = (root / spec.texts["file"]).resolve()
    if not path.is_relative_to(root):
        raise InputError(f"file {spec.texts['file']!r} lies outside {root}: put it there")
    return replace(spec, texts={**spec.texts, "file": str(path)})


def format_indenter(name: str, sizes: dict[str, float], texts: dict[str, str] | None = None) -> str:
    """The text that `parse_indenter` reads back to the same values, bit for bit."""
    parts = [f"{key}={value}" for key, value in (texts or {}).items()]
    parts += [f"{key}={repr(float(value)).removesuffix('.0')}" for key, value in sizes.items()]
    return f"{name}:{','.join(parts)}" if parts else name


def _size(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"indenter {text!r}: '{key}' is {value!r}, expected a length above 0 mm")
    return number


def _text(text: str, key: str, value: str) -> str:
    if not (0 < len(value) <= MAX_TEXT and value.isprintable()):
        raise InputError(
            f"indenter {text!r}: '{key}' is {value!r}, expected 1 to {MAX_TEXT} "
            "printable characters"
        )
    return value
