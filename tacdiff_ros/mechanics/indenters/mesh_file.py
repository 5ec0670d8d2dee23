"""Solids from triangle files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tacdiff_ros.errors import InputError

if TYPE_CHECKING:
    from trimesh import Trimesh

SUFFIXES = (".stl", ".ply", ".obj")
LARGEST_BYTES = 50_000_000
MOST_TRIANGLES = 500_000
EXTENTS_MM = (0.5, 60.0)


def read_solid(file: str, scale: float = 1.0) -> Trimesh:
    """A watertight body, scaled and moved onto its lowest point at z = 0.

    The middle of its box in x and y is at the axis. A body that is inside out is turned over.
    Only the file itself is read, none that it names.

    Args:
        file: STL, PLY or OBJ, in mm after scaling, z away from the gel.
        scale: 1000 for a file in metres.

    Raises:
        InputError: the file is not there, not such a file, too large, or not a closed body with
            triangles that face the same way, of an extent in `EXTENTS_MM`.
    """
    mesh = _load(_checked_path(file))
    if not 4 <= len(mesh.faces) <= MOST_TRIANGLES:
        raise InputError(
            f"mesh {file!r} has {len(mesh.faces)} triangles, expected 4 to {MOST_TRIANGLES}"
        )
    if not np.isfinite(mesh.vertices).all():
        raise InputError(f"mesh {file!r} has a vertex that is not finite: export it again")
    _weld(mesh)
    mesh.apply_scale(scale)
    if not (mesh.is_watertight and mesh.is_winding_consistent):
        raise InputError(
            f"mesh {file!r} is not watertight with triangles that face the same way: close its "
            "holes, for instance with trimesh.repair or in a CAD program"
        )
    extents = mesh.extents
    low, high = EXTENTS_MM
    if not (low <= extents.min() and extents.max() <= high):
        size = " x ".join(f"{extent:.3g}" for extent in extents)
        raise InputError(
            f"mesh {file!r} measures {size} mm, expected {low:g} to {high:g} mm each way: "
            "give a scale, such as scale=1000 for a file in metres"
        )
    if mesh.volume < 0:
        mesh.invert()
    middle = mesh.bounds.mean(axis=0)
    mesh.apply_translation([-middle[0], -middle[1], -mesh.bounds[0, 2]])
    return mesh


def _checked_path(file: str) -> Path:
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"mesh {file!r}: expected a file ending in {', '.join(SUFFIXES)}")
    try:
        path = path.expanduser()
        found = path.is_file()
        size = path.stat().st_size if found else 0
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"mesh {file!r} cannot be read: {error}") from None
    if not found:
        raise InputError(f"mesh {file!r} is not there, or is no file: check the path")
    if size > LARGEST_BYTES:
        raise InputError(
            f"mesh {file!r} has {size / 1e6:.0f} MB, expected up to {LARGEST_BYTES / 1e6:.0f} MB: "
            "reduce its triangles"
        )
    return path


def _load(path: Path) -> Trimesh:
    import trimesh

    try:
        with path.open("rb") as stream:
            loaded = trimesh.load(
                stream, file_type=path.suffix.lower()[1:], force="mesh", process=False
            )
    except Exception as error:  # readers of foreign files fail in many ways
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"mesh {str(path)!r} is not a {path.suffix.lower()[1:].upper()} file that can be read: "
            f"{reason}"
        ) from None
    if not isinstance(loaded, trimesh.Trimesh) or not len(loaded.faces):
        raise InputError(f"mesh {str(path)!r} has no triangles: export it as a mesh")
    return trimesh.Trimesh(loaded.vertices, loaded.faces, process=False)


def _weld(mesh: Trimesh) -> None:
    """Join corners at the same place, as STL has them apart, and drop triangles that collapse."""
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    faces = np.asarray(mesh.faces)
    mesh.update_faces((faces != np.roll(faces, 1, axis=1)).all(axis=1))
    mesh.remove_unreferenced_vertices()
