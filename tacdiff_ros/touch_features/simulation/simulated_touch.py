"""One touch of a simulated set: its states, rendered for several random sensors, with labels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.touch_features.simulation.layer_contact import PadGrid
from tacdiff_ros.touch_features.simulation.sensor_renderer import SensorRenderer
from tacdiff_ros.touch_features.simulation.surfaces import TouchedSurface, random_surface
from tacdiff_ros.touch_features.simulation.touch_motion import (
    RATE_HZ,
    other_finger,
    random_motion,
)
from tacdiff_ros.touch_features.simulation.touch_sequence import (
    Gel,
    TouchSequence,
    random_gel,
    simulate_sequence,
)
from tacdiff_ros.touch_features.simulation.varied_sensors import varied_sensor

EARLIER_FRAMES = round(0.12 * RATE_HZ)
FREE_WEIGHT = 0.1  # of states without contact when states are chosen
FULL_WEIGHT_MM = 0.15  # indentation of states that are chosen with full weight
Part = dict[str, NDArray[Any]]


class SimulationSettings(BaseModel):
    """Settings of a simulated touch set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**31, description="seed of objects, motions and sensors")
    objects: int = Field(250, ge=1, le=1_000_000, description="number of random objects")
    touches_per_object: int = Field(2, ge=1, le=100, description="touches of each object")
    grasp_fraction: float = Field(
        0.3, ge=0, le=1, description="fraction of objects in a gripper of two fingers"
    )
    steps: int = Field(16, ge=8, le=1000, description="simulated steps of a touch")
    step_frames: int = Field(3, ge=1, le=3, description="frames of 40 ms between steps: 1 or 3")
    pairs_per_touch: int = Field(
        3, ge=1, le=500, description="pairs of images 0.12 s apart of each touch and sensor"
    )
    sensors: int = Field(32, ge=1, le=10_000, description="number of random sensors")
    sensors_per_touch: int = Field(4, ge=1, le=64, description="sensors that feel the same touch")
    marker_fraction: float = Field(0.5, ge=0, le=1, description="fraction of sensors with markers")
    spacing_mm: float = Field(0.15, ge=0.05, le=0.5, description="grid spacing on the gel")
    processes: int = Field(1, ge=1, le=256, description="number of processes")

    @property
    def touches(self) -> int:
        """Number of touches."""
        return self.objects * self.touches_per_object


def simulate_touch(settings: SimulationSettings, number: int) -> Part:
    """Simulate one touch and render it for its sensors.

    Two successive touches of a grasp are those of its two fingers: the same motion, mirrored, on
    two sides of the object.

    Args:
        settings: settings of the set.
        number: number of the touch.

    Returns:
        Arrays by name, one row per image: `images`, `maps`, `sensor`, `video`, `frame`, `touch`
        and the labels.
    """
    object_id, of_object = divmod(number, settings.touches_per_object)
    random_object = np.random.default_rng([settings.seed, 1, object_id])
    surface = random_surface(random_object)
    is_grasp = random_object.uniform() < settings.grasp_fraction
    grasp = number - of_object % 2 if is_grasp else number
    motion = random_motion(
        np.random.default_rng([settings.seed, 3, grasp]),
        "grasp" if is_grasp else "hand",
        settings.steps,
        settings.step_frames,
    )
    random = np.random.default_rng([settings.seed, 2, number])
    if grasp != number:
        motion = other_finger(motion, random)
    gel, grid = random_gel(random), pad_grid(settings)
    sequence = simulate_sequence(random, surface, motion, gel, grid)
    states = _chosen_states(random, sequence, settings)
    sensors = random.permutation(settings.sensors)[: settings.sensors_per_touch]
    columns = _labels(sequence, surface, gel, states) | {
        "object": np.full(len(states), object_id),
        "grasp": np.full(len(states), grasp),
        "sequence": np.full(len(states), number),
        "kind": np.full(len(states), motion.kind),
        "frame": states * settings.step_frames,
        "touch": number * settings.steps + states,
    }
    rows = [
        _rendered(settings, int(sensor), sequence, states, random)
        | {"video": np.full(len(states), number * settings.sensors_per_touch + k)}
        | columns
        for k, sensor in enumerate(sensors)
    ]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def pad_grid(settings: SimulationSettings) -> PadGrid:
    """Return the grid on the gel's surface."""
    gel = default_sensor().gel
    return PadGrid.over(gel.width_mm, gel.height_mm, settings.spacing_mm)


@lru_cache(maxsize=512)
def sensor_renderer(settings: SimulationSettings, number: int) -> SensorRenderer:
    """Return the renderer of a sensor of a set."""
    has_markers = number < round(settings.marker_fraction * settings.sensors)
    grid = pad_grid(settings)
    seed = settings.seed * 100_003 + number
    return SensorRenderer(varied_sensor(seed, has_markers, grid), grid)


def _rendered(
    settings: SimulationSettings,
    sensor: int,
    sequence: TouchSequence,
    states: NDArray[np.int_],
    random: np.random.Generator,
) -> Part:
    renderer = sensor_renderer(settings, sensor)
    brightness = 1.0 + random.normal(0.0, renderer.sensor.camera.drift)
    pictures = [
        renderer.picture(sequence.frames[k].displacement_mm, random, brightness) for k in states
    ]
    return {
        "images": np.stack([image for image, _ in pictures]),
        "maps": np.stack([maps for _, maps in pictures]),
        "sensor": np.full(len(states), sensor),
    }


def _chosen_states(
    random: np.random.Generator, sequence: TouchSequence, settings: SimulationSettings
) -> NDArray[np.int_]:
    """Return pairs of states 0.12 s apart, most of them with a visible contact."""
    lag = EARLIER_FRAMES // settings.step_frames
    good = np.array([frame.converged for frame in sequence.frames])
    depth = np.array([-frame.displacement_mm[..., 2].min() for frame in sequence.frames])
    weight = FREE_WEIGHT + np.clip(depth / FULL_WEIGHT_MM, 0.0, 1.0)
    weight[:lag] = 0.0
    weight[lag:] *= good[lag:] & good[:-lag]
    count = min(settings.pairs_per_touch, int(np.count_nonzero(weight)))
    if count == 0:
        return np.zeros(1, np.int_)
    later = random.choice(len(weight), count, replace=False, p=weight / weight.sum())
    return np.unique(np.concatenate([later, later - lag]))


def _labels(
    sequence: TouchSequence, surface: TouchedSurface, gel: Gel, states: NDArray[np.int_]
) -> Part:
    frames = [sequence.frames[k] for k in states]
    count = len(states)
    return {
        "force_n": np.array([frame.force_n for frame in frames], np.float32),
        "torque": np.array([frame.torque_nmm for frame in frames], np.float32),
        "contact_area_mm2": np.array([frame.contact_area_mm2 for frame in frames], np.float32),
        "slip_fraction": np.array([frame.slip_fraction for frame in frames], np.float32),
        "slip_speed_mm_s": np.array([frame.slip_speed_mm_s for frame in frames], np.float32),
        "gross_slip": np.array([frame.gross_slip for frame in frames], np.float32),
        "warning": sequence.warning_s[states].astype(np.float32),
        "curvature": np.tile(np.array(surface.curvature_per_mm, np.float32), (count, 1)),
        "texture_rms_mm": np.full(count, surface.texture_rms_mm, np.float32),
        "texture_wavelength_mm": np.full(count, surface.wavelength_mm, np.float32),
        "compliance": np.full(count, surface.compliance(gel.layer.young_modulus_mpa), np.float32),
        "base": np.full(count, surface.base),
        "texture": np.full(count, surface.texture),
    }
