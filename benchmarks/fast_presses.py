"""Streams of contacts that come faster than a stream can follow, and are then held.

Every indenter is pressed in three frames and held. Frames come from the live gel and the renderer,
by a sensor whose layers reflect light and by the same sensor without reflections.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from tables import Part

from tacdiff_ros.evaluation.surface_error import motion_error_mm
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inversion_settings import STREAMING
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.random_sensors import random_sensor, undeformed_surface

INDENTERS = (
    "sphere:diameter=8",
    "cone",
    "pyramid",
    "edge",
    "cylinder",
    "cube",
    "hexagon",
    "torus",
    "text",
    "cross",
)
QUICK = ("sphere:diameter=8", "cube")
DEPTH_MM, PRESS_FRAMES, HELD_FRAMES = 1.0, 3, 60
X_MM, Y_MM = 0.5, 0.3
SETTLING_STEPS = 10  # of the live gel, after the press
DEEP = 0.7  # of the largest depth: the vertices whose depth is compared
CHECKED = {"touch": PRESS_FRAMES, "held": -1}  # frames whose errors are printed


def measure_fast_presses(options: argparse.Namespace) -> Part:
    """Errors of surfaces over their standard deviations, after a fast press and when held."""
    reflecting = random_sensor(1)
    direct = reflecting.interreflection.model_copy(update={"bounces": 0})
    sensors = {
        "two": reflecting,
        "none": reflecting.model_copy(update={"interreflection": direct}),
    }
    rows: list[dict[str, Any]] = []
    for name, model in sensors.items():
        render = renderer_of(model)
        rest = render(undeformed_surface(model))
        for indenter in QUICK if options.quick else INDENTERS:
            errors_of_frames = press(model, render, rest, indenter)
            rows.append({"reflections": name, "indenter": indenter} | errors_of_frames)
    figures = {
        f"fast_press_{frame}_{figure}": round(
            float(np.quantile([row[f"{frame} {column}"] for row in rows], quantile)), 3
        )
        for frame in CHECKED
        for figure, column, quantile in (
            ("depth_error_mm", "depth error mm", 0.5),
            ("ratio_median", "error/stddev", 0.5),
            ("ratio_p90", "at 90 %", 0.5),
            ("ratio_p90_worst", "at 90 %", 1.0),
        )
    }
    return rows, figures


def renderer_of(model: SensorModel) -> Callable[[GelSurface], np.ndarray]:
    """Return a function that renders surfaces with a grey level of noise."""
    renderer, random = Renderer(model), np.random.default_rng(0)

    def render(surface: GelSurface) -> np.ndarray:
        renderer.set_surface(surface)
        values = 255.0 * renderer.image(RenderSettings(samples=2))
        noisy = values + random.normal(0.0, 1.0, values.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    return render


def press(
    model: SensorModel,
    render: Callable[[GelSurface], np.ndarray],
    rest: np.ndarray,
    indenter: str,
) -> dict[str, float]:
    """Return the errors of the checked frames of one press."""
    frames, surfaces = pressed_frames(model, render, indenter)
    inverter = Inverter(model, rest, STREAMING)
    inverter.follow(rest)
    found = [inverter.follow(frame) for frame in frames]
    row: dict[str, float] = {}
    for name, number in CHECKED.items():
        row |= {f"{name} {key}": value for key, value in errors(found[number], surfaces[number])}
    return row


def pressed_frames(
    model: SensorModel, render: Callable[[GelSurface], np.ndarray], indenter: str
) -> tuple[list[np.ndarray], list[GelSurface]]:
    """Return the frames of a fast press that is then held, and their surfaces."""
    flat, gel = undeformed_surface(model), LiveGel(build_indenter(indenter))
    surfaces = []
    for number in range(1, PRESS_FRAMES + 1):
        state = gel.step(IndenterPose(X_MM, Y_MM, DEPTH_MM * number / PRESS_FRAMES))
        surfaces.append(refine_surface(state.surface, flat.rows, flat.columns))
    for _ in range(SETTLING_STEPS):
        state = gel.step(IndenterPose(X_MM, Y_MM, DEPTH_MM))
    held = refine_surface(state.surface, flat.rows, flat.columns)
    frames, still = [render(surface) for surface in surfaces], render(held)
    return frames + [still] * HELD_FRAMES, surfaces + [held] * HELD_FRAMES


def errors(found: Inversion, truth: GelSurface) -> list[tuple[str, float]]:
    """Return named errors of one frame; a positive depth error is too shallow."""
    valid = found.valid.ravel()
    height_mm = motion_error_mm(found.surface, truth)[:, 2]
    true_mm = found.surface.position[:, 2] - height_mm
    deep = valid & (true_mm < DEEP * true_mm.min())
    ratio = np.abs(height_mm[valid]) / found.height_stddev_mm.ravel()[valid]
    return [
        ("depth error mm", round(float(height_mm[deep].mean()), 3)),
        ("stddev mm", round(float(found.height_stddev_mm.ravel()[deep].mean()), 3)),
        ("rmse mm", round(float(np.sqrt(np.mean(height_mm[valid] ** 2))), 3)),
        ("error/stddev", round(float(np.median(ratio)), 2)),
        ("at 90 %", round(float(np.quantile(ratio, 0.9)), 2)),
    ]
