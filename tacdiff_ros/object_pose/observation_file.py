"""Observations in folders: `observation.yaml` and `arrays.npz`.

The format is described in docs/object_pose.md. Arrays hold numbers only; nothing in the files is
executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.output_files import write_files
from tacdiff_ros.settings_file import read_settings

Floats = NDArray[np.float64]
SETTINGS_FILE, ARRAYS_FILE = "observation.yaml", "arrays.npz"
MAX_SETTINGS_BYTES, MAX_ARRAY_BYTES = 200_000, 500_000_000
GEL_PREFIX = "gel_"
DEFAULT_GEL_STDDEV = 1e-4  # m
Matrix = tuple[tuple[float, float, float, float], ...]


class CameraSettings(BaseModel):
    """Pinhole camera without distortion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fx: float = Field(gt=0.0, description="focal length along x [px]")
    fy: float = Field(gt=0.0, description="focal length along y [px]")
    cx: float = Field(description="column of the optical axis [px]")
    cy: float = Field(description="row of the optical axis [px]")
    pose: Matrix = Field(
        min_length=4, max_length=4, description="pose of the optical frame in the hand [m]"
    )


class ObservationSettings(BaseModel):
    """Content of `observation.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    joint_positions: dict[str, float] = Field(description="joint positions by name [rad or m]")
    camera: CameraSettings | None = Field(None, description="depth camera; absent: touches only")
    gravity: tuple[float, float, float] | None = Field(
        None, description="gravity in the frame of the hand [m/s2]"
    )
    start: Matrix | None = Field(
        None, min_length=4, max_length=4, description="pose of the object to start from [m]"
    )


def read_observation(folder: Path, hand: Hand) -> tuple[GraspObservation, Floats | None]:
    """Read an observation.

    Args:
        folder: folder with `observation.yaml` and `arrays.npz`.
        hand: hand, which gives the order of joints.

    Returns:
        Observation, and the pose (4, 4) to start from; None for a search from nothing.

    Raises:
        InputError: a file is missing or damaged, or a value does not fit.
    """
    settings = read_settings(
        folder / SETTINGS_FILE, ObservationSettings, "observation", MAX_SETTINGS_BYTES
    )
    arrays = read_archive(folder / ARRAYS_FILE, "arrays of the observation", MAX_ARRAY_BYTES)
    origin = printable(folder / ARRAYS_FILE)
    known = {"depth", "mask", "taxel_force"}
    unknown = [name for name in arrays if name not in known and not name.startswith(GEL_PREFIX)]
    if unknown:
        raise InputError(
            f"{origin} has an unknown array {printable(unknown[0])!r}: expected depth, mask, "
            "taxel_force, gel_<name>_points and so on"
        )
    camera, depth, mask = None, None, None
    if settings.camera is not None:
        camera, depth, mask = _images(settings.camera, arrays, origin)
    force = arrays.get("taxel_force")
    observation = GraspObservation(
        hand.ordered(settings.joint_positions),
        camera,
        depth,
        mask,
        None if force is None else _floats(force, "taxel_force", origin),
        _gels(arrays, origin),
        None if settings.gravity is None else np.array(settings.gravity),
    )
    return observation, _pose(settings.start, "start")


def write_observation(
    folder: Path, observation: GraspObservation, hand: Hand, start: Floats | None = None
) -> None:
    """Write an observation in the format of `read_observation`.

    Args:
        folder: folder to write to, created if it does not exist.
        observation: observation.
        hand: hand, which names the joints.
        start: (4, 4) pose to start from; None for none.

    Raises:
        InputError: the files cannot be written.
    """
    import io

    import yaml

    names = dict(zip(hand.joint_names, observation.joint_positions.tolist(), strict=True))
    content: dict[str, Any] = {"joint_positions": names}
    arrays: dict[str, NDArray[Any]] = {}
    camera = observation.camera
    if camera is not None and observation.depth is not None and observation.mask is not None:
        content["camera"] = {
            name: float(getattr(camera, name)) for name in ("fx", "fy", "cx", "cy")
        }
        content["camera"]["pose"] = camera.pose.tolist()
        arrays["depth"] = observation.depth.astype(np.float32)
        arrays["mask"] = observation.mask.astype(np.uint8)
    if observation.gravity is not None:
        content["gravity"] = observation.gravity.tolist()
    if start is not None:
        content["start"] = start.tolist()
    if observation.taxel_force is not None:
        arrays["taxel_force"] = observation.taxel_force
    for touch in observation.gel_touches:
        for field in ("points", "normals", "contact", "stddev", "traction", "force"):
            value = getattr(touch, field)
            if value is not None:
                arrays[f"{GEL_PREFIX}{touch.name}_{field}"] = np.asarray(value)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    text = yaml.safe_dump(content, sort_keys=False)
    write_files(folder, {SETTINGS_FILE: text, ARRAYS_FILE: buffer.getvalue()})


def _images(
    settings: CameraSettings, arrays: dict[str, NDArray[Any]], origin: str
) -> tuple[DepthCamera, NDArray[np.float32], NDArray[np.bool_]]:
    """Return camera, depth image and mask.

    Raises:
        InputError: an image is missing or has a wrong type, or the camera's pose is not rigid.
    """
    for name in ("depth", "mask"):
        if name not in arrays:
            raise InputError(f"{origin} has no array {name}, which a camera needs")
    depth, mask = arrays["depth"], arrays["mask"]
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise InputError(
            f"{origin}: depth is {depth.dtype} of shape {depth.shape}, expected floating-point "
            "metres of shape (H, W); divide integers in millimetres by 1000"
        )
    if mask.dtype.kind not in "bui":
        raise InputError(f"{origin}: mask is {mask.dtype}, expected bool or uint8")
    pose = _pose(settings.pose, "camera.pose")
    height, width = depth.shape
    camera = DepthCamera(
        width, height, settings.fx, settings.fy, settings.cx, settings.cy, np.asarray(pose)
    )
    return camera, depth.astype(np.float32), mask > 0


def _gels(arrays: dict[str, NDArray[Any]], origin: str) -> tuple[GelTouch, ...]:
    """Return the gels' surfaces.

    Raises:
        InputError: an array of a gel is missing, or has a wrong shape.
    """
    end = "_points"
    names = [
        name.removeprefix(GEL_PREFIX).removesuffix(end) for name in arrays if name.endswith(end)
    ]
    touches = []
    for name in names:
        parts = {}
        for field in ("points", "normals", "contact", "stddev", "traction", "force"):
            value = arrays.get(f"{GEL_PREFIX}{name}_{field}")
            parts[field] = None if value is None else _floats(value, f"{name}_{field}", origin)
        points, normals, contact = (parts[field] for field in ("points", "normals", "contact"))
        if points is None or normals is None or contact is None:
            raise InputError(
                f"{origin}: gel {printable(name)} needs the arrays points, normals and contact"
            )
        stddev = parts["stddev"]
        if stddev is None:
            stddev = np.full(len(points), DEFAULT_GEL_STDDEV)
        touches.append(
            GelTouch(
                name, points, normals, contact > 0.0, stddev, parts["traction"], parts["force"]
            )
        )
    return tuple(touches)


def _floats(values: NDArray[Any], name: str, origin: str) -> Floats:
    if values.dtype.kind not in "fiub":
        raise InputError(f"{origin}: {printable(name)} is {values.dtype}, expected numbers")
    return values.astype(np.float64)


def _pose(rows: Matrix | None, name: str) -> Floats | None:
    if rows is None:
        return None
    pose = np.array(rows, float)
    if not se3.is_rigid(pose):
        raise InputError(
            f"observation: {name} is no rigid transformation: expected a rotation matrix, a "
            "position in metres and the last row 0, 0, 0, 1"
        )
    return pose
