"""`tacdiff simulate`: simulates one touch as an image, maps, a mesh and numbers."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console

from tacdiff_ros.cli.first_run import first_run
from tacdiff_ros.cli.output_folder import check_output_folder, quoted
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.verdict import Verdict, simulation_verdict
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.output_files import json_text, npy_bytes, png_bytes, write_files
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import first_complaint

if TYPE_CHECKING:
    from tacdiff_ros.mechanics.gel_result import GelResult
    from tacdiff_ros.mechanics.indenters.indenter import Indenter
    from tacdiff_ros.mechanics.solver_result import SolverResult
    from tacdiff_ros.mechanics.touch import SolverSettings
    from tacdiff_ros.optics.simulate import SimulatedImage

FILES = ("rgb.png", "nocs.npy", "depth.npy", "indentation.npy", "mesh.ply", "meta.json")
FINE_SPACING_MM = 0.15


def simulate(
    out: Annotated[Path, typer.Option(help="folder to write to")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    indenter: Annotated[
        str, typer.Option(help="none, NAME:key=value,... or mesh:file=PART.stl; see docs")
    ] = "none",
    at_px: Annotated[
        tuple[float, float] | None, typer.Option(help="pixel at which the deepest point appears")
    ] = None,
    at_mm: Annotated[
        tuple[float, float] | None, typer.Option(help="contact position in frame gel, mm")
    ] = None,
    depth: Annotated[float, typer.Option(help="indentation in mm")] = 0.0,
    shear: Annotated[
        tuple[float, float], typer.Option(help="in-plane travel after the press in mm")
    ] = (0.0, 0.0),
    twist: Annotated[float, typer.Option(help="rotation after the press in degrees")] = 0.0,
    yaw: Annotated[float, typer.Option(help="yaw of the indenter at contact in degrees")] = 0.0,
    young_modulus: Annotated[float, typer.Option(help="Young's modulus of the gel in MPa")] = 0.2,
    friction: Annotated[float, typer.Option(help="Coulomb friction coefficient")] = 0.5,
    vertices: Annotated[
        str, typer.Option(help="surface vertices of the solver, rows x columns")
    ] = "49x61",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Simulate one touch: rgb.png, nocs.npy, depth.npy, indentation.npy, mesh.ply, meta.json."""
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    start = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    x_mm, y_mm = _contact_position(model, at_px, at_mm, depth)
    contact = IndenterPose(x_mm, y_mm, yaw_rad=math.radians(yaw))
    request = TouchRequest(indenter, contact, depth, shear, math.radians(twist))
    material, settings = _material(young_modulus, friction), _settings(vertices)
    check_output_folder(out, FILES)
    with Console(stderr=True, quiet=not sys.stderr.isatty()).status("preparing the indenter"):
        body = build_indenter(request.spec) if request.has_indenter else None
    result = None if body is None else _touch(model, body, request, material, settings)
    surface = _surface(model, body, result)
    rendered = _render(model, surface)
    meta: dict[str, Any] = {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "mm_per_px": model.mm_per_px,
        "indenter": indenter,
        "at_mm": [x_mm, y_mm],
        "depth_mm": depth,
        "shear_mm": list(shear),
        "twist_deg": twist,
        "yaw_deg": yaw,
        "young_modulus_mpa": young_modulus,
        "friction": friction,
        "vertices": vertices,
        **_status(result),
        "verdict": None if result is None else _verdict(result).as_json(),
        "largest_indentation_mm": float(rendered.maps.indentation_mm.max()),
        "pixels_off_gel": int(np.count_nonzero(~rendered.maps.hit)),
        "seconds": round(time.perf_counter() - start, 3),
    }
    _write(out, rendered, surface, meta)
    if as_json:
        print(json.dumps({**meta, "out": str(out)}))
    else:
        _print_summary(out, meta)
        if result is not None:
            print(_verdict(result).text)
        print(f"look at it: tacdiff view {quoted(out)}")


def _verdict(result: SolverResult) -> Verdict:
    return simulation_verdict(result.converged, result.error_mm)


def _render(model: SensorModel, surface: GelSurface) -> SimulatedImage:
    """Return the image and the maps of a surface."""
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
    from tacdiff_ros.optics.simulate import simulate_image

    quiet = Console(stderr=True, quiet=not sys.stderr.isatty())
    with first_run("simulation", Console(stderr=True)), quiet.status("rendering"):
        return simulate_image(FastRenderer(model), surface)


def _print_summary(out: Path, meta: dict[str, Any]) -> None:
    force = math.hypot(*meta["force_n"])
    print(
        f"{out}: {meta['largest_indentation_mm']:.2f} mm maximum indentation, {force:.2f} N, "
        f"{meta['seconds']:.1f} s"
    )


def _material(young_modulus: float, friction: float) -> GelMaterial:
    try:
        return GelMaterial(young_modulus_mpa=young_modulus, friction=friction)
    except ValidationError as error:
        raise InputError(f"material: {first_complaint(error)}") from error


def _surface(model: SensorModel, indenter: Indenter | None, result: GelResult | None) -> GelSurface:
    """Return the gel surface refined to about the pixel size; a flat one without a touch."""
    from tacdiff_ros.mechanics.contact_surface import refine_contact

    gel = model.gel
    columns, rows = (round(size / FINE_SPACING_MM) + 1 for size in (gel.width_mm, gel.height_mm))
    if indenter is None or result is None:
        return GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    coarse = result.surface
    return refine_contact(
        coarse, indenter, result.pose, max(rows, coarse.rows), max(columns, coarse.columns)
    )


def _contact_position(
    model: SensorModel,
    at_px: tuple[float, float] | None,
    at_mm: tuple[float, float] | None,
    depth_mm: float,
) -> tuple[float, float]:
    """Return the x, y position of the indenter's axis in frame `gel`, mm.

    Args:
        model: sensor model.
        at_px: pixel at which the indenter's tip appears at full depth, if given.
        at_mm: position in frame `gel`, mm, if given.
        depth_mm: indentation depth, mm.

    Raises:
        InputError: both positions are given, or the pixel is outside the image.
    """
    if at_px is not None and at_mm is not None:
        raise InputError("--at-px and --at-mm are both given: give one")
    if at_px is None:
        return at_mm or (0.0, 0.0)
    if not all(math.isfinite(value) for value in at_px):
        raise InputError(f"--at-px {at_px[0]:g} {at_px[1]:g} is not finite: give a pixel")
    width, height = model.image.width_px, model.image.height_px
    if not (0 <= at_px[0] <= width - 1 and 0 <= at_px[1] <= height - 1):
        raise InputError(
            f"--at-px {at_px[0]:g} {at_px[1]:g} is outside the image of {width} x {height} pixels"
        )
    x, y, _ = unproject(parameter_values(model), at_px, -depth_mm)
    return float(x), float(y)


def _touch(
    model: SensorModel,
    indenter: Indenter,
    request: TouchRequest,
    material: GelMaterial,
    settings: SolverSettings,
) -> SolverResult:
    """Return the gel at the end of the touch.

    Raises:
        InputError: a pose is not valid, or the solver does not converge.
    """
    from tacdiff_ros.mechanics.touch import NotConvergedError, Touch

    steps = request.steps(PoseLimits.of_maps(model, indenter))
    with Touch(model, indenter, material, settings) as touch:
        try:
            with ProgressBar("deforming", len(steps)) as bar:
                for result in bar.track(touch.run(steps)):
                    last = result
        except NotConvergedError as error:
            raise InputError(str(error)) from error
    return last


def _settings(vertices: str) -> SolverSettings:
    from tacdiff_ros.mechanics.touch import SolverSettings

    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", vertices)
    try:
        if match is None:
            raise ValueError("not of the form ROWSxCOLUMNS")
        return SolverSettings(rows=int(match[1]), columns=int(match[2]))
    except ValueError as error:
        raise InputError(
            f"--vertices {vertices!r}: expected ROWSxCOLUMNS such as 49x61, 9 to 257 each"
        ) from error


def _status(result: SolverResult | None) -> dict[str, Any]:
    """Return the mechanical results for meta.json."""
    if result is None:
        return {"force_n": [0.0] * 3, "torque_n_mm": [0.0] * 3, "solver_status": None}
    status = result.status
    return {
        "force_n": result.force_n.tolist(),
        "torque_n_mm": result.torque_n_mm.tolist(),
        "solver_status": {
            "converged": result.converged,
            "residual_n": status.report.residual_n,
            "friction_unsettled": status.report.friction_unsettled,
            "force_imbalance": status.imbalance,
            "penetration_mm": result.error_mm,
            "smallest_volume_ratio": status.smallest_volume_ratio,
        },
    }


def _write(
    out: Path,
    rendered: SimulatedImage,
    surface: GelSurface,
    meta: dict[str, Any],
) -> None:
    """Write all files of a touch; if that fails, the files of a previous touch are unchanged."""
    import trimesh

    mesh = trimesh.Trimesh(surface.position, surface.triangles, process=False)
    contents: dict[str, bytes | str] = {
        "rgb.png": png_bytes(rendered.image),
        "nocs.npy": npy_bytes(rendered.maps.nocs),
        "depth.npy": npy_bytes(rendered.maps.depth_mm),
        "indentation.npy": npy_bytes(rendered.maps.indentation_mm),
        "mesh.ply": cast(bytes, mesh.export(file_type="ply")),
        "meta.json": json_text(meta),
    }
    write_files(out, contents)
