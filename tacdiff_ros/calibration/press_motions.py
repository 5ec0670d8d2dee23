"""Motions of a press in the fit of the lights: steps, derivatives and priors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.press_surfaces import Press, PressedGel, PressSurfaces, shifted
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.float64]

STEP_MM, STEP_RAD = 0.02, 0.01
DEPTH_AND_YAW_STEPS = [IndenterPose(depth_mm=STEP_MM), IndenterPose(yaw_rad=STEP_RAD)]
POSITION_MM, DEPTH_MM, YAW_RAD = 0.5, 0.3, 0.2  # prior standard deviations around the initial press
MIN_DEPTH_MM = 0.05


def press_prior_scale(has_yaw: bool) -> Floats:
    """Return the inverse prior standard deviations of x, y, depth and, if it is fitted, yaw.

    Args:
        has_yaw: whether the yaw is fitted.
    """
    spread = [POSITION_MM, POSITION_MM, DEPTH_MM, YAW_RAD]
    return 1.0 / np.array(spread if has_yaw else spread[:3])


def press_prior(first: Press, press: Press, has_yaw: bool) -> Floats:
    """Return the residuals of the prior of a press.

    Args:
        first: initial press, the centre of the prior.
        press: fitted press.
        has_yaw: whether the yaw is fitted.
    """
    change = [
        press.x_mm - first.x_mm,
        press.y_mm - first.y_mm,
        press.depth_mm - first.depth_mm,
        *([press.yaw_rad - first.yaw_rad] if has_yaw else []),
    ]
    return np.array(change) * press_prior_scale(has_yaw)


def perturbed_surfaces(surfaces: PressSurfaces, gel: PressedGel) -> list[tuple[GelSurface, float]]:
    """Surfaces under a press that is perturbed in x, y, depth and, if it is fitted, yaw.

    Args:
        surfaces: gel surfaces under the indenter.
        gel: gel under the press.

    Returns:
        Surface, and the size of the perturbation, mm or rad.
    """
    moves = DEPTH_AND_YAW_STEPS[:1] if surfaces.is_round else DEPTH_AND_YAW_STEPS
    sizes = [STEP_MM, STEP_MM, STEP_MM, STEP_RAD]
    perturbed = [
        shifted(gel.surface, STEP_MM, 0.0),
        shifted(gel.surface, 0.0, STEP_MM),
        *surfaces.moved(gel, moves),
    ]
    return list(zip(perturbed, sizes, strict=False))


def stepped_press(press: Press, step: Floats, max_depth_mm: float) -> Press:
    """Return a press after a step (x, y, depth) or (x, y, depth, yaw), clipped."""
    x, y, depth = (float(np.clip(part, -1.0, 1.0)) for part in step[:3])
    return replace(
        press,
        x_mm=press.x_mm + x,
        y_mm=press.y_mm + y,
        depth_mm=min(max(press.depth_mm + depth, MIN_DEPTH_MM), max_depth_mm),
        yaw_rad=press.yaw_rad + float(step[3:].sum()),
    )
