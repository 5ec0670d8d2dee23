"""Turns the observation of a grasp into the measurements that the estimate uses."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.depth_pixels import DepthPixels, Pixels, depth_pixels
from tacdiff_ros.object_pose.evidence import Evidence
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.scene import Unknowns
from tacdiff_ros.object_pose.touches import SurfacePoints, TouchPoints
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.hand import GelPad, Hand

Floats = NDArray[np.float64]
SURFACE_SPACING = 0.004  # m
MAX_HAND_DISTANCE = 0.02  # of a pixel that is taken for one of the hand, m
HAND_PIXEL_CANDIDATES = 3  # candidates for each pixel of the hand that is used
MISSING_DEPTH = 0.03  # measured behind a point of the hand that is then not there, m
PIXELS_OF_NOTHING = Pixels(np.zeros((0, 3)), np.zeros(0))
NO_IMAGES = DepthPixels(*5 * (PIXELS_OF_NOTHING,))


class ObservationReader:
    """Reads observations of one hand."""

    def __init__(self, hand: Hand, settings: PoseSettings) -> None:
        """Sample the surface of the hand.

        Args:
            hand: hand.
            settings: numbers of pixels and points, threshold of a touch.
        """
        self._hand = hand
        self._settings = settings
        self._samples = _Samples(*hand.surface_points(SURFACE_SPACING))

    def with_settings(self, settings: PoseSettings) -> ObservationReader:
        """Return a reader of the same hand with other settings."""
        other = copy(self)
        other._settings = settings
        return other

    def read(self, observation: GraspObservation) -> tuple[Evidence, Unknowns]:
        """Return the measurements of an observation, and the unknowns as reported.

        Args:
            observation: sensor data of one grasp.

        Raises:
            InputError: the observation cannot be used: see `depth_pixels`; or joints, taxels or
                gels do not belong to the hand.
        """
        hand, settings = self._hand, self._settings
        joints = _joints(observation, hand)
        random = np.random.default_rng(settings.seed)
        camera, depth, mask = observation.camera, observation.depth, observation.mask
        images, missing = NO_IMAGES, 0.0
        if camera is not None and depth is not None and mask is not None:
            kinds = depth_pixels(depth, mask, intrinsics(camera))
            placed = self._samples.placed(hand.link_transforms(joints))
            images = DepthPixels(
                kinds.object.chosen(settings.depth_pixels, random),
                self._hand_pixels(kinds.surroundings, camera, joints, placed, random),
                kinds.free.chosen(settings.sight_lines // 3, random),
                kinds.border.chosen(settings.sight_lines - settings.sight_lines // 3, random),
                kinds.inside.chosen(settings.sight_lines // 2, random),
            )
            missing = _missing_fraction(depth, camera, placed)
        gels, gel_stddev = _gels(observation.gel_touches, hand, settings, random)
        evidence = Evidence(
            images.object,
            images.surroundings,
            images.free.joined(images.border),
            images.inside,
            taxels=_taxels(observation, hand, settings),
            gels=gels,
            gel_stddev=gel_stddev,
            surface=self._surface(observation.gel_touches),
            gravity=_direction(observation.gravity),
            hand_missing=missing,
        )
        pose = np.eye(4) if camera is None else np.asarray(camera.pose, float)
        return evidence, Unknowns(np.eye(4), pose, 0.0, joints)

    def _hand_pixels(
        self,
        surroundings: Pixels,
        camera: DepthCamera,
        joints: Floats,
        placed: tuple[Floats, Floats],
        random: np.random.Generator,
    ) -> Pixels:
        """Return pixels outside of the mask that lie near the hand as it is reported."""
        count = self._settings.hand_pixels
        if count == 0:
            return PIXELS_OF_NOTHING
        points = se3.apply(camera.pose, surroundings.points)
        low = placed[0].min(axis=0) - MAX_HAND_DISTANCE
        high = placed[0].max(axis=0) + MAX_HAND_DISTANCE
        inside = np.all((points > low) & (points < high), axis=1)
        some = surroundings.where(inside).chosen(HAND_PIXEL_CANDIDATES * count, random)
        distance, _, _ = self._hand.distance(se3.apply(camera.pose, some.points), joints)
        return some.where(np.abs(distance) < MAX_HAND_DISTANCE).chosen(count, random)

    def _surface(self, touches: tuple[GelTouch, ...]) -> SurfacePoints:
        """Return the hand's surface, without the gels whose surfaces were measured."""
        hand = self._hand
        soft = np.zeros(len(hand.links))
        for index, shape in zip(hand.shape_links, hand.shapes, strict=True):
            soft[index] = max(soft[index], shape.max_indentation)
        touched = {touch.name for touch in touches}
        measured = [hand.links.index(pad.link) for pad in hand.gel_pads if pad.name in touched]
        link = self._samples.link
        keep = ~np.isin(link, measured)
        return SurfacePoints(self._samples.point[keep], link[keep], soft[link[keep]])


@dataclass(frozen=True)
class _Samples:
    """Points of the hand's surface with normals, in the frames of their links."""

    link: NDArray[np.int64]
    point: Floats
    normal: Floats

    def placed(self, frames: Floats) -> tuple[Floats, Floats]:
        """Return points and normals (N, 3) in `hand` at link poses (L, 4, 4)."""
        turn = frames[self.link, :3, :3]
        points = np.einsum("nij,nj->ni", turn, self.point) + frames[self.link, :3, 3]
        return points, np.einsum("nij,nj->ni", turn, self.normal)


def intrinsics(camera: DepthCamera) -> Floats:
    """Return the camera matrix (3, 3) of a depth camera, px."""
    return np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])


def _joints(observation: GraspObservation, hand: Hand) -> Floats:
    joints = np.asarray(observation.joint_positions, float)
    if joints.shape != (len(hand.joint_names),):
        raise InputError(
            f"{joints.size} joint positions for hand {hand.name}, expected "
            f"{len(hand.joint_names)}: {', '.join(hand.joint_names)}"
        )
    return joints


def _direction(gravity: Floats | None) -> Floats | None:
    """Return gravity as a unit vector; None if it is unknown or too weak to have a direction."""
    if gravity is None or not float(np.linalg.norm(gravity)) > 1e-3:
        return None
    return np.asarray(gravity / np.linalg.norm(gravity))


def _missing_fraction(
    depth: NDArray[np.floating], camera: DepthCamera, placed: tuple[Floats, Floats]
) -> float:
    """Return the fraction of the hand's image that the camera looks through.

    Points in front of the measured depth, or without a depth, are not there; those behind it are
    hidden and do not count. Points count by the image area of their surface: a small error of the
    camera's pose moves all of a face that is seen at a grazing angle beside its image.
    """
    points, normals = placed
    pixel, range_m = camera.project(points)
    column, row = np.rint(pixel).astype(int).T
    view = camera.pose[:3, 3] - points
    facing = np.sum(normals * view, axis=1) / np.sum(view * view, axis=1) ** 1.5
    height, width = depth.shape
    in_view = (
        (facing > 0.0)
        & (range_m > 0.0)
        & (column >= 0)
        & (column < width)
        & (row >= 0)
        & (row < height)
    )
    if not in_view.any():
        return 0.0
    measured = depth[row[in_view], column[in_view]]
    has_depth = np.isfinite(measured) & (measured > 0.0)
    through = ~has_depth | (measured > range_m[in_view] + MISSING_DEPTH)
    hidden = has_depth & (measured < range_m[in_view] - MISSING_DEPTH)
    area = facing[in_view]
    expected = float(area[~hidden].sum())
    return float(area[through].sum()) / expected if expected > 0.0 else 0.0


def _taxels(observation: GraspObservation, hand: Hand, settings: PoseSettings) -> TouchPoints:
    """Return the taxels; without measured forces there are none.

    Raises:
        InputError: the number of forces differs from that of the taxels.
    """
    force = observation.taxel_force
    if force is None:
        return TouchPoints.none()
    taxels = hand.taxels
    if len(force) != len(taxels):
        raise InputError(
            f"{len(force)} taxel forces for hand {hand.name}, which has {len(taxels)} taxels"
        )
    known = np.all(np.isfinite(force), axis=1)
    touches = known & (np.linalg.norm(force, axis=1) > settings.min_taxel_force)
    points = TouchPoints(taxels.position, taxels.normal, taxels.link, touches, -force)
    return points.where(known)


def _gels(
    touches: tuple[GelTouch, ...], hand: Hand, settings: PoseSettings, random: np.random.Generator
) -> tuple[TouchPoints, float]:
    """Return the points of all gels in the frames of their links, and their deviation, m.

    Raises:
        InputError: the hand has no gel of that name.
    """
    pads = {pad.name: pad for pad in hand.gel_pads}
    result, stddevs = TouchPoints.none(), [settings.gel_stddev]
    for touch in touches:
        if touch.name not in pads:
            raise InputError(
                f"hand {hand.name} has no gel {touch.name!r}, expected {', '.join(pads) or 'none'}"
            )
        finite = np.isfinite(np.hstack([touch.points, touch.normals]))
        usable = np.asarray(finite.all(axis=1), bool)
        index = _gel_choice(touch, usable, settings.gel_points, random)
        if len(index) == 0:
            continue
        link = hand.links.index(pads[touch.name].link)
        result = result.joined(_gel_points(touch, pads[touch.name], link, index))
        stddevs.append(float(np.median(touch.stddev[index])))
    return result, max(stddevs)


def _gel_choice(
    touch: GelTouch, usable: NDArray[np.bool_], count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return indices of points of a gel, half of them in contact where there are enough."""
    inside = random.permutation(np.flatnonzero(usable & touch.contact))[: (count + 1) // 2]
    outside = random.permutation(np.flatnonzero(usable & ~touch.contact))
    return np.sort(np.concatenate([inside, outside[: count - len(inside)]]))


def _gel_points(touch: GelTouch, pad: GelPad, link: int, index: NDArray[np.int64]) -> TouchPoints:
    turn = pad.pose[:3, :3]
    contact = touch.contact[index]
    force = np.zeros((len(index), 3))
    count = max(int(np.count_nonzero(contact)), 1)
    if touch.traction is not None and contact.any():
        traction = np.where(contact[:, None], touch.traction[index], 0.0)
        total = traction.sum(axis=0)
        if touch.force is not None and float(total @ total) > 0.0:
            scale = float(np.linalg.norm(touch.force) / np.linalg.norm(total))
            force = -scale * traction
        else:
            force = -traction
    elif touch.force is not None:
        force = contact[:, None] * -touch.force / count
    return TouchPoints(
        se3.apply(pad.pose, touch.points[index]),
        touch.normals[index] @ turn.T,
        np.full(len(index), link, np.int64),
        contact,
        force @ turn.T,
    )
