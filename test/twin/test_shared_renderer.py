"""The renderer of the twin computes local inter-reflection if it is asked to."""

import numpy as np
import pytest

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.twin.shared_renderer import SharedRenderer


@pytest.fixture(scope="module")
def pressed():
    return imprint_surface(default_sensor().gel, Imprint("cross", 8.0, depth_mm=0.8))


def image(pressed, is_local):
    renderer = SharedRenderer(default_sensor(), None, 1, False, is_local)
    return renderer.physical().render_surface(pressed, with_maps=False).image.astype(int)


def test_local_interreflection_changes_the_image_around_the_walls(pressed):
    simple, local = (image(pressed, is_local) for is_local in (False, True))
    difference = np.abs(local - simple)
    assert 4 < difference.max() < 30
    assert 0.1 < difference.mean() < 3.0
