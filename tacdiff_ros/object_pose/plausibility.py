"""Physical plausibility of a pose: contact, penetration, support of the weight.

A verdict is one of `STABLE`, `FLOATING`, `COLLIDING` and `NOT_IDENTIFIED`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from tacdiff_ros.object_pose.force_terms import cone_wrenches

Floats = NDArray[np.float64]
STABLE, FLOATING, COLLIDING = "stable", "floating", "colliding"
NOT_IDENTIFIED = "not identified"
MAX_CONTACTS = 60  # contacts used in the balance of forces, evenly chosen


@dataclass(frozen=True)
class ContactLimits:
    """Limits of the verdict.

    Attributes:
        contact_distance: largest distance of a contact, m.
        max_penetration: deepest penetration of a pose that does not collide, m.
        max_unbalanced: largest unbalanced fraction of the weight of a supported object.
    """

    contact_distance: float = 0.002
    max_penetration: float = 0.003
    max_unbalanced: float = 0.1


@dataclass(frozen=True)
class Plausibility:
    """Contact state of one pose.

    Attributes:
        verdict: `STABLE`, `FLOATING` or `COLLIDING`.
        reason: one line that explains the verdict.
        contacts: (N, 3) points of contact in `hand`, m.
        penetration: deepest penetration of the hand into the object, m.
        unbalanced: fraction of the weight that forces inside the friction cones cannot hold.
    """

    verdict: str
    reason: str
    contacts: Floats
    penetration: float
    unbalanced: float


def assess(
    points: Floats,
    distance: Floats,
    normal: Floats,
    centre: Floats,
    gravity: Floats | None,
    radius: float,
    friction: float,
    limits: ContactLimits,
) -> Plausibility:
    """Return the contact state of a pose.

    Args:
        points: (N, 3) points on the surface of the hand, in `hand`, m.
        distance: (N,) their signed distances from the object, m.
        normal: (N, 3) outward normals of the object nearest to them, in `hand`.
        centre: (3,) centre of mass in `hand`, m.
        gravity: (3,) direction of gravity in `hand`; None if unknown: the worst of six directions.
        radius: radius of the object, m.
        friction: friction coefficient.
        limits: limits of the verdict.
    """
    touching = np.flatnonzero(distance < limits.contact_distance)
    penetration = float(max(-distance.min(initial=0.0), 0.0))
    chosen = touching[:: max(1, -(-len(touching) // MAX_CONTACTS))]
    directions = [gravity] if gravity is not None else [*np.eye(3), *-np.eye(3)]
    unbalanced = max(
        unbalanced_weight(points[chosen], normal[chosen], centre, direction, radius, friction)
        for direction in directions
    )
    verdict, reason = STABLE, f"{len(touching)} points of the hand touch and hold the weight"
    if penetration > limits.max_penetration:
        verdict = COLLIDING
        reason = f"the hand reaches {1e3 * penetration:.1f} mm into the object"
    elif len(touching) == 0:
        verdict = FLOATING
        reason = f"the hand is {1e3 * distance.min(initial=np.inf):.1f} mm from the object"
    elif unbalanced > limits.max_unbalanced:
        verdict = FLOATING
        reason = f"the contacts cannot hold {100.0 * unbalanced:.0f} % of the weight"
    return Plausibility(verdict, reason, points[touching], penetration, unbalanced)


def unbalanced_weight(
    points: Floats,
    normal: Floats,
    centre: Floats,
    gravity: Floats,
    radius: float,
    friction: float,
) -> float:
    """Return the fraction of the weight that forces inside the friction cones cannot hold, 0 to 1.

    Torques count by the object's radius. The forces may be of any size, as those of a hand that
    squeezes.

    Args:
        points: (N, 3) points of contact, m.
        normal: (N, 3) outward normals of the object there.
        centre: (3,) centre of mass, m.
        gravity: (3,) unit vector of gravity.
        radius: radius of the object, m.
        friction: friction coefficient.
    """
    if len(points) == 0:
        return 1.0
    wrenches, _ = cone_wrenches((points - centre) / radius, -normal, friction)
    _, remainder = nnls(wrenches, -np.concatenate([gravity, np.zeros(3)]))
    return float(min(remainder, 1.0))
