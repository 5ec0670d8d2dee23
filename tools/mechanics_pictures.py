#!/usr/bin/env python3
"""Draw docs/images/mechanics.png: the gel under ten indenters, pressed and then shifted.

    python tools/mechanics_pictures.py [OUT.png]

Takes about five minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.build import SHAPES, build_indenter
from tacdiff_ros.mechanics.solver_result import SolverResult
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import plan_touch
from tacdiff_ros.sensor.sensor_file import default_sensor

matplotlib.use("Agg")
from matplotlib import pyplot

DEPTH_MM, SHEAR_MM = 0.8, (0.6, 0.0)
OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "mechanics.png"


def main() -> int:
    """Simulate and draw."""
    names = [name for name in SHAPES if name != "mesh"]
    figure, axes = pyplot.subplots(4, 5, figsize=(15, 9.6), layout="constrained")
    for index, name in enumerate(names):
        row, column = 2 * (index // 5), index % 5
        settings = SolverSettings(rows=41, columns=51)
        with Touch(default_sensor(), build_indenter(name), settings=settings) as touch:
            *_, state = touch.run(plan_touch(IndenterPose(), DEPTH_MM, SHEAR_MM))
        heights = draw_heights(axes[row, column], state, name)
        pressure = draw_pressure(axes[row + 1, column], state)
        print(name, np.round(state.force_n, 2), flush=True)
    figure.colorbar(heights, ax=axes[:2], label="height, mm", shrink=0.8)
    figure.colorbar(pressure, ax=axes[2:], label="pressure, MPa", shrink=0.8)
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    figure.savefig(out, dpi=75)
    return 0


def draw_heights(axis: Axes, state: SolverResult, name: str) -> matplotlib.cm.ScalarMappable:
    """Height of the gel, with the motion of material points where dots could be, doubled."""
    fine = refine_contact(state.surface, build_indenter(name), state.pose, 161, 201)
    shape = (fine.rows, fine.columns, 3)
    place, rest = fine.position.reshape(shape), fine.rest.reshape(shape)
    drawn = axis.pcolormesh(
        place[..., 0], place[..., 1], place[..., 2], vmin=-DEPTH_MM, vmax=0.25, cmap="viridis"
    )
    some = (slice(12, -11, 12), slice(12, -11, 12))
    moved = (place - rest)[some]
    axis.quiver(
        rest[some][..., 0],
        rest[some][..., 1],
        2 * moved[..., 0],
        2 * moved[..., 1],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color="white",
        width=0.004,
    )
    force = state.force_n
    axis.set_title(f"{name}: {-force[2]:.1f} N, shear {force[0]:.1f} N", fontsize=10)
    frame(axis)
    return drawn


def draw_pressure(axis: Axes, state: SolverResult) -> matplotlib.cm.ScalarMappable:
    """Pressure on the surface, with the traction of the indenter."""
    rest = state.surface.rest.reshape(*state.pressure_mpa.shape, 3)
    drawn = axis.pcolormesh(
        rest[..., 0], rest[..., 1], state.pressure_mpa, vmin=0.0, vmax=0.3, cmap="magma"
    )
    axis.quiver(
        rest[..., 0],
        rest[..., 1],
        state.traction_mpa[..., 0],
        state.traction_mpa[..., 1],
        angles="xy",
        scale_units="xy",
        scale=0.1,
        color="white",
        width=0.003,
    )
    frame(axis)
    return drawn


def frame(axis: Axes) -> None:
    """The visible part of the pad, y down as in the image."""
    axis.set_xlim(-7, 7)
    axis.set_ylim(6, -6)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])


if __name__ == "__main__":
    sys.exit(main())
