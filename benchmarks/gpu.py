"""Speed on a graphics card: first and later inversions, a stream, images, gradients, training.

    python benchmarks/gpu.py [--quick] [--json] [--card] [--only PART]

Every part runs in a separate process with an empty kernel cache, once on the card and once on the
processor (keys that begin with `llvm_`), which supports the choice in `optics/variant.py`. It takes
five minutes, with --card two. Without a card, the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import dump, print_rows

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics.variant import CUDA, LLVM, gpu_names
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor

if TYPE_CHECKING:
    from tacdiff_ros.dataset.pairs import SamplePairs
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.optics.renderer import Renderer

SPACING_MM = 0.1
BALLS = tuple(
    Imprint("sphere", 5.0, at_mm=(2.0, 1.0), depth_mm=depth) for depth in (0.4, 0.6, 0.8, 1.0)
)
MAX_SECONDS = {"inversion": 150, "images": 90, "gradients": 120, "parameters": 120, "training": 120}
TRIALS, BATCH = 5, 16


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--card", action="store_true", help="measure only on the card, not on the processor"
    )
    parser.add_argument("--only", choices=list(PARTS), help="one part")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        dump(PARTS[options.part](options.quick))
        return 0
    cards = gpu_names()
    if not cards:
        print("no graphics card: this machine has no working NVIDIA driver", file=sys.stderr)
        return 2
    figures: dict[str, Any] = {"card": cards[0], "cores": os.cpu_count()}
    for part in [options.only] if options.only else list(PARTS):
        for variant in (CUDA,) if options.card or part == "training" else (CUDA, LLVM):
            prefix = "llvm_" if variant == LLVM else ""
            part_figures = in_process(part, variant, options.quick)
            figures |= {prefix + key: value for key, value in part_figures.items()}
            print(f"{part} {variant}: {part_figures}", file=sys.stderr, flush=True)
    if options.json:
        dump(figures)
    else:
        print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0


def in_process(part: str, variant: str, quick: bool) -> dict[str, Any]:
    """Measure a part in a process with empty kernel caches and return its figures."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "HOME": home,
            "XDG_CACHE_HOME": f"{home}/cache",
            "TACDIFF_CACHE_DIR": f"{home}/cache/tacdiff_ros",
            "CUDA_CACHE_PATH": f"{home}/cuda",
            "OPTIX_CACHE_PATH": f"{home}/optix",
            "TACDIFF_VARIANT": variant,
        }
        environment.pop("DRJIT_CACHE_DIR", None)
        command = [sys.executable, __file__, "--part", part, *(["--quick"] if quick else [])]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=environment,
                timeout=MAX_SECONDS[part],
                check=True,
            )
        except subprocess.TimeoutExpired:
            return {f"{part}_failed": f"not done after {MAX_SECONDS[part]} s"}
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or ["no message"]
            return {f"{part}_failed": lines[-1][:200]}
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def measure_inversion(quick: bool) -> dict[str, Any]:
    """Measure first and later inversions of an image, and a stream, with the default sensor."""
    images = ball_images()
    compiled = Compiled()
    start = time.perf_counter()
    inverter = _inverter(images[0], stream=False)
    inverter.invert(images[1])
    first = time.perf_counter() - start
    figures = compiled.figures("inversion")
    repeated = range(3 if quick else 9)
    later = [seconds(lambda k=k: inverter.invert(images[1 + k % 3])) for k in repeated]
    stream = _inverter(images[0], stream=True)
    for image in images[1:]:
        stream.follow(image)
    frames = 40 if quick else 100
    times = [seconds(lambda k=k: stream.follow(images[1 + k % 3])) for k in range(frames)]
    return {
        "first_inversion_s": round(first, 2),
        "inversion_s": round(statistics.median(later), 3),
        "stream_hz": round(len(times) / sum(times), 1),
        "stream_latency_ms": round(1000.0 * statistics.median(times), 1),
        **figures,
    }


def _inverter(reference: Any, stream: bool) -> Inverter:
    from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
    from tacdiff_ros.inversion.inverter import Inverter

    return Inverter(default_sensor(), reference, STREAMING if stream else InversionSettings())


def measure_images(quick: bool) -> dict[str, Any]:
    """Measure images of 320x240 with shadows, and maps; each with a new surface."""
    renderer, surfaces = pressed_renderer()
    compiled = Compiled()
    first = seconds(renderer.image)
    first_maps = seconds(renderer.maps)
    figures = compiled.figures("images")
    repetitions = 20 if quick else 60
    show = milliseconds(repetitions, lambda k: renderer.set_surface(surfaces[k % 4]))
    return {
        "first_image_s": round(first, 2),
        "first_maps_s": round(first_maps, 2),
        "show_ms": show,
        "render_ms": milliseconds(
            repetitions,
            lambda k: renderer.image(_settings(2, k)),
            lambda k: renderer.set_surface(surfaces[k % 4]),
        ),
        "render_1_sample_ms": milliseconds(
            repetitions,
            lambda k: renderer.image(_settings(1, k)),
            lambda k: renderer.set_surface(surfaces[k % 4]),
        ),
        "maps_ms": milliseconds(
            repetitions, lambda k: renderer.maps(), lambda k: renderer.set_surface(surfaces[k % 4])
        ),
        **figures,
    }


def measure_gradients(quick: bool) -> dict[str, Any]:
    """Measure image, loss and gradient of all vertices at one sample per pixel, with shadows."""
    import drjit as dr

    renderer, surfaces = pressed_renderer()
    renderer.set_surface(surfaces[2])
    compiled = Compiled()

    def work(k: int) -> None:
        dr.eval(renderer.vertex_gradient(squared_difference, settings=_settings(1, k)))
        dr.sync_thread()

    first = seconds(lambda: work(0))
    figures = compiled.figures("gradients")
    value = milliseconds(20 if quick else 60, work, lambda k: renderer.set_surface(surfaces[k % 4]))
    return {
        "first_forward_backward_s": round(first, 2),
        "forward_backward_ms": value,
        **figures,
    }


def squared_difference(image: Any) -> Any:
    """Return the contribution of each pixel to the loss."""
    import drjit as dr

    return dr.squared_norm(image - 0.4)


def measure_parameters(quick: bool) -> dict[str, Any]:
    """Measure an image and its forward derivative by the lights, as in the calibration."""
    import drjit as dr
    import mitsuba as mi

    renderer, surfaces = pressed_renderer()
    renderer.set_surface(surfaces[2])
    compiled = Compiled()
    name = "lights.centre_mm"
    base = mi.Float(renderer.parameters[name])

    def work(k: int) -> None:
        lights = mi.Float(base)
        dr.enable_grad(lights)
        renderer.parameters[name] = lights
        image = renderer.render(_settings(1, k))
        dr.forward(lights)
        dr.eval(image, dr.grad(image))
        dr.sync_thread()

    first = seconds(lambda: work(0))
    figures = compiled.figures("parameters")
    return {
        "first_parameter_derivative_s": round(first, 2),
        "parameter_derivative_ms": milliseconds(10 if quick else 30, work),
        **figures,
    }


def measure_training(quick: bool) -> dict[str, Any]:
    """Measure training steps per second, from a dataset on disk and from memory."""
    from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
    from tacdiff_ros.dataset.reader import SampleReader
    from tacdiff_ros.dataset.store import open_dataset
    from tacdiff_ros.translation.training import ReferenceSample

    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data")
        opened = open_dataset(Path(folder) / "data")
        readers = [SampleReader(opened, split) for split in ("train", "validation")]
        reference = ReferenceSample(*reference_pair(readers[0], "nocs+light"))
        disk = [SamplePairs(reader, "nocs+light", cache_bytes=0) for reader in readers]
        memory = [InMemory(pairs) for pairs in disk]
        steps = 400 if quick else 1000
        train_seconds(memory, reference, 40)  # loads the libraries of the card
        from_memory = train_seconds(memory, reference, steps)
        from_disk = train_seconds(disk, reference, steps)
    return {
        "train_samples": len(disk[0]),
        "train_steps": steps,
        "train_steps_per_s": round(steps / from_disk, 1),
        "train_memory_steps_per_s": round(steps / from_memory, 1),
    }


class InMemory:
    """Samples of a dataset, loaded into memory."""

    def __init__(self, pairs: SamplePairs) -> None:
        self.divisors = pairs.divisors
        self._stored = [pairs.stored(number) for number in range(len(pairs))]
        self._first = pairs[0]

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, number: int) -> Any:
        return self._first

    def stored(self, number: int) -> Any:
        """Return a sample as it is stored."""
        return self._stored[number]


def train_seconds(pairs: list[Any], reference: Any, steps: int) -> float:
    """Return the duration of a training of the small generator with one validation, s."""
    from tacdiff_ros.translation.network_settings import NetworkSettings
    from tacdiff_ros.translation.training import train_generator
    from tacdiff_ros.translation.training_settings import TrainingSettings

    settings = TrainingSettings(
        steps=steps, batch=BATCH, validate_every=steps, validated=32, device="cuda"
    )
    with tempfile.TemporaryDirectory() as folder:
        network = NetworkSettings(kind="nocs+light")
        return seconds(
            lambda: train_generator(network, settings, *pairs, reference, Path(folder) / "model")
        )


def write_dataset(folder: Path) -> None:
    """Write a dataset in the format of `tacdiff dataset`, of imprints without mechanics."""
    from tacdiff_ros.dataset.plan import DatasetPlan
    from tacdiff_ros.dataset.store import gel_size, open_or_create, write_group
    from tacdiff_ros.dataset.trial_work import make_trial, write_sensor_group
    from tacdiff_ros.sensor.sensor_file import format_sensor

    model = default_sensor()
    plan = DatasetPlan(trials=TRIALS, indenters=("sphere:diameter=5",))
    dataset = open_or_create(folder, plan, gel_size(model))
    write_sensor_group(dataset, model)
    for trial in range(TRIALS):
        positions = []
        for state in range(plan.states_per_trial):
            depth = 1.5 * (state + 1) / plan.states_per_trial
            at_mm = (trial - 2.0, 0.05 * state - 2.0)
            pressed = imprint_surface(
                model.gel, Imprint("sphere", 5.0, at_mm=at_mm, depth_mm=depth)
            )
            positions.append(pressed.position.reshape(pressed.rows, pressed.columns, 3))
        arrays = {
            "position_mm": np.stack(positions),
            "contact": np.stack([position[..., 2] < -0.05 for position in positions]),
        }
        write_group(dataset.touch_folder(trial), arrays, {})
        make_trial(folder, trial, format_sensor(model))


class Compiled:
    """Record of the kernels compiled since its creation."""

    def __init__(self) -> None:
        """Start the recording."""
        from tacdiff_ros.optics.variant import start_mitsuba

        start_mitsuba()
        import drjit as dr

        dr.set_flag(dr.JitFlag.KernelHistory, True)
        dr.kernel_history_clear()

    def figures(self, name: str) -> dict[str, Any]:
        """Stop recording; return the compilation time of all kernels and of the slowest one, s."""
        import drjit as dr

        times = [
            kernel["backend_time"] / 1000.0
            for kernel in dr.kernel_history()
            if kernel["type"] == dr.KernelType.JIT and not kernel["cache_hit"]
        ]
        dr.set_flag(dr.JitFlag.KernelHistory, False)  # recording takes time
        return {
            f"{name}_compile_s": round(sum(times), 2),
            f"{name}_longest_compile_s": round(max(times, default=0.0), 2),
        }


def pressed_renderer() -> tuple[Renderer, list[GelSurface]]:
    """Return a renderer of the default sensor, and imprints of balls on one grid."""
    from tacdiff_ros.optics.renderer import Renderer

    model = default_sensor()
    surfaces = [imprint_surface(model.gel, ball, SPACING_MM) for ball in BALLS]
    renderer = Renderer(model)
    renderer.set_surface(surfaces[0])
    return renderer, surfaces


def ball_images() -> list[Any]:
    """Return (H, W, 3) uint8 images of the undeformed gel and of presses, made in a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        code = (
            "import sys, numpy; sys.path.insert(0, sys.argv[1]); import gpu; "
            "numpy.save(sys.argv[2], gpu.render_images())"
        )
        here = str(Path(__file__).resolve().parent)
        home = {**os.environ, "TACDIFF_CACHE_DIR": f"{folder}/cache"}
        subprocess.run([sys.executable, "-c", code, here, str(path)], check=True, env=home)
        return list(np.load(path))


def render_images() -> Any:
    """Render the images of `ball_images`."""
    from tacdiff_ros.optics.simulate import to_uint8

    renderer, surfaces = pressed_renderer()
    gel = renderer.model.gel
    images = []
    for surface in (GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11), *surfaces):
        renderer.set_surface(surface)
        images.append(to_uint8(renderer.image()))
    return np.stack(images)


def _settings(samples: int, seed: int) -> Any:
    from tacdiff_ros.optics.renderer import RenderSettings

    return RenderSettings(samples=samples, seed=seed)


def seconds(work: Callable[[], Any]) -> float:
    """Return the duration of a function call, s."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def milliseconds(
    repetitions: int, work: Callable[[int], Any], prepare: Callable[[int], Any] | None = None
) -> float:
    """Return the median duration of `work(k)` without `prepare(k)`, ms."""
    times = []
    for k in range(repetitions + 2):
        if prepare is not None:
            prepare(k)
        times.append(seconds(lambda k=k: work(k)))
    return round(1000.0 * statistics.median(times[2:]), 2)


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "inversion": measure_inversion,
    "images": measure_images,
    "gradients": measure_gradients,
    "training": measure_training,
    "parameters": measure_parameters,
}


if __name__ == "__main__":
    raise SystemExit(main())
