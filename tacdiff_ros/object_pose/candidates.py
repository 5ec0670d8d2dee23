"""Poses from which an estimate starts: about a given pose, or from depth and touches alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.rotation_grid import global_rotations, local_rotations
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
LOCAL_ANGLES_RAD = (math.radians(20.0), math.radians(40.0))
GLOBAL_SPACING_RAD = math.radians(50.0)


def around(start: Floats, item: RigidObject) -> Floats:
    """Return poses (M, 4, 4) about a given one: turned about the object's centre of mass.

    Args:
        start: (4, 4) given pose.
        item: object.
    """
    turns = [local_rotations(angle) for angle in LOCAL_ANGLES_RAD]
    rotations = np.concatenate([turns[0], turns[1][1:]])
    centre = item.centre_of_mass
    poses = []
    for turn in rotations:
        matrix = start[:3, :3] @ turn
        position = se3.apply(start, centre[None])[0] - matrix @ centre
        poses.append(se3.pose_of(position, matrix))
    return np.stack(poses)


def everywhere(
    item: RigidObject, visible: Floats, camera_origin: Floats | None, touched: Floats
) -> Floats:
    """Return poses (M, 4, 4) of all orientations, placed at what was seen and touched.

    The seen points lie on the near side of the object: its centre lies behind their centre by a
    part of its depth along the line of sight.

    Args:
        item: object.
        visible: (N, 3) points of the object that the camera sees, in `hand`; may be empty.
        camera_origin: (3,) position of the camera in `hand`; None without a camera.
        touched: (T, 3) points where the hand touches, in `hand`; may be empty.
    """
    centre = item.centre_of_mass
    rotations = global_rotations(item.symmetries, GLOBAL_SPACING_RAD)
    middle = 0.5 * (item.vertices.min(axis=0) + item.vertices.max(axis=0))
    poses = []
    for matrix in rotations:
        if len(visible) and camera_origin is not None:
            middle_visible = np.median(visible, axis=0)
            sight = middle_visible - camera_origin
            sight /= np.linalg.norm(sight)
            along = item.vertices @ (matrix.T @ sight)
            target = middle_visible + 0.3 * float(np.ptp(along)) * sight
            poses.append(se3.pose_of(target - matrix @ middle, matrix))
        else:
            target = touched.mean(axis=0)
            poses.append(se3.pose_of(target - matrix @ centre, matrix))
    return np.stack(poses)
