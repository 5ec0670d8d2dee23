"""A pinhole depth camera and its image of triangle meshes (z-buffer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cached_njit

Array = NDArray[np.float64]
Mesh = tuple[NDArray[Any], NDArray[Any]]

MAX_PIXELS = 50_000_000
NEAR_M = 1e-3  # triangles nearer than this to the camera's plane are not rendered
NOTHING = -1  # label of pixels that see no mesh


@dataclass(frozen=True)
class DepthCamera:
    """A pinhole camera without distortion.

    Attributes:
        width: image width, px.
        height: image height, px.
        fx: focal length along x, px.
        fy: focal length along y, px.
        cx: column of the optical axis, px; 0 is the centre of the first pixel.
        cy: row of the optical axis, px.
        pose: (4, 4) transform from the optical frame (x right, y down, z forward) to the frame in
            which meshes and points are given.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    pose: Array

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0 and self.width * self.height <= MAX_PIXELS):
            raise InputError(f"camera of {self.width} x {self.height} px: expected positive sizes")
        if not (0 < self.fx < math.inf and 0 < self.fy < math.inf):
            raise InputError(f"focal lengths {self.fx}, {self.fy} px: expected positive numbers")
        if self.pose.shape != (4, 4) or not np.isfinite(self.pose).all():
            raise InputError("camera pose: expected a finite 4 x 4 transform")

    @classmethod
    def looking_at(
        cls,
        position: ArrayLike,
        target: ArrayLike,
        up: ArrayLike = (0.0, 0.0, 1.0),
        size: tuple[int, int] = (320, 240),
        field_of_view_deg: float = 60.0,
    ) -> DepthCamera:
        """Build a camera that sees a point in the middle of its image.

        Args:
            position: (3,) position of the camera, m.
            target: (3,) point in the middle of the image, m.
            up: (3,) direction that is up in the image, not along the view.
            size: width and height, px.
            field_of_view_deg: horizontal field of view, degrees.
        """
        forward = np.asarray(target, float) - np.asarray(position, float)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, np.asarray(up, float))
        right = right / np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        pose[:3, 3] = position
        width, height = size
        focal = 0.5 * width / math.tan(math.radians(field_of_view_deg) / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2, pose)

    def points(self, depth: NDArray[Any]) -> Array:
        """Return the points (H, W, 3) of a depth image (H, W) in the optical frame, m."""
        x = (np.arange(self.width) - self.cx) / self.fx
        y = (np.arange(self.height) - self.cy) / self.fy
        z = np.asarray(depth, float)
        return np.stack([z * x, z * y[:, None], z], axis=-1)

    def project(self, points: ArrayLike) -> tuple[Array, Array]:
        """Project points.

        Args:
            points: (N, 3) positions in the frame of `pose`, m.

        Returns:
            pixels: (N, 2) columns and rows, px; meaningless for depths <= 0.
            depth: (N,) depths, m.
        """
        local = (np.asarray(points, float) - self.pose[:3, 3]) @ self.pose[:3, :3]
        z = np.where(local[:, 2] > 0, local[:, 2], np.inf)
        columns, rows = self.fx * local[:, 0] / z + self.cx, self.fy * local[:, 1] / z + self.cy
        return np.stack([columns, rows], axis=1), local[:, 2]

    def render_depth(
        self, meshes: Sequence[Mesh], poses: Sequence[ArrayLike] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Render the depth image of triangle meshes; both sides of a triangle are visible.

        Args:
            meshes: vertices (V, 3) in m and faces (F, 3) of each mesh.
            poses: pose (4, 4) of each mesh in the frame of the camera's pose; None for identities.

        Returns:
            depth: (H, W) float32 depths along the optical axis, m; 0 for the background.
            label: (H, W) int32 index of the visible mesh; -1 for the background.
        """
        depth = np.full((self.height, self.width), np.inf, np.float32)
        label = np.full((self.height, self.width), NOTHING, np.int32)
        to_camera = np.linalg.inv(self.pose)
        intrinsics = np.array([self.fx, self.fy, self.cx, self.cy])
        for number, (vertices, faces) in enumerate(meshes):
            pose = to_camera if poses is None else to_camera @ np.asarray(poses[number], float)
            local = np.asarray(vertices, float) @ pose[:3, :3].T + pose[:3, 3]
            rasterise(
                np.ascontiguousarray(local),
                np.ascontiguousarray(faces, np.int32),
                intrinsics,
                number,
                depth,
                label,
            )
        depth[label == NOTHING] = 0.0
        return depth, label


@cached_njit(nogil=True, error_model="numpy")
def rasterise(
    vertices: Any, faces: Any, intrinsics: Any, number: int, depth: Any, label: Any
) -> None:
    """Render the triangles of one mesh into a z-buffer.

    Args:
        vertices: (V, 3) float64 positions in the optical frame, m.
        faces: (F, 3) int32 vertex indices.
        intrinsics: (4,) fx, fy, cx, cy, px.
        number: label of the mesh.
        depth: (H, W) float32 depths so far, m, changed in place.
        label: (H, W) int32 labels so far, changed in place.
    """
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics
    u, v = np.empty(3), np.empty(3)
    w = np.empty(3)  # inverse depth, which is linear in the image
    for f in range(faces.shape[0]):
        visible = True
        for k in range(3):
            x, y, z = vertices[faces[f, k]]
            visible &= z > NEAR_M
            w[k] = 1.0 / z
            u[k], v[k] = fx * x / z + cx, fy * y / z + cy
        area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
        if not visible or area == 0.0:
            continue
        left = max(0, math.ceil(min(u[0], u[1], u[2])))
        right = min(width - 1, math.floor(max(u[0], u[1], u[2])))
        top = max(0, math.ceil(min(v[0], v[1], v[2])))
        bottom = min(height - 1, math.floor(max(v[0], v[1], v[2])))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                a = (u[1] - column) * (v[2] - row) - (u[2] - column) * (v[1] - row)
                b = (u[2] - column) * (v[0] - row) - (u[0] - column) * (v[2] - row)
                a, b = a / area, b / area
                c = 1.0 - a - b
                if a < 0.0 or b < 0.0 or c < 0.0:
                    continue
                z = 1.0 / (a * w[0] + b * w[1] + c * w[2])
                if z < depth[row, column]:
                    depth[row, column] = z
                    label[row, column] = number
