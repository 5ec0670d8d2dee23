"""Simulated grasps at camera rate as an encoder reads them, with the slip as truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.touch_features.simulation.grip_motion import random_grip
from tacdiff_ros.touch_features.simulation.part_files import Part, simulated_parts
from tacdiff_ros.touch_features.simulation.simulated_touch import (
    SimulationSettings,
    pad_grid,
    sensor_renderer,
)
from tacdiff_ros.touch_features.simulation.surfaces import random_surface
from tacdiff_ros.touch_features.simulation.touch_motion import RATE_HZ
from tacdiff_ros.touch_features.simulation.touch_sequence import (
    TouchSequence,
    random_gel,
    simulate_sequence,
)
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchStream

FRAMES = 75  # of a grasp, at 25 Hz


class GripSettings(BaseModel):
    """Settings of simulated grasps."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    encoder: str = Field(description="folder of the touch encoder that reads the images")
    checksum: str = Field(description="SHA-256 of the encoder")
    seed: int = Field(5, ge=0, lt=2**31, description="seed of objects, loads and sensors")
    grasps: int = Field(220, ge=5, le=100_000, description="number of grasps, each of an object")
    sensors: int = Field(32, ge=1, le=10_000, description="number of random sensors")
    sensors_per_grasp: int = Field(3, ge=1, le=64, description="sensors that feel the same grasp")
    processes: int = Field(1, ge=1, le=256, description="number of processes")


@dataclass(frozen=True)
class Grips:
    """N grasps of T frames at 25 Hz, each read by one sensor.

    Attributes:
        surface: (N, T, 5, 30, 40) float16 surface maps by the encoder.
        slip_fraction: (N, T) fraction of the contact that slips; NaN without contact.
        gross_slip: (N, T) bool, whether the whole contact slides.
        begin_s: (N,) time at which the load along the surface begins, s.
        grasp: (N,) number of the grasp, and of its object.
        has_markers: (N,) bool, whether the sensor's gel has markers.
    """

    surface: NDArray[np.float16]
    slip_fraction: NDArray[np.float32]
    gross_slip: NDArray[np.bool_]
    begin_s: NDArray[np.float64]
    grasp: NDArray[np.int64]
    has_markers: NDArray[np.bool_]


def simulate_grips(
    settings: GripSettings, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Grips:
    """Simulate grasps and read them, or resume.

    Args:
        settings: settings of the grasps.
        folder: folder of their part files, which stay there.
        progress: callback with the number of finished grasps and of all.

    Raises:
        InputError: the encoder cannot be read, the folder holds parts of other settings, or files
            cannot be written.
    """
    parts = simulated_parts(
        simulate_grip, settings, settings.grasps, folder, settings.processes, progress
    )
    return Grips(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def simulate_grip(settings: GripSettings, number: int) -> Part:
    """Simulate one grasp and read the images of its sensors.

    Args:
        settings: settings of the grasps.
        number: number of the grasp.

    Returns:
        Arrays of `Grips` by name.
    """
    random = np.random.default_rng([settings.seed, 77, number])
    surface = random_surface(np.random.default_rng([settings.seed, 1, number]))
    gel = random_gel(random)
    motion, begin_s = random_grip(random, FRAMES)
    sensors = SimulationSettings(seed=settings.seed, sensors=settings.sensors)
    sequence = simulate_sequence(random, surface, motion, gel, pad_grid(sensors))
    chosen = random.permutation(settings.sensors)[: settings.sensors_per_grasp]
    count = len(chosen)
    return {
        "surface": np.stack([_read(settings, sensors, int(k), sequence, random) for k in chosen]),
        "slip_fraction": np.tile(_of_frames(sequence, "slip_fraction", np.float32), (count, 1)),
        "gross_slip": np.tile(_of_frames(sequence, "gross_slip", np.bool_), (count, 1)),
        "begin_s": np.full(count, begin_s),
        "grasp": np.full(count, number),
        "has_markers": chosen < round(sensors.marker_fraction * sensors.sensors),
    }


def _of_frames(sequence: TouchSequence, name: str, kind: type) -> NDArray[np.generic]:
    return np.array([getattr(frame, name) for frame in sequence.frames], kind)


def _read(
    settings: GripSettings,
    sensors: SimulationSettings,
    sensor: int,
    sequence: TouchSequence,
    random: np.random.Generator,
) -> NDArray[np.float16]:
    """Return the surface maps of all frames by one sensor."""
    renderer = sensor_renderer(sensors, sensor)
    brightness = 1.0 + random.normal(0.0, renderer.sensor.camera.drift)
    stream = TouchStream(_encoder(settings.encoder))
    stream.set_reference(renderer.reference())
    maps = []
    for k, frame in enumerate(sequence.frames):
        image, _ = renderer.picture(frame.displacement_mm, random, brightness)
        maps.append(stream.read(image, k / RATE_HZ).surface)
    return np.array(maps, np.float16)


@lru_cache(maxsize=1)
def _encoder(folder: str) -> TouchEncoder:
    return TouchEncoder(Path(folder), threads=1)
