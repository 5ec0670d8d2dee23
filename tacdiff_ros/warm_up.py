"""What has to be compiled for which job: the one place that knows.

Each function gives the stages of a job on the objects that will do it, so that the very kernels are
compiled that it will use. `JOBS` are the same for the default sensor file, for `make setup` and
`tacdiff doctor`.
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

QUICK_JOB = "simulation"
TOUCH, REST = IndenterPose(depth_mm=0.2), IndenterPose(depth_mm=-1.0)
Image = NDArray[np.uint8]


def virtual_sensor_stages(sensor: VirtualSensor) -> list[Stage]:
    """Of the virtual sensor: live gel and images; it is untouched afterwards."""
    return [
        Stage("live gel", partial(sensor.move, TOUCH), 10.0),
        Stage("images", partial(sensor.see, TOUCH), 5.0),
        Stage("untouched gel", partial(sensor.see, REST), 1.0),
    ]


def twin_stages(twin: LiveTwin) -> list[Stage]:
    """Of a twin that follows an indenter: live gel, images, maps; it is untouched afterwards."""

    def draw() -> None:
        twin.draw(twin.move(TOUCH))
        twin.reset()

    return [Stage("live gel", partial(twin.move, TOUCH), 10.0), Stage("images", draw, 5.0)]


def touch_stages(touch: Callable[[], Any]) -> list[Stage]:
    """Of requests for simulated touches; `touch` carries one out."""
    return [Stage("live gel and images", touch, 12.0)]


def inversion_stages(
    model: SensorModel, reference: Image | None, invert: Callable[[Image], Any]
) -> list[Stage]:
    """Of inverting images; `invert` does it, of an image that the model sees of a press."""
    made: list[Image] = []

    def draw() -> None:
        made.append(_press_image(model, reference))

    def rehearse() -> None:
        try:
            invert(made[0])
        except InputError as error:  # an unusual sensor: its own images may do better
            log.warning("the rehearsal of an inversion was refused: %s", error)

    return [Stage("images", draw, 5.0), Stage("inversion", rehearse, 12.0)]


def kernel_structure(model: SensorModel) -> tuple[Any, ...]:
    """What decides which kernels a sensor needs; two sensors of one structure share them."""
    field = model.flat_field
    return (
        len(model.layers),
        tuple(light.kind for light in model.lights),
        model.markers is None,
        None if field is None else (len(field.values), len(field.values[0])),
        (model.image.width_px, model.image.height_px),
    )


def _press_image(model: SensorModel, reference: Image | None) -> Image:
    """A ball's imprint, drawn by the model; over the reference where there is one."""
    from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings
    from tacdiff_ros.optics.simulate import to_uint8

    renderer = Renderer(model)
    settings = RenderSettings(samples=1)
    untouched = renderer.image(settings)
    renderer.show(imprint_surface(model.gel, Imprint("sphere", 5.0, depth_mm=0.6)))
    drawn = renderer.image(settings)
    if reference is not None:
        drawn = drawn - untouched + reference.astype(np.float32) / 255.0
    return to_uint8(drawn)


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
    """Names of the jobs whose kernels this user has not compiled for these sources yet."""
    return [job for job in JOBS if not is_warm(job)]


def prepare(job: str) -> Preparation:
    """Begin to compile what a job of the default sensor file needs."""
    return Preparation(job, JOBS[job]())


def main() -> int:
    """Compile what is quick to compile, for `make setup`: the rest is compiled when it is used."""
    if is_warm(QUICK_JOB):
        return 0
    try:
        prepare(QUICK_JOB).wait(lambda line: print(line, flush=True))
    except InputError as error:
        print(f"kernels are compiled later: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
