"""Search of minima of the joint cost: coarse fits of many starts, fine fits of the best ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose.evidence import Evidence, force_terms, geometric_terms
from tacdiff_ros.object_pose.hand_model import HandModel
from tacdiff_ros.object_pose.hypotheses import distinct
from tacdiff_ros.object_pose.joint_cost import Fit, JointCost, Prior, minimise
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.scene import CAMERA, DEPTH_BIAS, FIRST_JOINT, OBJECT, Scene, Unknowns
from tacdiff_ros.object_pose.terms import HandDepth
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
Progress = Callable[[str, float, float], None]  # stage, completed fraction, lowest cost

SEARCH_STDDEV = np.array([0.1, 0.1, 0.1, 1.0, 1.0, 1.0])  # prior without a given pose, m and rad
REGISTRATION_STEPS = 12
COARSE_FRACTION = 0.25  # of the measurements
FIRST_FINE_STEPS, FINE_STEPS = 6, 25
MAX_COST_DIFFERENCE = 100.0  # to the best fit, above which a fit is not refined further
FINE_COUNT = 5
MIN_GAIN = 1e-4
NEAR_SURFACE = 0.015  # distance of a point of the hand that can touch the object, m
COARSE_GAIN = 1e-2


@dataclass(frozen=True)
class CoarseStage:
    """Fits of many starts at one relaxation.

    Attributes:
        relaxation: factor of the standard deviations of all measurements.
        steps: maximum number of linearisations of each fit.
        kept: number of distinct fits from which the next stage starts.
    """

    relaxation: float
    steps: int
    kept: int


LATER_STAGES = (CoarseStage(5.0, 8, 10), CoarseStage(2.0, 8, FINE_COUNT))
STAGES_AROUND = (CoarseStage(8.0, 5, 20), *LATER_STAGES)  # of starts about a given pose
STAGES_EVERYWHERE = (CoarseStage(8.0, 25, 20), *LATER_STAGES)  # of starts that are far off


@dataclass(frozen=True)
class SearchData:
    """What a search needs.

    Attributes:
        item: object.
        hand: hand.
        settings: settings.
        evidence: measurements.
        nominal: camera pose, joint positions and depth bias as reported; its object pose is unused.
    """

    item: RigidObject
    hand: HandModel
    settings: PoseSettings
    evidence: Evidence
    nominal: Unknowns

    def near(self, points: Sequence[Unknowns]) -> SearchData:
        """Return the data with the part of the hand's surface that is near the object.

        Args:
            points: estimates of which one is nearly right.
        """
        surface = self.evidence.surface
        nearest = np.full(len(surface), np.inf)
        for point in points[:FINE_COUNT]:
            scene = Scene(self.hand, point)
            placed = scene.to_object(scene.links.points(surface.point, surface.link))
            nearest = np.minimum(nearest, self.item.distance.distance(placed))
        index = np.flatnonzero(nearest < NEAR_SURFACE)
        limit = FINE_COUNT * self.settings.hand_points
        index = index[:: max(1, -(-len(index) // limit))]
        evidence = replace(self.evidence, surface=surface.where(index))
        return replace(self, evidence=evidence)

    def rig_stddev(self) -> Floats:
        """Return the prior standard deviations (13 + J,) of all but the object, which is fixed."""
        stddev = np.zeros(self.nominal.size)
        if len(self.evidence.object_pixels.depth):
            stddev[CAMERA] = [
                *3 * [self.settings.camera_position_stddev],
                *3 * [self.settings.camera_rotation_stddev],
            ]
            stddev[DEPTH_BIAS] = self.settings.depth_bias_stddev
        angular = self.hand.link_jacobians(self.nominal.joint_positions)[:, 3:]
        turns = np.abs(angular).max(axis=(0, 1)) > 0.0
        stddev[FIRST_JOINT:] = np.where(
            turns, self.settings.joint_stddev, self.settings.slide_stddev
        )
        return stddev


def register_hand(data: SearchData) -> Unknowns:
    """Return the unknowns with camera, depth bias and joints fitted to the pixels of the hand."""
    terms = geometric_terms(data.evidence, data.item, data.hand, data.settings)
    own = [term for term in terms if isinstance(term, HandDepth)]
    if not own:
        return data.nominal
    prior = Prior(data.nominal, data.rig_stddev())
    if not prior.free.any():
        return data.nominal
    wide = JointCost(data.hand, own, prior, relaxation=2.0)
    first = minimise(wide, data.nominal, REGISTRATION_STEPS, COARSE_GAIN)
    cost = JointCost(data.hand, own, prior)
    return minimise(cost, first.unknowns, REGISTRATION_STEPS, MIN_GAIN).unknowns


def coarse_fits(
    data: SearchData,
    rig: Unknowns,
    poses: Floats,
    progress: Progress,
    stages: Sequence[CoarseStage] = STAGES_AROUND,
) -> list[Fit]:
    """Return distinct fits of the object's pose alone, the lowest cost first.

    Args:
        data: measurements.
        rig: camera, joints and bias, which are held.
        poses: (M, 4, 4) starts.
        progress: callback on stage, completed fraction and lowest cost.
        stages: stages, from the most relaxed one on.
    """
    random = np.random.default_rng(data.settings.seed)
    thin = data.evidence.thinned(COARSE_FRACTION, random)
    starts = [rig.with_object(pose) for pose in poses]
    fits: list[Fit] = []
    for number, stage in enumerate(stages):
        fits = []
        for index, start in enumerate(starts):
            fits.append(_object_fit(data, thin, start, stage.relaxation, stage.steps))
            done = (number + (index + 1) / len(starts)) / len(stages)
            progress("coarse", done, min(fit.cost for fit in fits))
        fits = distinct(data.item, fits)[: stage.kept]
        starts = [fit.unknowns for fit in fits]
    return fits


def _object_fit(
    data: SearchData, evidence: Evidence, start: Unknowns, relaxation: float, steps: int
) -> Fit:
    """Return the nearest minimum with respect to the object's pose."""
    terms = geometric_terms(evidence, data.item, data.hand, data.settings)
    terms = [term for term in terms if not isinstance(term, HandDepth)]
    stddev = np.zeros(start.size)
    stddev[OBJECT] = SEARCH_STDDEV
    cost = JointCost(data.hand, terms, Prior(start, stddev), relaxation)
    return minimise(cost, start, steps, COARSE_GAIN)


def joint_cost(data: SearchData, object_mean: Floats, object_stddev: Floats) -> JointCost:
    """Return the cost of all unknowns and all data.

    Args:
        data: measurements.
        object_mean: (4, 4) prior mean of the object's pose.
        object_stddev: (6,) prior standard deviations of its twist, m and rad.
    """
    stddev = data.rig_stddev()
    stddev[OBJECT] = object_stddev
    terms = [
        *geometric_terms(data.evidence, data.item, data.hand, data.settings),
        *force_terms(data.evidence, data.item, data.settings),
    ]
    prior = Prior(data.nominal.with_object(object_mean), stddev)
    return JointCost(data.hand, terms, prior)


def fine_fits(
    cost: JointCost, fits: Sequence[Fit], item: RigidObject, progress: Progress
) -> list[Fit]:
    """Return distinct fits of all unknowns, the lowest cost first.

    Args:
        cost: cost of all unknowns.
        fits: starts.
        item: object.
        progress: callback on stage, completed fraction and lowest cost.
    """
    first = [minimise(cost, fit.unknowns, FIRST_FINE_STEPS, MIN_GAIN) for fit in fits[:FINE_COUNT]]
    progress("fine", 0.5, min(fit.cost for fit in first))
    limit = min(fit.cost for fit in first) + MAX_COST_DIFFERENCE
    chosen = [fit for fit in distinct(item, first) if fit.cost < limit]
    refined: list[Fit] = []
    for index, fit in enumerate(chosen):
        refined.append(minimise(cost, fit.unknowns, FINE_STEPS, MIN_GAIN))
        done = 0.5 + 0.5 * (index + 1) / len(chosen)
        progress("fine", done, min(each.cost for each in refined))
    return distinct(item, refined)
