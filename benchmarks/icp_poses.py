"""Baseline of object pose: ICP of the depth points to the object's surface, by small_gicp."""

from __future__ import annotations

import numpy as np
import small_gicp

from tacdiff_ros.object_pose.paper_rendering import RenderingLoss
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.rigid_object import RigidObject

SURFACE_POINTS = 20_000
MAX_CORRESPONDENCE_M = 0.05
ITERATIONS = 400


def refine_by_icp(
    item: RigidObject,
    observation: GraspObservation,
    start: np.ndarray,
    checkpoint: bool = False,
    iterations: int = ITERATIONS,
) -> np.ndarray:
    """Return the pose (4, 4) after point-to-point ICP.

    Args:
        item: the object.
        observation: sensor data with depth image and mask.
        start: (4, 4) pose to start from.
        checkpoint: whether to return the iterate with the least rendering loss.
        iterations: maximum number of iterations.
    """
    points = observation.object_points()
    if len(points) < 10:
        return start
    target = small_gicp.PointCloud(item.surface_points(SURFACE_POINTS)[0])
    tree = small_gicp.KdTree(target)
    source = small_gicp.PointCloud(points)
    if not checkpoint:
        return np.linalg.inv(_align(target, source, tree, np.linalg.inv(start), iterations))
    if observation.camera is None or observation.depth is None or observation.mask is None:
        raise ValueError("ICP needs a depth image and a mask")
    loss = RenderingLoss(item, observation.camera, observation.depth, observation.mask)
    pose, best, least = start, start, loss(start).value
    for _ in range(iterations):
        following = np.linalg.inv(_align(target, source, tree, np.linalg.inv(pose), 1))
        is_last = np.abs(following - pose).max() < 1e-7
        pose = following
        if (value := loss(pose).value) < least:
            best, least = pose, value
        if is_last:
            break
    return best


def _align(
    target: small_gicp.PointCloud,
    source: small_gicp.PointCloud,
    tree: small_gicp.KdTree,
    start: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """Return the transform (4, 4) from the hand's frame to the object's."""
    result = small_gicp.align(
        target,
        source,
        tree,
        init_T_target_source=start,
        registration_type="ICP",
        max_correspondence_distance=MAX_CORRESPONDENCE_M,
        max_iterations=iterations,
        rotation_epsilon=1e-7,
        translation_epsilon=1e-8,
    )
    return np.asarray(result.T_target_source)
