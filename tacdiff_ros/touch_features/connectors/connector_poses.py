"""Poses of connectors in the gripper: the grid of the publication, and poses off the grid.

The jaws close along the optical axis of the overhead camera; the sensor is in the lower jaw, under
the connector, and the gripper's centre is the centre of both images. The publication does not
state the direction in which the jaws close, nor the extents of its grid: 480 poses for each of
four objects, 5 deg and 5 mm apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

Floats = NDArray[np.float64]

STEP_DEG, STEP_MM = 5.0, 5.0  # resolution of the grid in the publication
YAW_DEG = STEP_DEG * np.arange(-16, 16)  # 32 x 5 x 3 = 480 poses
ALONG_MM = STEP_MM * np.arange(-2, 3)
ACROSS_MM = STEP_MM * np.arange(-1, 2)
HELD_OUT = 160  # held-out poses of each connector
MAX_ATTEMPTS = 200


@dataclass(frozen=True)
class ConnectorPoses:
    """N poses of connectors in the gripper.

    Attributes:
        connector: (N,) int64 class of the connector.
        yaw_rad: (N,) rotation of the connector about the vertical axis z of the gripper, rad.
        grip_mm: (N, 2) gripper centre in the connector's frame, along x and y, mm.

    Raises:
        InputError: shapes differ, or a value is not finite.
    """

    connector: NDArray[np.int64]
    yaw_rad: Floats
    grip_mm: Floats

    def __post_init__(self) -> None:
        count = len(self.connector)
        if self.yaw_rad.shape != (count,) or self.grip_mm.shape != (count, 2):
            raise InputError(
                f"poses: yaw {self.yaw_rad.shape} and grip {self.grip_mm.shape} of {count} "
                f"connectors, expected ({count},) and ({count}, 2)"
            )
        if not (np.isfinite(self.yaw_rad).all() and np.isfinite(self.grip_mm).all()):
            raise InputError("poses: a yaw or a position is not finite, expected numbers")

    def __len__(self) -> int:
        return len(self.connector)

    def in_gripper(self, k: int) -> Floats:
        """Return the pose (4, 4) of connector `k` in the gripper's frame, mm."""
        c, s = math.cos(self.yaw_rad[k]), math.sin(self.yaw_rad[k])
        pose = np.eye(4)
        pose[:2, :2] = [[c, -s], [s, c]]
        pose[:2, 3] = -pose[:2, :2] @ self.grip_mm[k]
        return pose

    def joined(self, other: ConnectorPoses) -> ConnectorPoses:
        """Return these poses, then others."""
        return ConnectorPoses(
            np.concatenate([self.connector, other.connector]),
            np.concatenate([self.yaw_rad, other.yaw_rad]),
            np.concatenate([self.grip_mm, other.grip_mm]),
        )

    def subset(self, numbers: NDArray[np.integer]) -> ConnectorPoses:
        """Return poses by their numbers."""
        return ConnectorPoses(self.connector[numbers], self.yaw_rad[numbers], self.grip_mm[numbers])


def grid_poses(connectors: int) -> ConnectorPoses:
    """Return the poses of the grid, 480 for each connector.

    Args:
        connectors: number of connectors.
    """
    yaw, along, across = np.meshgrid(np.radians(YAW_DEG), ALONG_MM, ACROSS_MM, indexing="ij")
    grip = np.stack([along.ravel(), across.ravel()], axis=1)
    return ConnectorPoses(
        np.repeat(np.arange(connectors), yaw.size),
        np.tile(yaw.ravel(), connectors),
        np.tile(grip, (connectors, 1)),
    )


def perturbed_poses(
    grid: ConnectorPoses,
    touches: Callable[[ConnectorPoses], NDArray[np.bool_]],
    seed: int,
    count: int = HELD_OUT,
) -> ConnectorPoses:
    """Return random poses of each connector near poses of the grid.

    Args:
        grid: poses to perturb, by up to 5 deg and 5 mm along both axes.
        touches: function that says for poses whether the connector touches the sensor; poses
            without a touch are drawn again.
        seed: seed of choice and perturbation.
        count: number of poses of each connector.

    Raises:
        InputError: there are fewer poses than `count`, or a pose never touches the sensor.
    """
    random = np.random.default_rng([seed, 0xC0])
    chosen = []
    for number in np.unique(grid.connector):
        own = np.flatnonzero(grid.connector == number)
        if len(own) < count:
            raise InputError(f"{len(own)} poses of connector {number}, expected {count} or more")
        chosen.append(random.choice(own, count, replace=False))
    base = grid.subset(np.sort(np.concatenate(chosen)))
    yaw, grip = base.yaw_rad.copy(), base.grip_mm.copy()
    missing = np.arange(len(base))
    for _ in range(MAX_ATTEMPTS):
        shape = (len(missing), 3)
        shift = random.uniform(-1.0, 1.0, shape) * [math.radians(STEP_DEG), STEP_MM, STEP_MM]
        yaw[missing] = base.yaw_rad[missing] + shift[:, 0]
        grip[missing] = base.grip_mm[missing] + shift[:, 1:]
        poses = ConnectorPoses(base.connector, yaw, grip)
        missing = missing[~touches(poses.subset(missing))]
        if len(missing) == 0:
            return poses
    raise InputError(f"{len(missing)} poses never touch the sensor: expected connectors in reach")
