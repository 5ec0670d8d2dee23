"""Images from kernels that are launched again, against images that are traced anew each time."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface

pytestmark = pytest.mark.usefixtures("mitsuba_runs")


def bump(model, height_mm, spacing_mm=0.5):
    gel = model.gel
    columns, rows = (round(side / spacing_mm) + 1 for side in (gel.width_mm, gel.height_mm))
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    position = flat.position.copy()
    position[:, 2] -= height_mm * np.exp(-np.sum(position[:, :2] ** 2, axis=1) / 4.0)
    return flat.moved(position)


def traced(renderer, settings):
    """(H, W, 3) of an image that nothing was kept of."""
    pixels = renderer.render(settings)
    return np.stack([np.array(part) for part in pixels], axis=-1).reshape(48, 64, 3)


def small(**changes):
    from tacdiff_ros.optics.renderer import RenderSettings

    return RenderSettings(64, 48, **changes)


def test_other_surfaces_seeds_and_parameters_are_drawn_as_if_traced_anew(rich_sensor):
    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    surfaces = [bump(rich_sensor, 0.3), bump(rich_sensor, 0.9), bump(rich_sensor, 0.6, 0.7)]
    for turn in range(12):
        renderer.set_surface(surfaces[turn % 3])
        settings = small(samples=1 + turn % 2, shadows=turn % 5 > 0, seed=turn)
        if turn % 4 == 1:
            renderer.gather_local_interreflection()
        if turn % 4 == 3:
            name = "gel.base_color"
            renderer.parameters[name] = 0.9 * renderer.parameters[name]
        np.testing.assert_allclose(
            renderer.image(settings), traced(renderer, settings), atol=1e-6, err_msg=f"{turn}"
        )


def test_a_renderer_is_not_kept_alive_by_its_recordings(rich_sensor):
    import gc
    import weakref

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    renderer.image(small())
    gone = weakref.ref(renderer)
    del renderer
    gc.collect()
    assert gone() is None


def squared(image, target):
    import drjit as dr

    return dr.squared_norm(image - target)


def test_the_gradient_of_vertices_is_that_of_reverse_mode(rich_sensor):
    import drjit as dr
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    for height in (0.3, 0.8):
        renderer.set_surface(bump(rich_sensor, height))
        for target in (0.4, 0.6):
            array = dr.opaque(mi.Float, target)
            loss, gradient = renderer.vertex_gradient(squared, array, settings=small(seed=3))
            vertices = mi.Float(renderer.mesh.vertices)
            dr.enable_grad(vertices)
            renderer.mesh.set_vertices(vertices)
            expected = dr.sum(squared(renderer.render(small(seed=3)), array))
            dr.backward(expected)
            np.testing.assert_allclose(np.array(loss), np.array(expected), rtol=1e-5)
            slope = np.array(dr.grad(vertices))
            np.testing.assert_allclose(np.array(gradient), slope, atol=1e-5 * np.abs(slope).max())
            renderer.mesh.set_vertices(dr.detach(vertices))


def test_rays_in_a_kernel_of_their_own_change_no_gradient(mitsuba_runs, rich_sensor, monkeypatch):
    """What graphics cards do, as one kernel with rays and derivatives takes minutes to compile."""
    if mitsuba_runs.startswith("cuda"):
        pytest.skip("one kernel takes minutes to compile on a graphics card")
    import drjit as dr

    from tacdiff_ros.optics import gel_mesh
    from tacdiff_ros.optics.renderer import Renderer

    found = []
    for apart in (False, True):
        monkeypatch.setattr(gel_mesh, "separate_ray_kernels", lambda apart=apart: apart)
        renderer = Renderer(rich_sensor)
        renderer.set_surface(bump(rich_sensor, 0.6))
        with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
            dr.kernel_history_clear()
            _, gradient = renderer.vertex_gradient(squared, 0.4, settings=small(seed=3))
            history = [kernel for kernel in dr.kernel_history() if "ir" in kernel]
        largest = max(history, key=lambda kernel: kernel["operation_count"])
        assert ("call void %rd" in largest["ir"].getvalue()) is not apart
        found.append(np.array(gradient))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5 * np.abs(found[0]).max())


def test_attached_parameters_are_refused_by_the_gradient_of_vertices(rich_sensor):
    import drjit as dr
    import mitsuba as mi

    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(rich_sensor)
    gain = mi.Float(renderer.parameters["response.gain"])
    dr.enable_grad(gain)
    renderer.parameters["response.gain"] = gain
    with pytest.raises(InputError, match="detach"):
        renderer.vertex_gradient(squared, mi.Float(0.5))


def test_the_light_that_layers_reflect_is_that_of_a_new_renderer_after_every_change():
    import mitsuba as mi

    from tacdiff_ros.optics.interreflection import indirect_light
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.sensor.sensor_file import default_sensor

    model = default_sensor()
    renderer = Renderer(model)
    random = np.random.default_rng(6)
    for name, low, high in (
        ("lights.radiance", 0.0, 1.0),
        ("lights.tilt_rad", -0.3, 0.3),
        ("layers.thickness_mm", 1.0, 3.0),
    ):
        size = int(np.prod(renderer.parameters.shape(name)))
        before = np.array(renderer._indirect.current().table)
        renderer.parameters[name] = mi.Float(random.uniform(low, high, size).astype(np.float32))
        found = np.array(renderer._indirect.current().table)
        expected = np.array(indirect_light(renderer.parameters, model).table)
        np.testing.assert_array_equal(found, expected)
        assert not np.array_equal(found, before)
