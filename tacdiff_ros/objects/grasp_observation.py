"""What a robot knows of an object in its hand at one moment, in plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera

Array = NDArray[np.float64]

MAX_DEPTH_M = 10.0
GRAVITY = (0.0, 0.0, -9.81)


@dataclass(frozen=True)
class GelTouch:
    """The measured surface of one gel.

    Attributes:
        name: name of the sensor, that of a `GelPad` of the hand.
        points: (N, 3) points of the deformed gel surface in its frame `gel`, m.
        normals: (N, 3) unit normals of the gel surface, away from the camera.
        contact: (N,) whether the point touches the object.
        stddev: (N,) standard deviations of the points along z, m.
        traction: (N, 3) force of the object on the gel per area in frame `gel`, Pa; None if
            unknown.
        force: (3,) force of the object on the gel in frame `gel`, N; None if unknown.
    """

    name: str
    points: Array
    normals: Array
    contact: NDArray[np.bool_]
    stddev: Array
    traction: Array | None = None
    force: Array | None = None

    def __post_init__(self) -> None:
        count = len(self.points)
        shapes = {"points": (count, 3), "normals": (count, 3), "contact": (count,)}
        shapes |= {"stddev": (count,), "traction": (count, 3), "force": (3,)}
        for field, shape in shapes.items():
            value = getattr(self, field)
            if value is not None and value.shape != shape:
                raise InputError(
                    f"gel {self.name}: {field} of shape {value.shape}, expected {shape}"
                )


@dataclass(frozen=True)
class GraspObservation:
    """Sensor data of one grasp. Poses are in the frame of the hand's root link.

    Attributes:
        joint_positions: (J,) measured joint positions in the hand's order, rad or m.
        camera: intrinsics and calibrated pose of the depth camera; None without a camera.
        depth: (H, W) float32 measured depth, m; 0 where there is none; None without a camera.
        mask: (H, W) bool segmentation of the object's visible part; None without a camera.
        taxel_force: (T, 3) force on each taxel in the frame of its link, N; None without taxels.
        gel_touches: surfaces of the gels; empty without gels.
        gravity: (3,) gravity in the frame of the hand's root link, m/s2; None if unknown.
    """

    joint_positions: Array
    camera: DepthCamera | None = None
    depth: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    taxel_force: Array | None = None
    gel_touches: tuple[GelTouch, ...] = ()
    gravity: Array | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.joint_positions).all():
            raise InputError("joint positions that are not finite: check the joint states")
        if self.camera is not None:
            self._check_images(self.camera)
        if self.taxel_force is not None and (
            self.taxel_force.ndim != 2 or self.taxel_force.shape[1] != 3
        ):
            raise InputError(f"taxel forces of shape {self.taxel_force.shape}: expected (T, 3), N")

    def _check_images(self, camera: DepthCamera) -> None:
        if self.depth is None or self.mask is None:
            raise InputError("a depth camera without a depth image and a mask: give both")
        shape = (camera.height, camera.width)
        if self.depth.shape != shape or self.mask.shape != shape:
            raise InputError(
                f"depth image of shape {self.depth.shape} and mask of shape {self.mask.shape}, "
                f"expected {shape} as in the camera's intrinsics"
            )
        measured = self.depth[np.isfinite(self.depth) & (self.depth > 0)]
        if len(measured) and np.median(measured) > MAX_DEPTH_M:
            raise InputError(
                f"median depth {np.median(measured):.4g} m, expected up to {MAX_DEPTH_M:g} m: "
                "is the image in millimetres? multiply it by 0.001"
            )

    def taxel_contact(self, threshold: float = 0.02) -> NDArray[np.bool_]:
        """Return which taxels (T,) carry more than `threshold` N; empty without taxels."""
        if self.taxel_force is None:
            return np.empty(0, bool)
        return np.linalg.norm(self.taxel_force, axis=1) > threshold

    def object_points(self) -> Array:
        """Return the points (N, 3) of the masked depth pixels, in the root link's frame, m."""
        if self.camera is None or self.depth is None or self.mask is None:
            return np.empty((0, 3))
        points = self.camera.points(self.depth)[self.mask & (self.depth > 0)]
        return points @ self.camera.pose[:3, :3].T + self.camera.pose[:3, 3]
