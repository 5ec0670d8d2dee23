"""Measurements of one observation, and the terms of the joint cost that they give."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose.depth_pixels import Pixels
from tacdiff_ros.object_pose.force_terms import FrictionCones, TorqueBalance, WeightSupport
from tacdiff_ros.object_pose.hand_model import HandModel
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.terms import (
    GelNormals,
    HandDepth,
    LinkPoints,
    ObjectDepth,
    Sightlines,
    Term,
)
from tacdiff_ros.object_pose.touches import SurfacePoints, TouchPoints
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MESH_CORRELATION = 0.005  # length over which errors of a mesh are equal, m
# Scales of the robust losses, in standard deviations.
DEPTH_SCALE, SIGHT_SCALE, TOUCH_SCALE, HAND_SCALE = 3.0, 3.0, 3.0, 4.0


@dataclass(frozen=True)
class Evidence:
    """Measurements of one observation.

    Attributes:
        object_pixels: pixels of the object.
        hand_pixels: pixels of the hand.
        free_lines: sight lines that pass beside the object.
        inside_lines: sight lines that hit the object.
        taxels: taxels.
        gels: points of the gels' surfaces.
        gel_stddev: standard deviation of the gels' points, m.
        surface: points of the hand's surface.
        gravity: (3,) unit vector of gravity in `hand`; None if unknown.
        hand_missing: fraction of the hand's surface that the camera looks through.
    """

    object_pixels: Pixels
    hand_pixels: Pixels
    free_lines: Pixels
    inside_lines: Pixels
    taxels: TouchPoints
    gels: TouchPoints
    gel_stddev: float
    surface: SurfacePoints
    gravity: Floats | None
    hand_missing: float

    def thinned(self, fraction: float, random: np.random.Generator) -> Evidence:
        """Return a random part of the measurements; touches are kept, except of gels."""

        def some(pixels: Pixels) -> Pixels:
            return pixels.chosen(math.ceil(fraction * len(pixels.depth)), random)

        def few(count: int) -> Integers:
            return np.sort(random.permutation(count)[: math.ceil(fraction * count)])

        return replace(
            self,
            object_pixels=some(self.object_pixels),
            hand_pixels=some(self.hand_pixels),
            free_lines=some(self.free_lines),
            inside_lines=some(self.inside_lines),
            gels=self.gels.where(few(len(self.gels))),
            surface=self.surface.where(few(len(self.surface))),
        )


def correlated_stddev(own: float, mesh: float, points: Floats) -> float:
    """Return the standard deviation of each of many residuals of a mesh with errors.

    Errors of a mesh are nearly equal within `MESH_CORRELATION`: points that lie denser do not
    average them out.

    Args:
        own: standard deviation of independent errors, m or rad.
        mesh: standard deviation of the mesh's error, m or rad.
        points: (N, 3) points whose distances are measured, in any one frame, m.
    """
    cells = np.unique(np.floor(points / MESH_CORRELATION).astype(np.int64), axis=0)
    return math.hypot(own, mesh * math.sqrt(max(1.0, len(points) / max(len(cells), 1))))


def geometric_terms(
    evidence: Evidence, item: RigidObject, hand: HandModel, settings: PoseSettings
) -> list[Term]:
    """Return the terms of depth, sight lines, contact and penetration.

    Args:
        evidence: measurements.
        item: object.
        hand: hand.
        settings: standard deviations.
    """
    field = item.distance
    measured = evidence.object_pixels.points
    depth_stddev = correlated_stddev(settings.depth_stddev, settings.mesh_stddev, measured)
    line_stddev = math.hypot(settings.mask_stddev, settings.mesh_stddev)
    terms: list[Term] = []
    if len(evidence.object_pixels.depth):
        pixels = evidence.object_pixels
        terms.append(ObjectDepth(field, pixels.ray, pixels.depth, depth_stddev, DEPTH_SCALE))
    if len(evidence.hand_pixels.depth):
        pixels = evidence.hand_pixels
        stddev = math.hypot(settings.depth_stddev, settings.hand_stddev)
        terms.append(HandDepth(hand, pixels.ray, pixels.depth, stddev, HAND_SCALE))
    for lines, must_hit, name in (
        (evidence.free_lines, False, "free_space"),
        (evidence.inside_lines, True, "mask"),
    ):
        if settings.use_free_space and len(lines.depth):
            terms.append(
                Sightlines(field, lines.ray, lines.depth, must_hit, line_stddev, SIGHT_SCALE, name)
            )
    terms += _touch_terms(evidence, item, settings)
    surface_stddev = math.hypot(settings.hand_stddev, settings.mesh_stddev)
    terms.append(
        LinkPoints(
            field,
            evidence.surface.point,
            evidence.surface.link,
            True,
            surface_stddev,
            math.inf,
            "penetration",
            -evidence.surface.softness,
        )
    )
    return terms


def _touch_terms(evidence: Evidence, item: RigidObject, settings: PoseSettings) -> list[Term]:
    """Return the terms of touched and untouched points of taxels and gels."""
    field = item.distance
    taxel_stddev = math.hypot(settings.taxel_stddev, settings.mesh_stddev)
    terms: list[Term] = []
    for points, stddev, kind in (
        (evidence.taxels, taxel_stddev, "taxel"),
        (evidence.gels, 0.0, "gel"),
    ):
        for touches in (True, False):
            part = points.where(points.touches == touches)
            if len(part) == 0:
                continue
            if kind == "gel":
                stddev = correlated_stddev(evidence.gel_stddev, settings.mesh_stddev, part.point)
            name = f"{kind}_contact" if touches else f"{kind}_no_contact"
            terms.append(
                LinkPoints(field, part.point, part.link, not touches, stddev, TOUCH_SCALE, name)
            )
    touching = evidence.gels.where(evidence.gels.touches)
    if len(touching):
        terms.append(
            GelNormals(
                field,
                touching.point,
                touching.normal,
                touching.link,
                correlated_stddev(
                    settings.gel_normal_stddev,
                    settings.mesh_stddev / MESH_CORRELATION,
                    touching.point,
                ),
                TOUCH_SCALE,
            )
        )
    return terms


def force_terms(evidence: Evidence, item: RigidObject, settings: PoseSettings) -> list[Term]:
    """Return the terms of friction cones, balance of torques and support of the weight.

    Args:
        evidence: measurements.
        item: object.
        settings: standard deviations.
    """
    touching = evidence.taxels.where(evidence.taxels.touches)
    touching = touching.joined(evidence.gels.where(evidence.gels.touches))
    friction = item.friction or settings.friction
    terms: list[Term] = []
    if settings.use_friction:
        # Of taxels only: tractions of single points of a gel are too uncertain, and worsened poses.
        taxels = evidence.taxels.where(evidence.taxels.touches)
        pressed = taxels.where(taxels.has_force)
        if len(pressed):
            terms.append(_cones(pressed, item, friction, settings))
    if settings.use_support and len(touching):
        if touching.has_force.all():
            terms.append(_torques(touching, item, settings))
        if evidence.gravity is not None:
            terms.append(
                WeightSupport(
                    item.distance,
                    touching.point,
                    touching.link,
                    evidence.gravity,
                    item.centre_of_mass,
                    0.5 * item.diameter,
                    friction,
                    settings.support_stddev,
                    TOUCH_SCALE,
                )
            )
    return terms


def _cones(
    pressed: TouchPoints, item: RigidObject, friction: float, settings: PoseSettings
) -> FrictionCones:
    size = np.linalg.norm(pressed.force, axis=1, keepdims=True)
    return FrictionCones(
        item.distance,
        pressed.point,
        pressed.force / size,
        pressed.link,
        friction,
        settings.force_direction_stddev,
        TOUCH_SCALE,
    )


def _torques(touching: TouchPoints, item: RigidObject, settings: PoseSettings) -> TorqueBalance:
    # The errors of one link's forces are common to all of them: its stiffness, its calibration.
    by_link = [touching.force[touching.link == link].sum(axis=0) for link in set(touching.link)]
    size = float(np.linalg.norm(by_link))
    stddev = settings.force_stddev_fraction * size * 0.5 * item.diameter
    return TorqueBalance(
        touching.point,
        touching.force,
        touching.link,
        item.centre_of_mass,
        stddev,
        TOUCH_SCALE,
    )
