"""The descriptions of mount and stand, read back by a URDF parser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

pinocchio = pytest.importorskip("pinocchio", reason="the virtual extra is not installed")
xacro = pytest.importorskip("xacro", reason="the dev extra is not installed")

URDF = Path(__file__).parents[2] / "urdf"
# Size [m] and range of the density [kg/m^3]: plastic to solid aluminium, and aluminium.
BOXES = {
    "gelsight_body": ((0.032, 0.028, 0.024), (800, 2700)),
    "gelsight_bracket": ((0.032, 0.028, 0.057), (800, 2700)),
    "indenter_plate": ((0.12, 0.12, 0.01), (2600, 2800)),
}


class Description:
    """Frames of one description at rest."""

    def __init__(self, file: str, **mappings: str):
        text = xacro.process_file(str(URDF / file), mappings=mappings).toxml()
        self.model = pinocchio.buildModelFromXML(text)
        self._data = self.model.createData()
        pinocchio.framesForwardKinematics(self.model, self._data, pinocchio.neutral(self.model))

    def pose(self, frame: str):
        assert self.model.existFrame(frame), f"{frame} is missing"
        return self._data.oMf[self.model.getFrameId(frame)]

    def inertia(self, link: str):
        """What the parser adds at the fixed joint of a link."""
        return self.model.frames[self.model.getFrameId(f"{link}_joint")].inertia


@pytest.fixture(scope="module", params=["fr3", "left_fer"])
def arm(request):
    return request.param


@pytest.fixture(scope="module")
def rig(arm):
    return Description("tacdiff_rig.urdf.xacro", arm_id=arm)


@pytest.fixture(scope="module")
def parameters():
    content = yaml.safe_load((URDF.parent / "config" / "tacdiff.yaml").read_text())
    limits = content["/**"]["acquisition"]["ros__parameters"]["limits"]
    return {**content["/**/*"]["ros__parameters"], "limits": limits}


def test_gel_stands_in_the_end_effector_where_the_parameters_say(arm, rig, parameters):
    mount = rig.pose(f"{arm}_hand_tcp").actInv(rig.pose("gel"))
    assert 1e3 * mount.translation == pytest.approx(parameters["rig"]["mount_position_mm"])
    expected = pinocchio.rpy.rpyToMatrix(*parameters["rig"]["mount_rpy_rad"])
    assert mount.rotation == pytest.approx(expected, abs=1e-9)


def test_sensor_alone_has_the_same_default_mount(rig):
    alone = Description("gelsight_mini.urdf.xacro")
    for frame in ("gel", "gelsight_optical_frame", "gelsight_body", "gelsight_bracket"):
        there = rig.pose("gel").actInv(rig.pose(frame))
        assert alone.pose("gel").actInv(alone.pose(frame)).isApprox(there), frame
    assert 1e3 * alone.pose("gel").translation == pytest.approx([0.0, 0.0, 40.0])


def test_a_mount_of_ones_own_moves_the_gel_and_what_is_behind_it():
    turned = Description(
        "gelsight_mini.urdf.xacro",
        parent="flange",
        gel_xyz="0.01 -0.02 0.09",
        gel_rpy=f"0 {np.pi / 2} 0",
    )
    assert turned.pose("gel").translation == pytest.approx([0.01, -0.02, 0.09])
    # Turned about y by 90 degrees the camera looks along x of the parent: the housing is behind.
    assert turned.pose("gelsight_body").translation == pytest.approx([0.01 - 0.016, -0.02, 0.09])


def test_indenter_tip_stands_where_the_parameters_say(arm, rig, parameters):
    tip = rig.pose(f"{arm}_link0").actInv(rig.pose("indenter_tip"))
    assert 1e3 * tip.translation == pytest.approx(parameters["rig"]["indenter_position_mm"])
    expected = pinocchio.rpy.rpyToMatrix(*parameters["rig"]["indenter_rpy_rad"])
    assert tip.rotation == pytest.approx(expected, abs=1e-9)


def test_camera_looks_through_the_gel_at_the_indenter(rig):
    """REP-103 optical axes, z forward: the gel lies before the camera, the tip before the gel."""
    camera, gel, tip = (
        rig.pose(name) for name in ("gelsight_optical_frame", "gel", "indenter_tip")
    )
    assert camera.rotation == pytest.approx(gel.rotation)
    distance = camera.actInv(gel).translation
    assert distance[:2] == pytest.approx([0.0, 0.0]) and 0.01 < distance[2] < 0.05
    assert gel.actInv(tip).translation[2] > 0.0
    assert tip.rotation[:, 2] == pytest.approx([0.0, 0.0, -1.0]), "the tip's z is into the stand"
    assert gel.rotation[:, 2] @ tip.rotation[:, 2] == pytest.approx(1.0), "as gel at contact"


def test_bracket_reaches_from_the_hand_to_the_housing(arm, rig):
    """franka_description: 58.4 mm from the hand's origin to its front, 103.4 mm to its TCP."""
    bracket = rig.pose(f"{arm}_hand_tcp").actInv(rig.pose("gelsight_bracket")).translation[2]
    body = rig.pose(f"{arm}_hand_tcp").actInv(rig.pose("gelsight_body")).translation[2]
    length, housing = BOXES["gelsight_bracket"][0][2], BOXES["gelsight_body"][0][2]
    assert bracket - length / 2 == pytest.approx(0.0584 - 0.1034)
    assert bracket + length / 2 == pytest.approx(body - housing / 2)


def test_stand_reaches_from_the_table_to_the_tip(rig):
    post, plate = rig.pose("indenter_post"), rig.pose("indenter_plate")
    assert plate.translation[2] - 0.005 == pytest.approx(0.0)
    assert post.translation[2] - 0.045 == pytest.approx(plate.translation[2] + 0.005)
    assert post.translation[2] + 0.045 == pytest.approx(rig.pose("indenter_tip").translation[2])


def test_start_above_the_stand_lies_in_the_workspace_box(rig, parameters):
    gel_mm = 1e3 * rig.pose("gel").translation
    assert np.all(gel_mm >= parameters["limits"]["box_min_mm"])
    assert np.all(gel_mm <= parameters["limits"]["box_max_mm"])


@pytest.mark.parametrize("link", BOXES)
def test_boxes_have_the_inertia_of_their_size_and_a_possible_density(rig, link):
    size, (least, most) = BOXES[link]
    found = rig.inertia(link)
    expected = pinocchio.Inertia.FromBox(found.mass, *size)
    assert found.inertia == pytest.approx(expected.inertia)
    assert least < found.mass / np.prod(size) < most


def test_post_has_the_inertia_of_a_steel_rod(rig):
    found = rig.inertia("indenter_post")
    expected = pinocchio.Inertia.FromCylinder(found.mass, 0.006, 0.09)
    assert found.inertia == pytest.approx(expected.inertia)
    assert found.mass / (np.pi * 0.006**2 * 0.09) == pytest.approx(7850)


def test_two_sensors_fit_into_one_description(tmp_path):
    """`prefix` keeps their frames apart; includes resolve from another folder."""
    (tmp_path / "two.xacro").write_text(
        '<robot name="two" xmlns:xacro="http://www.ros.org/wiki/xacro"><link name="base"/>'
        f'<xacro:include filename="{URDF}/gelsight_mini_mount.xacro"/>'
        '<xacro:gelsight_mini_mount parent="base" prefix="left_"/>'
        '<xacro:gelsight_mini_mount parent="base" prefix="right_"/></robot>'
    )
    text = xacro.process_file(str(tmp_path / "two.xacro")).toxml()
    model = pinocchio.buildModelFromXML(text)
    assert model.existFrame("left_gel") and model.existFrame("right_gelsight_optical_frame")


@pytest.mark.parametrize(("yaw", "inward"), [("0", -1), ("${pi}", 1)])
def test_gels_on_the_fingers_of_the_documentation_face_each_other(tmp_path, yaw, inward):
    text = (
        '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="finger">'
        f'<xacro:include filename="{URDF}/gelsight_mini_mount.xacro"/><link name="finger"/>'
        '<xacro:gelsight_mini_mount parent="finger" bracket="0.014" '
        f'gel_xyz="0 0 0.045" gel_rpy="${{pi/2}} 0 {yaw}"/></robot>'
    )
    (tmp_path / "finger.xacro").write_text(text)
    rotation = Description(str(tmp_path / "finger.xacro")).pose("gel").rotation
    assert rotation[:, 2] == pytest.approx([0, inward, 0])  # toward the other finger
    assert rotation[:, 1] == pytest.approx([0, 0, 1])  # down in the image: away from the hand
