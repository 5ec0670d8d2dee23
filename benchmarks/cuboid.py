"""Faces of a cuboid that is pressed with an edge or a corner, on a path-traced sensor.

The gel touches each face beside an edge on a strip of 0.2 to 0.3 mm only. A face is where the true
surface has about its direction; planes are fitted to the true and to the inverted positions of
these material points, and the angles between the planes are compared. A corner has no such faces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation
from tables import Part

from tacdiff_ros.evaluation.surface_error import motion_error_mm, moved_origin, surface_error
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.mechanics.indenters.tilt import tilt_matrix
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.random_sensors import (
    BALL,
    RandomPress,
    RandomSensor,
    VirtualSensorSettings,
)
from tacdiff_ros.virtual.sensor_store import cached_sensor

Floats = NDArray[np.float64]

TILTS_DEG = ((45.0, 0.0), (35.0, 0.0), (45.0, 35.0))  # roll and pitch: two edges, a corner
SAME_DIRECTION_DEG = 8.0  # between the true surface and a face
MIN_VERTICES = 12
Calibrated = Callable[[RandomSensor], tuple[SensorModel, np.ndarray]]


def measure_cuboid(options: argparse.Namespace, calibrated: Calibrated) -> Part:
    """Invert a cuboid pressed with two edges and a corner; compare the angles between its faces."""
    tilted = tuple(f"cube:roll={roll:g},pitch={pitch:g}" for roll, pitch in TILTS_DEG)
    presses = (BALL, BALL, *tilted)
    settings = VirtualSensorSettings(presses=len(presses), indenters=presses)
    rows: list[dict[str, Any]] = []
    for seed in range(1 if options.quick else min(options.units, 2)):
        sensor = cached_sensor(seed, settings)
        model, shift = calibrated(sensor)
        inverter = Inverter(model, sensor.reference)
        for k, tilt in enumerate(TILTS_DEG, 2):
            inversion = inverter.invert(sensor.presses[k])
            truth = moved_origin(sensor.surfaces[k], shift)
            errors = face_angle_errors(inversion.surface, truth, sensor.touches[k], tilt)
            rows.append(
                {
                    "unit": seed,
                    "indenter": sensor.touches[k].indenter,
                    "depth_mm": round(sensor.touches[k].depth_mm, 2),
                    "height_rmse_mm": round(
                        surface_error(inversion.surface, truth, inversion.valid).height_mm, 4
                    ),
                    "face_angle_errors_deg": [round(error, 1) for error in errors],
                    "max_depth_mm": round(-float(inversion.surface.position[:, 2].min()), 3),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    errors = np.abs(np.concatenate([row["face_angle_errors_deg"] for row in rows]))
    return rows, {
        "face_angle_error_deg": round(float(np.median(errors)), 2),
        "face_angle_error_deg_worst": round(float(errors.max()), 2),
        "cuboid_max_depth_mm": max(row["max_depth_mm"] for row in rows),
    }


def face_angle_errors(
    surface: GelSurface, truth: GelSurface, press: RandomPress, tilt_deg: tuple[float, float]
) -> list[float]:
    """Return the angles between faces that meet at an edge, inverted minus true, degrees."""
    axes = Rotation.from_euler("z", press.yaw_rad).as_matrix() @ tilt_matrix(*tilt_deg)
    estimated = surface.position.astype(np.float64)
    true = estimated - motion_error_mm(surface, truth)
    normals = _normals_of(surface, truth)
    planes = []
    for face in np.concatenate([axes.T, -axes.T]):
        inside = normals @ face > np.cos(np.radians(SAME_DIRECTION_DEG))
        if inside.sum() >= MIN_VERTICES:
            planes.append([_plane(points[inside], face) for points in (estimated, true)])
    return [_angle_deg(a[0], b[0]) - _angle_deg(a[1], b[1]) for a, b in combinations(planes, 2)]


def _plane(points: Floats, toward: Floats) -> Floats:
    """(3,) unit normal of the plane through (n, 3) points, on the side of a direction."""
    normal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][-1]
    return np.asarray(normal * np.sign(normal @ toward))


def _angle_deg(a: Floats, b: Floats) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


def _normals_of(surface: GelSurface, truth: GelSurface) -> Floats:
    """(N, 3) unit normals of the true surface, away from the camera, at the surface's vertices."""
    shape = (truth.rows, truth.columns)
    position = truth.position.astype(np.float64).reshape(*shape, 3)
    normals = np.cross(np.gradient(position, axis=1), np.gradient(position, axis=0))
    lines = (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64))
    sampled = RegularGridInterpolator(lines, normals, bounds_error=False, fill_value=None)
    at = sampled(surface.rest[:, 1::-1].astype(np.float64))
    at *= np.sign(at[:, 2:])
    return np.asarray(at / np.linalg.norm(at, axis=1, keepdims=True))
