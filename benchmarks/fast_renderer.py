"""Agreement of the fast renderer with the differentiable one and with the path tracer, and speed.

The surfaces are presses of the live gel under the indenters of the random virtual sensors. The
differentiable renderer has 16 samples per pixel and `PASSES` seeds, so that its noise is small.
"""

from __future__ import annotations

import statistics
import time
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from optics_cases import TOUCHES, case_sensor, surface

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.optics.path_reference import path_reference
from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.random_sensors import OTHERS, random_press

INDENTERS = ("sphere:diameter=5", "cross", *OTHERS)
GRID, FINE_GRID = (49, 61), (140, 170)  # vertices of the live gel, and of the rendered surface
PASSES = 6  # seeds of the differentiable renderer, at 16 samples per pixel
BORDER_PX = 2  # pixels around the rim of a marker that are not compared
PATH_CASES = ("ball", "cross")
WARM_IMAGES, TIMED_IMAGES = 3, 40


def measure_fast(
    quick: bool, with_path: bool = True
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Compare and time the fast renderer; return one row per sensor, and the figures."""
    rows = []
    for seed in range(1 if quick else 10):
        model = case_sensor(seed, bounces=2)
        names = INDENTERS[:2] if quick else INDENTERS
        scores = [_compare(model, seed, k) for k in range(len(names))]
        psnr = [score["psnr_db"] for score in scores]
        local = [score["psnr_local_db"] for score in scores]
        without = [score["psnr_without_local_db"] for score in scores]
        grey = [score["difference_grey"] for score in scores]
        rows.append(
            {
                "sensor": seed,
                "light": model.lights[0].kind,
                "difference_grey": round(statistics.mean(grey), 3),
                "difference_grey_worst": round(max(grey), 3),
                "psnr_db": round(statistics.mean(psnr), 1),
                "psnr_db_worst": round(min(psnr), 1),
                "psnr_local_db": round(statistics.mean(local), 1),
                "psnr_without_local_db": round(statistics.mean(without), 1),
            }
        )
    figures = {
        "fast_difference_grey": statistics.mean(row["difference_grey"] for row in rows),
        "fast_difference_grey_worst": max(row["difference_grey_worst"] for row in rows),
        "fast_psnr_db": statistics.mean(row["psnr_db"] for row in rows),
        "fast_psnr_db_worst": min(row["psnr_db_worst"] for row in rows),
        "fast_psnr_local_db": statistics.mean(row["psnr_local_db"] for row in rows),
        "fast_psnr_without_local_db": statistics.mean(row["psnr_without_local_db"] for row in rows),
        **measure_speed(),
        **(_path_figures(quick) if with_path else {}),
    }
    return rows, {name: round(value, 3) for name, value in figures.items()}


def measure_speed() -> dict[str, float]:
    """Measure images of changing surfaces at 320x240 with shadows, on one and on two threads."""
    model = default_sensor()
    surfaces = [surface(model, name) for name in TOUCHES]
    figures = {}
    cases = (
        (2, False, "fast_render_ms"),
        (1, False, "fast_render_1_thread_ms"),
        (2, True, "fast_render_local_ms"),
    )
    for threads, is_local, key in cases:
        started = time.perf_counter()
        settings = FastSettings(threads=threads, local_interreflection=is_local)
        renderer = FastRenderer(model, settings)
        figures["fast_prepare_s"] = time.perf_counter() - started
        times = []
        for k in range(WARM_IMAGES + TIMED_IMAGES):
            started = time.perf_counter()
            renderer.set_surface(surfaces[k % len(surfaces)])
            renderer.image()
            times.append(1000.0 * (time.perf_counter() - started))
        figures[key] = statistics.median(times[WARM_IMAGES:])
        started = time.perf_counter()
        renderer.maps()
        figures["fast_maps_ms"] = 1000.0 * (time.perf_counter() - started)
    return figures


def _compare(model: SensorModel, seed: int, k: int) -> dict[str, float]:
    """Compare one press with the differentiable renderer."""
    shape = pressed_surface(model, seed, k)
    direct, local = (
        FastRenderer(model, FastSettings(local_interreflection=is_local))
        for is_local in (False, True)
    )
    reference = Renderer(model)
    for renderer in (direct, local, reference):
        renderer.set_surface(shape)
    image, local_image = (np.clip(item.image(), 0.0, 1.0) for item in (direct, local))
    difference = 255.0 * (image - _mean_image(reference, PASSES))
    reference.gather_local_interreflection()
    further = _mean_image(reference, PASSES // 3)
    compared = ~_marker_borders(model, shape)
    return {
        "difference_grey": float(np.abs(difference)[compared].mean()),
        "psnr_db": _psnr(difference / 255.0),
        "psnr_local_db": _psnr(local_image - further),
        "psnr_without_local_db": _psnr(image - further),
    }


def _mean_image(renderer: Renderer, passes: int) -> NDArray[np.float32]:
    """Return the mean of images with different seeds."""
    settings = [RenderSettings(samples=4, seed=seed) for seed in range(passes)]
    return np.mean([np.clip(renderer.image(item), 0.0, 1.0) for item in settings], axis=0)


def _psnr(difference: NDArray[np.float32]) -> float:
    return float(-10.0 * np.log10(np.mean(difference**2)))


@cache
def _gel(indenter: str) -> LiveGel:
    return LiveGel.of_sensor(default_sensor(), build_indenter(indenter), None, GRID)


def pressed_surface(model: SensorModel, seed: int, k: int) -> GelSurface:
    """Return the surface of the k-th indenter at a random pose."""
    from tacdiff_ros.virtual.random_sensors import VirtualSensorSettings

    press = random_press(seed, k, VirtualSensorSettings())
    gel = _gel(INDENTERS[k % len(INDENTERS)])
    pose = IndenterPose(*press.at_mm, press.depth_mm, press.yaw_rad)
    moved = tuple(a + b for a, b in zip(press.at_mm, press.shear_mm, strict=True))
    gel.reset()
    gel.follow(pose, ())
    result = gel.follow(IndenterPose(*moved, press.depth_mm, press.yaw_rad), ())
    return refine_surface(result.surface, *FINE_GRID)


def _marker_borders(model: SensorModel, shape: GelSurface) -> NDArray[np.bool_]:
    """Return the pixels within `BORDER_PX` of the rim of a marker."""
    renderer = Renderer(model)
    plain = Renderer(model.model_copy(update={"markers": None}))
    settings = RenderSettings(samples=2, shadows=False)
    for item in (renderer, plain):
        item.set_surface(shape)
    ratio = renderer.image(settings).mean(2) / np.maximum(plain.image(settings).mean(2), 1e-6)
    printed = (ratio < 0.5).astype(np.uint8)
    kernel = np.ones((2 * BORDER_PX + 1, 2 * BORDER_PX + 1), np.uint8)
    return np.asarray(cv2.dilate(printed, kernel) != cv2.erode(printed, kernel))


def measure_local(quick: bool) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Compare both renderers with the path tracer, without and with local inter-reflection.

    The error is the RMS of the difference, low-passed by 5 x 5 pixels of an image 96 pixels wide,
    as a percentage of the mean; it contains the noise of the path tracer.
    """
    rows = []
    for seed in range(1 if quick else 4):
        model = case_sensor(seed, bounces=1)
        shape = surface(model, "cross")
        effort = PathSettings(96, 64 if quick else 900, 1, seed, spacing_mm=0.05)
        truth = path_reference(model, shape, effort).image
        height, width = truth.shape[:2]
        reference = Renderer(model)
        reference.set_surface(shape)
        settings = RenderSettings(width, height, samples=4)
        images = {"differentiable": reference.image(settings)}
        reference.gather_local_interreflection()
        images["differentiable_local"] = reference.image(settings)
        for name, is_local in (("fast", False), ("fast_local", True)):
            fast = FastRenderer(model, FastSettings(width, height, local_interreflection=is_local))
            fast.set_surface(shape)
            images[name] = fast.image()
        rows.append(
            {"sensor": seed}
            | {f"{name}_percent": _low_passed(image, truth) for name, image in images.items()}
        )
    names = [name for name in rows[0] if name != "sensor"]
    return rows, {
        f"path_local_{name}": round(statistics.mean(row[name] for row in rows), 2) for name in names
    }


def _low_passed(image: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    difference = cv2.blur(image - truth, (5, 5))
    return round(100.0 * float(np.sqrt(np.mean(difference**2)) / truth.mean()), 2)


def _path_figures(quick: bool) -> dict[str, float]:
    """Return by how much the differentiable renderer is nearer to the path tracer, dB."""
    losses = []
    for seed in range(1 if quick else 4):
        model = case_sensor(seed, bounces=1)
        for name in PATH_CASES:
            shape = surface(model, name)
            effort = PathSettings(96, 64 if quick else 324, 1, seed, spacing_mm=0.05)
            truth = path_reference(model, shape, effort).image
            height, width = truth.shape[:2]
            reference = Renderer(model)
            settings = FastSettings(width, height, local_interreflection=False)
            fast = FastRenderer(model, settings)
            for item in (reference, fast):
                item.set_surface(shape)
            images = reference.image(RenderSettings(width, height, samples=4)), fast.image()
            psnr = [-10.0 * np.log10(np.mean((image - truth) ** 2)) for image in images]
            losses.append(float(psnr[0] - psnr[1]))
    return {
        "fast_path_loss_db": statistics.mean(losses),
        "fast_path_loss_db_worst": max(losses),
    }
