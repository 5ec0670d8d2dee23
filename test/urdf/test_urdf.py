"""The descriptions of mount and stand, read back by a URDF parser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

pinocchio = pytest.importorskip("pinocchio", reason="the virtual extra is not installed")
xacro = pytest.importorskip("xacro", reason="the dev extra is not installed")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["fr3", "panda"])
def rig(request):
    path = ROOT / "urdf" / "tacdiff_rig.urdf.xacro"
    text = xacro.process_file(str(path), mappings={"arm_id": request.param}).toxml()
    model = pinocchio.buildModelFromXML(text)
    data = model.createData()
    pinocchio.framesForwardKinematics(model, data, pinocchio.neutral(model))

    def pose(frame: str):
        assert model.existFrame(frame), f"{frame} is missing"
        return data.oMf[model.getFrameId(frame)]

    return request.param, pose, model


@pytest.fixture(scope="module")
def parameters():
    content = yaml.safe_load((ROOT / "config" / "tacdiff.yaml").read_text())
    return content["/**"]["acquisition"]["ros__parameters"]


def test_gel_stands_in_the_end_effector_where_the_parameters_say(rig, parameters):
    arm, pose, _ = rig
    mount = pose(f"{arm}_hand_tcp").actInv(pose("gel"))
    assert 1e3 * mount.translation == pytest.approx(parameters["rig"]["mount_position_mm"])
    rpy = pinocchio.rpy.matrixToRpy(mount.rotation)
    assert rpy == pytest.approx(parameters["rig"]["mount_rpy_rad"], abs=1e-9)


def test_indenter_tip_stands_where_the_parameters_say(rig, parameters):
    arm, pose, _ = rig
    tip = pose(f"{arm}_link0").actInv(pose("indenter_tip"))
    assert 1e3 * tip.translation == pytest.approx(parameters["rig"]["indenter_position_mm"])
    expected = pinocchio.rpy.rpyToMatrix(*parameters["rig"]["indenter_rpy_rad"])
    assert tip.rotation == pytest.approx(expected, abs=1e-9)


def test_camera_looks_through_the_gel_at_the_indenter(rig):
    """REP-103 optical axes, z forward: the gel lies before the camera, the tip before the gel."""
    _, pose, _ = rig
    camera, gel, tip = pose("gelsight_optical_frame"), pose("gel"), pose("indenter_tip")
    assert camera.actInv(gel).translation[2] > 0.01
    assert gel.actInv(tip).translation[2] > 0.0
    assert camera.rotation == pytest.approx(gel.rotation)
    assert np.array(tip.rotation)[:, 2] @ [0, 0, 1] == pytest.approx(-1.0)


def test_stand_reaches_from_the_table_to_the_tip(rig):
    _, pose, _ = rig
    stand = pose("indenter_stand")
    assert stand.translation[2] == pytest.approx(0.0, abs=1e-9)
    assert stand.rotation == pytest.approx(np.eye(3), abs=1e-9)


def test_start_above_the_stand_lies_in_the_workspace_box(rig, parameters):
    _, pose, _ = rig
    gel_mm = 1e3 * pose("gel").translation
    assert np.all(gel_mm >= parameters["limits"]["box_min_mm"])
    assert np.all(gel_mm <= parameters["limits"]["box_max_mm"])


def test_bodies_weigh_what_such_things_weigh(rig):
    """Sensor 45 g and stand 600 g; a box's or rod's inertia is positive definite."""
    *_, model = rig
    total = model.inertias[0]
    assert total.mass == pytest.approx(0.645)
    assert np.linalg.eigvalsh(total.inertia).min() > 0.0
