"""Images of the fast renderer: against the path tracer, and for every kind of input."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import Interreflection

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

BALL = Imprint("sphere", 5.0, at_mm=(2.0, 1.0), depth_mm=0.6)


DEEP = Imprint("sphere", 4.0, at_mm=(-1.0, 0.5), depth_mm=1.2)  # casts shadows


def shadowed(model, surface, **settings):
    from tacdiff_ros.optics.renderer import RenderSettings

    return render(model, surface, RenderSettings(**settings))


def small(**changes):
    from tacdiff_ros.optics.renderer import RenderSettings

    return RenderSettings(64, 48, **changes)


def render(model, surface, settings=None):
    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(model)
    renderer.set_surface(surface)
    return renderer.image(settings or small())


def low_passed(image):
    import cv2

    return cv2.blur(image, (5, 5))


@pytest.mark.parametrize("bounces", [0, 1])
def test_image_of_a_ball_press_agrees_with_mitsubas_path_tracer(rich_sensor, bounces):
    from tacdiff_ros.optics.path_reference import path_reference
    from tacdiff_ros.optics.path_settings import PathSettings

    model = rich_sensor.model_copy(update={"interreflection": Interreflection(bounces=bounces)})
    surface = imprint_surface(model.gel, BALL, 0.1)
    effort = PathSettings(64, (64, 196)[bounces], bounces, spacing_mm=0.04)
    reference = path_reference(model, surface, effort).image
    ours = render(model, surface, small(samples=4))
    error = (ours - reference) / reference.mean()
    assert abs(error.mean()) < 0.015
    assert np.sqrt(np.mean(low_passed(error) ** 2)) < (0.025, 0.05)[bounces]


def test_a_deep_floor_receives_the_reflected_light_of_mitsubas_path_tracer(plain_sensor):
    """A floor that is 1 mm nearer to the layers gets about 30 % more reflected light."""
    from tacdiff_ros.optics.path_reference import path_reference
    from tacdiff_ros.optics.path_settings import PathSettings

    model = plain_sensor.model_copy(update={"interreflection": Interreflection(bounces=1)})
    gel = model.gel
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, 105, 127)
    x, y = np.abs(flat.rest[:, :2]).T
    position = flat.position.copy()
    position[:, 2] = -1.0 / (1.0 + np.exp((np.maximum(x - 5.0, y - 4.0)) / 0.15))
    surface = flat.moved(position)
    reference = path_reference(model, surface, PathSettings(64, 784, 1, spacing_mm=0.1)).image
    floor = np.s_[16:32, 22:42]
    ours = render(model, surface, small(samples=3))[floor].mean(axis=(0, 1))
    assert ours == pytest.approx(reference[floor].mean(axis=(0, 1)), rel=0.03)


def test_reflected_light_stays_finite_on_a_gel_thinner_than_the_step_of_height(plain_sensor):
    """Gel of 0.4 mm, lowered by half of it: somewhat more light, not a hundred million times."""
    thin = plain_sensor.layers[-1].model_copy(update={"thickness_mm": 0.4})
    lights = tuple(
        light.model_copy(update={"centre_mm": (*light.centre_mm[:2], -0.2)})
        for light in plain_sensor.lights
    )
    update = {
        "layers": (*plain_sensor.layers[:-1], thin),
        "lights": lights,
        "interreflection": Interreflection(bounces=1),
    }
    model = plain_sensor.model_copy(update=update)
    flat = GelSurface.flat(25.25, 20.75, 11, 13)
    lowered = flat.position - np.array([0.0, 0.0, 0.05], np.float32)
    rest, deep = (render(model, surface).mean() for surface in (flat, flat.moved(lowered)))
    assert 0.5 * rest < deep < 1.5 * rest


def test_a_bump_is_bright_on_the_side_that_faces_a_light(plain_sensor):
    """Red shines from the top of the image, blue from the bottom, green from the right."""
    surface = imprint_surface(plain_sensor.gel, Imprint("sphere", 6.0, depth_mm=0.5), 0.1)
    flat = render(plain_sensor, GelSurface.flat(25.25, 20.75, 11, 13))
    change = render(plain_sensor, surface) - flat
    above, below = change[20, 32], change[27, 32]
    left, right = change[24, 28], change[24, 35]
    assert above[0] > 0 > below[0]
    assert below[2] > 0 > above[2]
    assert right[1] > 0 > left[1]


def test_raised_dots_throw_shadows_away_from_a_light(plain_sensor, rich_sensor):
    """Only the light from the top: it is darker below a dot than above it."""
    lights = (plain_sensor.lights[0],)
    markers = rich_sensor.markers.model_copy(update={"height_mm": 0.04})
    model = plain_sensor.model_copy(update={"lights": lights, "markers": markers})
    surface = GelSurface.flat(25.25, 20.75, 11, 13)
    from tacdiff_ros.optics.renderer import RenderSettings

    settings = RenderSettings(640, 480)
    with_dots = render(model, surface, settings)[..., 0]
    without = render(model.model_copy(update={"markers": None}), surface, settings)[..., 0]
    share = with_dots / without
    # The middle dot has a radius of 16 px around (319.5, 239.5).
    above, below = share[217:222, 320].min(), share[257:262, 320].min()
    assert below < 0.93 < above
    assert share[239, 319] < 0.1


def test_dots_cover_as_much_as_their_area(plain_sensor, rich_sensor):
    """Flat white light: what is missing from the image is the dots' area times their darkness."""
    ambient = plain_sensor.gel.model_copy(update={"ambient": (1.0, 1.0, 1.0)})
    markers = rich_sensor.markers
    model = plain_sensor.model_copy(update={"lights": (), "gel": ambient, "markers": markers})
    bare = model.model_copy(update={"markers": None})
    surface = GelSurface.flat(25.25, 20.75, 11, 13)
    from tacdiff_ros.optics.renderer import RenderSettings

    settings = RenderSettings(320, 240)
    share = render(model, surface, settings)[..., 0] / render(bare, surface, settings)[..., 0]
    cell_px = np.array([2.05, 2.0]) / model.mm_per_px  # four pitches each way hold whole dots
    x, y = (round(159.5 - 2 * cell_px[0]), round(119.5 - 2 * cell_px[1]))
    block = share[y : y + round(4 * cell_px[1]), x : x + round(4 * cell_px[0])]
    expected = 1 - markers.darkness * np.pi / 4 * markers.diameter_mm**2 / (2.05 * 2.0)
    assert block.mean() == pytest.approx(expected, abs=0.01)


def test_an_image_depends_on_its_seed_only_in_the_shadows_noise(rich_sensor):
    surface = imprint_surface(rich_sensor.gel, BALL)
    a, b = (render(rich_sensor, surface, small(seed=7)) for _ in range(2))
    other = render(rich_sensor, surface, small(seed=8))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, other)
    assert np.abs(a - other).mean() < 0.005 * a.mean()


def test_noise_of_shadows_averages_out_over_near_pixels_and_consecutive_seeds(plain_sensor):
    surface = imprint_surface(plain_sensor.gel, DEEP)
    settings = {"width_px": 160, "height_px": 120}
    exact = np.mean(
        [shadowed(plain_sensor, surface, samples=2, seed=100 + k, **settings) for k in range(16)], 0
    )
    one = shadowed(plain_sensor, surface, samples=1, **settings) - exact
    both = 0.5 * (one + shadowed(plain_sensor, surface, samples=1, seed=1, **settings) - exact)
    blocks = one.reshape(30, 4, 40, 4, 3).mean(axis=(1, 3))
    assert one.std() > 0.005
    assert blocks.std() < one.std() / 5.0  # of independent noise: a quarter
    assert both.std() < one.std() / 1.4


def test_derivatives_have_no_noise_of_shadows(plain_sensor):
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    renderer = Renderer(plain_sensor)
    renderer.set_surface(imprint_surface(plain_sensor.gel, DEEP))
    derivatives = renderer.slope_derivatives(RenderSettings(160, 120, samples=1))
    unshadowed = renderer.slope_derivatives(RenderSettings(160, 120, samples=1, shadows=False))
    steepest = np.abs(unshadowed.by_slope).max()
    assert np.quantile(np.abs(derivatives.by_slope), 0.9999) < 1.5 * steepest


def test_the_mean_of_images_has_their_variance_in_the_shadows(plain_sensor):
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings, SlopeDerivatives

    renderer = Renderer(plain_sensor)
    renderer.set_surface(imprint_surface(plain_sensor.gel, DEEP))
    settings = [RenderSettings(160, 120, samples=1, seed=seed) for seed in range(2)]
    parts = [renderer.slope_derivatives(one) for one in settings]
    mean = SlopeDerivatives.mean(parts)
    np.testing.assert_allclose(mean.value, 0.5 * (parts[0].value + parts[1].value), rtol=1e-5)
    variance = 0.5 * (parts[0].value - parts[1].value) ** 2
    np.testing.assert_allclose(mean.shadow_variance, variance, atol=1e-6)
    quiet = mean.shadow_variance.max(axis=-1) < 1e-8
    assert 0.2 < quiet.mean() < 0.98


def test_where_the_camera_looks_past_the_gel_pixels_are_black_and_masked(plain_sensor):
    from tacdiff_ros.optics.renderer import Renderer

    small_pad = plain_sensor.gel.model_copy(update={"width_mm": 10.0, "height_mm": 8.0})
    renderer = Renderer(plain_sensor.model_copy(update={"gel": small_pad}))
    image, maps = renderer.image(small()), renderer.maps(small())
    assert 0.1 < maps.hit.mean() < 0.5
    assert np.all(image[~maps.hit & ~_touches(maps.hit)] <= 1e-6)
    for values in (image, maps.nocs, maps.depth_mm, maps.indentation_mm, maps.normal):
        assert np.isfinite(values).all()


def _touches(mask):
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) > 0


def test_a_camera_that_looks_away_gives_a_black_image_and_an_empty_mask(plain_sensor):
    camera = plain_sensor.camera.model_copy(update={"rotation_deg": (170.0, 0.0, 0.0)})
    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(plain_sensor.model_copy(update={"camera": camera}))
    assert np.all(renderer.image(small()) < 1e-6)
    assert not renderer.maps(small()).hit.any()


def test_a_sensor_without_lights_is_dark_and_without_dots_is_even(plain_sensor):
    dark = plain_sensor.model_copy(update={"lights": ()})
    assert np.all(render(dark, GelSurface.flat(25.25, 20.75, 11, 13)) < 1e-6)


def test_no_kernel_is_compiled_when_seed_surface_or_parameters_change(rich_sensor):
    import drjit as dr

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    touches = [Imprint("sphere", 5.0, at_mm=(x, 0.5), depth_mm=0.5) for x in (-1.0, 0.0, 1.5, 3.0)]
    compiled = []
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        for k, touch in enumerate(touches):
            renderer.set_surface(imprint_surface(rich_sensor.gel, touch))
            renderer.parameters["camera.focal_px"] = renderer.parameters["camera.focal_px"] + 0.3
            renderer.parameters["layers.index"] = renderer.parameters["layers.index"] * 1.001
            dr.kernel_history_clear()
            renderer.image(small(seed=k))
            renderer.maps(small())
            history = [e for e in dr.kernel_history() if e["type"] == dr.KernelType.JIT]
            compiled.append(sum(not entry["cache_hit"] for entry in history))
            assert history
    assert compiled[1:] == [0, 0, 0]


def test_changed_parameters_are_never_drawn_with_old_reflections(rich_sensor):
    """Twice the radiance and ambient is twice the image, however often values were replaced."""
    from tacdiff_ros.optics.renderer import Renderer

    linear = rich_sensor.response.model_copy(update={"gamma": (1.0, 1.0, 1.0)})
    renderer = Renderer(rich_sensor.model_copy(update={"response": linear}))
    first = renderer.image(small())
    for factor in (2.0, 3.0, 0.5, 4.0):
        for name in ("lights.radiance", "gel.ambient"):
            original = np.array(Renderer(rich_sensor).parameters[name])
            renderer.parameters[name] = type(renderer.parameters[name])(original * factor)
        assert np.allclose(renderer.image(small()), factor * first, rtol=1e-3, atol=1e-5)


def test_a_parameter_of_the_wrong_size_or_name_is_refused(plain_sensor):
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(plain_sensor)
    with pytest.raises(InputError, match=r"camera\.position_mm.*2 values, expected 3"):
        renderer.parameters["camera.position_mm"] = mi.Float([1.0, 2.0])
    with pytest.raises(InputError, match=r"markers\.scale"):
        renderer.parameters["markers.scale"]
    with pytest.raises(InputError, match="coordinates"):
        renderer.mesh.set_vertices(mi.Float([0.0]))
    lost = np.array(renderer.mesh.vertices)
    lost[5] = np.nan
    with pytest.raises(InputError, match="not finite"):
        renderer.mesh.set_vertices(mi.Float(lost))


def test_pixels_stay_finite_when_an_optimiser_tears_the_surface(rich_sensor):
    """Random heights of millimetres: folded triangles, faces beside lights, grazing rays."""
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    renderer.set_surface(imprint_surface(rich_sensor.gel, BALL, 0.5))
    random = np.random.default_rng(0)
    start = np.array(renderer.mesh.vertices)
    for size_mm in (0.3, 1.0, 3.0):
        torn = start + random.normal(0.0, size_mm, start.shape).astype(np.float32)
        renderer.mesh.set_vertices(mi.Float(torn))
        image, maps = renderer.image(small()), renderer.maps(small())
        assert np.isfinite(image).all()
        assert image.min() >= 0.0
        assert np.isfinite(maps.nocs).all()


def test_memory_stays_flat_over_renders_of_changing_surfaces(plain_sensor):
    import resource
    from pathlib import Path

    from tacdiff_ros.optics.renderer import Renderer

    def resident_mb():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    renderer = Renderer(plain_sensor)
    surfaces = [
        imprint_surface(plain_sensor.gel, Imprint("sphere", 5.0, at_mm=(x, 0.0), depth_mm=0.5), 0.4)
        for x in (-2.0, 0.0, 2.0)
    ]
    for k in range(30):
        renderer.set_surface(surfaces[k % 3])
        renderer.image(small(seed=k))
    before = resident_mb()
    for k in range(150):
        renderer.set_surface(surfaces[k % 3])
        renderer.image(small(seed=k))
    assert resident_mb() - before < 10.0


def test_raised_dots_are_seen_where_their_rims_project_to(rich_sensor):
    """In even light, so that no shadow draws them aside."""
    from tacdiff_ros.markers.detection import detect_markers
    from tacdiff_ros.optics.projection import project
    from tacdiff_ros.optics.renderer import RenderSettings
    from tacdiff_ros.sensor.marker_positions import marker_positions_mm
    from tacdiff_ros.sensor.parameters import parameter_values

    gel = rich_sensor.gel.model_copy(update={"ambient": (0.6, 0.6, 0.6)})
    markers = rich_sensor.markers.model_copy(update={"height_mm": 0.2, "dots": ()})
    model = rich_sensor.model_copy(update={"lights": (), "gel": gel, "markers": markers})
    surface = GelSurface.flat(25.25, 20.75, 11, 13)
    image = np.clip(render(model, surface, RenderSettings(samples=2)), 0.0, 1.0)
    seen = detect_markers(np.rint(255 * image).astype(np.uint8), markers.grid)
    expected = project(parameter_values(model), marker_positions_mm(model))
    assert seen.found_count > 50
    assert np.nanmax(np.abs(seen.position_px - expected)) < 0.1
    painted = model.model_copy(update={"markers": markers.model_copy(update={"height_mm": 0.0})})
    level = project(parameter_values(painted), marker_positions_mm(painted))
    assert np.nanmax(np.abs(seen.position_px - level)) > 0.3


def test_setting_any_parameter_equals_building_the_model_with_it(rich_sensor):
    """Also where light that the layers reflect, and markers in it, are concerned."""
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer

    def as_array(value):
        return mi.Float(np.asarray(value, np.float32).ravel())

    surface = imprint_surface(rich_sensor.gel, BALL, 0.3)
    renderer = Renderer(rich_sensor)
    renderer.set_surface(surface)
    start = parameter_values(rich_sensor)
    at_start = renderer.image(small())
    unchanged = set()
    for name, value in start.items():
        step = 0.02 * np.maximum(np.abs(value), 0.05)
        if name == "markers.darkness":
            step = -step  # to stay in range
        if name == "lights.exponent":
            step = np.where(value == 1.0, 0.0, step)  # a rectangle has no other
        values = {**start, name: value + step}
        renderer.parameters[name] = as_array(values[name])
        found = renderer.image(small())
        expected = render(with_parameter_values(rich_sensor, values), surface)
        np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max(), err_msg=name)
        if np.abs(expected - at_start).max() < 1e-4:
            unchanged.add(name)
        renderer.parameters[name] = as_array(value)
    assert len(start) >= 30
    assert unchanged <= {"lights.exponent"}  # strips with a uniform profile do not use it
