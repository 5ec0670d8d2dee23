"""Touches as `SimulateTouch` carries them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import confine_files, parse_indenter
from tacdiff_ros.msg import Residual
from tacdiff_ros.nodes.conversion.geometry import to_wrench
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.surface import METRES, to_contact, to_mesh
from tacdiff_ros.twin.touch_simulation import SimulatedTouch, TouchRequest


def from_request(request: Any, folder: Path) -> TouchRequest:
    """A request in millimetres; files of its indenter lie in a folder.

    Raises:
        InputError: the indenter is no spec, or its file lies elsewhere.
    """
    place, shear = request.position, request.shear
    return TouchRequest(
        confine_files(parse_indenter(request.indenter), folder),
        IndenterPose(place.x / METRES, place.y / METRES, 0.0, request.yaw),
        request.depth / METRES,
        (shear.x / METRES, shear.y / METRES),
        request.twist,
    )


def fill_response(
    response: Any,
    touch: SimulatedTouch,
    with_maps: bool,
    stamp: Time,
    frame_id: str,
    gel_frame_id: str,
) -> None:
    """Write a simulated touch into a response, in SI units; frame ids of images and of the gel."""
    response.image = to_image(touch.rendered.image, stamp, frame_id)
    maps = touch.rendered.maps
    if with_maps and maps is not None:
        depth_m, indentation_m = (
            (METRES * values).astype(np.float32) for values in (maps.depth_mm, maps.indentation_mm)
        )
        response.nocs = to_image(maps.nocs, stamp, frame_id)
        response.depth_map = to_image(depth_m, stamp, frame_id)
        response.indentation = to_image(indentation_m, stamp, frame_id)
    response.mesh = to_mesh(touch.surface)
    response.wrench = to_wrench(touch.force_n, METRES * touch.torque_n_mm)
    response.contact = to_contact(touch.contact, stamp, gel_frame_id)
    response.residuals = [Residual(name="live_gel_error", value=METRES * touch.error_mm, unit="m")]
    response.duration = touch.seconds
    response.success = True
    response.message = "simulated"
    if not touch.converged:
        response.message += f"; warning: the gel is off by up to {touch.error_mm:.3f} mm"
