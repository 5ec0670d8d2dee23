"""Words as indenters."""

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

PLATE_MM = 2.0
MARGIN_MM = 1.0
GAP = 0.2  # between letters, of their size
MAX_WORD = 12
WIDEST_MM = 60.0


def text(spec: IndenterSpec) -> Indenter:
    """Raised letters on a plate, which makes them one piece.

    The letters of `word` are `size` high, drawn with a pen of width `stroke` and rounded edges,
    and stand out by `height` less the plate's 2 mm. The camera, which looks along +z with x to the
    right and y down, reads the word: so does who looks at the letters from their free side. What
    they leave on a sheet of paper is mirrored, as with a stamp.

    Where two strokes meet at an angle the distance has a kink outside of the body.
    """
    sizes, texts = bounded_sizes(
        spec, {"size": 4.0, "stroke": 0.8, "height": 8.0, "round": 0.2}, {"word": "GEL"}
    )
    size, stroke, height, rounding = (sizes[key] for key in ("size", "stroke", "height", "round"))
    word = texts["word"]
    require(
        spec,
        len(word) <= MAX_WORD,
        f"word {word[:30]!r} has {len(word)} letters",
        f"up to {MAX_WORD}",
    )
    require(
        spec,
        stroke <= 0.25 * size,
        f"stroke is {stroke:g} mm",
        f"up to {0.25 * size:g} mm, a quarter of the letters' size",
    )
    require_rounding(spec, rounding, stroke, "stroke")
    require(spec, height >= 4.0 + PLATE_MM, f"height is {height:g} mm", "6 mm or more")
    lines, arcs, width = word_strokes(word, size - stroke, stroke + GAP * size)
    half_x, half_y = (width + stroke) / 2 + MARGIN_MM, size / 2 + MARGIN_MM
    require(
        spec,
        2 * half_x <= WIDEST_MM,
        f"the word is {2 * half_x:.3g} mm wide",
        f"up to {WIDEST_MM:g} mm: give a smaller size or fewer letters",
    )
    shift = np.array([-width / 2, -(size - stroke) / 2])
    letters = Strokes.of_tables(*_seen_by_camera(lines, arcs, shift), stroke / 2 - rounding)
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


def _seen_by_camera(
    lines: np.ndarray, arcs: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Strokes with y up, moved to the middle and turned over to y down."""
    flip = np.array([1.0, -1.0])
    lines = ((lines.reshape(-1, 2, 2) + shift) * flip).reshape(-1, 4)
    arcs = arcs.copy()
    arcs[:, :2] = (arcs[:, :2] + shift) * flip
    arcs[:, 3:5] = -arcs[:, [4, 3]]
    return lines, arcs
