"""Tactile images of connectors on many virtual sensors, instead of perfect contact masks.

The connector is pressed into the gel in closed form, and each sensor's image is rendered by the
fast renderer. The input of a network is the change against that sensor's reference image.

Limits: the gel follows the connector where they touch and returns to the flat surface by repeated
smoothing (Si and Yuan, "Taxim", 2022, section III-B); no forces, bulge or shear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from trimesh import Trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import Gel, SensorModel
from tacdiff_ros.touch_features.connectors.connector_poses import ConnectorPoses
from tacdiff_ros.touch_features.connectors.connector_views import NO_OBJECT_MM, underside
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

Floats = NDArray[np.float64]
SURFACE_MM = 0.125  # spacing of the rendered surface
SMOOTHING_MM = (0.9, 0.45, 0.2)  # standard deviations of the Gaussians around the contact
RIM_MM = 0.1  # standard deviation of the last Gaussian, which rounds the rim
DEPTH_MM = (0.5, 1.1)  # range of the depth of the lowest point
NOISE_GREY = 1.0  # standard deviation of the sensor noise
RENDERED_PX = (120, 160)  # rows and columns; networks get the mean of 2 x 2 pixels
IMAGE_PX = (56, 80)  # after cropping two rows at the top and at the bottom
MAX_CHANGE_GREY = 127
INVISIBLE_MM = 2.5  # width of the pad's rim that the camera does not see


@dataclass(frozen=True)
class TactileImages:
    """N tactile images of connectors.

    Attributes:
        poses: poses and classes.
        sensor: (N,) int64 number of the sensor.
        depth_mm: (N,) depth of the connector's lowest point in the gel, mm.
        change: (N, 3, 56, 80) int8 change against the sensor's reference image, grey levels,
            limited to 127.

    Raises:
        InputError: shapes differ.
    """

    poses: ConnectorPoses
    sensor: NDArray[np.int64]
    depth_mm: Floats
    change: NDArray[np.int8]

    def __post_init__(self) -> None:
        count = len(self.poses)
        shapes = self.sensor.shape, self.depth_mm.shape, self.change.shape
        if shapes != ((count,), (count,), (count, 3, *IMAGE_PX)):
            raise InputError(
                f"tactile images: sensors, depths and images of shapes {shapes}, expected "
                f"{count} of each and images of 3 x {IMAGE_PX[0]} x {IMAGE_PX[1]}"
            )

    def __len__(self) -> int:
        return len(self.poses)


def virtual_sensors(seeds: Sequence[int]) -> list[SensorModel]:
    """Return random sensors with usable exposure, every second one without markers.

    Args:
        seeds: seeds of the sensors; disjoint seeds give sensors that share nothing.
    """
    dotted = default_sensor()
    plain = dotted.model_copy(update={"markers": None})
    return [usable_exposure(random_sensor(seed, plain if seed % 2 else dotted)) for seed in seeds]


def tactile_images(
    meshes: Sequence[Trimesh], poses: ConnectorPoses, sensors: Sequence[SensorModel], seed: int
) -> TactileImages:
    """Render the touch of every pose on a random sensor with a random depth.

    Args:
        meshes: connectors by class, mm.
        poses: N poses.
        sensors: sensors to choose from.
        seed: seed of the choice, the depths and the noise.

    Raises:
        InputError: there is no sensor, or a connector is beside the pad.
    """
    if not sensors:
        raise InputError("tactile images: no sensor given, expected at least one")
    random = np.random.default_rng([seed, 0x7AC7])
    chosen = random.integers(len(sensors), size=len(poses))
    depths = random.uniform(*DEPTH_MM, len(poses))
    change = np.empty((len(poses), 3, *IMAGE_PX), np.int8)
    for number, model in enumerate(sensors):
        camera = _Camera(model, [seed, number])
        for k in np.flatnonzero(chosen == number):
            mesh, pose = meshes[poses.connector[k]], poses.in_gripper(int(k))
            change[k] = camera.change(pressed_surface(model.gel, mesh, pose, depths[k]))
    return TactileImages(poses, chosen, depths, change)


def pressed_surface(gel: Gel, mesh: Trimesh, pose: Floats, depth_mm: float) -> GelSurface:
    """Return the gel's surface under a connector.

    Args:
        gel: dimensions of the pad.
        mesh: connector, mm.
        pose: (4, 4) pose of the connector in the gripper's frame, which is the frame `gel`, mm.
        depth_mm: depth of the lowest point, mm.

    Raises:
        InputError: the connector is beside the pad, or the depth is not 0 to the gel's limit.
    """
    if not 0.0 <= depth_mm <= gel.full_indentation_mm:
        raise InputError(f"depth is {depth_mm:g} mm, expected 0 to {gel.full_indentation_mm:g} mm")
    rows, columns = (round(side / SURFACE_MM) + 1 for side in (gel.height_mm, gel.width_mm))
    spacing = gel.width_mm / (columns - 1), gel.height_mm / (rows - 1)
    height = underside(mesh, pose, (rows, columns), spacing)
    if height.min() >= NO_OBJECT_MM:
        raise InputError("the connector is beside the pad: expected a pose that touches it")
    overlap = np.maximum(depth_mm - (height - height.min()), 0.0)
    surface = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    position = surface.rest.copy()
    position[:, 2] -= smoothed_imprint(overlap, SURFACE_MM).ravel()
    return surface.moved(position)


def smoothed_imprint(overlap: Floats, spacing_mm: float) -> Floats:
    """Return the indentation of a gel around an overlap.

    Args:
        overlap: (H, W) overlap of connector and undeformed gel, mm.
        spacing_mm: spacing of the grid, mm.

    Returns:
        (H, W) indentation, mm: about the overlap in the contact, decaying around it.
    """
    contact, indentation = overlap > 0, overlap
    for sigma in SMOOTHING_MM:
        indentation = gaussian_filter(indentation, sigma / spacing_mm, mode="nearest", truncate=3)
        indentation[contact] = overlap[contact]
    return np.asarray(gaussian_filter(indentation, RIM_MM / spacing_mm, mode="nearest"))


class _Camera:
    """Camera of one sensor with noise."""

    def __init__(self, model: SensorModel, seed: Sequence[int]) -> None:
        rows, columns = RENDERED_PX
        self._renderer = FastRenderer(model, FastSettings(columns, rows, threads=1))
        self._random = np.random.default_rng(seed)
        self._reference = _grey(self._renderer.image())

    def change(self, surface: GelSurface) -> NDArray[np.int8]:
        """Return the change (3, 56, 80) of the image by a surface, grey levels."""
        self._renderer.set_surface(surface)
        image = _grey(self._renderer.image())
        noise = NOISE_GREY * self._random.standard_normal(image.shape)
        change = np.rint(np.clip(np.rint(image + noise), 0, 255) - self._reference)
        rows, columns = RENDERED_PX
        small = change.reshape(rows // 2, 2, columns // 2, 2, 3).mean(axis=(1, 3))
        margin = (rows // 2 - IMAGE_PX[0]) // 2
        limited = np.clip(np.rint(small), -MAX_CHANGE_GREY, MAX_CHANGE_GREY)
        return limited[margin : margin + IMAGE_PX[0]].transpose(2, 0, 1).astype(np.int8)


def _grey(image: NDArray[np.float32]) -> Floats:
    return np.clip(255.0 * image.astype(np.float64), 0.0, 255.0)
