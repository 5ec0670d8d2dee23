"""Reading of objects from mesh files and from folders in the layout of the YCB data set."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_bytes
from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.objects.distance_field import DistanceField, import_igl
from tacdiff_ros.objects.rigid_object import RigidObject
from tacdiff_ros.objects.symmetry import find_symmetries
from tacdiff_ros.output_files import write_file

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "in": 0.0254}
EXTENTS_M = (0.005, 1.5)  # longest side of an object that a hand holds
SUFFIXES = (".obj", ".stl", ".ply", ".off")
YCB_FILES = (
    "textured.obj",
    "google_16k/textured.obj",
    "google_16k/nontextured.ply",
    "tsdf/textured.obj",
    "poisson/textured.obj",
)
MAX_FILE_BYTES = 200_000_000
MAX_FACES = 1_000_000
MAX_CACHE_BYTES = 200_000_000
PROBES = 2000  # surface points at which the surface is checked to be closed
PROBE_FRACTION = 5e-4  # their distance from the surface, as a fraction of the longest side
MIN_CLOSED_FRACTION = 0.8
CACHE_VERSION = 1


def load_object(
    path: Path | str,
    unit: str = "m",
    *,
    mass: float | None = None,
    friction: float | None = None,
    spacing: float | None = None,
) -> RigidObject:
    """Read an object from a mesh file, or from the folder of a YCB object.

    Small holes in the surface do no harm. The distance field and the symmetries are cached in the
    user's cache folder, by the content of the mesh.

    Args:
        path: OBJ, STL, PLY or OFF file, or a folder with one in the layout of YCB.
        unit: unit of length of the file: m, cm, mm or in.
        mass: mass, kg; None if unknown.
        friction: Coulomb's friction coefficient against the hand; None if unknown.
        spacing: spacing of the distance field, m; None for about half a million nodes.

    Returns:
        The object, in metres.

    Raises:
        InputError: the file is missing or no mesh, the object is too large or too small for its
            unit, or its surface does not enclose a volume.
    """
    if unit not in METRES:
        raise InputError(f"unit {unit!r} of a mesh: expected one of {', '.join(METRES)}")
    file = mesh_file(Path(path))
    vertices, faces = read_mesh(file)
    vertices = vertices * METRES[unit]
    name = file.stem if file.stem not in ("textured", "nontextured") else _folder_name(file)
    return build_object(
        name, vertices, faces, mass=mass, friction=friction, spacing=spacing, unit=unit
    )


def build_object(
    name: str,
    vertices: NDArray[Any],
    faces: NDArray[Any],
    *,
    mass: float | None = None,
    friction: float | None = None,
    spacing: float | None = None,
    unit: str = "m",
    cache: bool = True,
) -> RigidObject:
    """Build an object from a mesh in metres: check it, tabulate its distances, find symmetries.

    Args:
        name: name for messages.
        vertices: (V, 3) positions, m.
        faces: (F, 3) vertex indices; a surface that is inside out is turned.
        mass: mass, kg; None if unknown.
        friction: Coulomb's friction coefficient; None if unknown.
        spacing: spacing of the distance field, m; None for the default.
        unit: unit in which the file was read, for the message that suggests another one.
        cache: whether to use the cache in the user's cache folder.

    Raises:
        InputError: see `load_object`.
    """
    vertices = np.ascontiguousarray(vertices, float)
    faces = np.ascontiguousarray(faces, np.int32)
    _check_size(name, vertices, unit)
    faces = _outward(name, vertices, faces)
    cached = _cache_path(vertices, faces, spacing) if cache else None
    field = _read_field(cached) if cached else None
    if field is None:
        field = DistanceField.from_mesh(vertices, faces, spacing)
        if cached:
            _write_field(cached, field)
    opening = open_fraction(vertices, faces)
    plain = RigidObject(name, vertices, faces, field, mass, friction, open_fraction=opening)
    return dataclasses.replace(plain, symmetries=find_symmetries(plain))


def mesh_file(path: Path) -> Path:
    """Return the mesh file of a path: the file itself, or that in a folder in YCB's layout.

    Raises:
        InputError: there is no mesh file, or its suffix is not supported.
    """
    if path.is_dir():
        file = next((path / name for name in YCB_FILES if (path / name).is_file()), None)
        file = file or next((p for p in sorted(path.iterdir()) if p.suffix in SUFFIXES), None)
        if file is None:
            raise InputError(
                f"folder {printable(path)} has no mesh: expected {YCB_FILES[0]} or a file "
                f"*{', *'.join(SUFFIXES)}"
            )
        return file
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"mesh {printable(path)}: expected a file *{', *'.join(SUFFIXES)}")
    return path


def read_mesh(file: Path) -> tuple[Array, NDArray[np.int32]]:
    """Read a triangle mesh; vertices at the same position are merged.

    Files that the mesh file refers to, such as materials, are not read.

    Args:
        file: OBJ, STL, PLY or OFF file.

    Returns:
        vertices: (V, 3) float64 positions in the unit of the file.
        faces: (F, 3) int32 vertex indices.

    Raises:
        InputError: the file is missing or no mesh file, or has too many triangles.
    """
    import trimesh

    content = read_bytes(file, "mesh", MAX_FILE_BYTES)
    suffix = file.suffix.lower().lstrip(".")
    try:
        loaded: Any = trimesh.load(
            io.BytesIO(content), file_type=suffix, process=False, force="mesh"
        )
        vertices, faces = np.asarray(loaded.vertices, float), np.asarray(loaded.faces, np.int64)
    except Exception as error:  # the parsers of trimesh raise many kinds
        raise InputError(f"mesh {printable(file)} cannot be read: {one_line(error)}") from error
    if faces.ndim != 2 or not 4 <= len(faces) <= MAX_FACES:
        raise InputError(
            f"mesh {printable(file)} has {len(faces)} triangles, expected 4 to {MAX_FACES}"
        )
    if not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"mesh {printable(file)} has invalid vertices or triangles")
    unique, inverse = np.unique(vertices, axis=0, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    sides = faces[:, [0, 1, 2]] != faces[:, [1, 2, 0]]
    return unique, faces[sides.all(axis=1)].astype(np.int32)


def _folder_name(file: Path) -> str:
    return next((p for p in file.parts[-2::-1] if not p.startswith(("google", "tsdf"))), file.stem)


def _check_size(name: str, vertices: Array, unit: str) -> None:
    """Refuse objects that no hand holds, and name a length unit that fits."""
    extent = float(np.ptp(vertices, axis=0).max())
    low, high = EXTENTS_M
    if low <= extent <= high:
        return
    factors = {other: size / METRES[unit] for other, size in METRES.items()}
    fitting = [other for other, f in factors.items() if low <= f * extent <= high]
    if fitting:
        best = fitting[0]
        advice = f"give unit={best} (factor {factors[best]:g}: {factors[best] * extent:.3g} m)"
    else:
        power = 10.0 ** round(math.log10(0.1 / extent)) if extent > 0 else math.nan
        advice = f"scale the mesh, such as by {power:g}"
    raise InputError(
        f"object {printable(name)} is {extent:.3g} m long when read in {unit}, expected {low:g} "
        f"to {high:g} m: {advice}"
    )


def _outward(name: str, vertices: Array, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the faces, turned if the surface is inside out; refuse surfaces that are open."""
    closed, inverted = _closed_fractions(vertices, faces)
    if inverted > closed:
        faces, closed = np.ascontiguousarray(faces[:, ::-1]), inverted
    if closed < MIN_CLOSED_FRACTION:
        raise InputError(
            f"object {printable(name)}: only {closed:.0%} of its surface separates an inside from "
            f"an outside, expected {MIN_CLOSED_FRACTION:.0%}: close the mesh, or turn its "
            "triangles to one side"
        )
    return faces


def open_fraction(vertices: Array, faces: NDArray[np.int32]) -> float:
    """Return the area of the openings of a surface as a fraction of surface and openings.

    An opening is a connected group of edges with one face each; its area is the length of its
    vector area.

    Args:
        vertices: (V, 3) positions.
        faces: (F, 3) vertex indices.
    """
    vertices, merged = np.unique(vertices, axis=0, return_inverse=True)
    corners = merged.reshape(-1)[faces]
    count = len(vertices)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    _, first, uses = np.unique(
        edges.min(axis=1) * count + edges.max(axis=1), return_index=True, return_counts=True
    )
    begin, end = edges[first[uses == 1]].T
    graph = coo_array((np.ones(len(begin)), (begin, end)), (count, count))
    _, group = connected_components(graph, directed=False)
    openings = np.zeros((count, 3))
    np.add.at(openings, group[begin], 0.5 * np.cross(vertices[begin], vertices[end]))
    a, b, c = (vertices[corners[:, i]] for i in range(3))
    surface = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    opened = np.linalg.norm(openings, axis=1).sum()
    return float(opened / (opened + surface))


def _closed_fractions(vertices: Array, faces: NDArray[np.int32]) -> tuple[float, float]:
    """Return the fractions of the area with the inside behind, and in front of it.

    The generalised winding number is near 1 inside and near 0 outside of a closed surface.
    """
    igl = import_igl()
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        return 0.0, 0.0
    cumulative = np.cumsum(area)
    targets = (np.arange(PROBES) + 0.5) / PROBES * cumulative[-1]
    chosen = np.minimum(np.searchsorted(cumulative, targets), len(faces) - 1)
    centres = ((a + b + c) / 3)[chosen]
    step = PROBE_FRACTION * np.ptp(vertices, axis=0).max()
    offset = step * cross[chosen] / np.maximum(area[chosen], 1e-30)[:, None]
    probes = np.concatenate([centres - offset, centres + offset])
    winding = igl.fast_winding_number(vertices, faces.astype(np.int64), probes)
    behind, front = winding[:PROBES], winding[PROBES:]
    closed = (np.abs(behind - 1) < 0.3) & (np.abs(front) < 0.3)
    inverted = (np.abs(front + 1) < 0.3) & (np.abs(behind) < 0.3)
    return float(closed.mean()), float(inverted.mean())


def _cache_path(vertices: Array, faces: NDArray[np.int32], spacing: float | None) -> Path:
    digest = hashlib.sha256(f"{CACHE_VERSION} {spacing}".encode())
    digest.update(vertices.tobytes())
    digest.update(faces.tobytes())
    return cache_folder() / "objects" / f"{digest.hexdigest()}.npz"


def _read_field(path: Path) -> DistanceField | None:
    """Return the cached field, or None if there is none that can be used."""
    try:
        if path.stat().st_size > MAX_CACHE_BYTES:
            return None
        with np.load(path, allow_pickle=False) as stored:
            return DistanceField(stored["values"], stored["origin"], float(stored["spacing"]))
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write_field(path: Path, field: DistanceField) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, values=field.values, origin=field.origin, spacing=field.spacing)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, buffer.getvalue())
    except (InputError, OSError) as error:
        log.warning("the distance field is not cached: %s", one_line(error))
