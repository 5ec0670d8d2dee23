"""`tacdiff invert`: estimates the deformed gel surface from one tactile image."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from tacdiff_ros.cli.crop_option import CropOption, read_cropped
from tacdiff_ros.cli.first_run import first_run
from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.output_files import json_text, npy_bytes, png_bytes, write_files
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.settings_file import first_complaint

if TYPE_CHECKING:
    from tacdiff_ros.inversion.inverter import Inversion
    from tacdiff_ros.optics.simulate import SimulatedImage

FILES = ("indentation.npy", "shear.npy", "mesh.ply", "rgb.png", "meta.json")


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
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Invert an image: indentation.npy, shear.npy, mesh.ply, rgb.png (fit), meta.json."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    settings = _settings(prior=prior, spacing_mm=spacing, steps=steps)
    check_output_folder(out, FILES)
    frames = sensor_crop(model, crop)
    measured = read_cropped(image, frames)
    reference_image = None if reference is None else read_cropped(reference, frames)
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image

    console = Console(stderr=True)
    progress = Progress(console=console, disable=not sys.stderr.isatty(), transient=True)
    with first_run("inversion", console), progress as bar:
        task = bar.add_task("inverting", total=1.0)
        inversion = Inverter(model, reference_image, settings).invert(
            measured, lambda fraction: bar.update(task, completed=fraction)
        )
    rendered = simulate_image(Renderer(model), inversion.surface)
    meta = {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "mm_per_px": model.mm_per_px,
        **summary(inversion),
        "seconds": round(time.perf_counter() - started, 3),
    }
    _write(out, inversion, rendered, meta)
    for line in inversion.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({**meta, "out": str(out)}))
        return
    print(
        f"{out}: depth {inversion.contact.depth_mm:.2f} mm, "
        f"contact area {inversion.contact.area_mm2:.1f} mm2, "
        f"{meta['seconds']:.1f} s"
    )


def summary(inversion: Inversion) -> dict[str, Any]:
    """Return the figures of an inversion for meta.json, with units in their names.

    Args:
        inversion: result of an inversion.
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
        "warnings": list(inversion.warnings),
    }


def _settings(**values: Any) -> InversionSettings:
    try:
        return InversionSettings(**values)
    except ValidationError as error:
        raise InputError(f"settings: {first_complaint(error)}") from error


def _write(out: Path, inversion: Inversion, rendered: SimulatedImage, meta: dict[str, Any]) -> None:
    """Write either all files of an inversion or none."""
    import trimesh

    mesh = trimesh.Trimesh(inversion.surface.position, inversion.surface.triangles, process=False)
    contents: dict[str, bytes | str] = {
        "indentation.npy": npy_bytes(rendered.maps.indentation_mm),
        "shear.npy": npy_bytes(rendered.maps.shear_mm),
        "rgb.png": png_bytes(rendered.image),
        "mesh.ply": cast(bytes, mesh.export(file_type="ply")),
        "meta.json": json_text(meta),
    }
    write_files(out, contents)
