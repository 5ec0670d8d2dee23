"""Virtual units: reproducible, plausible, cached, and readable again."""

import dataclasses

import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.optics import llvm
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual import sensor_store
from tacdiff_ros.virtual.random_sensors import VirtualSensorSettings, random_sensor
from tacdiff_ros.virtual.sensor_store import cached_sensor, load_sensor

needs_mitsuba = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)
TINY = VirtualSensorSettings(
    presses=1, width_px=32, samples=16, bounces=1, mesh_mm=0.2, vertices=(33, 41)
)


def test_a_seed_gives_the_same_unit_and_another_seed_another():
    assert random_sensor(3) == random_sensor(3)
    assert random_sensor(3).checksum != random_sensor(4).checksum


@pytest.mark.parametrize("seed", range(20))
def test_units_differ_from_the_default_as_real_ones_do(seed):
    """All dots in view, shifted by pixels; lights inside the gel; colours within a third."""
    default, unit = default_sensor(), random_sensor(seed)
    x, y = np.meshgrid((np.arange(9) - 4) * 2.05, (np.arange(7) - 3) * 2.0)
    dots = np.stack([x, y, np.zeros_like(x)], axis=-1)
    pixels = project(parameter_values(unit), dots)
    assert pixels.min() > 2.0
    assert (pixels < [317.0, 237.0]).all()
    shift = np.linalg.norm(pixels - project(parameter_values(default), dots), axis=-1)
    assert 0.5 < shift.mean() < 30.0
    for light, nominal in zip(unit.lights, default.lights, strict=True):
        assert -(unit.layers[-1].thickness_mm or 0) < light.centre_mm[2] - light.half_width_mm
        assert np.allclose(light.radiance, nominal.radiance, rtol=0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("units")


@pytest.fixture(scope="module")
def unit(folder):
    return cached_sensor(7, TINY, folder)


@needs_mitsuba
class TestRendered:
    def test_exposure_is_lowered_where_the_gel_would_be_white_and_only_there(self):
        from tacdiff_ros.optics.renderer import Renderer, RenderSettings
        from tacdiff_ros.virtual.exposure import usable_exposure

        preview = RenderSettings(width_px=80, height_px=60)
        assert usable_exposure(random_sensor(0)) == random_sensor(0)
        too_bright = random_sensor(2)
        assert (Renderer(too_bright).image(preview) > 1.0).mean() > 0.03
        exposed = usable_exposure(too_bright)
        assert (Renderer(exposed).image(preview) > 1.0).mean() < 0.01
        response = exposed.response.model_copy(update={"gain": too_bright.response.gain})
        assert exposed.model_copy(update={"response": response}) == too_bright

    def test_images_surfaces_and_truth_belong_together(self, unit):
        assert unit.reference.shape == unit.presses[0].shape == (24, 32, 3)
        assert unit.reference.dtype == np.uint8
        assert 20 < unit.reference.mean() < 235
        deepest = -unit.surfaces[0].position[:, 2].min()
        assert deepest == pytest.approx(unit.touches[0].depth_mm, abs=0.1)
        assert np.abs(unit.presses[0].astype(int) - unit.reference).max() > 15

    def test_a_kept_unit_is_read_and_not_made_again(self, unit, folder):
        place = next(folder.iterdir())
        before = (place / "press_0.json").stat().st_mtime_ns
        again = cached_sensor(7, TINY, folder)
        assert (place / "press_0.json").stat().st_mtime_ns == before
        assert again.model == unit.model
        assert again.touches == unit.touches
        assert np.array_equal(again.reference, unit.reference)
        assert np.array_equal(again.surfaces[0].position, unit.surfaces[0].position)
        assert len(list(folder.iterdir())) == 1

    def test_a_damaged_unit_is_one_line_of_advice(self, unit, folder):
        place = next(folder.iterdir())
        (place / "press_0.json").write_text('{"depth": 1}')
        with pytest.raises(InputError, match="delete it") as caught:
            cached_sensor(7, TINY, folder)
        assert "\n" not in str(caught.value)


def test_the_command_keeps_sensors_and_prints_where(tmp_path, capsys, monkeypatch):
    """Rendering is tested above; here a tiny effort stands in for the command's own."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    from tacdiff_ros.cli import virtual_sensors as command

    monkeypatch.setattr(
        command,
        "VirtualSensorSettings",
        lambda presses, samples: dataclasses.replace(TINY, presses=presses),
    )
    arguments = ["virtual-sensors", "--count", "2", "--seed", "7", "--presses", "0"]
    assert run([*arguments, "--out", str(tmp_path), "--json"]) == 0
    assert '"units": 2, "first_seed": 7' in capsys.readouterr().out
    made = sorted(path.name.split("_")[1] for path in tmp_path.iterdir())
    assert made == ["7", "8"]
    assert load_sensor(next(tmp_path.glob("unit_7_*")), 0).model == random_sensor(7)
    assert run(["virtual-sensors", "--count", "0"]) == 2


def test_the_commands_old_name_still_works_and_says_the_new_one(tmp_path, capsys, monkeypatch):
    from tacdiff_ros.cli import virtual_sensors as command

    monkeypatch.setattr(command, "cached_sensor", lambda *_: None)
    assert run(["units", "--count", "1", "--out", str(tmp_path)]) == 0
    assert "is now `tacdiff virtual-sensors`" in capsys.readouterr().err


def test_settings_of_a_unit_are_part_of_its_name():
    other = dataclasses.replace(TINY, noise_grey=3.0)
    assert sensor_store._key(7, TINY) != sensor_store._key(7, other)
