"""Overhead depth views and contact masks of connectors in a gripper.

Both come from virtual depth cameras, as in the publication: one above the gripper, one in the
orientation of the sensor, whose depths are thresholded.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trimesh import Trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.touch_features.connectors.connector_poses import (
    ConnectorPoses,
    grid_poses,
    perturbed_poses,
)

Floats = NDArray[np.float64]

VIEW_PX, VIEW_MM = 128, 64.0  # overhead view: side in pixels, and in mm at the height of the pad
CAMERA_HEIGHT_MM = 300.0
PAD_PX = (128, 160)  # rows and columns of a contact mask
PAD_MM_PER_PX = 0.15625  # 25 x 20 mm, the gel pad of a GelSight Mini
CONTACT_DEPTH_MM = 0.8  # depth of the lowest point in the gel
MIN_CONTACT_MM2 = 2.0  # smallest visible contact that counts as a touch
FAR_MM = 1000.0  # distance of the sensor's camera: 0.4 % of perspective at most
NO_OBJECT_MM = 50.0  # height where no object is above the pad


@dataclass(frozen=True)
class ConnectorViews:
    """N views of connectors with the contact masks of the same poses.

    Attributes:
        poses: poses and classes.
        height_mm: (N, 128, 128) float32 overhead depth views as heights above the pad, mm; 0 for
            the background.
        mask: (N, 128, 160) bool contact masks; columns along x, rows along y of the gripper.

    Raises:
        InputError: shapes differ.
    """

    poses: ConnectorPoses
    height_mm: NDArray[np.float32]
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.poses)
        expected = (count, VIEW_PX, VIEW_PX), (count, *PAD_PX)
        if (self.height_mm.shape, self.mask.shape) != expected:
            raise InputError(
                f"views of shape {self.height_mm.shape} and masks of shape {self.mask.shape}, "
                f"expected {expected[0]} and {expected[1]}"
            )

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class PaperViews:
    """The publication's sets: 1,920 views to train on and 640 held-out views of four connectors."""

    train: ConnectorViews
    held_out: ConnectorViews


def paper_views(connectors: Mapping[str, Trimesh], seed: int) -> PaperViews:
    """Render the grid and the perturbed poses of connectors.

    Args:
        connectors: meshes by name, mm, in the frame of `connector_shapes`.
        seed: seed of the held-out poses.

    Raises:
        InputError: a connector cannot be touched at a held-out pose.
    """
    meshes = list(connectors.values())
    grid = grid_poses(len(meshes))
    held_out = perturbed_poses(grid, functools.partial(touches, meshes), seed)
    return PaperViews(render_views(meshes, grid), render_views(meshes, held_out))


def render_views(meshes: Sequence[Trimesh], poses: ConnectorPoses) -> ConnectorViews:
    """Render view and contact mask of every pose.

    Args:
        meshes: connectors by class, mm.
        poses: N poses.
    """
    camera = overhead_camera()
    heights = np.empty((len(poses), VIEW_PX, VIEW_PX), np.float32)
    masks = np.empty((len(poses), *PAD_PX), bool)
    for k in range(len(poses)):
        mesh, pose = meshes[poses.connector[k]], poses.in_gripper(k)
        depth, label = camera.render_depth([_metres(mesh, pose)])
        heights[k] = np.where(label >= 0, CAMERA_HEIGHT_MM - 1e3 * depth, 0.0)
        masks[k] = contact_mask(underside(mesh, pose))
    return ConnectorViews(poses, heights, masks)


def touches(
    meshes: Sequence[Trimesh], poses: ConnectorPoses, margin_mm: float = 0.0
) -> NDArray[np.bool_]:
    """Return for every pose (N,) whether enough of the connector touches the pad.

    Args:
        meshes: connectors by class, mm.
        poses: N poses.
        margin_mm: width of the pad's rim whose contact does not count, mm.
    """
    masks = [
        contact_mask(underside(meshes[poses.connector[k]], poses.in_gripper(k)))
        for k in range(len(poses))
    ]
    rim = round(margin_mm / PAD_MM_PER_PX)
    inner = [mask[rim : PAD_PX[0] - rim, rim : PAD_PX[1] - rim] for mask in masks]
    areas = np.array([mask.sum() for mask in inner]) * PAD_MM_PER_PX**2
    return np.asarray(areas >= MIN_CONTACT_MM2)


def contact_mask(height_mm: Floats, contact_mm: float = CONTACT_DEPTH_MM) -> NDArray[np.bool_]:
    """Return where an underside is in the gel when its lowest point is `contact_mm` deep.

    Args:
        height_mm: (H, W) heights of the underside, mm.
        contact_mm: depth of the lowest point, mm.

    Returns:
        (H, W) bool; nowhere if there is no object above the pad.
    """
    lowest = float(height_mm.min())
    if lowest >= NO_OBJECT_MM:
        return np.zeros(height_mm.shape, bool)
    return np.asarray(height_mm < lowest + contact_mm)


def underside(
    mesh: Trimesh,
    pose: Floats,
    shape: tuple[int, int] = PAD_PX,
    mm_per_px: tuple[float, float] = (PAD_MM_PER_PX, PAD_MM_PER_PX),
) -> Floats:
    """Return the heights of a mesh's underside above the pad, seen from the sensor.

    Args:
        mesh: mesh, mm.
        pose: (4, 4) pose of the mesh in the gripper's frame, mm.
        shape: rows and columns of the grid, centred on the gripper.
        mm_per_px: spacing of the grid along x and y, mm.

    Returns:
        (H, W) heights, mm; `NO_OBJECT_MM` where there is no object.
    """
    depth, label = _sensor_camera(shape, mm_per_px).render_depth([_metres(mesh, pose)])
    return np.where(label >= 0, 1e3 * depth.astype(np.float64) - FAR_MM, NO_OBJECT_MM)


@functools.cache
def overhead_camera() -> DepthCamera:
    """Return the camera above the gripper; x to the right of the image, y up."""
    focal = VIEW_PX * CAMERA_HEIGHT_MM / VIEW_MM
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = 1e-3 * CAMERA_HEIGHT_MM
    centre = (VIEW_PX - 1) / 2
    return DepthCamera(VIEW_PX, VIEW_PX, focal, focal, centre, centre, pose)


@functools.cache
def _sensor_camera(shape: tuple[int, int], mm_per_px: tuple[float, float]) -> DepthCamera:
    """Return a distant camera under the pad that looks up; x to the right of the image, y down."""
    rows, columns = shape
    pose = np.eye(4)
    pose[2, 3] = -1e-3 * FAR_MM
    fx, fy = FAR_MM / mm_per_px[0], FAR_MM / mm_per_px[1]
    return DepthCamera(columns, rows, fx, fy, (columns - 1) / 2, (rows - 1) / 2, pose)


def _metres(mesh: Trimesh, pose: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Return vertices in the gripper's frame in m, and faces."""
    vertices = np.asarray(mesh.vertices) @ pose[:3, :3].T + pose[:3, 3]
    return 1e-3 * vertices, np.asarray(mesh.faces, np.int32)
