"""Gradients of the image by every continuous parameter, against central differences."""

import numpy as np
import pytest

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import FlatField

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

VERTICES = "surface.position"
FLAT = FlatField(values=(((1.0, 1.0, 1.0),) * 2,) * 2)
NAMES = [
    *parameter_values(default_sensor().model_copy(update={"flat_field": FLAT})),
    VERTICES,
]
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def lab(rich_sensor):
    """One reverse pass for all parameters: gradients of a smoothly weighted sum of the image."""
    import drjit as dr
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    settings = RenderSettings(160, 120, samples=3, shadows=False)
    renderer = Renderer(rich_sensor)
    touch = Imprint("sphere", 8.0, at_mm=(1.5, 1.0), depth_mm=0.5, shear_mm=(0.4, -0.2))
    renderer.set_surface(imprint_surface(rich_sensor.gel, touch))
    y, x = np.mgrid[0:120, 0:160]
    weights = np.stack([1 + np.sin(0.35 * x + 0.3 * c) * np.cos(0.4 * y + c) for c in range(3)], -1)
    attached = {name: mi.Float(renderer.parameters[name]) for name in renderer.parameters}
    attached[VERTICES] = mi.Float(renderer.mesh.vertices)
    dr.enable_grad(*attached.values())
    for name, array in attached.items():
        put(renderer, name, array)
    image = renderer.render(settings)
    flat = weights.reshape(-1, 3).T.astype(np.float32)
    dr.backward(dr.sum(dr.dot(image, mi.Color3f(*(mi.Float(row.copy()) for row in flat)))))
    gradients = {name: np.array(dr.grad(a), np.float64) for name, a in attached.items()}
    base = {name: np.array(dr.detach(a), np.float64) for name, a in attached.items()}
    for name in attached:
        put(renderer, name, mi.Float(base[name].astype(np.float32)))

    def loss(name, values):
        put(renderer, name, mi.Float(values.astype(np.float32)))
        result = float(np.sum(weights * renderer.image(settings).astype(np.float64)))
        put(renderer, name, mi.Float(base[name].astype(np.float32)))
        return result

    return gradients, base, loss


def put(renderer, name, array):
    if name == VERTICES:
        renderer.mesh.set_vertices(array)
    else:
        renderer.parameters[name] = array


@pytest.mark.skipif(llvm.find_library() is None, reason="no LLVM >= 19 is installed")
def test_every_parameter_of_the_renderer_is_checked(rich_sensor):
    """A parameter that is added must turn up in the list below."""
    from tacdiff_ros.optics.renderer import Renderer

    assert set(NAMES) == {*Renderer(rich_sensor).parameters, VERTICES}


@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_the_central_difference_along_a_random_direction(lab, name):
    from gradient_check import step_of

    gradients, base, loss = lab
    random = np.random.default_rng(5)
    # Steps along the gradient's signs, so that no cancellation makes the sum small.
    direction = np.sign(gradients[name]) * random.uniform(0.5, 1.0, len(base[name]))
    if name == VERTICES:
        points = base[name].reshape(-1, 3)
        wave = np.sin(0.8 * points[:, 0] + 0.4) * np.cos(0.6 * points[:, 1])
        direction = np.zeros_like(points)
        direction[:, 2] = wave
        direction = direction.ravel()
    step = 0.3 * step_of(name)  # rims of dots are sharp: small steps, and a sum in float64
    values = base[name]
    difference = (loss(name, values + step * direction) - loss(name, values - step * direction)) / (
        2.0 * step
    )
    expected = float(gradients[name] @ direction)
    assert expected != 0.0
    assert difference / expected == pytest.approx(1.0, abs=TOLERANCE)
