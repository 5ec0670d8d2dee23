"""Estimate of an object's pose in the hand, from one observation or from frame to frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose import candidates, se3
from tacdiff_ros.object_pose.agreement import (
    agreement_of,
    doubts,
    near_symmetry_warning,
    size_warning,
)
from tacdiff_ros.object_pose.hypotheses import Hypothesis, weighted, with_prior_spread
from tacdiff_ros.object_pose.joint_cost import Fit, JointCost, minimise
from tacdiff_ros.object_pose.observability import open_directions
from tacdiff_ros.object_pose.observation import ObservationReader
from tacdiff_ros.object_pose.plausibility import (
    COLLIDING,
    NOT_IDENTIFIED,
    ContactLimits,
    Plausibility,
    assess,
)
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.object_pose.pose_search import (
    SEARCH_STDDEV,
    STAGES_AROUND,
    STAGES_EVERYWHERE,
    Progress,
    SearchData,
    coarse_fits,
    fine_fits,
    joint_cost,
    register_hand,
)
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.scene import OBJECT, Scene, Unknowns
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.near_symmetry import NearSymmetry, near_symmetry
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
TRACKING_STDDEV = np.array([0.01, 0.01, 0.01, 0.15, 0.15, 0.15])  # motion between frames, m and rad
MAX_OPEN_FRACTION = 0.02  # of a surface with small holes
TRACKING_STEPS = 4
TRACKING_GAIN = 1e-3
TRACKING_FRACTION = 0.5  # of the pixels and points of a whole estimate


def no_progress(_stage: str, _fraction: float, _cost: float) -> None:
    """Ignore the progress."""


class PoseRefiner:
    """Estimates the pose of one object in one hand."""

    def __init__(
        self,
        item: RigidObject,
        hand: Hand,
        settings: PoseSettings | None = None,
        limits: ContactLimits | None = None,
    ) -> None:
        """Store object and hand.

        Args:
            item: object.
            hand: hand.
            settings: settings; None for the defaults.
            limits: limits of the verdict; None for the defaults.
        """
        self.item = item
        self.hand = hand
        self.settings = settings or PoseSettings()
        self.limits = limits or ContactLimits()
        self._reader = ObservationReader(hand, self.settings)

    def refine(
        self,
        observation: GraspObservation,
        start: Floats | None = None,
        progress: Progress = no_progress,
    ) -> PoseEstimate:
        """Return the estimate of one observation.

        Args:
            observation: depth image and mask, joint positions, touches.
            start: (4, 4) pose in `hand` to start from; None for a search from nothing.
            progress: callback on stage, completed fraction and lowest cost; it may raise an
                exception to cancel.

        Raises:
            InputError: the observation or the start cannot be used.
        """
        began = time.perf_counter()
        if start is not None and not se3.is_rigid(np.asarray(start, float)):
            raise InputError("the pose to start from is no rigid transformation (4, 4) in metres")
        evidence, nominal = self._reader.read(observation)
        data = SearchData(self.item, self.hand, self.settings, evidence, nominal)
        progress("search", 0.0, float("nan"))
        rig = register_hand(data)
        if start is None:
            poses, stddev = self._everywhere(data, rig), SEARCH_STDDEV
            stages = STAGES_EVERYWHERE
        else:
            poses, stddev = candidates.around(start, self.item), self._start_stddev()
            stages = STAGES_AROUND
        progress("search", 1.0, float("nan"))
        fits = coarse_fits(data, rig, poses, progress, stages)
        mean = fits[0].unknowns.object_pose if start is None else np.asarray(start, float)
        data = data.near([fit.unknowns for fit in fits])
        cost = joint_cost(data, mean, stddev)
        fine = fine_fits(cost, fits, self.item, progress)
        estimate = self._assess(data, cost, fine, time.perf_counter() - began)
        if start is None and self._near_symmetry is not None:
            line = near_symmetry_warning(self.item.name, self._near_symmetry)
            estimate = replace(estimate, warnings=(*estimate.warnings, line))
        progress("assess", 1.0, fine[0].cost)
        return estimate

    @cached_property
    def _near_symmetry(self) -> NearSymmetry | None:
        return near_symmetry(self.item)

    def _start_stddev(self) -> Floats:
        position = self.settings.start_position_stddev
        rotation = self.settings.start_rotation_stddev
        return np.array([*3 * [position], *3 * [rotation]])

    def _everywhere(self, data: SearchData, rig: Unknowns) -> Floats:
        """Return starts of a search from nothing.

        Raises:
            InputError: the object is neither seen nor touched.
        """
        scene = Scene(self.hand, rig)
        evidence = data.evidence
        visible = scene.from_camera(evidence.object_pixels.points)
        parts = (evidence.taxels, evidence.gels)
        touched = np.concatenate(
            [scene.links.points(p.point[p.touches], p.link[p.touches]) for p in parts]
        )
        if len(visible) == 0 and len(touched) == 0:
            raise InputError(
                "the object is neither seen nor touched: give a depth image with a mask, touches, "
                "or a pose to start from"
            )
        origin = rig.camera_pose[:3, 3] if len(visible) else None
        return candidates.everywhere(self.item, visible, origin, touched)

    def _assess(
        self, data: SearchData, cost: JointCost, fits: Sequence[Fit], seconds: float
    ) -> PoseEstimate:
        """Return the estimate with weights, open directions, contact state and verdict."""
        settings = self.settings
        hypotheses = weighted(fits, cost, settings.temperature, settings.covariance_inflation)
        best = hypotheses[0]
        directions = open_directions(
            best.object_covariance,
            best.object_pose,
            0.5 * self.item.diameter,
            np.array([s.axis for s in self.item.symmetries if s.order == 0]).reshape(-1, 3),
            self.settings.max_open_stddev,
            cost.prior.stddev[OBJECT],
            self.item.centre_of_mass,
        )
        agreement = agreement_of(cost, best.fit.unknowns)
        contact = self._contact(data, best.fit.unknowns)
        reasons = doubts(hypotheses, agreement, directions, data.evidence.hand_missing)
        verdict, reason = contact.verdict, contact.reason
        if reasons:
            verdict, reason = NOT_IDENTIFIED, "; ".join(reasons)
            spread = cost.prior.stddev[OBJECT]
            hypotheses = tuple(with_prior_spread(each, spread) for each in hypotheses)
        return PoseEstimate(
            self.item.name,
            hypotheses,
            directions,
            contact,
            agreement,
            data.nominal,
            verdict,
            reason,
            tuple(self._warnings(data, hypotheses))
            + size_warning(agreement)
            + ((contact.reason,) if reasons and contact.verdict == COLLIDING else ()),
            seconds,
        )

    def _contact(self, data: SearchData, unknowns: Unknowns) -> Plausibility:
        """Return the contact state of a pose."""
        scene = Scene(self.hand, unknowns)
        surface, gels = data.evidence.surface, data.evidence.gels
        points = scene.links.points(
            np.concatenate([surface.point, gels.point]), np.concatenate([surface.link, gels.link])
        )
        distance, gradient = self.item.distance.distance_and_gradient(scene.to_object(points))
        length = np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-9)
        return assess(
            points,
            distance,
            gradient / length @ scene.object_rotation.T,
            se3.apply(unknowns.object_pose, self.item.centre_of_mass[None])[0],
            data.evidence.gravity,
            0.5 * self.item.diameter,
            self.item.friction or self.settings.friction,
            self.limits,
        )

    def _warnings(self, data: SearchData, hypotheses: Sequence[Hypothesis]) -> list[str]:
        evidence = data.evidence
        lines = []
        if not (evidence.taxels.touches.any() or evidence.gels.touches.any()):
            lines.append("no sensor touches the object: contact does not constrain the pose")
        if self.item.open_fraction > MAX_OPEN_FRACTION:
            lines.append(
                f"{self.item.open_fraction:.0%} of the surface of {self.item.name} is open: if a "
                "part of the mesh is missing, the pose can be wrong"
            )
        if len(hypotheses) > 1:
            lines.append(
                f"{len(hypotheses)} poses explain the data, the second with a probability of "
                f"{hypotheses[1].weight:.2f}"
            )
        return lines


class PoseTracker:
    """Follows an object from frame to frame, starting from an estimate."""

    def __init__(self, refiner: PoseRefiner, estimate: PoseEstimate) -> None:
        """Start from an estimate.

        Args:
            refiner: refiner that made the estimate.
            estimate: estimate of the frame before the first one.
        """
        settings = refiner.settings
        few = {
            name: max(20, round(TRACKING_FRACTION * getattr(settings, name)))
            for name in ("depth_pixels", "hand_pixels", "sight_lines", "hand_points", "gel_points")
        }
        self._refiner = PoseRefiner(
            refiner.item, refiner.hand, settings.model_copy(update=few), refiner.limits
        )
        self._last = estimate
        self._offsets = estimate.joint_offsets

    @property
    def last(self) -> PoseEstimate:
        """Newest estimate."""
        return self._last

    def track(self, observation: GraspObservation) -> PoseEstimate:
        """Return the estimate of the next frame: one start and few steps.

        Args:
            observation: observation of the frame.

        Raises:
            InputError: the observation cannot be used; the last estimate is kept.
        """
        began = time.perf_counter()
        refiner = self._refiner
        last = self._last.best.fit.unknowns
        evidence, nominal = refiner._reader.read(observation)
        start = Unknowns(
            last.object_pose,
            nominal.camera_pose @ self._last.camera_correction,
            last.depth_bias,
            nominal.joint_positions + self._offsets,
        )
        data = SearchData(refiner.item, refiner.hand, refiner.settings, evidence, nominal)
        data = data.near([start])
        cost = joint_cost(data, start.object_pose, TRACKING_STDDEV)
        fit = minimise(cost, start, TRACKING_STEPS, TRACKING_GAIN)
        estimate = refiner._assess(data, cost, [fit], 0.0)
        self._last = replace(estimate, seconds=time.perf_counter() - began)
        self._offsets = self._last.joint_offsets
        return self._last
