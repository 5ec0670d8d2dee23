"""Reading of solid bodies from triangle mesh files."""

from __future__ import annotations

import io
import logging
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, read_bytes
from tacdiff_ros.mechanics.indenters.mesh_repair import close_holes
from tacdiff_ros.mechanics.indenters.tilt import tilt_matrix

if TYPE_CHECKING:
    from trimesh import Trimesh

log = logging.getLogger(__name__)

SUFFIXES = (".stl", ".ply", ".obj")
MAX_FILE_BYTES = 50_000_000
MAX_TRIANGLES = 500_000
MAX_ELEMENTS = 3 * MAX_TRIANGLES  # vertices of a file whose triangles share none
MAX_HEADER_BYTES = 65_536
MAX_COORDINATE = 1e6
METRES_PER_MM = 1e-3
STL_COUNT_OFFSET = 80  # bytes of the comment at the beginning of a binary STL file
EXTENTS_MM = (0.5, 1000.0)
MAX_NAMED_HOLES = 5  # whose size the message on a repair states


@dataclass(frozen=True)
class Placement:
    """Size and direction of a body against the gel.

    Attributes:
        scale: factor from the file's length unit to mm, such as 1000 for metres.
        roll_deg: rotation about x, degrees.
        pitch_deg: rotation about y after the roll, degrees.
    """

    scale: float = 1.0
    roll_deg: float = 0.0
    pitch_deg: float = 0.0


def read_solid(file: str, placement: Placement | None = None, repair: bool = False) -> Trimesh:
    """Reads a watertight body, places it and translates its lowest point to z = 0.

    The bounding box is centred on the z axis. Triangles of a body that is inside out are flipped.
    Files that the mesh file refers to, such as materials, are not read.

    Args:
        file: path of an STL, PLY or OBJ file with z away from the gel, in mm after scaling.
        placement: size and direction; None for those of the file.
        repair: True to close holes; a warning is logged that states how many.

    Returns:
        Watertight mesh with outward normals, mm.

    Raises:
        InputError: the file is missing, too large or no mesh file, the mesh is not watertight
            with consistently oriented triangles, or an extent is outside `EXTENTS_MM`.
    """
    mesh = _load(_checked_path(file))
    if not 4 <= len(mesh.faces) <= MAX_TRIANGLES:
        raise InputError(
            f"mesh {file!r} has {len(mesh.faces)} triangles, expected 4 to {MAX_TRIANGLES}"
        )
    _weld(mesh)
    placement = placement or Placement()
    mesh.apply_scale(placement.scale)
    rotation = np.eye(4)
    rotation[:3, :3] = tilt_matrix(placement.roll_deg, placement.pitch_deg)
    mesh.apply_transform(rotation)
    if repair and not mesh.is_watertight:
        _repair(mesh, file)
    if not (mesh.is_watertight and mesh.is_winding_consistent):
        advice = (
            "repair=yes closed its holes, which is not enough: mend it in a CAD program"
            if repair
            else "give repair=yes to close its holes, or mend it in a CAD program"
        )
        raise InputError(
            f"mesh {file!r} is not watertight with consistently oriented triangles: {advice}"
        )
    extents = mesh.extents
    low, high = EXTENTS_MM
    if not (low <= extents.min() and extents.max() <= high):
        size = " x ".join(f"{extent:.3g}" for extent in extents)
        raise InputError(
            f"mesh {file!r} measures {size} mm, expected {low:g} to {high:g} mm each way: "
            + (
                "give a scale, such as scale=1000 for a file in metres"
                if extents.max() < high * METRES_PER_MM
                else "give a scale, or a mesh of the part that touches the gel"
            )
        )
    if mesh.volume < 0:
        mesh.invert()
    middle = mesh.bounds.mean(axis=0)
    mesh.apply_translation([-middle[0], -middle[1], -mesh.bounds[0, 2]])
    return mesh


def _repair(mesh: Trimesh, file: str) -> None:
    """Closes the holes of a mesh in place, and logs what was done in one line."""
    holes = close_holes(mesh)
    if holes:
        edges = ", ".join(map(str, holes[:MAX_NAMED_HOLES]))
        more = ", ..." if len(holes) > MAX_NAMED_HOLES else ""
        closed = f"{len(holes)} hole{'s' if len(holes) > 1 else ''}"
        log.warning("mesh %r: repair closed %s, with %s%s edges", file, closed, edges, more)


def _checked_path(file: str) -> Path:
    """Returns the path of an existing file with a supported suffix, or raises an InputError."""
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"mesh {file!r}: expected a file ending in {', '.join(SUFFIXES)}")
    try:
        path = path.expanduser()
        exists = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"mesh {file!r} cannot be read: {error}") from None
    if not exists:
        raise InputError(f"mesh {file!r} does not exist, or is no file: check the path")
    return path


def _load(path: Path) -> Trimesh:
    """Parses a mesh file without merging or repairing anything, or raises an InputError."""
    import trimesh

    content = read_bytes(path, "mesh", MAX_FILE_BYTES)
    suffix = path.suffix.lower()[1:]
    try:
        if suffix == "obj":
            content = _geometry_of_obj(content)
        _check_counts(content, suffix)
        with np.errstate(all="ignore"):
            loaded: Any = trimesh.load(
                io.BytesIO(content), file_type=suffix, force="mesh", process=False
            )
            vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)
    except Exception as error:  # the parsers of trimesh raise many kinds
        raise InputError(
            f"mesh {str(path)!r} is not a readable {suffix.upper()} file: {one_line(error, 120)}"
        ) from None
    if not len(faces):
        raise InputError(f"mesh {str(path)!r} has no triangles: export it as a mesh")
    _check_arrays(vertices, faces, path)
    return trimesh.Trimesh(vertices, faces, process=False)


def _geometry_of_obj(content: bytes) -> bytes:
    """Returns an OBJ file reduced to vertices and faces: no materials, groups or textures."""
    lines = [line for line in content.splitlines() if line[:2] in (b"v ", b"f ", b"v\t", b"f\t")]
    return re.sub(rb"/[^\s]*", b"", b"\n".join(lines)) + b"\n"


def _check_counts(content: bytes, suffix: str) -> None:
    """Raises a ValueError before parsing if a file declares more elements than permitted."""
    if suffix == "ply":
        header, end, _ = content[:MAX_HEADER_BYTES].partition(b"end_header")
        counts = [int(count) for count in re.findall(rb"element\s+\S+\s+(\d{1,18})", header)]
        if not end:
            raise ValueError("its header does not end")
    elif suffix == "obj":
        counts = [content.count(b"\nv"), content.count(b"\nf")]
    elif content.lstrip()[:5].lower() == b"solid" and b"facet" in content[:MAX_HEADER_BYTES]:
        counts = [content.count(b"vertex")]
    else:
        counts = list(struct.unpack_from("<I", content, STL_COUNT_OFFSET))
    if max(counts, default=0) > MAX_ELEMENTS:
        raise ValueError(f"it has {max(counts)} elements, expected up to {MAX_ELEMENTS}")


def _check_arrays(vertices: NDArray[Any], faces: NDArray[Any], path: Path) -> None:
    """Raises an InputError for triangles with missing, non-finite or huge vertices."""
    shapes_fit = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
    if not shapes_fit or faces.dtype.kind not in "iu":
        raise InputError(f"mesh {str(path)!r} has no triangles: export it as a mesh")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(
            f"mesh {str(path)!r} has a triangle with a missing vertex: export it again"
        )
    if not np.isfinite(vertices).all():
        raise InputError(f"mesh {str(path)!r} has a vertex that is not finite: export it again")
    if np.abs(vertices).max() > MAX_COORDINATE:
        raise InputError(
            f"mesh {str(path)!r} has a coordinate of {np.abs(vertices).max():g}, expected up to "
            f"{MAX_COORDINATE:g}: export it again"
        )


def _weld(mesh: Trimesh) -> None:
    """Merges coincident vertices, which STL files repeat, and removes degenerate triangles."""
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    faces = np.asarray(mesh.faces)
    mesh.update_faces((faces != np.roll(faces, 1, axis=1)).all(axis=1))
    mesh.remove_unreferenced_vertices()
