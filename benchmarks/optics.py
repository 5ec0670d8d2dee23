"""Agreement of the renderers with the path tracer, accuracy of the gradients, and speed.

    python benchmarks/optics.py [--quick] [--json] [--only fast]

The full benchmark takes about half an hour on two cores, mostly for the path tracer; --quick takes
under a minute.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import drjit as dr
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fast_renderer import measure_fast, measure_local
from gradient_check import VERTICES, check_gradient, parameter_names
from optics_cases import TOUCHES, case_sensor, mixed_sensor, surface
from tables import dump, print_rows, run_parts

from tacdiff_ros.optics.path_reference import path_reference
from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

REFERENCE_PX = 128
REPETITIONS = 30
PATH_SAMPLES = (16, 64)


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--only",
        choices=["fast", "local"],
        help="only the fast renderer, without paths; or both renderers' local inter-reflection",
    )
    options = parser.parse_args()
    if options.only:
        parts = {
            "fast": lambda _: measure_fast(options.quick, with_path=False),
            "local": lambda _: measure_local(options.quick),
        }
        return run_parts(parts, [options.only], options)
    speed = measure_speed(options.quick)
    gradients = measure_gradients(options.quick)
    fast_rows, fast = measure_fast(options.quick)
    agreement = measure_agreement(options.quick)
    figures = {**speed, **gradient_figures(gradients), **fast, **agreement_figures(agreement)}
    if options.json:
        dump(figures)
        return 0
    print_rows("agreement with Mitsuba's path tracer", agreement)
    print_rows("fast renderer against the differentiable one", fast_rows)
    print_rows("gradients against central differences", gradients)
    print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0


def measure_agreement(quick: bool) -> list[dict[str, Any]]:
    """Compare renderer and path tracer for direct light and with one bounce (depth 8)."""
    seeds = range(1) if quick else range(10)
    names = ["ball", "cross"] if quick else list(TOUCHES)
    width = REFERENCE_PX // 2 if quick else REFERENCE_PX
    spacing_mm = 0.05 if quick else 0.025
    rows = []
    for seed in seeds:
        for name in names:
            row: dict[str, Any] = {"unit": seed, "surface": name}
            for bounces in (0, 1):
                model = case_sensor(seed, bounces)
                samples = (36, 100)[bounces] if quick else (100, 324)[bounces]
                effort = PathSettings(width, samples, bounces, seed, spacing_mm=spacing_mm)
                row |= compare(model, name, effort, ("direct", "depth8")[bounces])
            rows.append(row)
    return rows


def compare(model: SensorModel, name: str, effort: PathSettings, label: str) -> dict[str, float]:
    """Return the errors in percent of the reference's mean.

    All errors except the mean are computed after a 5 x 5 low-pass filter.
    `rms` is corrected for the noise of the reference, which is estimated from its passes.
    """
    shape = surface(model, name)
    reference = path_reference(model, shape, effort)
    renderer = Renderer(model)
    renderer.set_surface(shape)
    height, width = reference.image.shape[:2]
    ours = renderer.image(RenderSettings(width, height, samples=3))
    scale = 100.0 / float(reference.image.mean())
    difference = (ours - reference.image) * scale
    smooth = cv2.blur(difference, (5, 5))
    square = float(np.mean(smooth**2))
    noise = float(np.mean(reference.standard_error**2)) * scale**2 / 25.0
    return {
        f"{label}_mean_%": round(float(difference.mean()), 2),
        f"{label}_absolute_%": round(float(np.abs(smooth).mean()), 2),
        f"{label}_rms_%": round(max(square - noise, 0.0) ** 0.5, 2),
        f"{label}_rms_with_noise_%": round(square**0.5, 2),
    }


def agreement_figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means and maxima over all images, as fractions."""

    def of(key: str, pick: Callable[[list[float]], float]) -> float:
        return round(pick([abs(row[key]) for row in rows]) / 100.0, 5)

    figures: dict[str, float] = {"path_images_compared": len(rows)}
    for label, prefix in (("depth8", "path"), ("direct", "path_direct")):
        figures |= {
            f"{prefix}_relative_error_mean": of(f"{label}_mean_%", statistics.mean),
            f"{prefix}_relative_error_worst_image": of(f"{label}_mean_%", max),
            f"{prefix}_absolute_error_mean": of(f"{label}_absolute_%", statistics.mean),
            f"{prefix}_lowpass_rms": of(f"{label}_rms_%", statistics.mean),
            f"{prefix}_lowpass_rms_worst_image": of(f"{label}_rms_%", max),
            f"{prefix}_lowpass_rms_with_noise": of(f"{label}_rms_with_noise_%", statistics.mean),
        }
    return figures


def measure_gradients(quick: bool) -> list[dict[str, Any]]:
    """Check every continuous parameter on a sheared ball press, without and with shadows."""
    model = mixed_sensor()
    renderer = Renderer(model)
    renderer.set_surface(surface(model, "ball sheared"))
    names = parameter_names(renderer)
    if quick:
        names = ["camera.position_mm", VERTICES]
    rows = []
    for name in names:
        row: dict[str, Any] = {"parameter": name, "values": dr.width(get(renderer, name))}
        for label, shadows in [("", False)] + [("shadows_", True)] * (not quick):
            settings = RenderSettings(shadows=shadows)
            direction = waves(renderer) if name == VERTICES else None
            check = check_gradient(renderer, name, settings, direction=direction)
            row[f"{label}slope"] = round(check.slope, 4)
            row[f"{label}lowpass_error"] = round(check.lowpass_error, 4)
            row[f"{label}reverse_error"] = float(f"{check.reverse_error:.1e}")
        rows.append(row)
    return rows


def waves(renderer: Renderer) -> np.ndarray:
    """Return a smooth direction for the vertices, similar to a real deformation."""
    points = np.array(renderer.mesh.vertices).reshape(-1, 3)
    random = np.random.default_rng(0)
    parts = [
        np.sin(points[:, :2] @ random.normal(0.0, 0.7, 2) + random.uniform(0.0, 6.0))
        for _ in range(3)
    ]
    return np.stack(parts, axis=-1).ravel()


def gradient_figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the maximum errors over all parameters."""
    shadowed = [abs(row["shadows_slope"] - 1.0) for row in rows if "shadows_slope" in row]
    return {
        "gradient_slope_worst_deviation": round(max(abs(row["slope"] - 1.0) for row in rows), 5),
        "gradient_lowpass_error_worst": max(row["lowpass_error"] for row in rows),
        "gradient_reverse_error_worst": max(row["reverse_error"] for row in rows),
        "gradient_slope_worst_deviation_with_shadows": (
            round(max(shadowed), 5) if shadowed else None
        ),
        "gradient_parameters_checked": len(rows),
        "gradient_values_checked": sum(row["values"] for row in rows),
    }


def measure_speed(quick: bool) -> dict[str, Any]:
    """Measure times at 320x240 with shadows, noise, recompiled kernels, and memory."""
    model = default_sensor()
    renderer = Renderer(model)
    surfaces = [surface(model, name) for name in TOUCHES]
    for k in range(len(surfaces)):
        change(renderer, surfaces, k)
        draw(renderer, k)
        renderer.maps()
    repetitions = REPETITIONS // 3 if quick else REPETITIONS
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        render_ms = milliseconds(
            lambda k: another(renderer, surfaces, k), lambda k: draw(renderer, k), repetitions
        )
        changed_ms = milliseconds(
            lambda k: change(renderer, surfaces, k), lambda k: draw(renderer, k), repetitions
        )
        maps_ms = milliseconds(
            lambda k: change(renderer, surfaces, k), lambda k: renderer.maps(), repetitions
        )
        compiled = sum(
            1
            for kernel in dr.kernel_history()
            if kernel["type"] == dr.KernelType.JIT and not kernel["cache_hit"]
        )
    renderer.set_surface(surfaces[1])
    noise = pixel_noise(renderer)
    path_seconds, path_noise = path_effort(model, surfaces[1])
    more = {} if quick else slower_gradients(renderer)
    memory = measure_memory(renderer, surfaces, 60 if quick else 1000)
    return {
        "render_ms": render_ms,
        "render_after_parameter_change_ms": changed_ms,
        "render_noise": noise,
        "maps_ms": maps_ms,
        "forward_backward_ms": forward_backward(renderer, 1, [VERTICES], repetitions),
        "kernels_compiled_after_warm_up": compiled,
        "equal_noise_speedup": round(
            path_seconds * (path_noise / noise) ** 2 / (render_ms / 1000.0)
        ),
        **more,
        **memory,
    }


def slower_gradients(renderer: Renderer) -> dict[str, float]:
    """Measure gradients with four samples per pixel, and for all parameters at once."""
    everything = parameter_names(renderer)
    return {
        "forward_backward_4_samples_ms": forward_backward(renderer, 2, [VERTICES], REPETITIONS),
        "forward_backward_all_parameters_ms": forward_backward(
            renderer, 1, everything, REPETITIONS
        ),
    }


def another(renderer: Renderer, surfaces: list[Any], k: int) -> None:
    """Set another surface."""
    renderer.set_surface(surfaces[k % len(surfaces)])


def change(renderer: Renderer, surfaces: list[Any], k: int) -> None:
    """Set another surface and another value of a parameter."""
    another(renderer, surfaces, k)
    renderer.parameters["gel.base_color"] = renderer.parameters["gel.base_color"] * 1.001


def draw(renderer: Renderer, k: int) -> None:
    """Render an image with another seed."""
    renderer.image(RenderSettings(seed=k))


def milliseconds(
    prepare: Callable[[int], None], work: Callable[[int], Any], repetitions: int
) -> float:
    """Return the median duration of `work(k)` without `prepare(k)`, ms."""
    times = []
    for k in range(repetitions):
        prepare(k)
        start = time.perf_counter()
        work(k)
        times.append(1000.0 * (time.perf_counter() - start))
    return round(statistics.median(times), 1)


def forward_backward(renderer: Renderer, samples: int, names: list[str], repetitions: int) -> float:
    """Measure image, loss and gradients of parameters; `samples` per pixel and axis."""
    import mitsuba as mi

    base = {name: mi.Float(get(renderer, name)) for name in names}
    dr.make_opaque(base)

    def work(seed: int) -> None:
        values = {name: mi.Float(array) for name, array in base.items()}
        dr.enable_grad(values)
        for name, array in values.items():
            put(renderer, name, array)
        image = renderer.render(RenderSettings(samples=samples, seed=seed))
        dr.backward(dr.sum(dr.squared_norm(image - 0.4)))
        dr.eval(dr.grad(values))
        dr.sync_thread()

    work(0)
    result = milliseconds(lambda k: None, work, repetitions)
    for name, array in base.items():
        put(renderer, name, array)
    return result


def get(renderer: Renderer, name: str) -> Any:
    """Return the array of a parameter, or the vertices."""
    return renderer.mesh.vertices if name == VERTICES else renderer.parameters[name]


def put(renderer: Renderer, name: str, array: Any) -> None:
    """Set the array of a parameter, or the vertices."""
    if name == VERTICES:
        renderer.mesh.set_vertices(array)
    else:
        renderer.parameters[name] = array


def pixel_noise(renderer: Renderer) -> float:
    """Return the pixel noise (RMS difference of two seeds / sqrt(2)) relative to the mean."""
    a, b = (renderer.image(RenderSettings(seed=seed)) for seed in (101, 202))
    return round(float(np.sqrt(np.mean((a - b) ** 2) / 2) / a.mean()), 5)


def path_effort(model: SensorModel, shape: Any) -> tuple[float, float]:
    """Return duration (s) and relative noise of the path tracer at depth 8 and the same size.

    It renders one light at a time with stratified samples, which favours it; the time to build the
    scene is excluded.
    """
    seconds, noise = [], 0.0
    for samples in PATH_SAMPLES:
        effort = PathSettings(320, samples, 1, spacing_mm=0.1)
        path_reference(model, shape, effort)
        start = time.perf_counter()
        reference = path_reference(model, shape, effort)
        seconds.append(time.perf_counter() - start)
        noise = float(np.sqrt(np.mean(reference.standard_error**2)) / reference.image.mean())
    few, many = PATH_SAMPLES
    return (seconds[1] - seconds[0]) * many / (many - few), noise


def measure_memory(renderer: Renderer, surfaces: list[Any], renders: int) -> dict[str, Any]:
    """Measure the growth of resident memory over many renders with changing surfaces."""
    for k in range(20):
        change(renderer, surfaces, k)
        draw(renderer, k)
    before = resident_mb()
    for k in range(renders):
        change(renderer, surfaces, k)
        draw(renderer, k)
    return {
        "memory_renders": renders,
        "memory_growth_mb": round(resident_mb() - before, 1),
        "memory_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
    }


def resident_mb() -> float:
    """Return the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
