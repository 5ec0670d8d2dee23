"""An image gives its surface back; what is no image of the sensor is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.inverter import Inverter
from test.inversion.conftest import CENTRE_MM, DEPTH_MM, DRAG_MM, dimple, seen


@pytest.fixture(scope="module")
def inverter(scene):
    return Inverter(scene.model, scene.reference)


@pytest.fixture(scope="module")
def found(inverter, scene):
    return inverter.invert(scene.image)


def away(found, truth):
    """(n, 3) mm, of the vertices that the camera sees."""
    shape = (truth.rows, truth.columns, 3)
    motion = (truth.position - truth.rest).astype(float).reshape(shape)
    axes = (truth.y_mm.astype(float), truth.x_mm.astype(float))
    at = RegularGridInterpolator(axes, motion, bounds_error=False, fill_value=None)
    rest = found.surface.rest.astype(float)
    return (found.surface.position - rest - at(rest[:, 1::-1]))[found.valid.ravel()]


def rmse(found, truth):
    error = away(found, truth)
    return np.sqrt(np.mean(error[:, 2] ** 2)), np.sqrt(np.mean(error[:, :2] ** 2))


def test_heights_and_shear_are_the_true_ones(found, scene):
    height, shear = rmse(found, scene.surface)
    assert height < 0.015
    assert shear < 0.02
    assert 0.5 < found.valid.mean() < 0.8
    assert found.image_rms < 4.0
    assert found.warnings == ()


def test_the_deviation_tells_the_size_of_the_error(found, scene):
    error = np.abs(away(found, scene.surface)[:, 2])
    ratio = np.median(error / found.height_stddev_mm[found.valid])
    assert 0.1 < ratio < 3.0


def test_the_contact_in_numbers(found):
    contact = found.contact
    assert contact.in_contact
    assert contact.depth_mm == pytest.approx(DEPTH_MM, abs=0.03)
    assert contact.centroid_mm == pytest.approx(CENTRE_MM, abs=0.2)
    assert contact.shear_mm == pytest.approx(DRAG_MM, abs=0.06)
    assert 1.0 < contact.area_mm2 < 20.0
    assert abs(contact.twist_rad) < 0.05


def test_a_single_image_gives_forces_on_its_material_points(found):
    forces = found.forces
    assert forces.in_contact
    assert forces.normal_force_n > 3.0 * forces.force_stddev_n[2]
    assert forces.pressure_mpa.shape == found.valid.shape


def test_without_a_reference_the_models_own_untouched_gel_serves(scene):
    height, shear = rmse(Inverter(scene.model).invert(scene.image), scene.surface)
    assert height < 0.02
    assert shear < 0.02


def test_smoothness_serves_as_a_prior(scene):
    settings = InversionSettings(prior="smooth")
    smooth = Inverter(scene.model, scene.reference, settings).invert(scene.image)
    assert rmse(smooth, scene.surface)[0] < 0.03


def test_the_untouched_gel_is_flat_and_sure(inverter, scene):
    found = inverter.invert(scene.reference)
    assert not found.contact.in_contact
    assert not found.forces.in_contact
    assert np.abs(found.surface.position[:, 2]).max() == 0.0
    assert np.abs(found.surface.position - found.surface.rest).max() < 0.02
    assert np.isfinite(found.height_stddev_mm).all()


def test_specks_and_dirt_are_left_out(inverter, scene):
    image, random = scene.image.copy(), np.random.default_rng(3)
    for _ in range(60):
        x, y = int(random.integers(0, 320)), int(random.integers(0, 240))
        cv2.circle(image, (x, y), 1, random.integers(0, 256, 3).tolist(), -1)
    height, _ = rmse(inverter.invert(image), scene.surface)
    assert height < 0.02


def test_the_first_guess_is_already_useful(inverter, scene):
    height = inverter.first_guess(scene.image)
    lowest = np.unravel_index(np.argmin(height), height.shape)
    grid = inverter.grid
    assert grid.x_mm[lowest[1]] == pytest.approx(CENTRE_MM[0], abs=0.5)
    assert grid.y_mm[lowest[0]] == pytest.approx(CENTRE_MM[1], abs=0.5)
    assert 0.3 * DEPTH_MM < -height.min() < 1.3 * DEPTH_MM


def test_a_stream_follows_and_comes_back_to_zero(scene):
    inverter = Inverter(scene.model, scene.reference, STREAMING)
    depths = (0.2, 0.4, 0.6, 0.7, 0.7)
    for k, depth in enumerate(depths):
        surface = dimple(scene.model, depth)
        found = inverter.follow(seen(scene.model, surface, 10 + k))
    assert rmse(found, surface)[0] < 0.04
    back = inverter.follow(scene.reference)
    assert np.abs(back.surface.position[:, 2]).max() == 0.0
    assert not back.contact.in_contact


def test_a_stream_keeps_up_with_a_fast_press(scene):
    inverter = Inverter(scene.model, scene.reference, STREAMING)
    inverter.follow(scene.reference)
    errors = []
    for k, depth in enumerate((0.5, 1.0, 1.3, 1.3, 0.8, 0.3)):
        surface = dimple(scene.model, depth)
        errors.append(rmse(inverter.follow(seen(scene.model, surface, 20 + k)), surface)[0])
    assert max(errors) < 0.025


def plate(model, depth_mm):
    """A flat bottom of 6 mm with steep walls: nothing but its walls tells its depth."""
    flat = dimple(model, 0.0, (0.0, 0.0))
    away = np.abs(flat.rest[:, :2] - np.array([0.5, 0.3], np.float32)).max(axis=1)
    position = flat.rest.copy()
    position[:, 2] -= depth_mm / (1.0 + np.exp(5.0 * (away - 3.0)))
    return flat.moved(position)


def test_a_fast_press_of_a_flat_bottom_says_how_uncertain_its_depth_is(scene):
    inverter = Inverter(scene.model, scene.reference, STREAMING)
    inverter.follow(scene.reference)
    pressed = plate(scene.model, 0.9)
    image = seen(scene.model, pressed, 30)
    found = [inverter.follow(image) for _ in range(40)]
    for inversion in (found[0], found[1], found[5], found[-1]):
        error = np.abs(away(inversion, pressed)[:, 2]) / inversion.height_stddev_mm[inversion.valid]
        assert np.quantile(error, 0.9) < 3.0
    depth = [inversion.contact.depth_mm for inversion in found]
    assert abs(depth[-1] - depth[-10]) < 0.03


def test_after_a_reset_the_next_frame_is_the_first(scene):
    fresh, used = (Inverter(scene.model, scene.reference, STREAMING) for _ in range(2))
    first = fresh.follow(scene.image)
    used.follow(seen(scene.model, dimple(scene.model, drag_mm=(-0.6, 0.5)), 5))
    used.reset()
    again = used.follow(scene.image)
    np.testing.assert_allclose(again.surface.position, first.surface.position, atol=1e-4)


def test_a_press_that_changes_much_of_the_image_is_still_of_this_sensor(scene):
    wide = dimple(scene.model, 0.4)
    position = wide.rest.copy()
    position[:, 2] -= 0.15 * np.sin(0.9 * wide.rest[:, 0]) * np.sin(0.9 * wide.rest[:, 1])
    waves = wide.moved(position)
    image = seen(scene.model, waves, 6)
    changed = np.abs(image.astype(float) / np.maximum(scene.reference, 1) - 1.0).max(axis=-1)
    assert np.median(changed) > 0.12
    found = Inverter(scene.model, scene.reference, STREAMING).invert(image)
    assert found.contact.depth_mm > 0.1


def test_a_gel_without_dots_has_heights_and_no_shear(scene):
    plain = scene.model.model_copy(update={"markers": None})
    surface = dimple(plain, drag_mm=(0.0, 0.0))
    found = Inverter(plain).invert(seen(plain, surface, 4))
    assert rmse(found, surface)[0] < 0.011  # 0.0085 without the damping that real light asks for
    assert found.markers is None
    assert np.array_equal(found.surface.position[:, :2], found.surface.rest[:, :2])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: image[:120], "320 x 120 pixels"),
        (lambda image: image[..., 0], "expected 8-bit RGB"),
        (lambda image: image.astype(np.float32) * np.nan, "expected 8-bit RGB"),
        (lambda image: np.zeros_like(image), "blank"),
        (lambda image: np.full_like(image, 255), "blank"),
        (lambda image: np.where(image > 90, 255, image).astype(np.uint8), "saturated"),
        (lambda image: image[::-1, ::-1].copy(), "does not belong"),
        (lambda image: image[..., ::-1].copy(), "does not belong"),
    ],
)
def test_what_is_no_image_of_this_sensor_is_refused(inverter, scene, spoil, reason):
    for call in (inverter.invert, inverter.follow):
        with pytest.raises(InputError, match=reason) as caught:
            call(spoil(scene.image))
        assert "\n" not in str(caught.value)


SIDEWAYS = np.linspace(0.92, 1.08, 320)[None, :, None]  # brighter to the right


@pytest.mark.parametrize("gain", [1.1, (0.9, 1.0, 1.0), SIDEWAYS], ids=["all", "red", "side"])
def test_brightness_that_drifts_changes_neither_depth_nor_contact(inverter, found, scene, gain):
    drifted = np.clip(scene.image * np.array(gain), 0, 255).astype(np.uint8)
    contact = inverter.invert(drifted).contact
    assert contact.depth_mm == pytest.approx(found.contact.depth_mm, rel=0.05)
    assert contact.area_mm2 == pytest.approx(found.contact.area_mm2, rel=0.10)


def test_another_exposure_is_named(inverter, scene):
    with pytest.raises(InputError, match=r"exposure or light changed .*red -35 %"):
        inverter.invert((scene.image * 0.65).astype(np.uint8))
    warnings = inverter.invert((scene.image * 0.85).astype(np.uint8)).warnings
    assert any("exposure" in line and "compensated" in line for line in warnings)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda image: image[..., ::-1].copy(), "from BGR to RGB"),
        (lambda image: image[::-1, ::-1].copy(), "rotated by 180 degrees"),
    ],
)
def test_an_altered_reference_is_refused_by_its_cause(scene, alter, reason):
    with pytest.raises(InputError, match=reason):
        Inverter(scene.model, alter(scene.reference), STREAMING)


def test_a_gel_with_and_one_without_markers_are_told_apart(scene):
    plain = scene.model.model_copy(update={"markers": None})
    image = seen(plain, dimple(plain, drag_mm=(0.0, 0.0)), 4)
    with pytest.raises(InputError, match="markers were found"):
        Inverter(scene.model, settings=STREAMING).invert(image)
    with pytest.raises(InputError, match="shows a gel with markers"):
        Inverter(plain, scene.reference, STREAMING)


def test_progress_can_end_it(scene):
    inverter = Inverter(scene.model, scene.reference, STREAMING)

    class Enough(Exception):  # noqa: N818
        pass

    def told(share):
        if share > 0.3:
            raise Enough

    with pytest.raises(Enough):
        inverter.invert(scene.image, told)
    assert inverter.invert(scene.image).contact.in_contact
