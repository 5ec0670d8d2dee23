"""Sensors and surfaces of the optics benchmark."""

from __future__ import annotations

import math

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import FlatField, SensorModel
from tacdiff_ros.virtual.random_sensors import random_sensor

SPACING_MM = 0.1
RECTANGLE_DIMMING = 0.5  # radiance factor: rectangles emit in all directions
TOUCHES = {
    "flat": Imprint(),
    "ball": Imprint("sphere", 5.0, at_mm=(2.0, 1.0), depth_mm=0.8),
    "ball sheared": Imprint("sphere", 8.0, at_mm=(-3.0, -1.5), depth_mm=1.2, shear_mm=(1.0, -0.6)),
    "cross": Imprint("cross", 8.0, at_mm=(-1.0, 1.0), yaw_rad=0.5, depth_mm=0.8),
    "cross twisted": Imprint(
        "cross", 6.0, 1.5, (3.0, -1.0), depth_mm=1.0, twist_rad=math.radians(12.0)
    ),
}


def case_sensor(seed: int, bounces: int) -> SensorModel:
    """Return a random sensor; odd seeds have rectangular lights instead of strips."""
    base = default_sensor()
    if seed % 2:
        lights = [
            light.model_copy(
                update={
                    "kind": "rectangle",
                    "exponent": 1.0,
                    "radiance": tuple(RECTANGLE_DIMMING * v for v in light.radiance),
                }
            )
            for light in base.lights
        ]
        base = base.model_copy(update={"lights": tuple(lights)})
    model = random_sensor(seed, base)
    reflection = model.interreflection.model_copy(update={"bounces": bounces})
    return model.model_copy(update={"interreflection": reflection})


def surface(model: SensorModel, name: str) -> GelSurface:
    """Return the surface of one of the touches on a sensor's pad."""
    return imprint_surface(model.gel, TOUCHES[name], SPACING_MM)


def mixed_sensor() -> SensorModel:
    """Return a sensor with every kind of parameter: both kinds of lights and a flat field."""
    model = case_sensor(0, bounces=2)
    rectangle = case_sensor(1, bounces=2).lights[1]
    values = tuple(
        tuple((1.0 + 0.04 * i, 1.0 - 0.03 * j, 1.0 + 0.02 * i * j) for j in range(4))
        for i in range(3)
    )
    return model.model_copy(
        update={
            "lights": (model.lights[0], rectangle, model.lights[2]),
            "flat_field": FlatField(values=values),
        }
    )
