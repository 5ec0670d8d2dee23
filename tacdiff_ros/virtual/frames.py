"""Generated frames that look like a GelSight Mini with dots, for demonstrations without a camera.

A smooth imprint, shaded by three coloured lights, over a gel whose dots move with the indenter.
Limits: a picture to show and to test the plumbing with, no physics; calibration and inversion are
judged on path-traced images only.
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
SLIP = 0.45  # share of the indenter's travel that the gel's surface follows
NOISE_GREY = 1.5
NOISE_FRAMES = 7  # drawn once and repeated
FINE = 2  # dots are drawn at twice the resolution and averaged
# Azimuth in the image (x right, y down) and colour of each light, as measured on real units.
LIGHTS = ((-99.0, (1.0, 0.05, 0.05)), (6.0, (0.05, 1.0, 0.25)), (93.0, (0.1, 0.2, 1.0)))
SLOPE_GAIN = 70.0
INK_GREY = 22.0


class GeneratedFrames:
    """Renders the gel for a pose of the indenter."""

    def __init__(self, grid: MarkerGrid | None = None, seed: int = 0) -> None:
        """Gel with a grid of dots and reproducible noise."""
        self._grid = grid or MarkerGrid()
        random = np.random.default_rng(seed)
        shape = (NOISE_FRAMES, HEIGHT, WIDTH, 3)
        self._noise = NOISE_GREY * random.standard_normal(shape, np.float32)
        self._frames = 0
        self._first_touch: IndenterPose | None = None
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self._x_mm = (x - (WIDTH - 1) / 2) * MM_PER_PX
        self._y_mm = (y - (HEIGHT - 1) / 2) * MM_PER_PX
        self._background = _background(x, y)

    def render(self, indenter: IndenterPose) -> NDArray[np.uint8]:
        """Image (240, 320, 3) uint8 RGB of the gel; depth <= 0 is the untouched gel."""
        depth_mm = max(0.0, indenter.depth_mm)
        if depth_mm == 0.0:
            self._first_touch = None
        elif self._first_touch is None:
            self._first_touch = indenter
        image = self._background + self._shading(indenter, depth_mm)
        ink = self._ink(indenter, depth_mm)[..., None]
        image += ink * (INK_GREY - image)
        image += self._noise[self._frames % NOISE_FRAMES]
        self._frames += 1
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _shading(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float32]:
        """Change of colour by the slope of a cross-shaped imprint."""
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
            toward = np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
            facing = -(toward[0] * slope_x + toward[1] * slope_y)
            strength = SLOPE_GAIN * facing / (1.0 + np.abs(facing))
            shading += strength[..., None] * np.array(colour, np.float32)
        return shading

    def _ink(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float32]:
        """Share of ink in each pixel."""
        canvas = np.zeros((HEIGHT * FINE, WIDTH * FINE), np.float32)
        radius = 0.5 * self._grid.diameter_mm / MM_PER_PX * FINE
        for place_mm in self._dots_mm(indenter, depth_mm):
            x, y = place_mm / MM_PER_PX + [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
            centre = [round(16 * ((value + 0.5) * FINE - 0.5)) for value in (x, y)]
            cv2.circle(canvas, centre, round(16 * radius), 1.0, -1, cv2.LINE_8, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), 0.8 * FINE)
        return np.asarray(
            cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32
        )

    def _dots_mm(self, indenter: IndenterPose, depth_mm: float) -> NDArray[np.float64]:
        """(N, 2) places of the dots: pushed aside by the press, dragged and turned by the shear."""
        grid = self._grid
        columns = (np.arange(grid.columns) - (grid.columns - 1) / 2) * grid.pitch_x_mm
        rows = (np.arange(grid.rows) - (grid.rows - 1) / 2) * grid.pitch_y_mm
        rest = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        touch = self._first_touch
        if touch is None:
            return rest
        away = rest - [indenter.x_mm, indenter.y_mm]
        weight = np.exp(-np.sum(away**2, axis=1) / SHEAR_REACH_MM**2)[:, None]
        bulge = 0.08 * depth_mm * away * weight
        drag = SLIP * np.array([indenter.x_mm - touch.x_mm, indenter.y_mm - touch.y_mm])
        turn = (
            SLIP * (indenter.yaw_rad - touch.yaw_rad) * np.stack([-away[:, 1], away[:, 0]], axis=1)
        )
        return np.asarray(rest + bulge + weight * (drag + turn))


def cycle_pose(time_s: float, period_s: float = 8.0) -> IndenterPose:
    """A press with shear and twist that repeats, for frames without an arm."""
    share = (time_s % period_s) / period_s
    press = float(np.clip(np.sin(np.pi * share) * 1.6, 0.0, 1.0))
    sway = 2.0 * np.pi * share
    return IndenterPose(
        1.2 * float(np.sin(2 * sway)) * press,
        0.9 * float(np.sin(sway)) * press,
        1.0 * press,
        0.12 * float(np.sin(3 * sway)) * press,
    )


def _background(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tint of the flat gel: darker toward the edges, near the opposite of each light's colour."""
    right, down = x / (WIDTH - 1) - 0.5, y / (HEIGHT - 1) - 0.5
    falloff = 1.0 - 0.7 * (right**2 + down**2)
    red = (128.0 + 40.0 * down) * falloff
    green = (130.0 - 22.0 * right) * falloff
    blue = (126.0 - 44.0 * down) * falloff
    return np.stack([red, green, blue], axis=-1).astype(np.float32)
