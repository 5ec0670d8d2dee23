"""Generated images that resemble a GelSight Mini with markers, for use without a camera.

A smooth imprint, shaded by three coloured lights, on a gel whose markers move with the indenter.
Limits: the images have no physical basis and serve to demonstrate and test the data flow;
calibration and inversion are evaluated on path-traced images only.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.sensor.marker_grid import MarkerGrid

WIDTH, HEIGHT = 320, 240
MM_PER_PX = 0.0634
IMPRINT_MM = 2.2
SHEAR_REACH_MM = 4.5
SLIP = 0.45  # fraction of the indenter's tangential motion that the gel's surface follows
NOISE_GREY = 1.5
NOISE_FRAMES = 7  # precomputed noise images, repeated in turn
SUPERSAMPLING = 2  # resolution at which markers are rendered before averaging, per axis
# Azimuth in the image (x right, y down), degrees, and colour of each light, from real sensors.
LIGHTS = ((-99.0, (1.0, 0.05, 0.05)), (6.0, (0.05, 1.0, 0.25)), (93.0, (0.1, 0.2, 1.0)))
SLOPE_GAIN = 70.0
INK_GREY = 22.0


class GeneratedFrames:
    """Renders images of the gel for poses of an indenter."""

    def __init__(self, grid: MarkerGrid | None = None, seed: int = 0) -> None:
        """Start with the untouched gel.

        Args:
            grid: grid of the markers; None for the default.
            seed: seed of the noise.
        """
        self._grid = grid or MarkerGrid()
        random = np.random.default_rng(seed)
        shape = (NOISE_FRAMES, HEIGHT, WIDTH, 3)
        self._noise = NOISE_GREY * random.standard_normal(shape, np.float32)
        self._frames = 0
        self._first_contact: IndenterPose | None = None
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self._x_mm = (x - (WIDTH - 1) / 2) * MM_PER_PX
        self._y_mm = (y - (HEIGHT - 1) / 2) * MM_PER_PX
        self._background = _background(x, y)

    def render(self, indenter: IndenterPose) -> NDArray[np.uint8]:
        """Render the next image.

        Args:
            indenter: indenter pose in the frame `gel`; a depth of 0 or less means no contact.

        Returns:
            (240, 320, 3) uint8 RGB image.
        """
        depth_mm = max(0.0, indenter.depth_mm)
        if depth_mm == 0.0:
            self._first_contact = None
        elif self._first_contact is None:
            self._first_contact = indenter
        image = self._background + self._shading(indenter, depth_mm)
        ink = self._ink(indenter, depth_mm)[..., None]
        image += ink * (INK_GREY - image)
        image += self._noise[self._frames % NOISE_FRAMES]
        self._frames += 1
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _shading(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float32]:
        """Return the shading (H, W, 3) of a cross-shaped imprint, in grey levels."""
        if depth_mm == 0.0:
            return np.zeros((1, 1, 3), np.float32)
        dx, dy = self._x_mm - indenter.x_mm, self._y_mm - indenter.y_mm
        c, s = np.cos(indenter.yaw_rad), np.sin(indenter.yaw_rad)
        u, v = c * dx + s * dy, -s * dx + c * dy
        bars = [(np.abs(a) < 0.8) & (np.abs(b) < IMPRINT_MM) for a, b in ((u, v), (v, u))]
        imprint = depth_mm * np.logical_or(*bars).astype(np.float32)
        height = cv2.GaussianBlur(imprint, (0, 0), 6.0)
        slope_y, slope_x = np.gradient(height, MM_PER_PX)
        shading = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        for azimuth_deg, colour in LIGHTS:
            to_light = np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
            facing = -(to_light[0] * slope_x + to_light[1] * slope_y)
            strength = SLOPE_GAIN * facing / (1.0 + np.abs(facing))
            shading += strength[..., None] * np.array(colour, np.float32)
        return shading

    def _ink(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float32]:
        """Return the fraction of each pixel that markers cover, (H, W)."""
        canvas = np.zeros((HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING), np.float32)
        radius = 0.5 * self._grid.diameter_mm / MM_PER_PX * SUPERSAMPLING
        for position_mm in self._markers_mm(indenter, depth_mm):
            x, y = position_mm / MM_PER_PX + [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
            centre = [round(16 * ((value + 0.5) * SUPERSAMPLING - 0.5)) for value in (x, y)]
            cv2.circle(canvas, centre, round(16 * radius), 1.0, -1, cv2.LINE_8, 4)
        blurred = cv2.GaussianBlur(canvas, (0, 0), 0.8 * SUPERSAMPLING)
        return np.asarray(
            cv2.resize(blurred, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32
        )

    def _markers_mm(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float64]:
        """Return the marker positions (N, 2), mm, displaced by press, shear and twist."""
        grid = self._grid
        columns = (np.arange(grid.columns) - (grid.columns - 1) / 2) * grid.pitch_x_mm
        rows = (np.arange(grid.rows) - (grid.rows - 1) / 2) * grid.pitch_y_mm
        rest = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        first = self._first_contact
        if first is None:
            return rest
        offset = rest - [indenter.x_mm, indenter.y_mm]
        weight = np.exp(-np.sum(offset**2, axis=1) / SHEAR_REACH_MM**2)[:, None]
        bulge = 0.08 * depth_mm * offset * weight
        shear = SLIP * np.array([indenter.x_mm - first.x_mm, indenter.y_mm - first.y_mm])
        perpendicular = np.stack([-offset[:, 1], offset[:, 0]], axis=1)
        twist = SLIP * (indenter.yaw_rad - first.yaw_rad) * perpendicular
        return np.asarray(rest + bulge + weight * (shear + twist))


def cycle_pose(time_s: float, period_s: float = 8.0) -> IndenterPose:
    """Return the indenter pose of a periodic press with shear and twist, for use without an arm.

    Args:
        time_s: time, s.
        period_s: period of the motion, s.

    Returns:
        Indenter pose in the frame `gel`.
    """
    fraction = (time_s % period_s) / period_s
    press = float(np.clip(np.sin(np.pi * fraction) * 1.6, 0.0, 1.0))
    angle = 2.0 * np.pi * fraction
    return IndenterPose(
        x_mm=1.2 * float(np.sin(2 * angle)) * press,
        y_mm=0.9 * float(np.sin(angle)) * press,
        depth_mm=1.0 * press,
        yaw_rad=0.12 * float(np.sin(3 * angle)) * press,
    )


def _background(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colour of the flat gel, darker at the edges and away from each light."""
    right, down = x / (WIDTH - 1) - 0.5, y / (HEIGHT - 1) - 0.5
    falloff = 1.0 - 0.7 * (right**2 + down**2)
    red = (128.0 + 40.0 * down) * falloff
    green = (130.0 - 22.0 * right) * falloff
    blue = (126.0 - 44.0 * down) * falloff
    return np.stack([red, green, blue], axis=-1).astype(np.float32)
