"""One simulated touch: a random surface that moves on the gel, step by step, with its truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.layer_compliance import BondedLayer
from tacdiff_ros.touch_features.simulation.layer_contact import (
    ContactFrame,
    LayerContact,
    PadGrid,
    PlanarMotion,
)
from tacdiff_ros.touch_features.simulation.surfaces import TouchedSurface
from tacdiff_ros.touch_features.simulation.touch_motion import TouchMotion

Floats = NDArray[np.float32]
Random = np.random.Generator

MAX_DEPTH_MM = 1.2  # of the gel's surface
FORCE_RANGE_N = (1.0, 30.0)
FORCE_TRIES = 6
FORCE_TOLERANCE = 0.15
MAX_CORRECTION = 1.05  # of a gripper's depth during a step, as a factor
MAX_WARNING_S = 2.0  # earlier than this, a slip to come is not known


@dataclass(frozen=True)
class Gel:
    """Properties of the gel during a touch.

    Attributes:
        layer: elastic layer.
        friction: Coulomb friction coefficient between gel and object.
    """

    layer: BondedLayer
    friction: float


@dataclass(frozen=True)
class TouchSequence:
    """States of the gel during a touch.

    Attributes:
        frames: T states.
        warning_s: (T,) time until the next gross slip, s; 0 during it, NaN if none comes.
    """

    frames: tuple[ContactFrame, ...]
    warning_s: NDArray[np.float64]


def random_gel(random: Random) -> Gel:
    """Return a gel within the variation of real ones."""
    layer = BondedLayer(
        thickness_mm=float(random.uniform(3.0, 4.5)),
        young_modulus_mpa=float(random.uniform(0.12, 0.3)),
        poisson_ratio=float(random.uniform(0.46, 0.49)),
    )
    return Gel(layer, friction=float(random.uniform(0.2, 1.2)))


def simulate_sequence(
    random: Random, surface: TouchedSurface, motion: TouchMotion, gel: Gel, grid: PadGrid
) -> TouchSequence:
    """Simulate a touch.

    The depth of a press by hand follows its motion; a gripper corrects it to hold its force.

    Args:
        random: random generator.
        surface: surface of the object.
        motion: motion of the object.
        gel: properties of the gel.
        grid: vertices of the gel's surface.
    """
    contact = LayerContact(grid, gel.layer, gel.friction, surface.body)
    top = int(np.argmax(motion.load))
    gap = _gap(surface, motion, top, grid)
    first, full_load = float(gap.min()), float(motion.load[top])
    force_n = math.exp(random.uniform(*np.log(FORCE_RANGE_N)))
    depth = _depth_for_force(contact, gap - np.float32(first), force_n) / full_load
    frames = []
    for k in range(len(motion)):
        penetration = np.float32(first + depth * motion.load[k]) - _gap(surface, motion, k, grid)
        frame = contact.step(penetration, _planar(motion, k))
        frames.append(frame)
        if motion.kind == "grasp" and k >= top:
            depth *= _correction(frame, force_n * float(motion.load[k]) / full_load)
    return TouchSequence(tuple(frames), _warnings([f.gross_slip for f in frames], motion.step_s))


def _correction(frame: ContactFrame, force_n: float) -> float:
    """Return the factor of the depth by which a gripper holds its force."""
    by_force = math.sqrt(max(force_n, 0.0) / max(-frame.force_n[2], 1e-3))
    by_depth = MAX_DEPTH_MM / max(-float(frame.displacement_mm[..., 2].min()), 1e-3)
    return float(np.clip(min(by_force, by_depth), 1 / MAX_CORRECTION, MAX_CORRECTION))


def _gap(surface: TouchedSurface, motion: TouchMotion, k: int, grid: PadGrid) -> Floats:
    """Return the distance of the surface from the plane through its highest point."""
    x, y = grid.positions()
    dx, dy = x - np.float32(motion.position_mm[k, 0]), y - np.float32(motion.position_mm[k, 1])
    cos, sin = np.float32(math.cos(motion.yaw_rad[k])), np.float32(math.sin(motion.yaw_rad[k]))
    heights = surface.heights(cos * dx + sin * dy, cos * dy - sin * dx)
    tilt_x, tilt_y = motion.tilt[k].astype(np.float32)
    return np.asarray(heights + tilt_x * dx + tilt_y * dy, np.float32)


def _planar(motion: TouchMotion, k: int) -> PlanarMotion:
    before = max(k - 1, 0)
    shift = motion.position_mm[k] - motion.position_mm[before]
    centre = motion.position_mm[before]
    return PlanarMotion(
        translation_mm=(float(shift[0]), float(shift[1])),
        rotation_rad=float(motion.yaw_rad[k] - motion.yaw_rad[before]),
        centre_mm=(float(centre[0]), float(centre[1])),
        duration_s=motion.step_s,
    )


def _depth_for_force(contact: LayerContact, gap: Floats, force_n: float) -> float:
    """Return the approach with a normal force, or less if the gel becomes too deep, mm."""
    depth = 0.3
    for _ in range(FORCE_TRIES):
        force, deepest = contact.press(np.float32(depth) - gap)
        by_force = (force_n / max(force, 1e-4)) ** (1 / 1.4)
        by_depth = MAX_DEPTH_MM / max(deepest, 1e-3)
        factor = float(np.clip(min(by_force, by_depth), 0.3, 3.0))
        depth *= factor
        if abs(factor - 1) < FORCE_TOLERANCE:
            break
    return depth


def _warnings(is_slipping: list[bool], step_s: float) -> NDArray[np.float64]:
    """Return the time until the next gross slip."""
    warning = np.full(len(is_slipping), np.nan)
    until = math.inf
    for k in reversed(range(len(is_slipping))):
        until = 0.0 if is_slipping[k] else until + step_s
        if until <= MAX_WARNING_S:
            warning[k] = until
    return warning
