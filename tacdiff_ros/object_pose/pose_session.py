"""Objects and tracked pose of one hand, as a node uses them between requests."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.object_pose.pose_search import Progress
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.refiner import PoseRefiner, PoseTracker
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.object_files import SUFFIXES, load_object
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_OBJECTS = 16  # loaded at one time; the one that was loaded first is forgotten


class PoseSession:
    """Loaded objects, and the tracker of the one that is followed."""

    def __init__(self, hand: Hand, folder: Path, settings: PoseSettings | None = None) -> None:
        """Start without objects.

        Args:
            hand: hand.
            folder: folder with the meshes that may be loaded.
            settings: settings of the estimate; None for the defaults.
        """
        self.hand = hand
        self._folder = folder
        self._settings = settings or PoseSettings()
        self._refiners: dict[str, PoseRefiner] = {}
        self._tracker: PoseTracker | None = None

    @property
    def is_tracking(self) -> bool:
        """Whether an object is followed."""
        return self._tracker is not None

    def item(self, name: str) -> RigidObject:
        """Return a loaded object, the last one for an empty name.

        Raises:
            InputError: no such object is loaded.
        """
        return self._refiner(name).item

    def load(
        self, name: str, unit: str = "", mass: float = 0.0, friction: float = 0.0
    ) -> RigidObject:
        """Load an object from the folder; it becomes the last one.

        Args:
            name: name of a mesh without its suffix, or of a folder in YCB's layout.
            unit: unit of the mesh; empty for metres.
            mass: mass, kg; 0 if unknown.
            friction: friction coefficient with the hand; 0 if unknown.

        Raises:
            InputError: the name is not valid, there is no such mesh, or it cannot be used.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"object name {printable(name[:80])!r}: expected up to 64 letters, digits, _ and -"
            )
        for label, value in (("mass", mass), ("friction", friction)):
            if not 0.0 <= value < 1e4:
                raise InputError(f"{label} {value}: expected a number from 0; 0 if it is unknown")
        paths = [self._folder / name, *(self._folder / f"{name}{suffix}" for suffix in SUFFIXES)]
        mesh_path = next((path for path in paths if path.exists()), None)
        if mesh_path is None:
            raise InputError(
                f"there is no object {name} in {printable(self._folder)}: expected a folder of "
                f"that name or a mesh {name}.obj, .stl, .ply or .off"
            )
        item = load_object(mesh_path, unit or "m", mass=mass or None, friction=friction or None)
        self._refiners.pop(name, None)
        if len(self._refiners) >= MAX_OBJECTS:
            del self._refiners[next(iter(self._refiners))]
        item = replace(item, name=name)
        self._refiners[name] = PoseRefiner(item, self.hand, self._settings)
        return item

    def refine(
        self, name: str, observation: GraspObservation, start: Floats | None, progress: Progress
    ) -> PoseEstimate:
        """Return the estimate of a loaded object; tracking of another one ends.

        Args:
            name: name of the object; empty for the last one.
            observation: observation.
            start: (4, 4) pose to start from; None for a search from nothing.
            progress: callback on stage, completed fraction and lowest cost.

        Raises:
            InputError: no such object is loaded, or the observation cannot be used.
        """
        self._tracker = None
        return self._refiner(name).refine(observation, start, progress)

    def follow(self, estimate: PoseEstimate) -> None:
        """Track the object of an estimate from now on."""
        self._tracker = PoseTracker(self._refiner(estimate.object_name), estimate)

    def track(self, observation: GraspObservation) -> PoseEstimate:
        """Return the estimate of the next frame; tracking ends where the pose is lost.

        Raises:
            InputError: no object is tracked, the observation cannot be used, or the pose is lost.
        """
        if self._tracker is None:
            raise InputError("no object is tracked: refine its pose first, with track set")
        estimate = self._tracker.track(observation)
        if not estimate.is_identified:
            self._tracker = None
            raise InputError(f"tracking of {estimate.object_name} ended: {estimate.reason}")
        return estimate

    def stop_tracking(self) -> None:
        """End the tracking."""
        self._tracker = None

    def _refiner(self, name: str) -> PoseRefiner:
        if not self._refiners:
            raise InputError("no object is loaded: call load_object first")
        if not name:
            return self._refiners[next(reversed(self._refiners))]
        if name not in self._refiners:
            raise InputError(
                f"object {printable(name[:80])} is not loaded, but {', '.join(self._refiners)}: "
                "call load_object first"
            )
        return self._refiners[name]


def describe_symmetries(item: RigidObject) -> list[str]:
    """Return the symmetries of an object in words."""
    lines = []
    for symmetry in item.symmetries:
        x, y, z = symmetry.axis
        kind = "continuous" if symmetry.order == 0 else f"{symmetry.order}-fold"
        lines.append(f"{kind} about ({x:.2f}, {y:.2f}, {z:.2f})")
    return lines
