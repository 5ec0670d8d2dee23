"""Hands are read from URDF; kinematics, distances and sensors agree with independent results."""

import numpy as np
import pytest

pytest.importorskip("pinocchio")

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.hand_files import load_hand

PENDULUM = """<robot name="pendulum">
  <link name="base"><collision><geometry><sphere radius="0.02"/></geometry></collision></link>
  <link name="arm"><collision><origin xyz="0 0 0.05"/>
    <geometry><cylinder radius="0.01" length="0.1"/></geometry></collision></link>
  <joint name="swing" type="revolute"><parent link="base"/><child link="arm"/>
    <origin xyz="0 0 0.1"/><axis xyz="0 1 0"/><limit lower="-2" upper="2" effort="1" velocity="1"/>
  </joint>
</robot>"""


@pytest.fixture(scope="module")
def allegro():
    return load_hand("allegro_xela")


@pytest.fixture(scope="module")
def franka():
    return load_hand()


@pytest.fixture
def pendulum(tmp_path):
    (tmp_path / "pendulum.urdf").write_text(PENDULUM)
    return load_hand(tmp_path / "pendulum.urdf")


def test_forward_kinematics_of_one_joint_in_closed_form(pendulum):
    angle = 0.7
    pose = pendulum.link_poses([angle])["arm"]
    np.testing.assert_allclose(pose[:3, 3], [0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 2], [np.sin(angle), 0, np.cos(angle)], atol=1e-12)


def test_distances_to_sphere_and_cylinder_in_closed_form(pendulum):
    points = np.array([[0.05, 0, 0], [0, 0.03, 0.15], [0, 0, 0.25], [0, 0, 0.15]])
    distance, _, shape = pendulum.distance(points, [0.0])
    np.testing.assert_allclose(distance, [0.03, 0.02, 0.05, -0.01], atol=1e-12)
    np.testing.assert_array_equal(shape, [0, 1, 1, 1])


def test_gradients_are_derivatives_of_the_distance(allegro):
    joints = (allegro.lower + allegro.upper) / 2
    points = np.random.default_rng(0).uniform(-0.1, 0.15, (2000, 3))
    gradient = allegro.distance(points, joints)[1]
    for axis in range(3):
        shift = 1e-7 * np.eye(3)[axis]
        ahead = allegro.distance(points + shift, joints)[0]
        behind = allegro.distance(points - shift, joints)[0]
        error = np.abs((ahead - behind) / 2e-7 - gradient[:, axis])
        assert np.quantile(error, 0.995) < 1e-6  # a few lie between two shapes


def test_jacobians_are_derivatives_of_link_poses(allegro):
    joints = (allegro.lower + allegro.upper) / 2
    jacobians = allegro.link_jacobians(joints)
    for joint in range(len(joints)):
        shift = 1e-6 * np.eye(len(joints))[joint]
        ahead, behind = (
            allegro.link_transforms(joints + shift),
            allegro.link_transforms(joints - shift),
        )
        np.testing.assert_allclose(
            (ahead - behind)[:, :3, 3] / 2e-6, jacobians[:, :3, joint], atol=1e-8
        )


def test_the_xela_layout_has_368_taxels_on_the_surface(allegro):
    assert len(allegro.taxels) == 368
    joints = np.clip(np.zeros(16), allegro.lower, allegro.upper)
    position, normal = allegro.taxel_positions(joints)
    for link in np.unique(allegro.taxels.link):
        own = [s for s in allegro.shapes if s.link == allegro.links[link]]
        points = allegro.taxels.position[allegro.taxels.link == link]
        nearest = np.min([s.distance_and_gradient(points)[0] for s in own], axis=0)
        np.testing.assert_allclose(nearest, 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-9)
    assert np.ptp(position, axis=0).max() < 0.3


def test_the_gels_of_the_default_hand_face_each_other_and_move_with_the_fingers(franka):
    left, right = franka.gel_poses([0.02, 0.03])
    np.testing.assert_allclose(left[:3, 3] - right[:3, 3], [0, 0.05, 0], atol=1e-9)
    np.testing.assert_allclose(left[:3, 2], [0, -1, 0], atol=1e-9)
    np.testing.assert_allclose(right[:3, 2], [0, 1, 0], atol=1e-9)
    assert [pad.name for pad in franka.gel_pads] == ["left", "right"]


def test_meshes_of_the_shapes_lie_on_the_zero_of_the_distance(franka):
    joints = [0.01, 0.02]
    for vertices, _ in franka.meshes(joints):
        assert franka.distance(vertices, joints)[0].max() < 1e-9


def test_joint_positions_of_another_hand_are_refused(franka):
    with pytest.raises(InputError, match="expected 2 finite numbers"):
        franka.link_poses(np.zeros(16))
    with pytest.raises(InputError, match="is it the right URDF"):
        franka.ordered({"joint_0.0": 0.1})
    assert franka.ordered({"fr3_finger_joint2": 0.2, "fr3_finger_joint1": 0.1}).tolist() == [
        0.1,
        0.2,
    ]


def test_a_broken_urdf_and_an_unknown_link_are_refused_in_one_line(tmp_path, pendulum):
    (tmp_path / "broken.urdf").write_text("<robot><link")
    with pytest.raises(InputError, match="cannot be used"):
        load_hand(tmp_path / "broken.urdf")
    (tmp_path / "hand.yaml").write_text("urdf: pendulum.urdf\ngels: [{name: a, link: b}]\n")
    with pytest.raises(InputError, match="has no link 'b'"):
        load_hand(tmp_path / "hand.yaml")
