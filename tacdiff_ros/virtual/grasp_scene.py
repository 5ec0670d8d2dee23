"""A virtual grasp: a hand with two GelSight Minis, an object in a fixture and a depth camera.

It replaces hardware, with ground truth: the object's full mesh presses the live gels, true sensor
models render their images, and the camera is a rasteriser with the errors of a real one. The
fixture holds the object until the fingers close.

Limits: the object does not collide with the hand on its way and does not turn in the grasp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_search import STANDARD_GRAVITY, Grasp, GraspSearch, object_weight
from tacdiff_ros.objects.grasp_sensing import HARD, measured_camera, measured_joints
from tacdiff_ros.objects.grasp_set import choose_camera
from tacdiff_ros.objects.hand import GelPad, Hand
from tacdiff_ros.objects.object_files import load_object
from tacdiff_ros.objects.rigid_object import RigidObject
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor

Floats = NDArray[np.float64]

APPROACH_M = 0.05  # path of the hand along its z axis from its start to the grasp
OPENING_M = 0.015  # of each finger beyond the object, before the grasp
AT_GRASP_M = 0.002  # distance from the grasp within which closed fingers touch the fixed object
BRACKET_MM = ((50.0, 16.0, 12.0), (12.0, 16.0, 64.0))  # foot and upright
GRASPS = 12  # of which the one with the flattest contacts is taken
GRIP_MM = 0.9  # depth of the deepest point of each gel in the grasp
IMAGE_SCALE = 2  # to 640 x 480
LOWEST_MM, HIGHEST_MM = -5.0, 10.0  # part of the object that presses a gel, z in its frame
SAG_PROBE_MM, MAX_SAG_MM = 0.05, 0.3  # shift of the gels by the object's weight


def write_bracket(path: Path) -> None:
    """Write the mesh of an angle bracket, in metres.

    Args:
        path: STL file.

    Raises:
        InputError: manifold3d is not installed, or the file cannot be written.
    """
    parts = []
    for size in BRACKET_MM:
        box = trimesh.creation.box(1e-3 * np.array(size))
        parts.append(box.apply_translation(1e-3 * np.array([0.5 * size[0], 0.0, 0.5 * size[2]])))
    try:
        trimesh.boolean.union(parts, engine="manifold").export(path)
    except ImportError as error:
        raise InputError("the bracket needs manifold3d: pip install 'tacdiff_ros[pose]'") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class HandMotion:
    """Where the hand is and how far it is open.

    Attributes:
        moved: (4, 4) pose of the hand in the frame that it had at the start, m.
        opening: distance of each finger from its place in the grasp, m; 0 once it is closed.
    """

    moved: Floats
    opening: float


class GraspScene:
    """Simulates the sensors of one grasp; poses are (4, 4) transforms, m.

    Attributes:
        hand: the hand.
        item: the object with its full mesh.
        grasp: pose of the object in the hand and joint positions, once the fingers are closed.
    """

    def __init__(
        self, mesh: Path, hand: Hand, models: Sequence[SensorModel], seed: int, scratch: Path
    ) -> None:
        """Find a stable grasp, place the camera and prepare the gels, which takes some seconds.

        Args:
            mesh: mesh of the object, m.
            hand: hand with gels.
            models: true sensor model of each gel.
            seed: seed of grasp, camera, gels and errors.
            scratch: existing folder for the meshes that press the gels.

        Raises:
            InputError: the mesh cannot be used, or no stable grasp was found.
        """
        self.hand, self.item = hand, load_object(mesh)
        random = np.random.default_rng([seed, 0x6A5B])
        grasp = _flattest_grasp(hand, self.item, random)
        parts = [
            _part_before_gel(self.item, se3.inverse(pose) @ grasp.pose, pad)
            for pad, pose in zip(hand.gel_pads, hand.gel_poses(grasp.joint_positions), strict=True)
        ]
        # Each finger closes until its gel is indented by GRIP_MM.
        depth_mm = np.array([-part.bounds[0, 2] for part in parts])
        grasp = replace(grasp, joint_positions=grasp.joint_positions + 1e-3 * (depth_mm - GRIP_MM))
        self.grasp = grasp
        camera, _ = choose_camera(hand, self.item, grasp, False, random)
        self._camera = _with_more_pixels(camera, IMAGE_SCALE)
        self._reported_camera = measured_camera(self._camera, HARD, random)
        self._joint_errors = measured_joints(hand, np.zeros(len(hand.joint_names)), HARD, random)
        self._random = random
        poses = hand.gel_poses(grasp.joint_positions)
        self._gels = [
            _GraspedGel(part, pose, model, scratch / f"{pad.name}.stl", seed + number)
            for number, (part, pad, pose, model) in enumerate(
                zip(parts, hand.gel_pads, poses, models, strict=True)
            )
        ]
        self._sag = np.zeros(3)  # shift of the object in the hand by its weight, m

    def joint_positions(self, motion: HandMotion) -> Floats:
        """Return the joint positions (J,) that the gripper reports, m."""
        return self.true_joint_positions(motion) + self._joint_errors

    def true_joint_positions(self, motion: HandMotion) -> Floats:
        """Return the true joint positions (J,), m."""
        return np.minimum(self.grasp.joint_positions + motion.opening, self.hand.upper)

    def object_in_hand(self, motion: HandMotion) -> Floats:
        """Return the true pose of the object in the frame of the hand's root link."""
        if not _is_held(motion):
            return se3.inverse(motion.moved) @ _at_grasp() @ self.grasp.pose
        pose = self.grasp.pose.copy()
        pose[:3, 3] += self._sag
        return pose

    def is_lifted(self, motion: HandMotion, distance: float) -> bool:
        """Return whether the hand is at least `distance` m away from the grasp."""
        return bool(np.linalg.norm((motion.moved - _at_grasp())[:3, 3]) > distance)

    def hang(self, gravity: Floats) -> None:
        """Let the gels carry the weight of the object, which shifts it in the hand.

        Args:
            gravity: (3,) gravity in the frame of the hand, m/s2.
        """
        weight = object_weight(self.item) / STANDARD_GRAVITY * gravity
        direction = weight / np.linalg.norm(weight)
        carried = sum(gel.resistance(SAG_PROBE_MM * direction) for gel in self._gels)
        shift_mm = min(SAG_PROBE_MM * np.linalg.norm(weight) / max(carried, 1e-3), MAX_SAG_MM)
        self._sag = 1e-3 * shift_mm * direction

    def reported_camera(self, motion: HandMotion) -> DepthCamera:
        """Return the camera with the pose in the hand that its calibration gives."""
        pose = se3.inverse(motion.moved) @ self._reported_camera.pose
        return replace(self._reported_camera, pose=pose)

    def depth_and_mask(self, motion: HandMotion) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the measured depth image (H, W), m, and the mask of the object (H, W)."""
        camera = replace(self._camera, pose=se3.inverse(motion.moved) @ self._camera.pose)
        links = self.hand.meshes(self.true_joint_positions(motion))
        meshes = [(self.item.vertices, self.item.faces), *links]
        poses = [self.object_in_hand(motion), *[np.eye(4)] * len(links)]
        depth, label = camera.render_depth(meshes, poses)
        return HARD.depth.apply(depth, label == 0, camera, self._random)

    def touch(self, gel: int, motion: HandMotion) -> NDArray[np.uint8]:
        """Return the next image of a gel, (H, W, 3) uint8 RGB."""
        is_there = _is_held(motion) or not self.is_lifted(motion, AT_GRASP_M)
        sag = self._sag if _is_held(motion) else np.zeros(3)
        return self._gels[gel].image(1e3 * motion.opening if is_there else np.inf, 1e3 * sag)


def _flattest_grasp(hand: Hand, item: RigidObject, random: np.random.Generator) -> Grasp:
    """Return the random grasp whose contact normals differ least: jaws align with flat faces."""
    search = GraspSearch(hand, item)
    grasps = [grasp for _ in range(GRASPS) if (grasp := search.find(random)) is not None]
    if not grasps:
        raise InputError(f"no stable grasp of {item.name} by {hand.name} found")

    def flatness(grasp: Grasp) -> float:
        axes = hand.gel_poses(grasp.joint_positions)[:, :3, 2]
        return float(np.abs(search.contacts(grasp)[1] @ axes.T).max(axis=1).mean())

    return max(grasps, key=flatness)


class _GraspedGel:
    """A virtual sensor that the object presses, at the pose that it has in the grasp."""

    def __init__(
        self, part: trimesh.Trimesh, gel_pose: Floats, model: SensorModel, file: Path, seed: int
    ) -> None:
        self._to_gel = gel_pose[:3, :3].T
        part.export(file)
        # The indenter's bounding box is centred on its axis, and its lowest point is its origin.
        self._x_mm, self._y_mm = part.bounds.mean(axis=0)[:2]
        self._sensor = VirtualSensor(model, f"mesh:file={file}", seed, threads=1)

    def image(self, opening_mm: float, shift_mm: Floats) -> NDArray[np.uint8]:
        """Return the next image while a finger is open so far and the object has moved."""
        return self._sensor.sense(self._pose(opening_mm, shift_mm)).image

    def resistance(self, shift_mm: Floats) -> float:
        """Return the force against a shift (3,) of the object in the hand, N."""
        rest = self._sensor.move(self._pose(0.0, np.zeros(3))).force_n
        moved = self._sensor.move(self._pose(0.0, shift_mm)).force_n
        direction = self._to_gel @ shift_mm / np.linalg.norm(shift_mm)
        return abs(float((moved - rest) @ direction))

    def _pose(self, opening_mm: float, shift_mm: Floats) -> IndenterPose:
        x, y, z = self._to_gel @ shift_mm
        depth_mm = GRIP_MM - opening_mm - z
        if depth_mm <= 0.0:
            return IndenterPose(depth_mm=0.0)
        return IndenterPose(self._x_mm + x, self._y_mm + y, depth_mm)


def _part_before_gel(item: RigidObject, pose: Floats, pad: GelPad) -> trimesh.Trimesh:
    """Return the part of an object before a gel, at its pose in the frame `gel`, mm.

    Raises:
        InputError: the mesh is open.
    """
    body = trimesh.Trimesh(1e3 * se3.apply(pose, item.vertices), item.faces, process=False)
    if not body.is_volume:
        raise InputError(f"{item.name} has an open mesh, which cannot press a gel: repair it")
    width, height = 1e3 * np.array(pad.size)
    box = trimesh.creation.box((width, height, HIGHEST_MM - LOWEST_MM))
    box.apply_translation([0.0, 0.0, 0.5 * (HIGHEST_MM + LOWEST_MM)])
    return trimesh.boolean.intersection([body, box], engine="manifold")


def _with_more_pixels(camera: DepthCamera, factor: int) -> DepthCamera:
    """Return a camera with the same view and `factor` times the columns and rows."""
    width, height = factor * camera.width, factor * camera.height
    focal = factor * camera.fx
    centre = (width - 1) / 2, (height - 1) / 2
    return DepthCamera(width, height, focal, focal, *centre, camera.pose)


def _is_held(motion: HandMotion) -> bool:
    return motion.opening <= 0.0


def _at_grasp() -> Floats:
    """Pose of the hand at the grasp in the frame that it has at the start."""
    return se3.pose_of([0.0, 0.0, APPROACH_M], np.eye(3))
