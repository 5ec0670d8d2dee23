"""Gain, vignetting, flat field and gamma against formulas in NumPy and SciPy."""

import numpy as np
import pytest

from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import FlatField

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

WIDTH, HEIGHT = 80, 60


def respond(model, radiance):
    import mitsuba as mi

    from tacdiff_ros.optics.camera_response import pixel_values
    from tacdiff_ros.optics.parameters import Parameters

    count = WIDTH * HEIGHT
    y, x = np.divmod(np.arange(count), WIDTH)
    place = mi.Point2f(
        ((x + 0.5) / WIDTH).astype(np.float32), ((y + 0.5) / HEIGHT).astype(np.float32)
    )
    values = parameter_values(model)
    field = values.get("flat_field.values")
    shape = None if field is None else field.shape[:2]
    result = pixel_values(
        Parameters(values).view(count), shape, mi.Color3f(*radiance), place, WIDTH / HEIGHT
    )
    return np.array(result).T.reshape(HEIGHT, WIDTH, 3)


def with_response(model, **changes):
    response = model.response.model_copy(update=changes)
    return model.model_copy(update={"response": response, "flat_field": None})


def test_gain_and_gamma_act_per_channel(plain_sensor):
    model = with_response(plain_sensor, gain=(0.5, 1.0, 2.0), gamma=(1.0, 2.0, 0.5))
    image = respond(model, (0.6, 0.36, 0.2))
    assert image[10, 10] == pytest.approx([0.3, 0.6, 0.16], rel=1e-4)


def test_vignetting_is_one_in_the_middle_and_full_in_the_corner(plain_sensor):
    image = respond(with_response(plain_sensor, vignetting=(-0.3, 0.1)), (1.0, 1.0, 1.0))
    assert image[30, 40] == pytest.approx(1.0, abs=1e-3)
    assert image[0, 0] == pytest.approx(0.8, abs=0.01)
    assert image[0, 0] == pytest.approx(image[-1, -1], rel=1e-5)


def test_flat_field_passes_through_its_nodes_and_is_smooth_between(plain_sensor):
    """Interpolating cubics through samples of a quadratic are that quadratic, off the border."""
    x, y = np.linspace(0, 1, 9), np.linspace(0, 1, 7)
    grid = 1.0 + 0.3 * x[None] ** 2 - 0.2 * y[:, None] * x[None]
    field = FlatField(values=tuple(tuple((v, 1.0, 2.0) for v in row) for row in grid.tolist()))
    model = with_response(plain_sensor).model_copy(update={"flat_field": field})
    image = respond(model, (1.0, 1.0, 1.0))
    px, py = (np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT
    expected = 1.0 + 0.3 * px[None] ** 2 - 0.2 * py[:, None] * px[None]
    inner = (slice(10, 50), slice(12, 68))
    assert image[..., 0][inner] == pytest.approx(expected[inner], abs=2e-5)
    assert np.abs(image[..., 0] - expected).max() < 0.01
    assert image[..., 1] == pytest.approx(1.0, abs=1e-5)
    assert image[..., 2] == pytest.approx(2.0, abs=1e-5)
