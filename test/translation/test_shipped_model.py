"""The network that comes with the package draws what the renderer draws, and no other sensor."""

from __future__ import annotations

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_metrics import score_images
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.optics import llvm
from tacdiff_ros.resources import config_path, shipped_model
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.twin.network_renderer import NetworkRenderer

pytest.importorskip("openvino", reason="openvino is not installed; `make setup` brings it")
needs_mitsuba = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)
MAX_ENCODER_BYTES = 25_000_000
MAX_BYTES = 10_000_000


@pytest.fixture(scope="module")
def surface():
    """A hexagon that was pressed in and pushed aside."""
    gel = LiveGel(build_indenter("hexagon"))
    answer = gel.step(IndenterPose(1.0, -1.0, 0.7, 0.3))
    answer = gel.step(IndenterPose(1.6, -0.8, 0.7, 0.3))
    return refine_surface(answer.surface, 105, 127)


def drawn(model, surface):
    return NetworkRenderer(model, shipped_model(), threads=1).render_surface(surface).image


def rendered(model, surface):
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings
    from tacdiff_ros.optics.simulate import to_uint8

    renderer = Renderer(model)
    renderer.set_surface(surface)
    return to_uint8(renderer.image(RenderSettings(samples=4)))


def test_every_shipped_model_is_small():
    sizes = {
        path.parent.name: path.stat().st_size for path in config_path("models").rglob("*.onnx")
    }
    assert 0 < sizes["gelsight_mini"] <= MAX_BYTES
    assert 0 < sizes["touch_encoder"] <= MAX_ENCODER_BYTES


@needs_mitsuba
def test_the_default_sensors_network_draws_what_the_renderer_draws(surface):
    model = default_sensor()
    found = score_images(drawn(model, surface), rendered(model, surface))
    assert found.psnr_db > 34
    assert found.ssim > 0.96


@needs_mitsuba
def test_the_default_sensors_network_refuses_another_unit(surface):
    from tacdiff_ros.virtual.random_sensors import random_sensor

    with pytest.raises(InputError, match="sensor"):
        drawn(random_sensor(3), surface)
