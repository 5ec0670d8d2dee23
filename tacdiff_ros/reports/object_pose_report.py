"""HTML report of an object pose estimate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.depth_pixels import depth_pixels
from tacdiff_ros.object_pose.observation import intrinsics
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.rigid_object import RigidObject
from tacdiff_ros.reports.object_pose_pictures import overlay, residual_picture
from tacdiff_ros.reports.pages import image_png, page_text

Image = NDArray[np.uint8]
PICTURE_PIXELS = 3000  # of the picture of residuals


def overlay_of(
    estimate: PoseEstimate, item: RigidObject, observation: GraspObservation
) -> Image | None:
    """Return the depth image with mask, estimated outlines and contacts; None without a camera.

    Args:
        estimate: estimate.
        item: object.
        observation: observation from which the estimate was made.
    """
    camera, depth, mask = observation.camera, observation.depth, observation.mask
    if camera is None or depth is None or mask is None:
        return None
    to_camera = se3.inverse(estimate.best.fit.unknowns.camera_pose)
    return overlay(
        depth,
        mask,
        intrinsics(camera),
        (item.vertices, item.faces),
        [to_camera @ each.object_pose for each in estimate.hypotheses],
        se3.apply(to_camera, estimate.plausibility.contacts),
    )


def residuals_of(
    estimate: PoseEstimate, item: RigidObject, observation: GraspObservation
) -> Image | None:
    """Return the picture of the depth residuals; None without a camera."""
    camera, depth, mask = observation.camera, observation.depth, observation.mask
    if camera is None or depth is None or mask is None:
        return None
    pixels = depth_pixels(depth, mask, intrinsics(camera)).object
    pixels = pixels.chosen(PICTURE_PIXELS, np.random.default_rng(0))
    unknowns = estimate.best.fit.unknowns
    points = pixels.ray * (pixels.depth - unknowns.depth_bias)[:, None]
    to_object = se3.inverse(unknowns.object_pose) @ unknowns.camera_pose
    residual = item.distance.distance(se3.apply(to_object, points))
    height, width = depth.shape
    return residual_picture((height, width), intrinsics(camera), points, residual)


def report_text(estimate: PoseEstimate, item: RigidObject, observation: GraspObservation) -> str:
    """Return the HTML page of an estimate.

    Args:
        estimate: estimate.
        item: object.
        observation: observation from which the estimate was made.
    """
    pictures = [
        (caption, image_png(picture))
        for caption, picture in (
            (
                "Depth image with the given mask (yellow), outlines of the hypotheses (green: the "
                "most probable) and contacts (red); parts that the hand hides are outlined too.",
                overlay_of(estimate, item, observation),
            ),
            (
                "Distance of the measured points from the estimated surface: red outside, blue "
                "inside, full colour at 6 mm.",
                residuals_of(estimate, item, observation),
            ),
        )
        if picture is not None
    ]
    return page_text(
        "object_pose_report.html.j2",
        estimate=estimate,
        figures=estimate.as_json(),
        hypotheses=[_hypothesis_row(each) for each in estimate.as_json()["hypotheses"]],
        offsets=[1e3 * float(value) for value in estimate.joint_offsets],
        pictures=pictures,
    )


def _hypothesis_row(hypothesis: dict[str, Any]) -> dict[str, Any]:
    pose = np.array(hypothesis["pose"])
    return {
        "weight": hypothesis["weight"],
        "position_mm": [f"{1e3 * value:.1f}" for value in pose[:3, 3]],
        "rotation_deg": [
            f"{math.degrees(value):.1f}" for value in se3.rotation_vector(pose[:3, :3])
        ],
        "position_stddev_mm": 1e3 * hypothesis["position_stddev_m"],
        "rotation_stddev_deg": math.degrees(hypothesis["rotation_stddev_rad"]),
        "cost": hypothesis["cost"],
    }
