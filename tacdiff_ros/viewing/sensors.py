"""View of a sensor file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle

from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.viewing.page import View

FLAT_ROWS, FLAT_COLUMNS = 139, 169


def view_sensor(path: Path) -> View:
    """Return the view of a sensor file: rendered reference image, plan, and values.

    Raises:
        InputError: the file is no sensor file.
    """
    model = read_sensor(path)
    pictures: list[tuple[str, Any]] = []
    notes = []
    try:
        from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
        from tacdiff_ros.optics.simulate import simulate_image

        gel = model.gel
        flat = GelSurface.flat(gel.width_mm, gel.height_mm, FLAT_ROWS, FLAT_COLUMNS)
        image = simulate_image(FastRenderer(model), flat).image
        pictures.append(("reference image, rendered from the file", image))
    except ImportError as error:
        notes.append(f"The reference image is not rendered: {error.name} is not installed.")
    pictures.append(("pad, image, markers and lights, seen as in the image", _plan(model)))
    return View(f"Sensor {model.sensor_id}", _facts(model), pictures, notes=notes, sensor=model)


def _facts(model: SensorModel) -> dict[str, Any]:
    camera, gel = model.camera, model.gel
    facts: dict[str, Any] = {
        "image, px": f"{model.image.width_px} x {model.image.height_px}",
        "size of a pixel on the gel, mm": f"{model.mm_per_px:.4f}",
        "focal length, px": f"{camera.focal_px:.2f}",
        "camera position, mm": ", ".join(f"{value:.3f}" for value in camera.position_mm),
        "camera rotation, degrees": ", ".join(f"{value:.3f}" for value in camera.rotation_deg),
        "distortion": ", ".join(f"{value:.4f}" for value in camera.distortion),
        "layers": ", ".join(
            f"{layer.name} n {layer.index:g}"
            + (f", {layer.thickness_mm:g} mm" if layer.thickness_mm is not None else "")
            for layer in model.layers
        ),
        "gel, mm": f"{gel.width_mm:g} x {gel.height_mm:g}",
        "reflectance of the coating": ", ".join(f"{value:.3f}" for value in gel.base_color),
    }
    if model.markers is None:
        facts["markers"] = "none"
    else:
        grid = model.markers
        facts["markers"] = (
            f"{grid.rows} x {grid.columns}, pitch {grid.pitch_mm[0]:g} x {grid.pitch_mm[1]:g} mm, "
            f"diameter {grid.diameter_mm:.3f} mm"
        )
    for light in model.lights:
        radiance = ", ".join(f"{value:.3g}" for value in light.radiance)
        centre = ", ".join(f"{value:.2f}" for value in light.centre_mm)
        facts[f"light {light.name}: centre, mm; radiance, RGB"] = f"{centre}; {radiance}"
    return facts


def _plan(model: SensorModel) -> Figure:
    """Plan of pad, field of view, markers and lights."""
    gel = model.gel
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    corner = (-gel.width_mm / 2, -gel.height_mm / 2)
    axes.add_patch(
        Rectangle(corner, gel.width_mm, gel.height_mm, fill=False, color="black", label="gel pad")
    )
    width, height = model.image.width_px - 1, model.image.height_px - 1
    values = parameter_values(model)
    pixels = [(0, 0), (width, 0), (width, height), (0, height)]
    corners = [unproject(values, pixel, 0.0)[:2] for pixel in pixels]
    axes.add_patch(Polygon(np.array(corners), fill=False, color="C0", ls="--", label="image"))
    if model.markers is not None:
        radius = model.markers.diameter_mm / 2
        for x, y, _ in marker_positions_mm(model).reshape(-1, 3):
            axes.add_patch(Circle((float(x), float(y)), radius, color="0.4"))
    for light in model.lights:
        colour = np.array(light.radiance) / max(max(light.radiance), 1e-9)
        axes.plot(*light.centre_mm[:2], "s", ms=10, color=colour, mec="black")
        axes.annotate(light.name, light.centre_mm[:2], textcoords="offset points", xytext=(8, 4))
    axes.set(xlabel="x [mm]", ylabel="y [mm]", aspect="equal")
    axes.invert_yaxis()
    axes.legend(loc="upper right")
    axes.margins(0.08)
    axes.autoscale_view()
    return figure
