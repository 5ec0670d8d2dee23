#!/usr/bin/env python3
"""Draw the picture of docs/inversion.md anew: path-traced touches and the surfaces found in them.

    python tools/inversion_pictures.py [--out docs/images]

Uses the first virtual sensor of the benchmarks, which takes the path tracer half an hour where it
is not kept from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.optics.simulate import simulate_image
from tacdiff_ros.virtual.random_sensors import VirtualSensorSettings
from tacdiff_ros.virtual.sensor_store import cached_sensor

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parent.parent
PRESSES = {2: "ball", 3: "cross", 7: "torus", 11: "text"}
EVERY = 6  # vertices between two arrows


def main() -> int:
    """Invert and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    unit = cached_sensor(0, VirtualSensorSettings(presses=12))
    inverter, renderer = Inverter(unit.model, unit.reference), Renderer(unit.model)
    figure, axes = pyplot.subplots(len(PRESSES), 5, figsize=(14.5, 8.6), layout="constrained")
    for row, (k, name) in zip(axes, PRESSES.items(), strict=True):
        found, truth = inverter.invert(unit.presses[k]), unit.surfaces[k]
        surface = found.surface
        shape = (surface.rows, surface.columns)
        moved = (surface.position - surface.rest).reshape(*shape, 3)
        at = RegularGridInterpolator(
            (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64)),
            (truth.position - truth.rest)[:, 2].astype(np.float64).reshape(truth.rows, -1),
            bounds_error=False,
            fill_value=None,
        )
        height = at(surface.rest[:, 1::-1].astype(np.float64)).reshape(shape)
        extent = (surface.x_mm[0], surface.x_mm[-1], surface.y_mm[-1], surface.y_mm[0])
        row[0].imshow(unit.presses[k])
        row[1].imshow(simulate_image(renderer, surface).image)
        for axis, values in ((row[2], moved[..., 2]), (row[3], height)):
            drawn = axis.imshow(values, vmin=-1.0, vmax=0.2, extent=extent)
        figure.colorbar(drawn, ax=row[3], label="height, mm")
        thin = np.s_[::EVERY, ::EVERY]
        rest = surface.rest.reshape(*shape, 3)[thin]
        arrows = moved[thin]
        row[2].quiver(
            rest[..., 0], rest[..., 1], arrows[..., 0], arrows[..., 1],
            angles="xy", scale_units="xy", scale=0.25, width=0.004, color="white",
        )  # fmt: skip
        away = np.where(found.valid, moved[..., 2] - height, np.nan)
        drawn = row[4].imshow(away, vmin=-0.15, vmax=0.15, cmap="RdBu", extent=extent)
        figure.colorbar(drawn, ax=row[4], label="mm")
        row[0].set_ylabel(f"{name}, RMSE {np.sqrt(np.nanmean(away**2)):.3f} mm", fontsize=9)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
        for axis in row[2:]:
            axis.set_xlim(-10.0, 10.0)
            axis.set_ylim(7.5, -7.5)
    titles = ("seen (path-traced)", "the fit", "found, motion x 4", "true height", "found - true")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "inversion.png", dpi=80)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
