"""Symmetries are found as they are known from the shapes."""

import numpy as np
import trimesh

from tacdiff_ros.objects.near_symmetry import near_symmetry
from tacdiff_ros.objects.object_files import build_object
from tacdiff_ros.objects.rigid_object import RigidObject, Symmetry
from tacdiff_ros.objects.symmetry import find_symmetries


def test_a_box_has_three_axes_of_order_two_and_a_group_of_four(box):
    assert sorted(s.order for s in box.symmetries) == [2, 2, 2]
    axes = np.abs([s.axis for s in box.symmetries])
    np.testing.assert_allclose(axes.max(axis=1), 1, atol=1e-3)
    assert len(box.symmetry_transforms()) == 4


def test_a_cylinder_is_continuous_and_can_be_turned_over(cylinder):
    main, *others = cylinder.symmetries
    assert main.order == 0
    assert abs(main.axis[2]) > 0.9999
    assert [s.order for s in others] == [2]
    assert len(cylinder.symmetry_transforms(36)) == 72


def test_a_mug_has_no_symmetry_about_its_axis(mug):
    assert all(abs(s.axis[2]) < 0.1 for s in mug.symmetries)
    assert len(mug.symmetry_transforms()) <= 2  # upside down: it has no hollow


def test_a_cube_has_the_24_rotations_of_its_group():
    mesh = trimesh.creation.box([0.05] * 3)
    cube = build_object("cube", mesh.vertices, mesh.faces, spacing=0.002, cache=False)
    assert len(cube.symmetry_transforms()) == 24


def test_an_offset_axis_is_found_where_it_is(cylinder):
    shifted = RigidObject(
        "shifted", np.add(cylinder.vertices, [0.1, 0.02, 0]), cylinder.faces, _moved(cylinder)
    )
    main = find_symmetries(shifted)[0]
    assert main.order == 0
    np.testing.assert_allclose(main.centre[:2], [0.1, 0.02], atol=2e-4)


def test_the_group_maps_the_surface_to_itself(box):
    points = box.surface_points(500)[0]
    for transform in box.symmetry_transforms():
        moved = points @ transform[:3, :3].T + transform[:3, 3]
        assert np.abs(box.distance.distance(moved)).max() < 1e-3


def test_a_symmetry_axis_must_be_a_unit_vector():
    import pytest

    from tacdiff_ros.errors import InputError

    with pytest.raises(InputError, match="unit vector"):
        Symmetry((1.0, 1.0, 0.0), 2, (0.0, 0.0, 0.0))


def _moved(item):
    from dataclasses import replace

    return replace(item.distance, origin=np.add(item.distance.origin, [0.1, 0.02, 0]))


def test_a_mug_looks_nearly_the_same_when_it_turns_about_its_axis(mug, box, cylinder):
    found = near_symmetry(mug)
    assert found is not None
    assert 0.0 < found.distance < 0.006
    assert abs(found.axis[2]) > 0.99
    assert near_symmetry(box) is None
    assert near_symmetry(cylinder) is None
