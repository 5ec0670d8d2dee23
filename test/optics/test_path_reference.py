"""The path-traced reference: what it is built from, and its own physics."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.reference_mesh import reference_mesh
from tacdiff_ros.optics.reference_smoothing import smooth_reflected
from tacdiff_ros.sensor.gel_surface import GelSurface


def test_dots_are_painted_and_raised_where_the_sensor_says(rich_sensor):
    markers = rich_sensor.markers.model_copy(
        update={"centre_mm": (0.3, -0.4), "height_mm": 0.05, "darkness": 1.0}
    )
    model = rich_sensor.model_copy(update={"markers": markers})
    mesh = reference_mesh(model, GelSurface.flat(25.25, 20.75, 11, 13), 0.025)
    rows, columns = mesh.paint.shape
    x, y = np.linspace(-12.625, 12.625, columns), np.linspace(-10.375, 10.375, rows)
    middle = (np.abs(y + 0.4).argmin(), np.abs(x - 0.3).argmin())
    assert mesh.paint[middle] == 0.0
    assert mesh.position[middle][2] == pytest.approx(-0.05, abs=1e-6)
    beside = (middle[0], middle[1] + round(1.0 / 0.025))
    assert mesh.paint[beside] == 1.0
    assert mesh.position[beside][2] == pytest.approx(0.0, abs=1e-6)
    area = np.sum(1 - mesh.paint) * (x[1] - x[0]) * (y[1] - y[0])
    assert area == pytest.approx(63 * np.pi / 4, rel=0.01)


def test_smoothing_keeps_light_that_varies_slowly_and_takes_out_noise():
    """Paint and normals with sharp edges are left alone; the noise falls by more than ten."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:120, 0:160] / 160.0
    paint = np.where((x * 20 % 1 < 0.3) & (y * 20 % 1 < 0.3), 0.07, 1.0)
    slope = np.where(np.hypot(x - 0.5, y - 0.4) < 0.15, 0.5 * np.sin(30 * x), 0.0)
    guides = np.stack([paint, paint * slope, 0.0 * paint], axis=-1)
    truth = paint * (0.3 + 0.2 * x + 0.4 * slope)
    noisy = truth[..., None] + random.normal(0, 0.1, (120, 160, 3))
    smooth = smooth_reflected(noisy, guides, guides)
    error = smooth - truth[..., None]
    assert np.sqrt(np.mean(error**2)) < 0.01


@pytest.mark.usefixtures("mitsuba_runs")
class TestPathTracer:
    def test_depth_counts_interfaces_and_returns(self, plain_sensor):
        from tacdiff_ros.optics.reference_scene import path_depth

        assert [path_depth(plain_sensor, bounces) for bounces in (0, 1, 2)] == [4, 8, 12]
        glass_only = plain_sensor.model_copy(update={"layers": plain_sensor.layers[:2]})
        assert path_depth(glass_only, 0) == 3

    def test_a_light_above_the_gel_is_refused_by_name(self, plain_sensor):
        from tacdiff_ros.optics.path_reference import path_reference

        high = plain_sensor.lights[0].model_copy(update={"centre_mm": (0.0, -10.0, -6.5)})
        model = plain_sensor.model_copy(update={"lights": (high,)})
        with pytest.raises(InputError, match=r"light 'red' at z = -6\.5"):
            path_reference(model, GelSurface.flat(25.25, 20.75, 11, 13))

    def test_ambient_light_alone_shows_reflectance_and_interfaces(self, plain_sensor):
        """Even light of radiance 1: albedo times Fresnel's losses, over the square of the index."""
        from tacdiff_ros.optics.path_reference import path_reference
        from tacdiff_ros.optics.path_settings import PathSettings

        gel = plain_sensor.gel.model_copy(update={"ambient": (1.0, 1.0, 1.0)})
        model = plain_sensor.model_copy(update={"lights": (), "gel": gel})
        surface = GelSurface.flat(25.25, 20.75, 11, 13)
        image = path_reference(model, surface, PathSettings(32, 64, 0, spacing_mm=0.2)).image
        passed = (1 - (0.5 / 2.5) ** 2) * (1 - (0.09 / 2.91) ** 2)
        expected = gel.base_color[0] * passed / 1.41**2
        assert image[11:13, 15:17].mean() == pytest.approx(expected, rel=0.01)

    def test_passing_interfaces_have_the_mean_of_mitsubas_and_less_noise(
        self, plain_sensor, monkeypatch
    ):
        from tacdiff_ros.optics import path_reference as module
        from tacdiff_ros.optics.path_settings import PathSettings

        surface = GelSurface.flat(25.25, 20.75, 11, 13)
        effort = PathSettings(32, 576, 0, spacing_mm=0.2)
        passing = module.path_reference(plain_sensor, surface, effort)
        monkeypatch.setattr(module, "interface_plugin", lambda _settings: "dielectric")
        rolled = module.path_reference(plain_sensor, surface, effort)
        assert passing.image.mean() == pytest.approx(rolled.image.mean(), rel=0.005)
        assert np.median(passing.standard_error) < 0.8 * np.median(rolled.standard_error)
