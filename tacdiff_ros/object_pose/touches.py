"""Touches of a hand as points in the frames of its links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TouchPoints:
    """Points of one kind of tactile sensor.

    Attributes:
        point: (N, 3) points in the frames of their links, m.
        normal: (N, 3) outward normals of the sensor there.
        link: (N,) index of each point's link.
        touches: (N,) whether the point touches the object.
        force: (N, 3) force on the object in the link's frame, N; 0 if not measured.
    """

    point: Floats
    normal: Floats
    link: Integers
    touches: NDArray[np.bool_]
    force: Floats

    @classmethod
    def none(cls) -> TouchPoints:
        """Return no points."""
        return cls(
            np.zeros((0, 3)),
            np.zeros((0, 3)),
            np.zeros(0, np.int64),
            np.zeros(0, bool),
            np.zeros((0, 3)),
        )

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.point)

    def where(self, keep: NDArray[np.bool_] | Integers) -> TouchPoints:
        """Return the points of a mask (N,) or of indices."""
        return TouchPoints(
            self.point[keep],
            self.normal[keep],
            self.link[keep],
            self.touches[keep],
            self.force[keep],
        )

    def joined(self, other: TouchPoints) -> TouchPoints:
        """Return these points followed by others."""
        return TouchPoints(
            np.concatenate([self.point, other.point]),
            np.concatenate([self.normal, other.normal]),
            np.concatenate([self.link, other.link]),
            np.concatenate([self.touches, other.touches]),
            np.concatenate([self.force, other.force]),
        )

    @property
    def has_force(self) -> NDArray[np.bool_]:
        """(N,) whether a force was measured."""
        return np.asarray(np.any(self.force != 0.0, axis=1))


@dataclass(frozen=True)
class SurfacePoints:
    """Points of the hand's surface.

    Attributes:
        point: (N, 3) points in the frames of their links, m.
        link: (N,) index of each point's link.
        softness: (N,) depth to which an object may press into the surface, m.
    """

    point: Floats
    link: Integers
    softness: Floats

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.point)

    def where(self, keep: NDArray[np.bool_] | Integers) -> SurfacePoints:
        """Return the points of a mask (N,) or of indices."""
        return SurfacePoints(self.point[keep], self.link[keep], self.softness[keep])
