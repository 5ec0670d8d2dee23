"""The fast renderer against the differentiable one and the path tracer, which share no code."""

import numpy as np
import pytest

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import Interreflection

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

WIDTH, HEIGHT = 320, 240
BALL = Imprint("sphere", 5.0, at_mm=(2.0, 1.0), depth_mm=0.8, shear_mm=(0.4, -0.2))
CROSS = Imprint("cross", 8.0, at_mm=(-1.0, 1.0), yaw_rad=0.5, depth_mm=0.8)
EDGE = Imprint("cross", 8.0, arm_mm=2.0, depth_mm=1.0)


def fast(model, width=WIDTH, height=HEIGHT, threads=2, local=False):
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings

    return FastRenderer(model, FastSettings(width, height, threads, local))


def fast_image(model, surface, **options):
    renderer = fast(model, **options)
    renderer.set_surface(surface)
    return renderer.image()


def converged(model, surface, width=WIDTH, height=HEIGHT, shadows=True, local=False):
    """The mean of several seeds of the differentiable renderer at 9 samples per pixel."""
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    renderer = Renderer(model)
    renderer.set_surface(surface)
    if local:
        renderer.gather_local_interreflection()
    settings = [RenderSettings(width, height, 3, shadows, k) for k in range(4 if shadows else 1)]
    return np.mean([renderer.image(item) for item in settings], axis=0)


def psnr(image, reference):
    return -10.0 * np.log10(np.mean((image - reference) ** 2))


@pytest.mark.parametrize("imprint", [BALL, CROSS], ids=["ball", "cross"])
def test_it_agrees_with_the_differentiable_renderer(rich_sensor, imprint):
    surface = imprint_surface(rich_sensor.gel, imprint)
    image, reference = fast_image(rich_sensor, surface), converged(rich_sensor, surface)
    assert 255.0 * np.abs(image - reference).mean() < 0.5
    assert psnr(image, reference) > 42.0


def test_without_markers_and_shadows_it_agrees_exactly(rich_sensor):
    model = rich_sensor.model_copy(update={"markers": None})
    surface = imprint_surface(model.gel, CROSS)
    renderer = fast(model)
    renderer.set_surface(surface)
    reference = converged(model, surface, shadows=False)
    assert 255.0 * np.abs(renderer.image(shadows=False) - reference).mean() < 0.1


def test_it_is_as_near_to_the_path_tracer_as_the_differentiable_renderer(rich_sensor):
    from tacdiff_ros.optics.path_reference import path_reference
    from tacdiff_ros.optics.path_settings import PathSettings

    plain = {"interreflection": Interreflection(bounces=0), "markers": None}
    model = rich_sensor.model_copy(update=plain)
    surface = imprint_surface(model.gel, BALL, 0.1)
    truth = path_reference(model, surface, PathSettings(64, 36, 0, spacing_mm=0.05)).image
    size = {"width": 64, "height": 48}
    loss = psnr(converged(model, surface, **size), truth)
    loss -= psnr(fast_image(model, surface, **size), truth)
    assert loss < 0.3


def test_its_maps_are_those_of_the_differentiable_renderer(rich_sensor):
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    gel = rich_sensor.gel.model_copy(update={"width_mm": 19.0, "height_mm": 15.0})
    model = rich_sensor.model_copy(update={"gel": gel})
    surface = imprint_surface(gel, BALL)
    renderer, reference = fast(model), Renderer(model)
    renderer.set_surface(surface)
    reference.set_surface(surface)
    maps, truth = renderer.maps(), reference.maps(RenderSettings(WIDTH, HEIGHT))
    assert 0.5 < truth.hit.mean() < 0.95
    same = maps.hit == truth.hit
    assert same.mean() > 0.999
    for name in ("nocs", "depth_mm", "indentation_mm", "shear_mm", "normal"):
        difference = (getattr(maps, name) - getattr(truth, name))[same]
        assert np.abs(difference).max() < 2e-4, name


@pytest.mark.parametrize("size", [(19.0, 15.0), (18.75, 15.25)])
def test_pads_with_odd_and_even_numbers_of_nodes_have_shadows(rich_sensor, size):
    gel = rich_sensor.gel.model_copy(update={"width_mm": size[0], "height_mm": size[1]})
    model = rich_sensor.model_copy(update={"gel": gel})
    renderer = fast(model)
    renderer.set_surface(imprint_surface(gel, CROSS))
    shadowed, lit = renderer.image_with_and_without_shadows()
    assert np.isfinite(shadowed).all()
    assert (lit - shadowed).max() > 0.05


def test_a_wall_casts_its_shadow_away_from_the_light(plain_sensor):
    """Only the red light at the top of the image: the gel below the wall is darker."""
    model = plain_sensor.model_copy(update={"lights": plain_sensor.lights[:1]})
    renderer = fast(model)
    renderer.set_surface(imprint_surface(model.gel, EDGE))
    with_shadows, without = renderer.image()[..., 0], renderer.image(shadows=False)[..., 0]
    visible = with_shadows / np.maximum(without, 1e-6)
    middle = visible[:, 144:176].mean(axis=1)  # the vertical arm ends at rows 66 and 174
    shade = middle[178:188].min()
    assert shade < 0.7
    assert middle[:60].min() > 0.99
    assert middle[232:].min() > shade + 0.1


def test_the_images_with_and_without_shadows_are_those_of_separate_calls(rich_sensor):
    renderer = fast(rich_sensor)
    renderer.set_surface(imprint_surface(rich_sensor.gel, CROSS))
    shadowed, lit = renderer.image_with_and_without_shadows()
    assert np.allclose(shadowed, renderer.image(), atol=1e-6)
    assert np.allclose(lit, renderer.image(shadows=False), atol=1e-6)
    assert (lit - shadowed).max() > 0.05


@pytest.mark.parametrize("local", [False, True])
def test_one_thread_gives_the_image_of_two(rich_sensor, local):
    surface = imprint_surface(rich_sensor.gel, CROSS)
    one, two = (
        fast_image(rich_sensor, surface, threads=threads, local=local) for threads in (1, 2)
    )
    assert np.array_equal(one, two)


@pytest.mark.parametrize("imprint", [BALL, CROSS], ids=["ball", "cross"])
def test_parts_of_the_gel_light_each_other_as_in_the_differentiable_renderer(rich_sensor, imprint):
    model = rich_sensor.model_copy(update={"interreflection": Interreflection(bounces=2)})
    surface = imprint_surface(model.gel, imprint)
    reference = converged(model, surface, local=True)
    simple, local = (fast_image(model, surface, local=local) for local in (False, True))
    change = converged(model, surface) - reference
    assert psnr(local, reference) > psnr(simple, reference)
    assert psnr(local, reference) > 44.0
    left = np.sum((simple - local) * change) / np.sum(change**2)  # part of the change
    assert 0.75 < left < 1.25


def test_a_lit_wall_lights_its_foot_and_the_other_side_loses_light(plain_sensor):
    """Only the light from the right, as for the differentiable renderer."""
    right = max(plain_sensor.lights, key=lambda light: light.centre_mm[0])
    update = {"lights": (right,), "interreflection": Interreflection(bounces=1)}
    model = plain_sensor.model_copy(update=update)
    surface = imprint_surface(model.gel, Imprint("cross", 5.0, arm_mm=4.9, depth_mm=0.8))
    simple, local = (fast_image(model, surface, local=local) for local in (False, True))
    change = (local - simple)[100:140].mean(axis=(0, 2))  # rows through the middle of the cube
    left, right_side = change[: WIDTH // 2 - 50], change[WIDTH // 2 + 55 :]  # beside the block
    assert right_side.max() > 0.005
    assert left.min() < -0.005
    assert np.abs(change[:40]).max() < 1e-4
    assert np.abs(np.diff(right_side)).max() < 0.003  # no visible end of its reach


@pytest.mark.parametrize("bounces", [0, 2])
def test_neither_a_flat_gel_nor_direct_light_has_local_interreflection(rich_sensor, bounces):
    model = rich_sensor.model_copy(update={"interreflection": Interreflection(bounces=bounces)})
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 49, 61)
    surface = flat if bounces else imprint_surface(model.gel, CROSS)
    simple, local = (fast_image(model, surface, local=local) for local in (False, True))
    assert np.array_equal(simple, local)


def test_local_interreflection_ends_at_the_edge_of_a_small_pad(rich_sensor):
    gel = rich_sensor.gel.model_copy(update={"width_mm": 15.0, "height_mm": 11.0})
    update = {"gel": gel, "interreflection": Interreflection(bounces=2)}
    model = rich_sensor.model_copy(update=update)
    surface = imprint_surface(gel, BALL)
    reference = converged(model, surface, local=True)
    image = fast_image(model, surface, local=True)
    renderer = fast(model)
    renderer.set_surface(surface)
    shown = renderer.maps().hit
    assert 0.3 < shown.mean() < 0.8
    simple = fast_image(model, surface)
    assert psnr(image[shown], reference[shown]) > psnr(simple[shown], reference[shown])
    assert np.abs(image - simple)[~shown].max() == 0.0
    assert 0.005 < np.abs(image - simple).max() < 0.05


def test_a_ray_that_misses_a_steep_wall_leaves_no_black_square(rich_sensor):
    """A node without a hit has no area; seen from itself it gave 0 / 0 around it."""
    from dataclasses import replace

    model = rich_sensor.model_copy(update={"interreflection": Interreflection(bounces=2)})
    renderer = fast(model, local=True)
    renderer.set_surface(imprint_surface(model.gel, CROSS))
    image = renderer.image()
    tables = renderer._tables[True]
    points, valid = tables.relief.points.copy(), tables.relief.valid.copy()
    missed = len(valid) // 2 + 5
    points[:, missed], valid[missed] = 0.0, False
    relief = replace(tables.relief, points=points, valid=valid)
    renderer._tables[True] = replace(tables, relief=relief)
    assert np.isfinite(renderer.image()).all()
    assert np.abs(renderer.image() - image).max() < 0.1


def test_an_image_without_shadows_has_no_local_interreflection(rich_sensor):
    renderer = fast(rich_sensor, local=True)
    simple = fast(rich_sensor)
    for item in (renderer, simple):
        item.set_surface(imprint_surface(rich_sensor.gel, CROSS))
    shadowed, lit = renderer.image_with_and_without_shadows()
    assert np.array_equal(lit, simple.image(shadows=False))
    assert np.array_equal(shadowed, renderer.image())


def test_a_surface_that_folds_over_itself_is_rendered(plain_sensor):
    """The wall overhangs: several triangles lie on one ray, and the one in front is visible."""
    flat = GelSurface.flat(25.25, 20.75, 84, 102)
    position = flat.position.copy()
    inside = np.abs(position[:, :2]).max(axis=1) < 3.0
    position[inside, 2] = -0.8
    position[inside, :2] *= 1.2
    renderer = fast(plain_sensor)
    renderer.set_surface(flat.moved(position, may_overhang=True))
    maps = renderer.maps()
    assert maps.hit.all()
    assert maps.indentation_mm[100:140, 130:190].min() > 0.79
    assert np.isfinite(renderer.image()).all()


def test_a_damaged_cache_file_is_computed_again(tmp_path, monkeypatch):
    from tacdiff_ros import kernel_cache
    from tacdiff_ros.optics.fast import indirect_cache

    monkeypatch.setattr(indirect_cache, "cache_folder", lambda: tmp_path)
    assert kernel_cache.cache_folder() != tmp_path
    model = default_sensor()
    table = indirect_cache.indirect_table(model)
    (file,) = (tmp_path / indirect_cache.FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert np.array_equal(indirect_cache.indirect_table(model), table)
    assert np.array_equal(np.load(file), table)


def test_the_cached_table_depends_on_the_lights_and_not_on_the_camera(tmp_path, monkeypatch):
    from tacdiff_ros.optics.fast import indirect_cache

    monkeypatch.setattr(indirect_cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(
        indirect_cache, "_computed", lambda model: np.ones(indirect_cache.SHAPE, np.float32)
    )
    model = default_sensor()
    camera = model.camera.model_copy(update={"focal_px": 310.0})
    for changed in (model, model.model_copy(update={"camera": camera})):
        indirect_cache.indirect_table(changed)
    assert len(list((tmp_path / indirect_cache.FOLDER).iterdir())) == 1
    indirect_cache.indirect_table(model.model_copy(update={"lights": model.lights[:2]}))
    assert len(list((tmp_path / indirect_cache.FOLDER).iterdir())) == 2


def test_a_table_of_reflected_light_of_another_layout_is_not_read():
    """Compiled code would read beyond its end."""
    from tacdiff_ros.optics.fast.light_tables import light_coefficients
    from tacdiff_ros.optics.fast.sensor_tables import NO_LIGHT

    lights, pad = np.zeros((0, 15), np.float32), np.array([25.0, 20.0], np.float32)
    rays = np.zeros((4, 3, 8), np.float32)
    assert not light_coefficients(lights, (), NO_LIGHT, pad, rays).any()
    with pytest.raises(ValueError, match="expected"):
        light_coefficients(lights, (), np.zeros((2, 2, 4, 8), np.float32), pad, rays)
