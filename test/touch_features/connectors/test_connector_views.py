"""Grid, views and contact masks against counts and analytic contacts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.connectors import connector_augmentation
from tacdiff_ros.touch_features.connectors.connector_poses import (
    ConnectorPoses,
    grid_poses,
    perturbed_poses,
)
from tacdiff_ros.touch_features.connectors.connector_shapes import PAPER_CONNECTORS
from tacdiff_ros.touch_features.connectors.connector_views import (
    CONTACT_DEPTH_MM,
    PAD_MM_PER_PX,
    VIEW_MM,
    VIEW_PX,
    contact_mask,
    render_views,
    touches,
    underside,
)

PIXEL_MM2 = PAD_MM_PER_PX**2


def pose(yaw_deg=0.0, along=0.0, across=0.0, connector=0):
    return ConnectorPoses(
        np.array([connector]), np.radians([yaw_deg]), np.array([[along, across]], float)
    )


def ball(radius):
    mesh = trimesh.creation.icosphere(4, radius)
    mesh.apply_translation([0, 0, radius])
    return mesh


def test_the_grid_has_the_counts_and_the_resolution_of_the_publication():
    grid = grid_poses(4)
    assert len(grid) == 1920
    assert np.bincount(grid.connector).tolist() == [480] * 4
    assert np.diff(np.unique(np.degrees(grid.yaw_rad).round(9))) == pytest.approx(5.0)
    for axis in (0, 1):
        assert np.diff(np.unique(grid.grip_mm[:, axis])) == pytest.approx(5.0)
    rows = np.column_stack([grid.connector, grid.yaw_rad, grid.grip_mm])
    assert len(np.unique(rows, axis=0)) == 1920


def test_held_out_poses_are_640_within_5_deg_and_5_mm_of_the_grid_but_not_on_it():
    grid = grid_poses(4)
    held_out = perturbed_poses(grid, lambda poses: np.ones(len(poses), bool), 3)
    assert len(held_out) == 640
    assert np.bincount(held_out.connector).tolist() == [160] * 4
    own = grid.connector == 0
    for k in range(160):
        yaw = np.abs(np.degrees(grid.yaw_rad[own] - held_out.yaw_rad[k]))
        shift = np.abs(grid.grip_mm[own] - held_out.grip_mm[k]).max(axis=1)
        assert ((yaw <= 5.0) & (shift <= 5.0)).any()
        assert not ((yaw < 1e-6) & (shift < 1e-6)).any()


def test_poses_depend_on_the_seed_only():
    grid = grid_poses(1)
    first, second, other = (
        perturbed_poses(grid, lambda poses: np.ones(len(poses), bool), seed, 20)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.grip_mm, second.grip_mm)
    assert not np.array_equal(first.grip_mm, other.grip_mm)


def test_poses_that_do_not_touch_are_drawn_again():
    held_out = perturbed_poses(grid_poses(1), lambda poses: poses.grip_mm[:, 0] > -8.0, 0, 60)
    assert (held_out.grip_mm[:, 0] > -8.0).all()


def test_the_contact_of_a_ball_is_the_circle_of_its_cap():
    radius = 5.0
    mask = contact_mask(underside(ball(radius), np.eye(4)))
    rim = radius**2 - (radius - CONTACT_DEPTH_MM) ** 2
    assert mask.sum() * PIXEL_MM2 == pytest.approx(math.pi * rim, rel=0.02)


def test_the_contact_of_a_jack_is_the_strip_of_its_housing():
    """Only the housing touches: the plug's lowest line is 1.75 mm higher."""
    jack = PAPER_CONNECTORS["aux"]
    mesh = jack.mesh()
    mask = contact_mask(underside(mesh, pose(along=-2.0).in_gripper(0)))
    half = jack.housing_diameter / 2
    width = 2 * math.sqrt(half**2 - (half - CONTACT_DEPTH_MM) ** 2)
    across = mask.sum(axis=0) * PAD_MM_PER_PX
    middle = mask[:, 80:100].sum(axis=0) * PAD_MM_PER_PX
    assert middle == pytest.approx(width, abs=1.1 * PAD_MM_PER_PX)
    first = (np.flatnonzero(across)[0] - 79.5) * PAD_MM_PER_PX
    start = mesh.bounds[0, 0] + jack.plug + 2.0  # -2 mm along: the gripper is nearer to the tip
    assert start - 0.2 <= first <= start + 1.2  # chamfered over 1 mm


def test_yaw_turns_and_a_grip_shifts_the_mask():
    mesh = PAPER_CONNECTORS["pin"].mesh()
    base = underside(mesh, pose().in_gripper(0)) < CONTACT_DEPTH_MM
    turned = underside(mesh, pose(yaw_deg=180.0).in_gripper(0)) < CONTACT_DEPTH_MM
    assert np.mean(turned != base[::-1, ::-1]) < 0.01
    step = 4 * PAD_MM_PER_PX
    shifted = underside(mesh, pose(along=step).in_gripper(0)) < CONTACT_DEPTH_MM
    assert np.mean(shifted[:, :-4] != base[:, 4:]) < 0.005


def test_the_overhead_view_shows_heights_and_the_position_in_the_gripper():
    box = trimesh.creation.box(bounds=[[-3, -2, 0], [3, 2, 6]])
    views = render_views([box], pose(along=-10.0, across=-5.0))
    image = views.height_mm[0]
    assert image.max() == pytest.approx(6.0, abs=1e-3)
    rows, columns = np.nonzero(image)
    scale = VIEW_MM / VIEW_PX
    centre = (VIEW_PX - 1) / 2
    magnified = 300.0 / (300.0 - 6.0)
    assert (columns.mean() - centre) * scale == pytest.approx(10.0 * magnified, abs=scale)
    assert (centre - rows.mean()) * scale == pytest.approx(5.0 * magnified, abs=scale)


def test_a_connector_beside_the_pad_does_not_touch():
    beside = pose(along=60.0)
    assert not touches([ball(3.0)], beside).any()
    assert touches([ball(3.0)], pose()).all()
    assert not touches([ball(3.0)], pose(along=11.0), margin_mm=4.0).any()


def test_bad_poses_are_refused():
    with pytest.raises(InputError, match="expected"):
        ConnectorPoses(np.zeros(2, int), np.zeros(3), np.zeros((2, 2)))
    with pytest.raises(InputError, match="not finite"):
        ConnectorPoses(np.zeros(1, int), np.array([np.nan]), np.zeros((1, 2)))
    with pytest.raises(InputError, match="expected 1000 or more"):
        perturbed_poses(grid_poses(1), lambda poses: np.ones(len(poses), bool), 0, 1000)
    with pytest.raises(InputError, match="never touch"):
        perturbed_poses(grid_poses(1), lambda poses: np.zeros(len(poses), bool), 0, 3)


def test_a_motion_of_the_images_is_that_of_the_connector(monkeypatch):
    monkeypatch.setattr(connector_augmentation, "MAX_ROTATION_RAD", math.radians(20.0))
    mesh = PAPER_CONNECTORS["usb_a"].mesh()
    before = render_views([mesh], pose(yaw_deg=10.0))
    images = [torch.from_numpy(a.astype(np.float32))[None] for a in (before.height_mm, before.mask)]
    view, mask = (
        image[0, 0].numpy()
        for image in connector_augmentation.move(*images, torch.Generator().manual_seed(2))
    )
    random = torch.Generator().manual_seed(2)
    angle = 20.0 * (2 * torch.rand(1, generator=random) - 1).item()
    shift = 2.5 * (2 * torch.rand((2, 1), generator=random) - 1).numpy()[:, 0]
    yaw = math.radians(10.0 + angle)
    turned = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    after = render_views([mesh], pose(math.degrees(yaw), *(-turned.T @ shift)))
    for moved, rendered in ((mask > 0.5, after.mask[0]), (view > 1.0, after.height_mm[0] > 1.0)):
        assert (moved & rendered).sum() > 0.95 * (moved | rendered).sum()
