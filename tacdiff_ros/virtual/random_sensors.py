"""Random virtual sensors and their images: ground truth to evaluate calibration and inversion.

Every sensor is a default sensor with its own camera pose, lens, layers, lights, colours, response
and marker defects, within the variation of real Minis. Its surfaces come from the full finite
element solver, and its images from the path tracer on a fine mesh, with sensor noise. The live gel
and the renderer, which are fitted to such data, are not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.trajectory import plan_touch
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import Light, MarkerDefect, SensorModel

SURFACE_SPACING_MM = 0.08
BALL = "sphere:diameter=5"
OTHERS = ("cylinder", "cube", "cone", "torus", "edge", "hexagon", "pyramid", "text")
PRINT_STDDEV_MM = 0.005  # standard deviation of the marker positions
BROKEN_FRACTION = 0.03  # fraction of markers with a larger defect


@dataclass(frozen=True)
class VirtualSensorSettings:
    """Settings of the images of a random sensor.

    Attributes:
        presses: number of presses, at random positions.
        indenters: indenter specs, used in turn.
        width_px: width of the images, px.
        samples: number of path tracer samples per pixel and light.
        bounces: number of reflections at the layers.
        noise_grey: standard deviation of the sensor noise, grey levels.
        mesh_mm: spacing of the path tracer's mesh, mm.
        vertices: number of rows and columns of the surface vertices in the solver.
    """

    presses: int = 2
    indenters: tuple[str, ...] = (BALL, BALL, BALL, "cross", *OTHERS)
    width_px: int = 320
    samples: int = 108
    bounces: int = 2
    noise_grey: float = 1.0
    mesh_mm: float = 0.025
    vertices: tuple[int, int] = (49, 61)


@dataclass(frozen=True)
class RandomPress:
    """Parameters of a random press.

    Attributes:
        indenter: indenter spec.
        at_mm: position of the first contact in the frame `gel`, x and y, mm.
        yaw_rad: yaw of the indenter, rad.
        depth_mm: indentation depth, mm.
        shear_mm: in-plane motion after the press, x and y, mm.
        friction: Coulomb friction coefficient of the gel.
    """

    indenter: str
    at_mm: tuple[float, float]
    yaw_rad: float
    depth_mm: float
    shear_mm: tuple[float, float]
    friction: float


@dataclass(frozen=True)
class RandomSensor:
    """A random sensor with its images and their ground truth.

    Attributes:
        model: true sensor model.
        reference: (H, W, 3) uint8 reference image.
        presses: (H, W, 3) uint8 images of the presses.
        surfaces: true surfaces under the presses.
        touches: parameters of the presses.
    """

    model: SensorModel
    reference: NDArray[np.uint8]
    presses: tuple[NDArray[np.uint8], ...]
    surfaces: tuple[GelSurface, ...]
    touches: tuple[RandomPress, ...]


def random_sensor(seed: int, base: SensorModel | None = None) -> SensorModel:
    """Return a random sensor within the variation of real sensors.

    Args:
        seed: seed; the same seed always gives the same sensor.
        base: nominal sensor; None for the default sensor.

    Returns:
        Sensor model with the ID `virtual_<seed>`.
    """
    random = np.random.default_rng([seed, 0x7AC])
    base = base or default_sensor()
    content = base.model_dump()
    content["sensor_id"] = f"virtual_{seed}"
    camera = content["camera"]
    camera["position_mm"] = _shifted(random, camera["position_mm"], [0.3, 0.3, 0.4])
    camera["rotation_deg"] = _shifted(random, camera["rotation_deg"], [1.2, 1.2, 0.8])
    camera["focal_px"] *= 1 + random.uniform(-0.02, 0.02)
    camera["centre_px"] = _shifted(random, camera["centre_px"], [3.0, 3.0])
    camera["distortion"] = _shifted(random, camera["distortion"], [0.02, 0.01])
    for layer in content["layers"][1:]:
        layer["index"] += random.uniform(-0.01, 0.01)
        layer["thickness_mm"] += random.uniform(-0.1, 0.1)
    gel = content["gel"]
    gel["base_color"] = _scaled(random, gel["base_color"], 0.08)
    gel["ambient"] = _scaled(random, gel["ambient"], 0.4)
    content["lights"] = [_light(random, light) for light in base.lights]
    content["response"]["gain"] = _scaled(random, content["response"]["gain"], 0.04)
    content["response"]["gamma"] = _scaled(random, content["response"]["gamma"], 0.03)
    content["response"]["vignetting"] = [random.uniform(-0.25, 0.0), random.uniform(-0.05, 0.05)]
    if base.markers is not None:
        content["markers"] |= _markers(random, base)
    return SensorModel.model_validate(content)


def random_press(seed: int, k: int, settings: VirtualSensorSettings) -> RandomPress:
    """Return the parameters of one press, which lies completely inside the camera's view.

    Args:
        seed: seed of the sensor.
        k: number of the press.
        settings: settings of the images.

    Returns:
        Parameters of the press.
    """
    random = np.random.default_rng([seed, 0x1A6, k])
    return RandomPress(
        indenter=settings.indenters[k % len(settings.indenters)],
        at_mm=(float(random.uniform(-4.5, 4.5)), float(random.uniform(-3.0, 3.0))),
        yaw_rad=float(random.uniform(-math.pi / 4, math.pi / 4)),
        depth_mm=float(random.uniform(0.6, 1.1)),
        shear_mm=(float(random.uniform(-0.3, 0.3)), float(random.uniform(-0.3, 0.3))),
        friction=float(random.uniform(0.4, 0.6)),
    )


@dataclass(frozen=True)
class SurfaceLoads:
    """True loads on the gel under a press, on the N surface vertices of the solver.

    Attributes:
        rest_mm: (N, 3) rest positions, mm, row by row.
        position_mm: (N, 3) current positions, mm.
        force_n: (N, 3) forces of the indenter on the gel, N.
        area_mm2: (N,) rest area of the surface around each vertex, mm^2.
        rows: number of vertices along y.
        columns: number of vertices along x.
    """

    rest_mm: NDArray[np.float64]
    position_mm: NDArray[np.float64]
    force_n: NDArray[np.float64]
    area_mm2: NDArray[np.float64]
    rows: int
    columns: int

    @classmethod
    def of(cls, result: GelResult) -> SurfaceLoads:
        """Return the loads of a simulated press.

        Args:
            result: last state of the simulation.
        """
        return cls(
            rest_mm=result.rest,
            position_mm=result.rest + result.displacement,
            force_n=result.vertex_force_n,
            area_mm2=result.vertex_area_mm2,
            rows=result.rows,
            columns=result.columns,
        )


def pressed_gel(
    model: SensorModel, press: RandomPress, settings: VirtualSensorSettings
) -> GelResult:
    """Simulate a press with the full solver.

    Args:
        model: sensor model.
        press: parameters of the press.
        settings: settings of the images.

    Returns:
        State of the gel at the end of the press.
    """
    from tacdiff_ros.mechanics.indenters.build import build_indenter
    from tacdiff_ros.mechanics.touch import SolverSettings, Touch

    rows, columns = settings.vertices
    solver = SolverSettings(rows=rows, columns=columns)
    material = GelMaterial(friction=press.friction)
    start = IndenterPose(*press.at_mm, yaw_rad=press.yaw_rad)
    with Touch(model, build_indenter(press.indenter), material, solver) as simulation:
        *_, state = simulation.run(plan_touch(start, press.depth_mm, press.shear_mm))
    return state


def visible_surface(model: SensorModel, press: RandomPress, result: GelResult) -> GelSurface:
    """Return the refined surface of a simulated press, on the grid of `undeformed_surface`.

    Args:
        model: sensor model.
        press: parameters of the press.
        result: state of the gel.
    """
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    indenter = build_indenter(press.indenter)
    return refine_contact(result.surface, indenter, result.pose, *_grid(model))


def undeformed_surface(model: SensorModel) -> GelSurface:
    """Return the undeformed surface of a sensor, on the grid of `visible_surface`."""
    return GelSurface.flat(model.gel.width_mm, model.gel.height_mm, *_grid(model))


def camera_image(
    model: SensorModel,
    surface: GelSurface,
    settings: VirtualSensorSettings,
    path_seed: int,
    noise_seed: int,
) -> NDArray[np.uint8]:
    """Render an image with the path tracer and add sensor noise; about a minute on two cores.

    What is left of the noise of the reflected light varies slowly over the image, unlike that of a
    camera. Images with the same `path_seed` have it in common where their surfaces are equal, like
    the fixed pattern of a real sensor.

    Args:
        model: sensor model.
        surface: surface of the gel.
        settings: settings of the images.
        path_seed: seed of the path tracer, the same for all images of a sensor.
        noise_seed: seed of the sensor noise, another for each image.

    Returns:
        (H, W, 3) uint8 RGB image.
    """
    from tacdiff_ros.optics.path_reference import path_reference
    from tacdiff_ros.optics.path_settings import PathSettings

    path_settings = PathSettings(
        settings.width_px,
        settings.samples,
        settings.bounces,
        seed=path_seed,
        smooth_reflected=True,
        spacing_mm=settings.mesh_mm,
    )
    values = path_reference(model, surface, path_settings).image
    random = np.random.default_rng([noise_seed, 0x201])
    noisy = 255.0 * values + random.normal(0.0, settings.noise_grey, values.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _shifted(random: np.random.Generator, values: Any, spread: list[float]) -> list[float]:
    """Return values plus uniform random shifts of up to +-spread."""
    return [float(v + random.uniform(-s, s)) for v, s in zip(values, spread, strict=True)]


def _scaled(random: np.random.Generator, values: Any, spread: float) -> list[float]:
    """Return values times uniform random factors of 1 +- spread."""
    return [float(v * (1 + random.uniform(-spread, spread))) for v in values]


def _light(random: np.random.Generator, light: Light) -> dict[str, Any]:
    content = light.model_dump()
    content["centre_mm"] = _shifted(random, light.centre_mm, [0.4, 0.4, 0.3])
    for angle, spread in (("azimuth_deg", 6.0), ("tilt_deg", 5.0), ("roll_deg", 1.0)):
        content[angle] += random.uniform(-spread, spread)
    content["half_length_mm"] *= 1 + random.uniform(-0.2, 0.2)
    content["radiance"] = _scaled(random, light.radiance, 0.15)
    if light.kind == "strip":
        content["exponent"] = max(1.0, light.exponent * (1 + random.uniform(-0.3, 0.2)))
    return content


def _markers(random: np.random.Generator, base: SensorModel) -> dict[str, Any]:
    markers = base.markers
    assert markers is not None  # noqa: S101
    defects = []
    for row, column in np.ndindex(markers.rows, markers.columns):
        broken = random.uniform() < BROKEN_FRACTION
        shape = random.normal(0.0, 0.06 if broken else 0.015, 4)
        defects.append(
            MarkerDefect(
                row=row,
                column=column,
                offset_mm=tuple(random.normal(0.0, PRINT_STDDEV_MM, 2).tolist()),
                scale=float(random.normal(0.8 if broken else 1.0, 0.02)),
                darkness=float(np.clip(random.normal(0.93, 0.01), 0.0, 1.0)),
                shape=tuple(np.clip(shape, -0.2, 0.2).tolist()),
            ).model_dump()
        )
    return {
        "centre_mm": _shifted(random, markers.centre_mm, [0.15, 0.15]),
        "diameter_mm": markers.diameter_mm * (1 + random.uniform(-0.05, 0.05)),
        "height_mm": random.uniform(0.015, 0.03),
        "dots": defects,
    }


def _grid(model: SensorModel) -> tuple[int, int]:
    sides = (model.gel.height_mm, model.gel.width_mm)
    rows, columns = (math.ceil(side / SURFACE_SPACING_MM) + 1 for side in sides)
    return rows, columns
