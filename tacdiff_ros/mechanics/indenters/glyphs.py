"""Centre lines of letters and digits as straight lines and arcs, for a round pen."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

Line = tuple[float, ...]
Arc = tuple[float, float, float, float, float]

# For each character of height 1: polylines (x, y, x, y, ...) with y up, and arcs (centre x,
# centre y, radius, first and last angle in degrees, counter-clockwise). The left edge is at x = 0.
GLYPHS: dict[str, tuple[tuple[Line, ...], tuple[Arc, ...]]] = {
    "A": (((0, 0, 0.3, 1, 0.6, 0), (0.105, 0.35, 0.495, 0.35)), ()),
    "B": (
        ((0.35, 1, 0, 1, 0, 0, 0.35, 0), (0, 0.5, 0.35, 0.5)),
        ((0.35, 0.75, 0.25, -90, 90), (0.35, 0.25, 0.25, -90, 90)),
    ),
    "C": (((0, 0.7, 0, 0.3),), ((0.3, 0.7, 0.3, 20, 180), (0.3, 0.3, 0.3, 180, 340))),
    "D": (
        ((0.3, 0, 0, 0, 0, 1, 0.3, 1), (0.6, 0.7, 0.6, 0.3)),
        ((0.3, 0.7, 0.3, 0, 90), (0.3, 0.3, 0.3, 270, 360)),
    ),
    "E": (((0.55, 1, 0, 1, 0, 0, 0.55, 0), (0, 0.5, 0.45, 0.5)), ()),
    "F": (((0.55, 1, 0, 1, 0, 0), (0, 0.5, 0.45, 0.5)), ()),
    "G": (
        ((0, 0.7, 0, 0.3), (0.6, 0.3, 0.6, 0.45, 0.35, 0.45)),
        ((0.3, 0.7, 0.3, 20, 180), (0.3, 0.3, 0.3, 180, 360)),
    ),
    "H": (((0, 0, 0, 1), (0.6, 0, 0.6, 1), (0, 0.5, 0.6, 0.5)), ()),
    "I": (((0, 0, 0, 1),), ()),
    "J": (((0.5, 1, 0.5, 0.25),), ((0.25, 0.25, 0.25, 180, 360),)),
    "K": (((0, 0, 0, 1), (0, 0.4, 0.55, 1), (0.2, 0.618, 0.6, 0)), ()),
    "L": (((0, 1, 0, 0, 0.55, 0),), ()),
    "M": (((0, 0, 0, 1, 0.4, 0.35, 0.8, 1, 0.8, 0),), ()),
    "N": (((0, 0, 0, 1, 0.6, 0, 0.6, 1),), ()),
    "O": (
        ((0, 0.7, 0, 0.3), (0.6, 0.7, 0.6, 0.3)),
        ((0.3, 0.7, 0.3, 0, 180), (0.3, 0.3, 0.3, 180, 360)),
    ),
    "P": (((0, 0, 0, 1, 0.33, 1), (0, 0.46, 0.33, 0.46)), ((0.33, 0.73, 0.27, -90, 90),)),
    "Q": (
        ((0, 0.7, 0, 0.3), (0.6, 0.7, 0.6, 0.3), (0.35, 0.28, 0.6, 0)),
        ((0.3, 0.7, 0.3, 0, 180), (0.3, 0.3, 0.3, 180, 360)),
    ),
    "R": (
        ((0, 0, 0, 1, 0.33, 1), (0, 0.46, 0.33, 0.46), (0.3, 0.46, 0.6, 0)),
        ((0.33, 0.73, 0.27, -90, 90),),
    ),
    "S": ((), ((0.25, 0.75, 0.25, 20, 270), (0.25, 0.25, 0.25, -160, 90))),
    "T": (((0, 1, 0.6, 1), (0.3, 1, 0.3, 0)), ()),
    "U": (((0, 1, 0, 0.3), (0.6, 0.3, 0.6, 1)), ((0.3, 0.3, 0.3, 180, 360),)),
    "V": (((0, 1, 0.3, 0, 0.6, 1),), ()),
    "W": (((0, 1, 0.22, 0, 0.44, 0.8, 0.66, 0, 0.88, 1),), ()),
    "X": (((0, 0, 0.6, 1), (0, 1, 0.6, 0)), ()),
    "Y": (((0, 1, 0.3, 0.5, 0.6, 1), (0.3, 0.5, 0.3, 0)), ()),
    "Z": (((0, 1, 0.6, 1, 0, 0, 0.6, 0),), ()),
    "0": (
        ((0, 0.75, 0, 0.25), (0.5, 0.75, 0.5, 0.25)),
        ((0.25, 0.75, 0.25, 0, 180), (0.25, 0.25, 0.25, 180, 360)),
    ),
    "1": (((0, 0.75, 0.25, 1, 0.25, 0),), ()),
    "2": (((0.4945, 0.54, 0, 0, 0.56, 0),), ((0.28, 0.72, 0.28, -40, 160),)),
    "3": ((), ((0.26, 0.76, 0.24, -90, 150), (0.26, 0.26, 0.26, -150, 90))),
    "4": (((0.45, 0, 0.45, 1, 0, 0.3, 0.6, 0.3),), ()),
    "5": (((0.52, 1, 0.08, 1, 0.0712, 0.5331),), ((0.26, 0.3, 0.3, -150, 129),)),
    "6": (((0, 0.28, 0, 0.5),), ((0.28, 0.28, 0.28, 0, 360), (0.5, 0.5, 0.5, 95, 180))),
    "7": (((0, 1, 0.56, 1, 0.18, 0),), ()),
    "8": ((), ((0.28, 0.76, 0.24, 0, 360), (0.28, 0.26, 0.26, 0, 360))),
    "9": (((0.56, 0.72, 0.56, 0.5),), ((0.28, 0.72, 0.28, 0, 360), (0.06, 0.5, 0.5, -85, 0))),
    "-": (((0, 0.45, 0.4, 0.45),), ()),
}


def word_strokes(
    word: str, height: float, gap: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Returns the pen's centre lines for a word that begins at the origin, x right and y up.

    Args:
        word: characters of `GLYPHS`; lower-case letters are written as capitals.
        height: height of the letters between centre lines, mm.
        gap: distance between neighbouring letters between centre lines, mm.

    Returns:
        Tuple of lines (L, 4) with x0, y0, x1, y1 in mm; arcs (A, 5) with centre x and y and radius
        in mm and first and last angle in degrees; and the width of the word between centre lines,
        mm.

    Raises:
        InputError: the word has a character that is not in `GLYPHS`.
    """
    lines: list[tuple[float, ...]] = []
    arcs: list[tuple[float, ...]] = []
    left, width = 0.0, 0.0
    for character in word.upper():
        if character not in GLYPHS:
            raise InputError(
                f"text {word!r} has the character {character!r}, expected letters A to Z, digits "
                "and hyphens"
            )
        polylines, curves = GLYPHS[character]
        for line in polylines:
            corners = [
                (left + height * x, height * y) for x, y in zip(line[::2], line[1::2], strict=True)
            ]
            lines += [(*a, *b) for a, b in pairwise(corners)]
        arcs += [(left + height * x, height * y, height * r, a, b) for x, y, r, a, b in curves]
        width = left + height * _width(character)
        left = width + gap
    return np.reshape(lines, (-1, 4)), np.reshape(arcs, (-1, 5)), width


def _width(character: str) -> float:
    """Returns the width of a glyph of height 1 between the pen's centre lines."""
    lines, arcs = GLYPHS[character]
    right_ends = [x for line in lines for x in line[::2]]
    for x, _, radius, first, last in arcs:
        contains_rightmost = first <= 0 <= last or first <= 360 <= last
        angles = np.radians([first, last])
        right_ends.append(x + radius * (1.0 if contains_rightmost else float(np.cos(angles).max())))
    return max(right_ends)
