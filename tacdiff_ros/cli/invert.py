"""`tacdiff invert`: estimates the deformed gel surface from one tactile image."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from rich.console import Console

from tacdiff_ros.cli.crop_option import CropOption, read_cropped
from tacdiff_ros.cli.first_run import first_run
from tacdiff_ros.cli.output_folder import check_output_folder, quoted
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.sensor_match import marker_mismatch_px
from tacdiff_ros.evaluation.verdict import Verdict, inversion_verdict
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.frame_sources import VIDEO_ENDINGS
from tacdiff_ros.inversion.contact_forces import force_figures
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.output_files import json_text, npy_bytes, png_bytes, write_files
from tacdiff_ros.reports.traction_picture import draw_tractions
from tacdiff_ros.sensor.height_map import height_map
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.settings_file import first_complaint

if TYPE_CHECKING:
    from tacdiff_ros.inversion.gel_health import GelHealth
    from tacdiff_ros.inversion.inversion_result import Inversion
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.sensor.sensor_model import SensorModel

FILES = (
    "height_map.npy",
    "points.npy",
    "indentation.npy",
    "shear.npy",
    "mesh.ply",
    "rgb.png",
    "force.png",
    "meta.json",
)
Checked = TypeVar("Checked", bound=BaseModel)


def invert(
    image: Annotated[Path, typer.Option(help="tactile image")],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="image of the untouched gel, taken shortly before")
    ] = None,
    prior: Annotated[str, typer.Option(help="surface prior: elastic or smooth")] = "elastic",
    spacing: Annotated[float, typer.Option(help="spacing of the surface vertices in mm")] = 0.2,
    steps: Annotated[int, typer.Option(help="number of Gauss-Newton steps")] = 6,
    young_modulus: Annotated[
        float | None,
        typer.Option(help="Young's modulus of the gel in MPa; default: the sensor file's, or 0.2"),
    ] = None,
    young_modulus_stddev: Annotated[
        float | None,
        typer.Option(help="its standard deviation in MPa; default: the sensor file's, or 30 %"),
    ] = None,
    friction: Annotated[
        float | None,
        typer.Option(help="friction coefficient; default: the sensor file's, or 0.5"),
    ] = None,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Invert an image: height map, points, pixel maps, mesh, fit, and figures in meta.json."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    settings = _checked(InversionSettings, prior=prior, spacing_mm=spacing, steps=steps)
    material, stddev = _material(model, young_modulus, young_modulus_stddev, friction)
    check_output_folder(out, FILES, (image, reference, sensor))
    if image.suffix.lower() in VIDEO_ENDINGS or image.is_dir():
        raise InputError(
            f"{image} is no image: `tacdiff benchmark {quoted(image)} --inverted --out FOLDER` "
            "inverts each frame of a video, folder or recording"
        )
    frames = sensor_crop(model, crop)
    measured = read_cropped(image, frames)
    reference_image = None if reference is None else read_cropped(reference, frames)
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image
    from tacdiff_ros.optics.surface_points import surface_points

    console = Console(stderr=True)
    with first_run("inversion", console), ProgressBar("inverting", 1.0) as bar:
        inverter = Inverter(model, reference_image, settings, material, stddev)
        inversion = inverter.invert(measured, bar.update)
    health = inverter.health(measured, inversion)
    rendered = simulate_image(Renderer(model), inversion.surface)
    heights = height_map(inversion.surface, inversion.valid)
    verdict = _verdict(inverter, reference_image, inversion, health)
    meta = {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "mm_per_px": model.mm_per_px,
        "height_map_mm_per_px": heights.spacing_mm,
        "height_map_origin_mm": list(heights.origin_mm),
        **summary(inversion, health),
        "verdict": verdict.as_json(),
        "seconds": round(time.perf_counter() - started, 3),
    }
    maps = {
        "height_map.npy": heights.height_mm,
        "points.npy": surface_points(model, rendered.maps, inversion.surface, inversion.valid),
        "indentation.npy": rendered.maps.indentation_mm,
        "shear.npy": rendered.maps.shear_mm,
    }
    _write(out, inversion, rendered.image, maps, meta)
    for line in meta["warnings"]:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({**meta, "out": str(out)}))
        return
    print(
        f"{out}: depth {inversion.contact.depth_mm:.2f} mm, "
        f"contact area {inversion.contact.area_mm2:.1f} mm2, "
        f"{meta['seconds']:.1f} s{_force_text(inversion)}\n{verdict.text}\n"
        f"look at it: tacdiff view {quoted(out)}"
    )


def _force_text(inversion: Inversion) -> str:
    """Line on the force of a contact, empty without one."""
    forces = inversion.forces
    if forces is None or not forces.in_contact:
        return ""
    text = f"\nnormal force {forces.normal_force_n:.2f} N, stddev {forces.force_stddev_n[2]:.2f} N"
    if forces.modulus_fraction > 0.5:
        text += ", mostly of Young's modulus: `tacdiff identify` determines it"
    return text


def summary(inversion: Inversion, health: GelHealth) -> dict[str, Any]:
    """Return the figures of an inversion for meta.json, with units in their names.

    Args:
        inversion: result of an inversion.
        health: condition of the gel in the image.
    """
    contact = inversion.contact
    return {
        "in_contact": contact.in_contact,
        "area_mm2": round(contact.area_mm2, 3),
        "centroid_mm": [round(part, 4) for part in contact.centroid_mm],
        "depth_mm": round(contact.depth_mm, 4),
        "mean_shear_mm": [round(part, 4) for part in contact.shear_mm],
        "mean_twist_rad": round(contact.twist_rad, 5),
        "residuals": {
            "image_rms_grey": round(inversion.image_rms, 3),
            "explained_share": round(inversion.inlier_fraction, 4),
            "dots_found": None if inversion.markers is None else inversion.markers.found_count,
            "dots_expected": None if inversion.markers is None else inversion.markers.expected,
            "height_deviation_mm": round(
                float(np.median(inversion.height_stddev_mm[inversion.valid])), 5
            ),
        },
        "rows": inversion.surface.rows,
        "columns": inversion.surface.columns,
        "forces": None if inversion.forces is None else force_figures(inversion.forces),
        "gel_health": health.figures,
        "warnings": [*inversion.warnings, *health.warnings],
    }


def _verdict(
    inverter: Inverter,
    reference: NDArray[np.uint8] | None,
    inversion: Inversion,
    health: GelHealth,
) -> Verdict:
    model, markers = inverter.model, inversion.markers
    if model.markers is not None and reference is not None:
        markers = detect_markers(reference, model.markers.grid)
    mismatch_px = marker_mismatch_px(model, markers)
    warnings = len(inversion.warnings) + len(health.warnings)
    return inversion_verdict(
        inversion.image_rms,
        mismatch_px,
        reference is not None,
        warnings,
        inverter.reference_warnings,
    )


def _material(
    model: SensorModel, modulus: float | None, stddev: float | None, friction: float | None
) -> tuple[GelMaterial, float | None]:
    """Material and standard deviation of its modulus, from the options or the sensor file."""
    known = GelMaterial.of_sensor(model)
    if stddev is None and modulus is None and model.material is not None:
        stddev = model.material.young_modulus_stddev_mpa
    modulus = known.young_modulus_mpa if modulus is None else modulus
    friction = known.friction if friction is None else friction
    if stddev is not None and not 0.0 <= stddev <= modulus:
        raise InputError(f"--young-modulus-stddev is {stddev:g}, expected 0 to {modulus:g}")
    return _checked(GelMaterial, young_modulus_mpa=modulus, friction=friction), stddev


def _checked(kind: type[Checked], **values: Any) -> Checked:
    try:
        return kind(**values)
    except ValidationError as error:
        name = "material" if kind is GelMaterial else "settings"
        raise InputError(f"{name}: {first_complaint(error)}") from error


def _write(
    out: Path,
    inversion: Inversion,
    fit: NDArray[np.uint8],
    maps: dict[str, NDArray[Any]],
    meta: dict[str, Any],
) -> None:
    """Write either all files of an inversion or none."""
    import trimesh

    mesh = trimesh.Trimesh(inversion.surface.position, inversion.surface.triangles, process=False)
    contents: dict[str, bytes | str] = {
        **{name: npy_bytes(values) for name, values in maps.items()},
        "rgb.png": png_bytes(fit),
        "mesh.ply": cast(bytes, mesh.export(file_type="ply")),
        "meta.json": json_text(meta),
    }
    if inversion.forces is not None:
        contents["force.png"] = png_bytes(draw_tractions(inversion.surface, inversion.forces))
    write_files(out, contents)
