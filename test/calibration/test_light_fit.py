"""Lights fitted to presses on a gel whose skirt differs from the modelled one."""

from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.calibration.contact_interior import PixelSampler
from tacdiff_ros.calibration.light_fit import LightFitSettings, PressView, fit_lights
from tacdiff_ros.calibration.light_images import LightImages
from tacdiff_ros.calibration.light_prediction import Prediction
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.next_press import considered_presses
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import default_sensor

pytestmark = pytest.mark.slow  # a fit of lights
SHAPE = (60, 80)
PRESSES = (Press(-5.0, -3.0, 1.0), Press(-4.0, 3.0, 1.0))
UNSEEN = Press(0.0, 0.0, 1.0)
STEEPER = 1.5  # factor of the real skirt's slope
SCALE = 0.02


@pytest.fixture(scope="module")
def model():
    return default_sensor().model_copy(update={"markers": None})


@pytest.fixture(scope="module")
def lights(model):
    return LightVector.around(model)


@pytest.fixture(scope="module")
def true_vector(lights):
    """Lights a third of their usual spread away from the initial ones."""
    return 0.3 * np.random.default_rng(5).standard_normal(lights.size)


@pytest.fixture(scope="module")
def surfaces(model):
    return PressSurfaces(model, build_indenter("sphere:diameter=5"))


class Sensor:
    """Renders what the sensor with the true lights shows."""

    def __init__(self, model, lights, vector, surfaces):
        self.model, self.lights, self.surfaces = model, lights, surfaces
        self.renderer = LightImages(model, *SHAPE[::-1])
        gel = surfaces.solve(UNSEEN)
        self.flat = self.images(gel.flat, vector)
        inverse = 1.0 / lights.gamma(vector)
        rest = self.flat.combined(lights.radiance(vector), lights.ambient(vector))
        self.reference = FitImage(rest**inverse, np.ones(SHAPE, bool))

    def images(self, surface, vector):
        self.renderer.set_lights(self.lights.placement(vector))
        return self.renderer.images({0: surface})[0]

    def shadowed(self, surface, vector):
        plain = self.images(surface, vector)
        return replace(plain, light=self.renderer.light_images({0: surface}, shadows=True)[0])

    def press(self, surface, vector):
        sets = (self.images(self.flat_surface(surface), vector), self.shadowed(surface, vector))
        return Prediction.of(self.lights, vector, self.reference.smooth, sets).value[1]

    @staticmethod
    def flat_surface(surface):
        return surface.moved(surface.rest)


@pytest.fixture(scope="module")
def sensor(model, lights, true_vector, surfaces):
    return Sensor(model, lights, true_vector, surfaces)


def with_steeper_skirt(surface, press):
    """The surface with all slopes outside the contact steeper; the contact is as it was."""
    position = surface.position.astype(np.float64)
    away = np.linalg.norm(position[:, :2] - [press.x_mm, press.y_mm], axis=1)
    radius = np.linspace(0.0, 20.0, 400)
    order = np.argsort(away)
    profile = np.interp(radius, away[order], position[order, 2])
    border = 1.6
    outside = np.maximum(away - border, 0.0)
    steeper = np.interp(border + STEEPER * outside, radius, profile)
    position[:, 2] += np.where(away > border, steeper - np.interp(away, radius, profile), 0.0)
    return surface.moved(position, may_overhang=True)


def fitted(sensor, lights, surfaces, true_vector, interior):
    views = []
    for press in PRESSES:
        gel = surfaces.solve(press)
        image = sensor.press(with_steeper_skirt(gel.surface, press), true_vector)
        views.append(PressView(FitImage(image, np.ones(SHAPE, bool)), press, surfaces))
    settings = LightFitSettings(interior=interior, local_interreflection=False)
    return fit_lights(sensor.model, lights, sensor.reference, views, settings, steps=6)


def slope_error(sensor, surfaces, true_vector, vector):
    """Relative error of the slopes that an inversion with the fitted lights would read."""
    gel = surfaces.solve(UNSEEN)
    inside = PixelSampler(sensor.model, SHAPE).sample(gel.surface, surfaces.interior(gel))
    motion = gel.surface.position.astype(np.float64) - gel.surface.rest
    scaled = gel.surface.moved(gel.surface.rest + (1.0 + SCALE) * motion, may_overhang=True)
    predicted = sensor.press(gel.surface, vector)
    by_scale = (sensor.press(scaled, vector) - predicted) / SCALE
    away = sensor.press(gel.surface, true_vector) - predicted
    weight = inside[..., None]
    return float(np.sum(weight * by_scale * away) / np.sum(weight * by_scale**2))


@pytest.fixture(scope="module")
def fit(sensor, lights, surfaces, true_vector):
    return fitted(sensor, lights, surfaces, true_vector, interior=True)


def test_lights_are_not_bent_by_a_skirt_that_is_steeper_than_modelled(
    fit, sensor, lights, surfaces, true_vector
):
    everywhere = fitted(sensor, lights, surfaces, true_vector, interior=False)
    bent = abs(slope_error(sensor, surfaces, true_vector, everywhere.vector))
    straight = abs(slope_error(sensor, surfaces, true_vector, fit.vector))
    assert straight < 0.005
    assert straight < 0.5 * bent


def test_the_next_press_belongs_far_from_the_others(fit, sensor, model, lights, surfaces):
    positions = considered_presses(model, lights, fit, sensor.reference, surfaces)
    assert len(positions) == 9
    spread = [position.slope_stddev for position in positions]
    assert spread == sorted(spread, reverse=True)
    assert "right" in positions[0].name
    assert "left" in positions[-1].name or positions[-1].name == "centre"
    assert 0.0 < spread[-1] < 0.8 * spread[0] < 1.0
