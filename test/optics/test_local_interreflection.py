"""Light between parts of the gel: what a wall sends to the floor at its foot, and keeps from it."""

import re

import numpy as np
import pytest

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import Interreflection

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

SPACING_MM = 0.2
HALF_MM, TALL_MM, RIM_MM = 2.5, 0.8, 0.15


@pytest.fixture(scope="module")
def model(plain_sensor):
    return plain_sensor.model_copy(update={"interreflection": Interreflection(bounces=1)})


def surface(model, tall_mm):
    """A square block pressed into the middle of the gel."""
    gel = model.gel
    columns, rows = (round(side / SPACING_MM) + 1 for side in (gel.width_mm, gel.height_mm))
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    position = flat.position.copy()
    beyond = np.abs(position[:, :2]).max(axis=1) - HALF_MM
    position[:, 2] = -tall_mm / (1.0 + np.exp(np.clip(beyond / RIM_MM, -50, 50)))
    return flat.moved(position)


def renderer(model, tall_mm=TALL_MM):
    from tacdiff_ros.optics.renderer import Renderer

    drawn = Renderer(model)
    drawn.set_surface(surface(model, tall_mm))
    return drawn


def gathered(model, tall_mm=TALL_MM):
    """(rows, columns, 3) near light at the vertices, and where they are."""
    drawn = renderer(model, tall_mm)
    drawn.gather_local_interreflection()
    block = surface(model, tall_mm)
    values = np.array(drawn.mesh.local_interreflection).reshape(block.rows, block.columns, 3)
    return values, block


def at(values, block, x_mm, y_mm):
    return values[np.abs(block.y_mm - y_mm).argmin(), np.abs(block.x_mm - x_mm).argmin()]


def test_a_flat_gel_sends_nothing_to_itself_and_hides_nothing(model):
    values, _ = gathered(model, 0.0)
    steep, _ = gathered(model)
    assert np.abs(values).max() < 1e-3 * np.abs(steep).max()


def test_a_lit_wall_lights_its_foot_and_the_other_side_loses_light(model):
    """Only the light from the right."""
    right = max(model.lights, key=lambda light: light.centre_mm[0])
    values, block = gathered(model.model_copy(update={"lights": (right,)}))
    foot = HALF_MM + 3.0 * RIM_MM
    assert at(values, block, foot, 0.0)[1] > 0.0 > at(values, block, -foot, 0.0)[1]
    far = at(values, block, -foot - 5.0, 0.0)
    assert np.abs(far[1]) < 0.2 * np.abs(at(values, block, -foot, 0.0)[1])


def test_the_floor_around_a_block_comes_nearer_to_mitsubas_path_tracer(model):
    from tacdiff_ros.optics.path_reference import path_reference
    from tacdiff_ros.optics.path_settings import PathSettings
    from tacdiff_ros.optics.renderer import RenderSettings

    size = RenderSettings(64, 48, samples=4)
    drawn = renderer(model)
    without = drawn.image(size)
    shown = drawn.maps(RenderSettings(64, 48))
    drawn.gather_local_interreflection()
    with_local_interreflection = drawn.image(size)
    effort = PathSettings(64, 196, 1, spacing_mm=0.05)
    reference = path_reference(model, surface(model, TALL_MM), effort).image
    size_mm = np.array([model.gel.width_mm, model.gel.height_mm])
    place = (shown.nocs[..., :2] - 0.5) * size_mm
    beyond = np.abs(place).max(axis=-1)
    floor = (beyond > HALF_MM + 2.0 * RIM_MM) & (beyond < HALF_MM + 2.0)
    right = place[..., 0] > np.abs(place[..., 1])
    left, below = -place[..., 0] > np.abs(place[..., 1]), place[..., 1] > np.abs(place[..., 0])
    sides = [floor & side for side in (right, left, below, ~(right | left | below))]

    def away(image):
        """RMS over sides and channels of the mean difference, free of the path tracer's noise."""
        means = [(image - reference)[side].mean(axis=0) for side in sides]
        return float(np.sqrt(np.mean(np.square(means))))

    assert away(with_local_interreflection) < 0.75 * away(without)


def brute_force_hidden(drawn):
    """(N, 3) irradiance that the gel hides, by one ray after the other, written out."""
    import drjit as dr
    import mitsuba as mi

    from tacdiff_ros.optics.local_interreflection import AZIMUTHS, FAR_MM, SINES_SQUARED, SPREAD

    mesh, indirect = drawn.mesh, drawn._indirect.current()
    vertex = dr.arange(mi.UInt32, mesh.rows * mesh.columns)
    position = dr.gather(mi.Point3f, mesh.vertices, vertex)
    normal = dr.normalize(mesh.vertex_areas(vertex))
    dr.eval(position, normal)
    points, normals = np.array(position).T, np.array(normal).T
    total = np.zeros_like(points)
    for sector in range(4):
        light, mean = (np.array(v).T for v in indirect.from_sector(position, normal, sector))
        hidden, whole = np.zeros_like(points), np.full_like(points, 1e-6)
        for squared in SINES_SQUARED:
            usual = np.exp(-(((mean - squared) / SPREAD) ** 2))
            for step in range(AZIMUTHS):
                turn = 0.5 * np.pi * (sector + (step + 0.5) / AZIMUTHS - 0.5)
                way = np.append(
                    np.sqrt(squared) * np.array([np.cos(turn), np.sin(turn)]),
                    -np.sqrt(1.0 - squared),
                )
                facing = np.maximum(normals @ way, 0.0)[:, None]
                ray = mi.Vector3f(*(float(part) for part in way))
                free = mesh.visible(position, normal, position + FAR_MM * ray, mi.Bool(True))
                hidden += usual * np.where(np.array(free)[:, None], 0.0, facing)
                whole += usual * facing
        total += light * hidden / whole
    return total


def test_the_loop_over_rays_hides_what_rays_one_by_one_hide(model):
    from tacdiff_ros.optics.local_interreflection import _occluded

    drawn = renderer(model)
    expected = brute_force_hidden(drawn)
    hidden = np.array(_occluded(drawn.mesh, drawn._indirect.current())).T
    assert expected.max() > 0.1
    np.testing.assert_allclose(hidden, expected, atol=1e-5 * expected.max())


def test_no_kernel_of_near_light_holds_more_than_a_pixels_rays(model):
    """A graphics card's compiler takes minutes for tens of ray tests in one kernel."""
    import drjit as dr

    drawn = renderer(model)
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        drawn.gather_local_interreflection()
        kernels = [kernel for kernel in dr.kernel_history() if "ir" in kernel]
    tests = [traced(kernel["ir"].getvalue()) for kernel in kernels]
    assert 0 < max(tests) <= 2 * len(model.lights)


def traced(source):
    """Number of ray tests in a kernel's source, for the processor or for a card."""
    return len(re.findall(r"call void %rd|_optix_(?:trace|hitobject_traverse)", source))


def test_it_stays_on_its_grid_until_it_is_dropped(model):
    drawn = renderer(model)
    before = drawn.image()
    drawn.gather_local_interreflection()
    after = drawn.image()
    assert np.abs(after - before).max() > 0.01
    drawn.set_surface(surface(model, TALL_MM))
    np.testing.assert_array_equal(drawn.image(), after)
    drawn.drop_local_interreflection()
    np.testing.assert_array_equal(drawn.image(), before)


def test_without_returns_from_the_layers_nothing_is_gathered(plain_sensor):
    drawn = renderer(plain_sensor)
    drawn.gather_local_interreflection()
    assert drawn.mesh.local_interreflection is None
