"""Views of images, meshes, and folders that `simulate` and `invert` write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_array
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import check_file, one_line, printable, read_json
from tacdiff_ros.viewing.maps import MAX_MAP_BYTES, map_facts, map_figure, map_title
from tacdiff_ros.viewing.page import View
from tacdiff_ros.viewing.surface_scene import Arrows, Layer, SurfaceScene, grid_scene

MAX_META_BYTES, MAX_MESH_BYTES = 10_000_000, 200_000_000
MAX_TRIANGLES = 2_000_000
MESH_ENDINGS = (".ply", ".stl", ".obj")
PICTURES = {"rgb.png": "image", "force.png": "pressure, tractions and net force"}
MAPS = ("height_map", "indentation", "shear", "nocs", "depth")
ARROW_PITCH_PX = 14  # distance between the arrows of the shear
SHEAR_SCALE = 5.0  # drawn length of a displacement
MAX_LISTED = 4  # longer lists are left out of the figures
MAX_FORCE_ARROW_MM = 5.0  # drawn length of the net force


def view_image(path: Path) -> View:
    """Return the view of an image file.

    Raises:
        InputError: the file is no image.
    """
    image = read_image(path)
    height, width = image.shape[:2]
    channels = zip(["red", "green", "blue"], image.reshape(-1, 3).T, strict=True)
    facts = {
        "size": f"{width} x {height} px",
        **{f"{n}, mean and range": f"{v.mean():.1f}, {v.min()} to {v.max()}" for n, v in channels},
        "saturated pixels": f"{100 * float((image == 255).any(axis=2).mean()):.2f} %",
    }
    return View(f"Image {path.name}", facts, [(path.name, image)])


def view_mesh(path: Path) -> View:
    """Return the view of a mesh file in mm.

    Raises:
        InputError: the file is no mesh, or too large.
    """
    scene = _mesh_scene(path)
    facts: dict[str, Any] = {"vertices": len(scene.position), "triangles": len(scene.triangles)}
    for axis, values in zip("xyz", scene.position.T, strict=True):
        facts[f"{axis}, mm"] = f"{values.min():.3f} to {values.max():.3f}"
    return View(f"Mesh {path.name}", facts, scene=scene)


def is_result(folder: Path) -> bool:
    """Return whether a folder looks like one that `simulate` or `invert` wrote."""
    return (folder / "meta.json").is_file() and (folder / "mesh.ply").is_file()


def view_result(folder: Path) -> View:
    """Return the view of a folder of `simulate` or `invert`: surface, shear, forces, maps.

    Raises:
        InputError: a file is missing or damaged.
    """
    meta = read_json(folder / "meta.json", "result", MAX_META_BYTES)
    if not isinstance(meta, dict):
        raise InputError(f"{printable(folder / 'meta.json')} is no result: expected an object")
    maps = {
        name: read_array(folder / f"{name}.npy", "map", MAX_MAP_BYTES)
        for name in (*MAPS, "points")
        if (folder / f"{name}.npy").is_file()
    }
    pictures: list[tuple[str, Any]] = [
        (caption, read_image(folder / name))
        for name, caption in PICTURES.items()
        if (folder / name).is_file()
    ]
    pictures += [(map_title(name), map_figure(name, maps[name])) for name in MAPS if name in maps]
    facts = _facts(meta)
    for name, values in maps.items():
        facts.update(map_facts(name, values))
    scene = _point_scene(maps) if "points" in maps else _mesh_scene(folder / "mesh.ply")
    arrows = [*scene.arrows, *_force_arrow(meta, scene.position)]
    scene = SurfaceScene(scene.position, scene.triangles, scene.layers, arrows)
    kind = "Inversion" if "residuals" in meta else "Simulated touch"
    return View(
        f"{kind} {folder.name}",
        facts,
        pictures,
        scene=scene,
        notes=[str(line) for line in meta.get("warnings") or []],
        sensor=_sensor(meta),
        verdict=_verdict(meta),
    )


def _verdict(meta: dict[str, Any]) -> dict[str, Any] | None:
    """Verdict that the command wrote; None where there is none in this form."""
    verdict = meta.get("verdict")
    if not isinstance(verdict, dict) or not isinstance(verdict.get("reasons"), list):
        return None
    return {
        "level": str(verdict.get("level")),
        "reasons": [str(reason) for reason in verdict["reasons"]],
        "advice": str(verdict.get("advice")),
    }


def _sensor(meta: dict[str, Any]) -> Any:
    if not isinstance(meta.get("sensor_checksum"), str):
        return None
    name = str(meta.get("sensor_id", "unknown"))
    return SimpleNamespace(sensor_id=name, checksum=meta["sensor_checksum"])


def _facts(meta: dict[str, Any]) -> dict[str, Any]:
    """Figures of meta.json, nested ones with their path; long lists are left out."""
    facts: dict[str, Any] = {}
    for name, value in meta.items():
        if name in ("warnings", "sensor_id", "sensor_checksum", "verdict"):
            continue
        if isinstance(value, dict):
            facts.update({f"{name}: {key}": v for key, v in _facts(value).items()})
        elif isinstance(value, list):
            if len(value) <= MAX_LISTED:
                facts[name] = ", ".join(_text(part) for part in value)
        else:
            facts[name] = _text(value)
    return facts


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _point_scene(maps: dict[str, NDArray[Any]]) -> SurfaceScene:
    """Surface of the pixels' material points, with indentation and shear."""
    points = maps["points"]
    if points.ndim != 3 or points.shape[2] != 3:
        raise InputError(f"points.npy has shape {points.shape}, expected (H, W, 3)")
    layers, arrows = [Layer("z, mm", points[..., 2].ravel(), is_signed=True)], []
    indentation, shear = maps.get("indentation"), maps.get("shear")
    if indentation is not None and indentation.shape == points.shape[:2]:
        layers.insert(0, Layer("indentation, mm", indentation.ravel()))
    if shear is not None and shear.shape == (*points.shape[:2], 2):
        magnitude = np.linalg.norm(shear, axis=2)
        layers.append(Layer("shear, magnitude, mm", magnitude.ravel()))
        for k, axis in enumerate("xy"):
            layers.append(Layer(f"shear along {axis}, mm", shear[..., k].ravel(), is_signed=True))
        arrows = [_shear_arrows(points, shear)]
    return grid_scene(points, layers, arrows)


def _shear_arrows(points: NDArray[Any], shear: NDArray[Any]) -> Arrows:
    half = ARROW_PITCH_PX // 2
    start = points[half::ARROW_PITCH_PX, half::ARROW_PITCH_PX].reshape(-1, 3)
    moved = shear[half::ARROW_PITCH_PX, half::ARROW_PITCH_PX].reshape(-1, 2)
    vector = SHEAR_SCALE * np.concatenate([moved, np.zeros((len(moved), 1))], axis=1)
    known = np.isfinite(start).all(axis=1) & np.isfinite(vector).all(axis=1)
    return Arrows(f"shear x {SHEAR_SCALE:g}", start[known], vector[known])


def _mesh_scene(path: Path) -> SurfaceScene:
    import trimesh

    check_file(path, "mesh", MAX_MESH_BYTES)
    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        position, triangles = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    except Exception as error:  # readers of damaged meshes raise exceptions of many types
        raise InputError(f"{printable(path)} is no mesh: {one_line(error)}") from error
    if not (0 < len(triangles) <= MAX_TRIANGLES) or not np.isfinite(position).all():
        raise InputError(
            f"{printable(path)} has {len(triangles)} triangles, expected 1 to {MAX_TRIANGLES} with "
            "finite vertices"
        )
    return SurfaceScene(position, triangles, [Layer("z, mm", position[:, 2], is_signed=True)])


def _force_arrow(meta: dict[str, Any], position: NDArray[Any]) -> list[Arrows]:
    """The net force of a result on the gel, at the centre of the contact."""
    forces = meta.get("forces")
    source = forces if isinstance(forces, dict) else meta
    force = np.asarray(source.get("force_n") or [], np.float64)
    if force.shape != (3,) or not np.linalg.norm(force) > 0:
        return []
    at = meta.get("centroid_mm") or meta.get("at_mm") or [0.0, 0.0]
    centre = np.asarray(at, np.float64)[:2]
    nearest = int(np.argmin(np.linalg.norm(position[:, :2] - centre, axis=1)))
    size_n = float(np.linalg.norm(force))
    vector = MAX_FORCE_ARROW_MM * force / size_n
    return [Arrows(f"net force on the gel, {size_n:.2f} N", position[nearest] - vector, vector)]
