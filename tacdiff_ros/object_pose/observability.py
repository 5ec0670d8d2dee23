"""Directions of motion that the data leave open, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3

Floats = NDArray[np.float64]
MAX_AXIS_ANGLE_RAD = math.radians(20.0)  # of a direction that is called by the name of an axis
MIN_ROTATION = 0.5  # fraction of the motion of the object's surface that makes it a rotation
MAX_PRIOR_FRACTION = 0.5  # of the prior's variance that remains in an observable direction
AXES = "xyz"
ORIGIN = np.zeros(3)


@dataclass(frozen=True)
class OpenDirection:
    """Direction of motion of the object that the data leave open.

    Attributes:
        twist: (6,) motion of one standard deviation in the object's frame, m and rad.
        stddev: standard deviation of the motion of the object's surface, m.
        words: description, such as "rotation about the object's z axis, 40 deg".
    """

    twist: Floats
    stddev: float
    words: str


def open_directions(
    covariance: Floats,
    object_pose: Floats,
    radius: float,
    symmetry_axes: Floats,
    max_stddev: float,
    prior_stddev: Floats | None = None,
    centre: Floats = ORIGIN,
) -> tuple[OpenDirection, ...]:
    """Return the directions that the data leave open, the most uncertain first.

    Rotations are compared with translations by the motion of the object's surface: the angle times
    its radius.

    Args:
        covariance: (6, 6) covariance of the object's twist, m and rad, in the object's frame.
        object_pose: (4, 4) pose of the object in `hand`.
        radius: radius of the object, m.
        symmetry_axes: (S, 3) axes of symmetry of the object, unit vectors; may be empty.
        max_stddev: largest standard deviation of an observable direction, m.
        prior_stddev: (6,) standard deviations of the prior, m and rad; directions on which it says
            more than the data are open. None for no prior.
        centre: (3,) centre of the object in its frame, which separates rotations from translations.
    """
    to_centre = np.eye(6)
    to_centre[:3, 3:] = -se3.skew(centre)
    covariance = to_centre @ covariance @ to_centre.T
    lengths = np.array([1.0, 1.0, 1.0, radius, radius, radius])
    values, vectors = np.linalg.eigh(covariance * np.outer(lengths, lengths))
    stddevs = np.sqrt(np.maximum(values, 0.0))
    prior = np.full(6, np.inf) if prior_stddev is None else (lengths * prior_stddev) ** 2
    with np.errstate(divide="ignore"):
        from_prior = 1.0 / np.sum(vectors**2 / prior[:, None], axis=0)  # along each direction
    is_open = (stddevs > max_stddev) | (values > MAX_PRIOR_FRACTION * from_prior)
    directions = []
    for index in np.flatnonzero(is_open)[::-1]:
        twist = stddevs[index] * vectors[:, index] / lengths
        at_centre = object_pose @ se3.pose_of(centre, np.eye(3))
        words = describe_motion(twist, at_centre, radius, symmetry_axes)
        at_origin = np.linalg.solve(to_centre, twist)
        directions.append(OpenDirection(at_origin, float(stddevs[index]), words))
    return tuple(directions)


def describe_motion(
    twist: Floats, object_pose: Floats, radius: float, symmetry_axes: Floats
) -> str:
    """Return a description of a small motion of the object.

    Args:
        twist: (6,) motion in the object's frame, m and rad.
        object_pose: (4, 4) pose of the object in `hand`.
        radius: radius of the object, m.
        symmetry_axes: (S, 3) axes of symmetry of the object; may be empty.
    """
    shift, turn = twist[:3], twist[3:]
    surface_turn = radius * float(np.linalg.norm(turn))
    surface_shift = float(np.linalg.norm(shift))
    if surface_turn**2 < MIN_ROTATION * (surface_turn**2 + surface_shift**2):
        direction = object_pose[:3, :3] @ shift
        return f"translation along {_hand_axis(direction)}, {1e3 * surface_shift:.1f} mm"
    degrees = math.degrees(float(np.linalg.norm(turn)))
    axis = _rotation_axis(turn, object_pose, symmetry_axes)
    return f"rotation about {axis}{_offset(shift, turn, object_pose, radius)}, {degrees:.0f} deg"


def _rotation_axis(turn: Floats, object_pose: Floats, symmetry_axes: Floats) -> str:
    if any(_angle(turn, axis) < MAX_AXIS_ANGLE_RAD for axis in symmetry_axes):
        return "the object's axis of symmetry"
    name = _axis_name(turn)
    if name:
        return f"the object's {name} axis"
    return _hand_axis(object_pose[:3, :3] @ turn)


def _offset(shift: Floats, turn: Floats, object_pose: Floats, radius: float) -> str:
    """Return the point that the axis passes through, if it misses the object's origin widely."""
    point = np.cross(turn, shift) / float(turn @ turn)
    if float(np.linalg.norm(point)) < 0.3 * radius:
        return ""
    x, y, z = 1e3 * se3.apply(object_pose, point[None])[0]
    return f" through ({x:.0f}, {y:.0f}, {z:.0f}) mm of the hand"


def _hand_axis(direction: Floats) -> str:
    name = _axis_name(direction)
    if name:
        return f"{name} of the hand"
    x, y, z = direction / np.linalg.norm(direction)
    return f"({x:.2f}, {y:.2f}, {z:.2f}) of the hand"


def _axis_name(direction: Floats) -> str:
    """Return "x", "y" or "z", or nothing if no axis is near."""
    for index, name in enumerate(AXES):
        if _angle(direction, np.eye(3)[index]) < MAX_AXIS_ANGLE_RAD:
            return name
    return ""


def _angle(first: Floats, second: Floats) -> float:
    """Return the angle of two lines, 0 to pi / 2."""
    cosine = abs(float(first @ second)) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return math.acos(min(cosine, 1.0))
