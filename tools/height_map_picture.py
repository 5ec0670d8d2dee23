#!/usr/bin/env python3
"""Draw docs/images/height_map.png: a pressed ball as pixel map and as height map.

python tools/height_map_picture.py [--out docs/images]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.height_map import height_map
from tacdiff_ros.sensor.sensor_file import default_sensor

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parent.parent
RADIUS_MM, DEPTH_MM, AT_MM = 4.0, 1.5, (4.0, 0.0)


def main() -> int:
    """Render a ball and draw both maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    model = default_sensor()
    press = Imprint("sphere", 2.0 * RADIUS_MM, at_mm=AT_MM, depth_mm=DEPTH_MM)
    surface = imprint_surface(model.gel, press, 0.1)
    renderer = Renderer(model)
    renderer.set_surface(surface)
    pixels = renderer.maps().indentation_mm
    heights = height_map(surface, np.ones((surface.rows, surface.columns), bool))
    origin = np.array(heights.origin_mm)
    end = origin + heights.spacing_mm * (np.array(heights.height_mm.shape[::-1]) - 1)
    figure, axes = pyplot.subplots(1, 3, figsize=(13.0, 3.6), layout="constrained")
    axes[0].imshow(pixels)
    axes[0].set_title("indentation.npy: what each pixel sees")
    axes[0].set(xlabel="column, px", ylabel="row, px")
    axes[1].imshow(heights.height_mm, extent=(origin[0], end[0], end[1], origin[1]))
    axes[1].set_title("height_map.npy: orthographic")
    axes[1].set(xlabel="x, mm", ylabel="y, mm")
    row = round((AT_MM[1] - origin[1]) / heights.spacing_mm)
    x = origin[0] + heights.spacing_mm * np.arange(heights.height_mm.shape[1])
    middle = pixels.shape[0] // 2
    x_px = model.mm_per_px * (np.arange(pixels.shape[1]) - model.camera.centre_px[0])
    axes[2].plot(x_px, -pixels[middle], label="pixel map at mm_per_px")
    axes[2].plot(x, heights.height_mm[row], label="height map")
    ball = RADIUS_MM - DEPTH_MM - np.sqrt(np.maximum(RADIUS_MM**2 - (x - AT_MM[0]) ** 2, 0.0))
    axes[2].plot(x, np.where(ball < 0.0, ball, np.nan), "k:", label="ball")
    axes[2].set(xlabel="x, mm", ylabel="z, mm", xlim=(-2.0, 10.0))
    axes[2].set_title("section through the ball")
    axes[2].legend(fontsize=8, loc="lower left")
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "height_map.png", dpi=80)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
