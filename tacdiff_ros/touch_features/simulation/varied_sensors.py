"""Random Minis that vary more than those of one production: for networks that meet any sensor.

They start from `virtual.random_sensors` and vary the sides, colours and powers of the lights, the
coating's brightness, the camera's distance, the markers, and the camera's picture: blur, noise,
compression, dark corners of the housing, dust, and marks of wear on the gel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.touch_features.simulation.layer_contact import PadGrid
from tacdiff_ros.touch_features.touch_set import HEIGHT_PX, WIDTH_PX
from tacdiff_ros.virtual.random_sensors import random_sensor

Floats = NDArray[np.float32]
Random = np.random.Generator

SIDES = ((0.0, -10.2, 90.0), (12.4, 0.0, 180.0), (0.0, 10.2, -90.0), (-12.4, 0.0, 0.0))
"""Positions x and y of the lights, mm, and azimuths of their aims, degrees."""

NOMINAL_FRACTION = 0.5  # of the sensors with the lights on the sides of a nominal Mini
FLAT_FIELD_SHAPE = (4, 5)
LOWEST_LIGHT_MM = -0.8


@dataclass(frozen=True)
class CameraTraits:
    """Properties of a sensor's pictures.

    Attributes:
        blur_px: standard deviation of the blur, px.
        noise_grey: standard deviation of the noise, grey levels.
        jpeg_quality: quality of the compression, 1 to 100.
        shade: (H, W, 1) float32 factor by the housing and by dust.
        drift: standard deviation of the brightness between videos, relative.
    """

    blur_px: float
    noise_grey: float
    jpeg_quality: int
    shade: Floats
    drift: float

    def picture(self, values: Floats, random: Random, brightness: float = 1.0) -> NDArray[np.uint8]:
        """Return a camera image.

        Args:
            values: (H, W, 3) rendered values, 1 for white.
            random: generator of the noise.
            brightness: factor of the exposure.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        grey = cv2.GaussianBlur(values, (0, 0), self.blur_px) * self.shade
        grey = grey * np.float32(255.0 * brightness)
        noise = random.standard_normal(grey.shape, np.float32) * np.float32(self.noise_grey)
        image = np.clip(np.rint(grey + noise), 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        _, data = cv2.imencode(".jpg", image[..., ::-1], quality)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


@dataclass(frozen=True)
class VariedSensor:
    """A random sensor.

    Attributes:
        model: optical model.
        camera: properties of its pictures.
        wear_mm: (R, C) float32 permanent marks of the gel, along z, mm.
    """

    model: SensorModel
    camera: CameraTraits
    wear_mm: Floats


def varied_sensor(seed: int, has_markers: bool, grid: PadGrid) -> VariedSensor:
    """Return a random sensor.

    Args:
        seed: seed; the same seed always gives the same sensor.
        has_markers: whether markers are printed on its gel.
        grid: vertices of the gel's surface.
    """
    random = np.random.default_rng([seed, 0x5E5])
    base = default_sensor()
    if has_markers:
        base = base.model_copy(update={"markers": _random_markers(random, base)})
    content = random_sensor(seed, base).model_dump()
    if not has_markers:
        content["markers"] = None
    camera = content["camera"]
    camera["focal_px"] *= random.uniform(0.97, 1.4)
    camera["position_mm"] = [float(v + random.uniform(-0.5, 0.5)) for v in camera["position_mm"]]
    content["lights"] = _random_lights(random, content["lights"])
    content["gel"]["base_color"] = random.uniform(0.3, 0.7, 3).tolist()
    content["flat_field"] = {"values": _random_flat_field(random).tolist()}
    content["response"]["gamma"] = [float(random.uniform(0.85, 1.25))] * 3
    model = _exposed(random, SensorModel.model_validate(content))
    return VariedSensor(model, _random_camera(random), _random_wear(random, grid))


def _random_markers(random: Random, base: SensorModel) -> Any:
    pitch = float(random.uniform(1.6, 2.6))
    size = {
        "rows": max(3, round(14.5 / pitch + random.uniform(-0.5, 1.5))),
        "columns": max(3, round(19.0 / pitch + random.uniform(-0.5, 1.5))),
        "pitch_mm": (pitch, pitch * float(random.uniform(0.95, 1.05))),
        "diameter_mm": pitch * float(random.uniform(0.28, 0.5)),
        "darkness": float(random.uniform(0.75, 0.97)),
        "dots": (),
    }
    assert base.markers is not None  # noqa: S101
    return base.markers.model_copy(update=size)


def _random_lights(random: Random, lights: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Vary sides, colours, powers and lobes of the lights, and the light from all directions."""
    is_nominal = random.uniform() < NOMINAL_FRACTION
    sides = range(3) if is_nominal else random.permutation(4)[:3]
    purity = random.uniform(0.35, 1.0)
    for light, side in zip(lights, sides, strict=True):
        x, y, azimuth = SIDES[side]
        old_x, old_y, old_azimuth = SIDES[lights.index(light)]
        centre = light["centre_mm"]
        height = random.uniform(-4.0, -1.6)
        light["centre_mm"] = [centre[0] - old_x + x, centre[1] - old_y + y, height]
        light["azimuth_deg"] += azimuth - old_azimuth
        light["tilt_deg"] = random.uniform(-12.0, 6.0)
        light["exponent"] = random.uniform(1.0, 8.0)
        radiance = np.array(light["radiance"])
        colour = purity * radiance + (1 - purity) * radiance.mean()
        light["radiance"] = (colour * math.exp(random.normal(0.0, 0.35))).tolist()
    return lights


def _random_flat_field(random: Random) -> NDArray[np.float64]:
    """Return smooth factors of the channels, partly common to them."""
    shape = FLAT_FIELD_SHAPE
    common = random.normal(0.0, random.uniform(0.05, 0.25), (*shape, 1))
    own = random.normal(0.0, random.uniform(0.03, 0.3), (*shape, 3))
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    falloff = -random.uniform(0.0, 0.5) * (x**2 + y**2)[..., None]
    return np.exp(np.clip(0.5 * (common + own) + falloff, -2.0, 1.0))


def _exposed(random: Random, model: SensorModel) -> SensorModel:
    """Set ambient light and gains for a random mean colour of the reference image."""
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings

    preview = FastSettings(width_px=40, height_px=30, threads=1)
    dark = model.gel.model_copy(update={"ambient": (0.0, 0.0, 0.0)})
    gamma = np.array(model.response.gamma)
    direct = FastRenderer(model.model_copy(update={"gel": dark}), preview).image()
    level = (np.maximum(direct, 1e-4) ** gamma).mean(axis=(0, 1)) / model.response.gain
    part = random.uniform(0.1, 1.2) * np.exp(random.normal(0.0, 0.3, 3))
    ambient = np.clip(part, 0.02, 2.0) * level.mean() / np.array(model.gel.base_color)
    lit = dark.model_copy(update={"ambient": tuple(ambient.tolist())})
    model = model.model_copy(update={"gel": lit})
    mean = (np.maximum(FastRenderer(model, preview).image(), 1e-4) ** gamma).mean(axis=(0, 1))
    target = random.uniform(0.25, 0.5) * np.exp(random.normal(0.0, 0.22, 3))
    gain = np.array(model.response.gain) * np.clip(target, 0.1, 0.7) ** gamma / mean
    response = model.response.model_copy(update={"gain": tuple(gain.tolist())})
    return SensorModel.model_validate(model.model_copy(update={"response": response}).model_dump())


def _random_camera(random: Random) -> CameraTraits:
    shade = np.ones((HEIGHT_PX, WIDTH_PX), np.float32)
    if random.uniform() < 0.5:
        shade *= _housing(random)
    for _ in range(random.poisson(3.0)):
        centre = random.integers((0, 0), (WIDTH_PX, HEIGHT_PX)).tolist()
        dust = np.zeros_like(shade)
        cv2.circle(dust, centre, int(random.integers(0, 2)), float(random.uniform(0.1, 0.6)), -1)
        shade *= 1.0 - cv2.GaussianBlur(dust, (0, 0), 0.6)
    return CameraTraits(
        blur_px=float(random.uniform(0.3, 0.8)),
        noise_grey=float(random.uniform(0.6, 2.2)),
        jpeg_quality=int(random.integers(60, 97)),
        shade=shade[..., None],
        drift=float(random.uniform(0.0, 0.03)),
    )


def _housing(random: Random) -> Floats:
    """Return a window with round corners and a soft, dark border."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    radius, margin = random.uniform(4.0, 25.0), random.uniform(-6.0, 3.0, 2)
    half_x, half_y = WIDTH_PX / 2 - margin[0] - radius, HEIGHT_PX / 2 - margin[1] - radius
    dx = np.maximum(np.abs(x - WIDTH_PX / 2 + random.uniform(-3, 3)) - half_x, 0.0)
    dy = np.maximum(np.abs(y - HEIGHT_PX / 2 + random.uniform(-3, 3)) - half_y, 0.0)
    inside = 1.0 / (1.0 + np.exp((np.hypot(dx, dy) - radius) / random.uniform(0.7, 3.0)))
    return np.asarray(1.0 - random.uniform(0.4, 1.0) * (1.0 - inside), np.float32)


def _random_wear(random: Random, grid: PadGrid) -> Floats:
    """Return small pits, bumps and scratches of the coating."""
    wear = np.zeros((grid.rows, grid.columns), np.float32)
    for _ in range(random.poisson(4.0)):
        start = random.integers((0, 0), (grid.columns, grid.rows))
        end = start + random.normal(0.0, 6.0, 2).astype(int) * int(random.uniform() < 0.4)
        depth = float(random.uniform(-0.04, 0.04))
        cv2.line(wear, start.tolist(), end.tolist(), depth, 1, cv2.LINE_8)
    blurred = cv2.GaussianBlur(wear, (0, 0), random.uniform(0.8, 2.0))
    return np.asarray(blurred * np.float32(random.uniform(0.0, 1.5)), np.float32)
