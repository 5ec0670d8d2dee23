"""`tacdiff simulate`: one touch, as an image, maps, a mesh and numbers."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, parse_indenter
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

FILES = ("rgb.png", "nocs.npy", "depth.npy", "indentation.npy", "mesh.ply", "meta.json")
METHOD = "closed-form imprint, no mechanics"


def simulate(
    out: Annotated[Path, typer.Option(help="folder to write to")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    indenter: Annotated[
        str, typer.Option(help="none, sphere:diameter=MM or cross:size=MM,arm=MM")
    ] = "none",
    at_px: Annotated[
        tuple[float, float] | None, typer.Option(help="pixel that is to see the deepest point")
    ] = None,
    at_mm: Annotated[
        tuple[float, float] | None, typer.Option(help="point of contact, frame gel")
    ] = None,
    depth: Annotated[float, typer.Option(help="indentation in mm")] = 0.0,
    shear: Annotated[
        tuple[float, float], typer.Option(help="in-plane travel after the press in mm")
    ] = (0.0, 0.0),
    twist: Annotated[float, typer.Option(help="rotation after the press in degrees")] = 0.0,
    yaw: Annotated[float, typer.Option(help="of the indenter at contact in degrees")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Simulate one touch: rgb.png, nocs.npy, depth.npy, indentation.npy, mesh.ply, meta.json."""
    start = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    _check_numbers(*(at_px or ()), *(at_mm or ()), depth, *shear, twist, yaw)
    place = _place(model, at_px, at_mm, depth)
    imprint = _imprint(parse_indenter(indenter), place, depth, shear, twist, yaw)
    surface = imprint_surface(model.gel, imprint)
    _check_folder(out)
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image

    with Console(stderr=True, quiet=not sys.stderr.isatty()).status("rendering"):
        result = simulate_image(Renderer(model), surface)
    arrays = {
        "nocs": result.maps.nocs,
        "depth": result.maps.depth_mm,
        "indentation": result.maps.indentation_mm,
    }
    meta: dict[str, Any] = {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "mm_per_px": model.mm_per_px,
        "indenter": indenter,
        "at_mm": list(place),
        "depth_mm": depth,
        "shear_mm": list(shear),
        "twist_deg": twist,
        "yaw_deg": yaw,
        "method": METHOD,
        "force_n": None,
        "solver_status": None,
        "largest_indentation_mm": float(result.maps.indentation_mm.max()),
        "pixels_off_gel": int(np.count_nonzero(~result.maps.hit)),
        "seconds": round(time.perf_counter() - start, 3),
    }
    _write(out, result.image, arrays, surface, meta)
    if as_json:
        print(json.dumps({**meta, "out": str(out)}))
        return
    print(
        f"{out}: {meta['largest_indentation_mm']:.2f} mm deep, {meta['seconds']:.1f} s ({METHOD})"
    )


def _check_numbers(*numbers: float) -> None:
    if not all(math.isfinite(value) for value in numbers):
        raise InputError("a place, depth, shear, twist or yaw is not finite")


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder to write to")
    for name in FILES:
        if (out / name).is_dir():
            raise InputError(f"{out / name} is a folder, expected none or a file to replace")


def _place(
    model: SensorModel,
    at_px: tuple[float, float] | None,
    at_mm: tuple[float, float] | None,
    depth_mm: float,
) -> tuple[float, float]:
    """Where the indenter's axis meets the gel, mm, so that its tip is seen at the pixel."""
    if at_px is not None and at_mm is not None:
        raise InputError("--at-px and --at-mm are both given: give one")
    if at_px is None:
        return at_mm or (0.0, 0.0)
    width, height = model.image.width_px, model.image.height_px
    if not (0 <= at_px[0] <= width - 1 and 0 <= at_px[1] <= height - 1):
        raise InputError(
            f"--at-px {at_px[0]:g} {at_px[1]:g} is outside the image of {width} x {height} pixels"
        )
    x, y, _ = unproject(parameter_values(model), at_px, -depth_mm)
    _check_numbers(x, y)
    return float(x), float(y)


def _imprint(
    spec: IndenterSpec,
    place: tuple[float, float],
    depth: float,
    shear: tuple[float, float],
    twist: float,
    yaw: float,
) -> Imprint:
    motion = {
        "at_mm": place,
        "depth_mm": depth,
        "shear_mm": shear,
        "twist_rad": math.radians(twist),
        "yaw_rad": math.radians(yaw),
    }
    if spec.name == "none":
        spec.sizes()
        if any((depth, *shear, twist)):
            raise InputError("indenter 'none' leaves the sensor untouched: give no depth or motion")
        return Imprint("none", at_mm=place)
    if spec.name == "sphere":
        return Imprint("sphere", spec.sizes(diameter=5.0)["diameter"], **motion)  # type: ignore[arg-type]
    if spec.name == "cross":
        sizes = spec.sizes(size=8.0, arm=2.0)
        return Imprint("cross", sizes["size"], sizes["arm"], **motion)  # type: ignore[arg-type]
    raise InputError(f"indenter '{spec.name}' is not known; known are none, sphere and cross")


def _write(
    out: Path,
    image: np.ndarray[Any, np.dtype[np.uint8]],
    arrays: dict[str, np.ndarray[Any, np.dtype[np.float32]]],
    surface: GelSurface,
    meta: dict[str, Any],
) -> None:
    """Write beside, then move: a folder has all of a touch's files or those of the one before."""
    import trimesh

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".simulate-") as name:
            beside = Path(name)
            cv2.imwrite(str(beside / "rgb.png"), image[..., ::-1])
            for title, array in arrays.items():
                np.save(beside / f"{title}.npy", array)
            mesh = trimesh.Trimesh(surface.position, surface.triangles, process=False)
            mesh.export(str(beside / "mesh.ply"))
            (beside / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", "utf-8")
            for path in sorted(beside.iterdir()):
                path.replace(out / path.name)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}") from error
