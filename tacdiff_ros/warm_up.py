"""Stages that compile the kernels of each job.

Each public function returns the stages of a job, executed on the objects that will do the job, so
that exactly the kernels they use are compiled. `JOBS` has the jobs of the default sensor file, for
`make setup` and `tacdiff doctor`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.preparation import Preparation, Stage, is_warm

if TYPE_CHECKING:
    from tacdiff_ros.sensor.sensor_model import SensorModel
    from tacdiff_ros.twin.live_twin import LiveTwin
    from tacdiff_ros.virtual.virtual_sensor import VirtualSensor

log = logging.getLogger(__name__)

QUICK_JOB = "simulation"  # compiles in seconds
FAST_IMAGES_S = 15.0  # expected time to compile the fast renderer
TOUCH, REST = IndenterPose(depth_mm=0.2), IndenterPose(depth_mm=-1.0)
Image = NDArray[np.uint8]


def virtual_sensor_stages(sensor: VirtualSensor) -> list[Stage]:
    """Return the stages of a virtual sensor: live gel and images, then the undeformed gel again."""
    return [
        Stage("live gel", partial(sensor.move, TOUCH), 10.0),
        Stage("images", partial(sensor.sense, TOUCH), FAST_IMAGES_S),
        Stage("undeformed gel", partial(sensor.sense, REST), 1.0),
    ]


def twin_stages(twin: LiveTwin) -> list[Stage]:
    """Return the stages of a twin that follows an indenter; its gel is undeformed afterwards."""

    def render() -> None:
        twin.render(twin.move(TOUCH))
        twin.reset()

    return [
        Stage("live gel", partial(twin.move, TOUCH), 10.0),
        Stage("images", render, FAST_IMAGES_S),
    ]


def touch_stages(touch: Callable[[], Any]) -> list[Stage]:
    """Return the stages of requests for simulated touches; `touch` executes one request."""
    return [Stage("live gel and images", touch, 10.0 + FAST_IMAGES_S)]


def inversion_stages(
    model: SensorModel, reference: Image | None, invert: Callable[[Image], Any]
) -> list[Stage]:
    """Return the stages of inverting images: render an image of a press and invert it.

    Args:
        model: sensor model that renders the image.
        reference: (H, W, 3) uint8 RGB reference image, or None for the model's own.
        invert: function that inverts an image, (H, W, 3) uint8 RGB.
    """
    rendered: list[Image] = []

    def render() -> None:
        rendered.append(_press_image(model, reference))

    def run_inversion() -> None:
        try:
            invert(rendered[0])
        except InputError as error:  # an unusual sensor: its real images may be invertible
            log.warning("the warm-up inversion was refused: %s", error)

    return [Stage("images", render, 5.0), Stage("inversion", run_inversion, 12.0)]


def kernel_structure(model: SensorModel) -> tuple[Any, ...]:
    """Return the properties on which the kernels depend; equal properties give the same kernels."""
    field = model.flat_field
    return (
        len(model.layers),
        tuple(light.kind for light in model.lights),
        model.markers is None,
        None if field is None else (len(field.values), len(field.values[0])),
        (model.image.width_px, model.image.height_px),
    )


def _press_image(model: SensorModel, reference: Image | None) -> Image:
    """Return the image of a ball's imprint, added to the reference image if there is one."""
    from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings
    from tacdiff_ros.optics.simulate import to_uint8

    renderer = Renderer(model)
    settings = RenderSettings(samples=1)
    undeformed = renderer.image(settings)
    renderer.set_surface(imprint_surface(model.gel, Imprint("sphere", 5.0, depth_mm=0.6)))
    pressed = renderer.image(settings)
    if reference is not None:
        pressed = pressed - undeformed + reference.astype(np.float32) / 255.0
    return to_uint8(pressed)


def _prepare_simulation() -> list[Stage]:
    from tacdiff_ros.sensor.sensor_file import default_sensor
    from tacdiff_ros.twin.live_twin import LiveTwin
    from tacdiff_ros.twin.physical_renderer import PhysicalRenderer

    model = default_sensor()
    return twin_stages(LiveTwin(model, "sphere:diameter=5", PhysicalRenderer(model)))


def _prepare_inversion() -> list[Stage]:
    from tacdiff_ros.inversion.inverter import Inverter
    from tacdiff_ros.sensor.sensor_file import default_sensor

    model = default_sensor()
    return inversion_stages(model, None, lambda image: Inverter(model).invert(image))


JOBS: dict[str, Callable[[], list[Stage]]] = {
    "simulation": _prepare_simulation,
    "inversion": _prepare_inversion,
}


def cold_jobs() -> list[str]:
    """Return the jobs whose kernels are not compiled for this user and these sources."""
    return [job for job in JOBS if not is_warm(job)]


def prepare(job: str) -> Preparation:
    """Start the compilation of the kernels of a job of the default sensor file."""
    return Preparation(job, JOBS[job]())


def main() -> int:
    """Compile the kernels of `QUICK_JOB`, for `make setup`; other jobs compile on first use."""
    if is_warm(QUICK_JOB):
        return 0
    try:
        prepare(QUICK_JOB).wait(lambda line: print(line, flush=True))
    except InputError as error:
        print(f"kernels will be compiled on first use: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
