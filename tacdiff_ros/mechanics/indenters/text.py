"""Words in raised letters as indenters."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, format_indenter
from tacdiff_ros.mechanics.indenters.extrusion import Extrusion
from tacdiff_ros.mechanics.indenters.glyphs import word_strokes
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.indenters.outline import Outline
from tacdiff_ros.mechanics.indenters.rounded import RoundedIndenter
from tacdiff_ros.mechanics.indenters.sizes import bounded_sizes, require, require_rounding
from tacdiff_ros.mechanics.indenters.strokes import Strokes
from tacdiff_ros.mechanics.indenters.union import Union

PLATE_MM = 2.0  # thickness of the plate behind the letters
MARGIN_MM = 1.0  # of the plate around the word
GAP = 0.2  # distance between letters as a fraction of their size
MIN_RELIEF_MM = 4.0  # height of the letters above the plate
MAX_STROKE_FRACTION = 0.25  # of the letters' size
MAX_WORD = 12
MAX_WIDTH_MM = 60.0


def text(spec: IndenterSpec) -> Indenter:
    """Returns raised letters on a plate that joins them to one piece.

    The letters of `word` are `size` high and written with a pen of width `stroke` and rounded
    edges. The body is `height` high, of which the plate takes 2 mm. The camera, which looks along
    +z with x to the right and y down, reads the word in the correct orientation, as does a person
    who looks at the raised side. A print of the letters on paper is mirrored, as with a stamp.

    Limits: outside the body, the distance has a kink where two strokes meet at an angle.

    Args:
        spec: specification with `word`, `size`, `stroke`, `height` and `round` in mm.

    Returns:
        Indenter with the free ends of the letters at z = 0.

    Raises:
        InputError: a size is out of bounds, the sizes do not fit each other, or the word is too
            long, too wide or has a character without a glyph.
    """
    sizes, texts = bounded_sizes(
        spec, {"size": 4.0, "stroke": 0.8, "height": 8.0, "round": 0.2}, {"word": "GEL"}
    )
    size, stroke, height, rounding = (sizes[key] for key in ("size", "stroke", "height", "round"))
    _check_sizes(spec, sizes, texts["word"])
    lines, arcs, width = word_strokes(texts["word"], size - stroke, stroke + GAP * size)
    half_x, half_y = (width + stroke) / 2 + MARGIN_MM, size / 2 + MARGIN_MM
    require(
        spec,
        2 * half_x <= MAX_WIDTH_MM,
        f"the word is {2 * half_x:.3g} mm wide",
        f"up to {MAX_WIDTH_MM:g} mm: give a smaller size or fewer letters",
    )
    shift = np.array([-width / 2, -(size - stroke) / 2])
    letters = Strokes.from_tables(*_in_gel_axes(lines, arcs, shift), stroke / 2 - rounding)
    a, b = half_x - rounding, half_y - rounding
    plate = Outline.polygon([(-a, -b), (a, -b), (a, b), (-a, b)])
    core = Union(
        (
            Extrusion(letters, rounding, height - rounding),
            Extrusion(plate, height - PLATE_MM + rounding, height - rounding),
        )
    )
    box = np.array([(-half_x, -half_y, 0.0), (half_x, half_y, height)])
    return RoundedIndenter(format_indenter("text", sizes, texts), core, rounding, box)


def _check_sizes(spec: IndenterSpec, sizes: dict[str, float], word: str) -> None:
    """Raises an InputError for a long word, a wide stroke or rounding, or low letters."""
    size, stroke, height = sizes["size"], sizes["stroke"], sizes["height"]
    require(
        spec,
        len(word) <= MAX_WORD,
        f"word {word[:30]!r} has {len(word)} letters",
        f"up to {MAX_WORD}",
    )
    require(
        spec,
        stroke <= MAX_STROKE_FRACTION * size,
        f"stroke is {stroke:g} mm",
        f"up to {MAX_STROKE_FRACTION * size:g} mm, a quarter of the letters' size",
    )
    require_rounding(spec, sizes["round"], stroke, "stroke")
    require(spec, height >= MIN_RELIEF_MM + PLATE_MM, f"height is {height:g} mm", "6 mm or more")


def _in_gel_axes(
    lines: np.ndarray, arcs: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns lines (L, 4) and arcs (A, 5) with y up after a shift (2,), mm, and a flip to y down.

    The flip also reverses the direction of the arcs.
    """
    flip = np.array([1.0, -1.0])
    lines = ((lines.reshape(-1, 2, 2) + shift) * flip).reshape(-1, 4)
    arcs = arcs.copy()
    arcs[:, :2] = (arcs[:, :2] + shift) * flip
    arcs[:, 3:5] = -arcs[:, [4, 3]]
    return lines, arcs
