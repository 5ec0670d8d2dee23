"""Text format of indenters: `name:key=value,...`, with lengths in mm and angles in degrees."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from tacdiff_ros.errors import InputError

MAX_SPEC = 280
MAX_TEXT = 220
TEXT_KEYS = ("word", "file", "repair")
ANGLE_KEYS = ("roll", "pitch")  # rotation about x and about y; may be 0 or negative


@dataclass(frozen=True)
class IndenterSpec:
    """Parsed indenter text; the shape decides which sizes and texts are valid.

    Attributes:
        name: name of the shape, such as `sphere`.
        sizes_mm: numeric values by key: lengths in mm, angles in degrees.
        texts: values of the text keys, `word`, `file` and `repair`.
    """

    name: str
    sizes_mm: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def sizes(self, **defaults: float) -> dict[str, float]:
        """Return the sizes, completed by defaults.

        Args:
            **defaults: default value of every size that the shape has.

        Raises:
            InputError: the spec has a text, or a size that is not among the defaults.
        """
        return self.values(defaults, {})[0]

    def values(
        self, sizes: dict[str, float], texts: dict[str, str]
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Return the sizes and the texts, completed by defaults.

        Args:
            sizes: default value of every size that the shape has.
            texts: default value of every text that the shape has.

        Raises:
            InputError: the spec has a key that is not among the defaults.
        """
        for kind, given, known in (("size", self.sizes_mm, sizes), ("text", self.texts, texts)):
            for key in given:
                if key not in known:
                    angles = ANGLE_KEYS if sizes else ()
                    accepted = ", ".join((*texts, *sizes, *angles)) or "none"
                    raise InputError(
                        f"indenter '{self.name}' has no {kind} '{key}'; it takes {accepted}"
                    )
        return {**sizes, **self.sizes_mm}, {**texts, **self.texts}


def parse_indenter(text: str) -> IndenterSpec:
    """Parse an indenter text such as `none`, `sphere:diameter=5.0` or `text:word=GEL,size=4`.

    Limits: text values cannot contain commas.

    Args:
        text: indenter text, at most `MAX_SPEC` characters.

    Raises:
        InputError: the text does not have that form, a size is not a number above 0, or a text
            value is empty, longer than `MAX_TEXT` characters or not printable.
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
            sizes[key.strip()] = _parse_size(text, key.strip(), value)
    return IndenterSpec(match[1], sizes, texts)


def confine_files(spec: IndenterSpec, folder: Path) -> IndenterSpec:
    """Return the spec with the absolute path of its file, which must lie inside a folder.

    Specs that arrive over the network pass through here, so that they can name no other file.

    Args:
        spec: indenter spec; a relative file path is relative to the folder.
        folder: folder of the readable files.

    Raises:
        InputError: the file, with links resolved, lies outside the folder.
    """
    if "file" not in spec.texts:
        return spec
    root = folder.resolve()
    path = (root / spec.texts["file"]).resolve()
    if not path.is_relative_to(root):
        raise InputError(f"file {spec.texts['file']!r} lies outside {root}: put it there")
    return replace(spec, texts={**spec.texts, "file": str(path)})


def format_indenter(name: str, sizes: dict[str, float], texts: dict[str, str] | None = None) -> str:
    """Return the text from which `parse_indenter` restores the same values, bit for bit.

    Args:
        name: name of the shape.
        sizes: lengths in mm and angles in degrees by key.
        texts: values of the text keys.
    """
    parts = [f"{key}={value}" for key, value in (texts or {}).items()]
    parts += [f"{key}={repr(float(value)).removesuffix('.0')}" for key, value in sizes.items()]
    return f"{name}:{','.join(parts)}" if parts else name


def _parse_size(text: str, key: str, value: str) -> float:
    """Parse a length (mm) or angle (degrees); `text` is the whole spec, for error messages."""
    is_angle = key in ANGLE_KEYS
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and (is_angle or number > 0)):
        expected = "an angle in degrees" if is_angle else "a length above 0 mm"
        raise InputError(f"indenter {text!r}: '{key}' is {value!r}, expected {expected}")
    return number


def _text(text: str, key: str, value: str) -> str:
    """Check one text value; `text` is the whole spec, for the error message."""
    if not (0 < len(value) <= MAX_TEXT and value.isprintable()):
        raise InputError(
            f"indenter {text!r}: '{key}' is {value!r}, expected 1 to {MAX_TEXT} "
            "printable characters"
        )
    return value
