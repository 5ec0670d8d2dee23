"""Converts requests and responses of the service `simulate_touch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import confine_files, parse_indenter
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.msg import Residual
from tacdiff_ros.nodes.conversion.geometry import to_wrench
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.surface import METRES_PER_MM, to_contact, to_mesh
from tacdiff_ros.twin.touch_simulation import SimulatedTouch


def from_request(request: Any, folder: Path) -> TouchRequest:
    """Convert a `SimulateTouch` request from metres into millimetres.

    Args:
        request: request of the service.
        folder: only folder from which the indenter may read files.

    Returns:
        Touch to simulate, mm.

    Raises:
        InputError: the indenter spec or a number is invalid, or the indenter's file is not in the
            folder.
    """
    position, shear = request.position, request.shear
    pose = IndenterPose(
        x_mm=position.x / METRES_PER_MM,
        y_mm=position.y / METRES_PER_MM,
        depth_mm=0.0,
        yaw_rad=request.yaw,
    )
    return TouchRequest(
        indenter=confine_files(parse_indenter(request.indenter), folder),
        start=pose,
        depth_mm=request.depth / METRES_PER_MM,
        shear_mm=(shear.x / METRES_PER_MM, shear.y / METRES_PER_MM),
        twist_rad=request.twist,
    )


def fill_response(
    response: Any,
    touch: SimulatedTouch,
    with_maps: bool,
    stamp: Time,
    frame_id: str,
    gel_frame_id: str,
) -> None:
    """Write a simulated touch into a `SimulateTouch` response, in SI units.

    Args:
        response: response of the service, changed in place.
        touch: simulated touch, mm.
        with_maps: whether the NOCS, depth and indentation maps are included.
        stamp: time of the response's images.
        frame_id: frame of the images.
        gel_frame_id: frame of the gel.
    """
    response.image = to_image(touch.rendered.image, stamp, frame_id)
    maps = touch.rendered.maps
    if with_maps and maps is not None:
        depth_m, indentation_m = (
            (METRES_PER_MM * values).astype(np.float32)
            for values in (maps.depth_mm, maps.indentation_mm)
        )
        response.nocs = to_image(maps.nocs, stamp, frame_id)
        response.depth_map = to_image(depth_m, stamp, frame_id)
        response.indentation = to_image(indentation_m, stamp, frame_id)
    gel = touch.result
    response.mesh = to_mesh(gel.surface)
    response.wrench = to_wrench(gel.force_n, METRES_PER_MM * gel.torque_at_origin_n_mm)
    response.contact = to_contact(touch.contact, stamp, gel_frame_id)
    gel_error = Residual(name="live_gel_error", value=METRES_PER_MM * gel.error_mm, unit="m")
    response.residuals = [gel_error]
    response.duration = touch.seconds
    response.success = True
    response.message = "simulated"
    if not gel.converged:
        response.message += f"; warning: the gel position error is up to {gel.error_mm:.3f} mm"
