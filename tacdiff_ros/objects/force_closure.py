"""Quasi-static stability of a grasp: contact forces in friction cones that balance any weight.

A linear programme over the edges of linearised friction cones; it knows nothing of how a grasp was
made, so that it can judge grasps and poses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]

CONE_EDGES = 8
MAX_CONTACTS = 60
DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])


def is_stable(
    points: Array,
    normals: Array,
    centre_of_mass: Array,
    weight: float,
    friction: float,
    max_force: float,
) -> bool:
    """Tell whether a grasp can hold the object whatever the direction of gravity.

    Args:
        points: (N, 3) contact points, m.
        normals: (N, 3) unit normals into the object.
        centre_of_mass: (3,) centre of mass, m.
        weight: weight of the object, N.
        friction: Coulomb's friction coefficient.
        max_force: limit of the sum of all normal forces, N.

    Returns:
        True if forces in the friction cones balance the weight along all six axis directions.
    """
    if len(points) < 2:
        return False
    return all(
        balancing_forces(points, normals, centre_of_mass, weight * direction, friction, max_force)
        is not None
        for direction in DIRECTIONS
    )


def balancing_forces(
    points: Array,
    normals: Array,
    centre_of_mass: Array,
    gravity_force: Array,
    friction: float,
    max_force: float,
) -> Array | None:
    """Return the smallest contact forces in friction cones that balance gravity.

    Args:
        points: (N, 3) contact points, m.
        normals: (N, 3) unit normals into the object.
        centre_of_mass: (3,) centre of mass, m.
        gravity_force: (3,) weight as a force, N.
        friction: Coulomb's friction coefficient.
        max_force: limit of the sum of all normal forces, N.

    Returns:
        (N, 3) forces on the object, N, with the least sum of normal forces; None if there are none.
    """
    edges = cone_edges(normals, friction)
    arms = points - centre_of_mass
    scale = max(float(np.abs(arms).max()), 1e-6)
    torques = np.cross(arms[:, None], edges) / scale
    wrenches = np.concatenate([edges, torques], axis=2).reshape(-1, 6)
    result = linprog(
        np.ones(len(wrenches)),
        A_ub=np.ones((1, len(wrenches))),
        b_ub=[max_force],
        A_eq=wrenches.T,
        b_eq=-np.concatenate([gravity_force, np.zeros(3)]),
        method="highs",
    )
    if result.status != 0:
        return None
    weights = result.x.reshape(len(points), CONE_EDGES, 1)
    return np.asarray((weights * edges).sum(axis=1))


def cone_edges(normals: Array, friction: float) -> Array:
    """Return the edges (N, E, 3) of friction cones; each has a unit normal component."""
    helper = np.where(np.abs(normals[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    u = np.cross(normals, helper)
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normals, u)
    angles = 2 * np.pi * np.arange(CONE_EDGES) / CONE_EDGES
    around = np.cos(angles)[:, None] * u[:, None] + np.sin(angles)[:, None] * v[:, None]
    return np.asarray(normals[:, None] + friction * around)


def thinned(points: Array, depth: Array, max_contacts: int = MAX_CONTACTS) -> NDArray[np.int64]:
    """Return indices of up to `max_contacts` points: the deepest, then always the farthest."""
    chosen = [int(np.argmax(depth))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(max_contacts, len(points)):
        farthest = int(np.argmax(distance))
        if distance[farthest] < 1e-3:
            break
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return np.array(chosen)
