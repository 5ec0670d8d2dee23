"""Multi-modal pose refinement by four gradients with adaptive weights: the published baseline.

Physics, rendering, distance of the mesh to the depth points and to the touched points; the weight
of each gradient is the decrease of its own loss by a step of its own; the result is the pose with
the least rendering loss. 400 iterations are the authors' choice.

Chosen here, because the publication does not say: step lengths (each gradient's own, doubled and
halved by success), decreases relative to the loss at the start, translations measured in units of
a quarter of the object's diameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose.paper_distance import MeshDistanceLoss
from tacdiff_ros.object_pose.paper_motion import Loss, moved
from tacdiff_ros.object_pose.paper_physics import PhysicsLoss
from tacdiff_ros.object_pose.paper_rendering import RenderingLoss
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

SOURCES = ("physics", "rendering", "depth", "tactile")
START_STEP_M = 0.002
MAX_STEP_M = 0.004
MIN_STEP_M = 1e-6
CONTACT_FORCE_N = 0.02  # above which a taxel touches


class LossFunction(Protocol):
    """A loss by the pose of the object."""

    def __call__(self, pose: Array) -> Loss:
        """Return loss and gradient at a pose (4, 4)."""

    def value(self, pose: Array) -> float:
        """Return the loss at a pose (4, 4) alone."""


@dataclass(frozen=True)
class PaperSettings:
    """Settings of the baseline.

    Attributes:
        iterations: maximum number of iterations.
        sources: gradients in use, a part of `SOURCES`.
        regularisation: weight of the squared translation in the physics loss, 1/m2, relative to
            the physics loss at the start.
        checkpoint: whether the result is the pose with the least rendering loss instead of the
            last one.
    """

    iterations: int = 400
    sources: tuple[str, ...] = SOURCES
    regularisation: float = 400.0
    checkpoint: bool = True

    def __post_init__(self) -> None:
        unknown = set(self.sources) - set(SOURCES)
        if unknown or not self.sources:
            raise InputError(f"gradients {self.sources}: expected some of {', '.join(SOURCES)}")


@dataclass(frozen=True)
class PaperResult:
    """Result of the baseline.

    Attributes:
        pose: (4, 4) pose of the object in the frame of the hand's root link.
        path: (K + 1, 4, 4) poses of all iterations, the start first.
        rendering: (K + 1,) rendering losses of these poses.
        weights: (K, S) weights of the gradients in each iteration, in the order of the sources.
    """

    pose: Array
    path: Array
    rendering: Array
    weights: Array


def refine_by_paper(
    hand: Hand,
    item: RigidObject,
    observation: GraspObservation,
    start: Array,
    settings: PaperSettings | None = None,
) -> PaperResult:
    """Refine a pose by the published method.

    Args:
        hand: the hand.
        item: the object.
        observation: sensor data with a depth image and mask.
        start: (4, 4) pose to start from, in the frame of the hand's root link.
        settings: settings; None for the authors'.

    Raises:
        InputError: there is no depth camera.
    """
    settings = settings or PaperSettings()
    losses, rendering = _losses(hand, item, observation, start, settings)
    centre, pose = item.centre_of_mass, np.asarray(start, float)
    descents = [_Descent(losses[name], item, pose) for name in settings.sources]
    path, checks = [pose], [rendering.value(pose)]
    weights = []
    for _ in range(settings.iterations):
        steps = [descent.step(pose, centre) for descent in descents]
        decrease = np.array([step.decrease for step in steps])
        if not decrease.any():
            if all(descent.is_exhausted for descent in descents):
                break
            continue
        weight = decrease / decrease.sum()
        motion = sum(w * step.motion for w, step in zip(weight, steps, strict=True))
        pose = moved(pose, centre, np.asarray(motion))
        path.append(pose)
        checks.append(rendering.value(pose))
        weights.append(weight)
    best = int(np.argmin(checks)) if settings.checkpoint else len(path) - 1
    table = np.array(weights).reshape(-1, len(settings.sources))
    return PaperResult(path[best], np.array(path), np.array(checks), table)


def touched_points(hand: Hand, observation: GraspObservation) -> Array:
    """Return touched points (N, 3) of taxels and gels in the frame of the root link, m."""
    joints = observation.joint_positions
    parts = [np.empty((0, 3))]
    if observation.taxel_force is not None:
        contact = observation.taxel_contact(CONTACT_FORCE_N)
        parts.append(hand.taxel_positions(joints)[0][contact])
    names = [pad.name for pad in hand.gel_pads]
    poses = hand.gel_poses(joints)
    for touch in observation.gel_touches:
        pose = poses[names.index(touch.name)]
        parts.append(touch.points[touch.contact] @ pose[:3, :3].T + pose[:3, 3])
    return np.concatenate(parts)


def _losses(
    hand: Hand,
    item: RigidObject,
    observation: GraspObservation,
    start: Array,
    settings: PaperSettings,
) -> tuple[dict[str, LossFunction], RenderingLoss]:
    if observation.camera is None or observation.depth is None or observation.mask is None:
        raise InputError("the published baseline needs a depth image and a mask")
    rendering = RenderingLoss(item, observation.camera, observation.depth, observation.mask)
    physics = PhysicsLoss(hand, item, observation.joint_positions, observation.gravity)
    anchored = _Anchored(physics, item, start, settings.regularisation)
    depth = MeshDistanceLoss(item, observation.object_points())
    tactile = MeshDistanceLoss(item, touched_points(hand, observation))
    named: dict[str, LossFunction] = {
        "physics": anchored,
        "rendering": rendering,
        "depth": depth,
        "tactile": tactile,
    }
    return named, rendering


class _Anchored:
    """Physics loss with the squared translation from the start added (equation 1)."""

    def __init__(self, loss: PhysicsLoss, item: RigidObject, start: Array, weight: float) -> None:
        self._loss, self._centre = loss, item.centre_of_mass
        self._anchor = start[:3, :3] @ self._centre + start[:3, 3]
        self._weight = weight * loss.value(start)

    def __call__(self, pose: Array) -> Loss:
        plain = self._loss(pose)
        shift = pose[:3, :3] @ self._centre + pose[:3, 3] - self._anchor
        gradient = plain.gradient.copy()
        gradient[:3] += 2 * self._weight * shift
        return Loss(plain.value + self._weight * float(shift @ shift), gradient)

    def value(self, pose: Array) -> float:
        return self(pose).value


@dataclass(frozen=True)
class _Step:
    motion: Array
    decrease: float


class _Descent:
    """Steps along one gradient, whose length adapts to their success."""

    def __init__(self, loss: LossFunction, item: RigidObject, start: Array) -> None:
        self._loss = loss
        self._scale = np.array([1.0] * 3 + [4 / item.diameter] * 3)  # motion per metre
        self._length = START_STEP_M
        self._initial = max(loss.value(start), 1e-30)

    @property
    def is_exhausted(self) -> bool:
        """Whether even the shortest step does not decrease the loss."""
        return self._length <= MIN_STEP_M

    def step(self, pose: Array, centre: Array) -> _Step:
        """Return a step from a pose, and the relative decrease of the loss that it brings."""
        before = self._loss(pose)
        scaled = before.gradient * self._scale
        norm = float(np.linalg.norm(scaled))
        if norm == 0.0:
            self._length = MIN_STEP_M
            return _Step(np.zeros(6), 0.0)
        motion = -self._length / norm * scaled * self._scale
        decrease = before.value - self._loss.value(moved(pose, centre, motion))
        if decrease > 0:
            self._length = min(2 * self._length, MAX_STEP_M)
            return _Step(motion, decrease / self._initial)
        self._length = max(self._length / 2, MIN_STEP_M)
        return _Step(motion, 0.0)
