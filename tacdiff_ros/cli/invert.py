"""`tacdiff invert`: the deformed gel surface behind one tactile image."""

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

from tacdiff_ros.cli.first_run import first_run
from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
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
        Path | None, typer.Option(help="image of the untouched gel, taken just before")
    ] = None,
    prior: Annotated[str, typer.Option(help="elastic or smooth")] = "elastic",
    spacing: Annotated[float, typer.Option(help="of the surface's vertices in mm")] = 0.2,
    steps: Annotated[int, typer.Option(help="of Gauss-Newton")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Invert an image: indentation.npy, shear.npy, mesh.ply, rgb.png (the fit), meta.json."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    settings = _settings(prior=prior, spacing_mm=spacing, steps=steps)
    check_output_folder(out, FILES)
    seen = read_image(image)
    untouched = None if reference is None else read_image(reference)
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image

    console = Console(stderr=True)
    progress = Progress(console=console, disable=not sys.stderr.isatty(), transient=True)
    with first_run("inversion", console), progress as bar:
        task = bar.add_task("inverting", total=1.0)
        found = Inverter(model, untouched, settings).invert(
            seen, lambda share: bar.update(task, completed=share)
        )
    shown = simulate_image(Renderer(model), found.surface)
    meta = {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "mm_per_px": model.mm_per_px,
        **summary(found),
        "seconds": round(time.perf_counter() - started, 3),
    }
    _write(out, found, shown, meta)
    for line in found.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({**meta, "out": str(out)}))
        return
    print(
        f"{out}: {found.contact.depth_mm:.2f} mm deep, {found.contact.area_mm2:.1f} mm2 touched, "
        f"{meta['seconds']:.1f} s"
    )


def summary(found: Inversion) -> dict[str, Any]:
    """Figures of an inversion, units in their names."""
    contact = found.contact
    return {
        "in_contact": contact.in_contact,
        "area_mm2": round(contact.area_mm2, 3),
        "centroid_mm": [round(part, 4) for part in contact.centroid_mm],
        "depth_mm": round(contact.depth_mm, 4),
        "mean_shear_mm": [round(part, 4) for part in contact.shear_mm],
        "mean_twist_rad": round(contact.twist_rad, 5),
        "residuals": {
            "image_rms_grey": round(found.image_rms, 3),
            "explained_share": round(found.explained, 4),
            "dots_found": None if found.dots is None else found.dots.found_count,
            "dots_expected": None if found.dots is None else found.dots.expected,
            "height_deviation_mm": round(float(np.median(found.deviation_mm[found.valid])), 5),
        },
        "rows": found.surface.rows,
        "columns": found.surface.columns,
        "warnings": list(found.warnings),
    }


def _settings(**values: Any) -> InversionSettings:
    try:
        return InversionSettings(**values)
    except ValidationError as error:
        raise InputError(f"settings: {first_complaint(error)}") from error


def _write(out: Path, found: Inversion, shown: SimulatedImage, meta: dict[str, Any]) -> None:
    """Write all files of an inversion, or none."""
    import trimesh

    mesh = trimesh.Trimesh(found.surface.position, found.surface.triangles, process=False)
    contents: dict[str, bytes | str] = {
        "indentation.npy": npy_bytes(shown.maps.indentation_mm),
        "shear.npy": npy_bytes(shown.maps.shear_mm),
        "rgb.png": png_bytes(shown.image),
        "mesh.ply": cast(bytes, mesh.export(file_type="ply")),
        "meta.json": json_text(meta),
    }
    write_files(out, contents)
