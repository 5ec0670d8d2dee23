"""Construction of indenters from their text specification."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, parse_indenter
from tacdiff_ros.mechanics.indenters import shapes
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.indenters.mesh_indenter import mesh
from tacdiff_ros.mechanics.indenters.text import text
from tacdiff_ros.mechanics.indenters.tilt import tilt_angles, tilted, without_tilt

SHAPES: dict[str, Callable[[IndenterSpec], Indenter]] = {
    "sphere": shapes.sphere,
    "cylinder": shapes.cylinder,
    "cube": shapes.cube,
    "cross": shapes.cross,
    "cone": shapes.cone,
    "torus": shapes.torus,
    "edge": shapes.edge,
    "hexagon": shapes.hexagon,
    "pyramid": shapes.pyramid,
    "text": text,
    "mesh": mesh,
}


def build_indenter(spec: str | IndenterSpec) -> Indenter:
    """Builds the indenter that a specification describes.

    Sizes missing from the specification take the defaults of the shape, which the modules
    `shapes`, `text` and `mesh_indenter` define. All shapes take `roll` and `pitch`.

    Args:
        spec: specification, as text such as `sphere:diameter=5` or `mesh:file=part.stl`, or
            already parsed.

    Returns:
        Indenter with its lowest point at the origin of its own frame.

    Raises:
        InputError: the name or a key is unknown, a size is out of bounds, the sizes do not fit
            each other, the mesh file cannot be used, or the name is `none`, which has no body.
    """
    if isinstance(spec, str):
        spec = parse_indenter(spec)
    if spec.name == "none":
        raise InputError("indenter 'none' has no body: expected one of " + ", ".join(SHAPES))
    if spec.name not in SHAPES:
        raise InputError(
            f"indenter '{spec.name}' is not known{_guess(spec.name)}; known are none, "
            f"{', '.join(SHAPES)}"
        )
    angles = tilt_angles(spec)
    if spec.name == "mesh":  # rotated before its lowest part is sampled
        return mesh(spec)
    return tilted(SHAPES[spec.name](without_tilt(spec)), *angles)


def _guess(name: str) -> str:
    """Question whether the most similar shape was meant; empty if none is similar."""
    names = {**{shape: shape for shape in SHAPES}, "ball": "sphere", "box": "cube"}
    similar = difflib.get_close_matches(name.lower(), names, n=1)
    return f" (did you mean {names[similar[0]]}?)" if similar else ""
