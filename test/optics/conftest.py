"""Sensors that the optics tests share; all of them need Mitsuba."""

import pytest

from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import FlatField, Interreflection, Light, SensorModel


@pytest.fixture(scope="session")
def mitsuba_runs():
    """Skips where no LLVM is installed that Mitsuba can live with."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    from tacdiff_ros.optics.variant import start_mitsuba

    return start_mitsuba()


@pytest.fixture(scope="session")
def plain_sensor() -> SensorModel:
    """The default sensor without dots, ambient light and reflections."""
    model = default_sensor()
    return model.model_copy(
        update={
            "markers": None,
            "gel": model.gel.model_copy(update={"ambient": (0.0, 0.0, 0.0)}),
            "interreflection": Interreflection(bounces=0),
        }
    )


@pytest.fixture(scope="session")
def rich_sensor() -> SensorModel:
    """Every kind of parameter at once: both kinds of lights, turned camera, lens, flat field."""
    model = default_sensor()
    strip, _, other = model.lights
    rectangle = Light(
        name="green",
        kind="rectangle",
        centre_mm=(12.2, 0.3, -3.0),
        azimuth_deg=176.0,
        tilt_deg=6.0,
        roll_deg=2.0,
        half_length_mm=8.0,
        half_width_mm=0.4,
        radiance=(6.0, 80.0, 20.0),
    )
    values = tuple(
        tuple((1.0 + 0.04 * i, 1.0 - 0.03 * j, 1.0 + 0.02 * i * j) for j in range(4))
        for i in range(3)
    )
    return model.model_copy(
        update={
            "camera": model.camera.model_copy(
                update={"rotation_deg": (1.0, -1.5, 0.8), "distortion": (0.02, 0.01)}
            ),
            "lights": (
                strip.model_copy(update={"tilt_deg": 4.0, "roll_deg": 1.0}),
                rectangle,
                other,
            ),
            "response": model.response.model_copy(
                update={"gamma": (1.1, 1.0, 0.9), "vignetting": (-0.2, 0.05)}
            ),
            "flat_field": FlatField(values=values),
            "interreflection": Interreflection(bounces=1),
        }
    )
