"""Height of the gel around a pressed ball, by the full finite element solver.

The gel is nearly incompressible: around a ball that is 1.3 mm deep it bulges by 0.04 mm. So the
height beside a contact is compared with this bulge, not with the undeformed gel.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.random_sensors import RandomPress, VirtualSensorSettings, pressed_gel

DEPTHS_MM = (0.5, 0.9, 1.3, 1.7)
STEP_MM, REACH_MM, HALF_RING_MM = 0.25, 10.0, 0.35
FRICTION = 0.5


def ball_bulge(
    diameter_mm: float, depth_mm: float, distance_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the height of the gel at distances from the axis of a pressed ball.

    Args:
        diameter_mm: diameter of the ball, mm.
        depth_mm: depth of its lowest point, mm.
        distance_mm: (n,) horizontal distances from its axis, mm.

    Returns:
        (n,) heights, mm; positive where the gel bulges. They are those of a press in the middle of
        the pad, so that the influence of the pad's sides is neglected.
    """
    at = np.stack(
        [
            np.full(len(distance_mm), np.clip(depth_mm, DEPTHS_MM[0], DEPTHS_MM[-1])),
            np.minimum(distance_mm, REACH_MM),
        ],
        axis=-1,
    )
    return np.asarray(_profiles(diameter_mm)(at))


@functools.cache
def _profiles(diameter_mm: float) -> RegularGridInterpolator:
    """Heights by depth and distance; some seconds for each depth."""
    radii = np.arange(0.0, REACH_MM + STEP_MM, STEP_MM)
    heights = []
    for depth in DEPTHS_MM:
        press = RandomPress(
            indenter=f"sphere:diameter={diameter_mm:g}",
            at_mm=(0.0, 0.0),
            yaw_rad=0.0,
            depth_mm=depth,
            shear_mm=(0.0, 0.0),
            friction=FRICTION,
        )
        state = pressed_gel(default_sensor(), press, VirtualSensorSettings())
        x, y, z = (state.rest + state.displacement).T
        away = np.abs(np.hypot(x, y) - radii[:, None])
        heights.append([z[ring].mean() for ring in away < HALF_RING_MM])
    return RegularGridInterpolator((DEPTHS_MM, radii), np.array(heights))
