#!/usr/bin/env python3
"""Draw the pictures of docs/optics.md anew: ours, path-traced, difference, maps, without glass.

    python tools/optics_pictures.py [--out docs/images] [--samples 400]

About five minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics.path_reference import path_reference
from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import Interreflection, SensorModel

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 320, 240
GAIN = 5.0
TOUCHES = {
    "untouched": Imprint(),
    "ball, 5 mm": Imprint("sphere", 5.0, at_mm=(2.0, 1.0), depth_mm=0.8),
    "cross, sheared": Imprint(
        "cross", 8.0, at_mm=(-1.0, 0.5), yaw_rad=0.4, depth_mm=1.0, shear_mm=(0.8, -0.4)
    ),
}


def main() -> int:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--samples", type=int, default=400, help="of the path tracer")
    options = parser.parse_args()
    sensor = default_sensor()
    model = sensor.model_copy(update={"interreflection": Interreflection(bounces=1)})
    figure, axes = pyplot.subplots(len(TOUCHES), 5, figsize=(13.5, 6.4), layout="constrained")
    for row, (name, touch) in enumerate(TOUCHES.items()):
        for axis, (title, image) in zip(
            axes[row], columns(model, touch, options.samples).items(), strict=True
        ):
            axis.imshow(image)
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(title, fontsize=10)
        axes[row][0].set_ylabel(name, fontsize=10)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "optics.png", dpi=85)
    return 0


def columns(model: SensorModel, touch: Imprint, samples: int) -> dict[str, Any]:
    """One row of the picture."""
    surface = imprint_surface(model.gel, touch, 0.1)
    renderer = Renderer(model)
    renderer.set_surface(surface)
    ours = renderer.image(RenderSettings(WIDTH, HEIGHT))
    effort = PathSettings(WIDTH, samples, 1, smooth_reflected=True)
    reference = path_reference(model, surface, effort).image
    bare = Renderer(without_refraction(model))
    bare.set_surface(surface)
    moved = bare.image(RenderSettings(WIDTH, HEIGHT))
    return {
        "tacdiff (50 ms)": to_uint8(ours),
        "Mitsuba path tracer (minutes)": to_uint8(reference),
        f"difference x {GAIN:g}": to_uint8(0.5 + GAIN * (ours - reference)),
        "NOCS map": to_uint8(renderer.maps(RenderSettings(WIDTH, HEIGHT)).nocs),
        "red: with glass, cyan: without": overlay(ours, moved),
    }


def without_refraction(model: SensorModel) -> SensorModel:
    """All layers air, and the camera higher by what the layers lift the gel in the middle."""
    lift = sum(
        (layer.thickness_mm or 0.0) * (1.0 - 1.0 / layer.index) for layer in model.layers[1:]
    )
    x, y, z = model.camera.position_mm
    camera = model.camera.model_copy(update={"position_mm": (x, y, z + lift)})
    layers = tuple(layer.model_copy(update={"index": 1.0}) for layer in model.layers)
    thin = (layers[0], *(lay.model_copy(update={"thickness_mm": 2.0}) for lay in layers[1:]))
    return model.model_copy(update={"camera": camera, "layers": thin})


def overlay(first: Any, second: Any) -> Any:
    """Two grey images as red and cyan."""
    a, b = (np.clip(image.mean(axis=-1) / image.mean() * 0.6, 0, 1) for image in (first, second))
    return to_uint8(np.stack([b, a, a], axis=-1))


if __name__ == "__main__":
    raise SystemExit(main())
