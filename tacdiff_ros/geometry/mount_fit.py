"""Pose of the sensor at the end effector, from touches whose tip position the images show.

The tip of a fixed indenter is at one position in the robot base, whatever pose the arm has. Each
touch gives that position in the frame `gel` (from its image) and the pose of the end effector (from
the arm). Least squares over all touches finds the correction of the configured mount, and of the
indenter if its position is not known exactly.

What touches tell: their spread over the gel tells the three rotations. A position of the indenter
that is not known cannot be separated from the mount's translation, except across the normal where
the sensor is turned about it between touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig

Floats = NDArray[np.float64]

DIRECTIONS = (
    "translation along x",
    "translation along y",
    "height",
    "tilt about x",
    "tilt about y",
    "rotation about the normal",
)
TIP_STDDEV_MM = np.array([0.05, 0.05, 0.05])  # of a tip in an image
DEPTH_SCALE_STDDEV = 0.05  # relative error that the depths of all touches have in common
# Without touches: how wrong a ruler and printed parts may be.
PRIOR_MM, PRIOR_RAD = 10.0, 0.3
MAX_STDDEV_MM, MAX_STDDEV_RAD = 0.5, 0.017  # beyond which a direction counts as not determined
MIN_TOUCHES = 3
OUTLIER = 3.0  # standard deviations from which on a residual counts less


@dataclass(frozen=True)
class MountTouch:
    """One touch of the indenter.

    Attributes:
        end_effector: pose of the end effector in the robot base, by the arm.
        tip_mm: (3,) tip of the indenter in the frame `gel`, by the image; z is minus the depth.
    """

    end_effector: Pose
    tip_mm: Floats


@dataclass(frozen=True)
class MountFit:
    """Corrected rig.

    Attributes:
        rig: corrected poses of sensor and indenter; what is not determined stays as configured.
        correction: (6,) correction along and about the axes of the configured frame `gel`, in the
            order of `DIRECTIONS`, mm and rad; 0 if not determined.
        stddev: (6,) standard deviations of the correction, mm and rad.
        indenter_shift_mm: (3,) correction of the indenter's position in the robot base, mm.
        indenter_stddev_mm: (3,) standard deviations of that, mm.
        before_mm: RMS distance of the tips in the images from those of the configured rig, mm.
        after_mm: the same for the corrected rig, mm.
        undetermined: the directions that the touches do not tell.
    """

    rig: Rig
    correction: Floats
    stddev: Floats
    indenter_shift_mm: Floats
    indenter_stddev_mm: Floats
    before_mm: float
    after_mm: float
    undetermined: tuple[str, ...]


def fit_mount(touches: Sequence[MountTouch], rig: Rig, indenter_stddev_mm: float = 0.0) -> MountFit:
    """Fit the mount, and the indenter's position, to touches.

    Args:
        touches: three or more touches of one indenter.
        rig: configured poses of sensor and indenter.
        indenter_stddev_mm: standard deviation of the configured position of the indenter along
            each axis, mm; 0 if it is known.

    Raises:
        InputError: too few touches.
    """
    if len(touches) < MIN_TOUCHES:
        raise InputError(f"{len(touches)} touches, expected {MIN_TOUCHES} or more")
    problem = _Problem(touches, rig, indenter_stddev_mm)
    free = np.ones(6, bool)
    solution = problem.solve(free)
    stddev = problem.stddevs(solution, free)
    limits = np.repeat([MAX_STDDEV_MM, MAX_STDDEV_RAD], 3)
    determined = stddev[:6] <= limits
    if not determined.all():  # the others must not make up for their priors' pull
        solution = problem.solve(determined)
        determined_stddev = problem.stddevs(solution, determined)
        stddev = np.where(np.append(determined, [True] * 3), determined_stddev, stddev)
    correction, shift_mm = solution[:6], solution[6:]
    indenter = rig.base_to_indenter
    return MountFit(
        rig=Rig(
            rig.end_effector_to_gel @ _motion(correction),
            Pose(indenter.position_mm + shift_mm, indenter.matrix),
        ),
        correction=correction,
        stddev=stddev[:6],
        indenter_shift_mm=shift_mm,
        indenter_stddev_mm=stddev[6:],
        before_mm=_rms(problem.errors_mm(np.zeros(9))),
        after_mm=_rms(problem.errors_mm(solution)),
        undetermined=tuple(
            name for name, known in zip(DIRECTIONS, determined, strict=True) if not known
        ),
    )


class _Problem:
    """Least-squares problem: 6 numbers of the mount's correction, 3 of the indenter's position."""

    def __init__(self, touches: Sequence[MountTouch], rig: Rig, indenter_stddev_mm: float) -> None:
        """The arguments are those of `fit_mount`."""
        self._mount = rig.end_effector_to_gel
        self._indenter_mm = rig.base_to_indenter.position_mm
        self._rotations = np.stack([touch.end_effector.matrix for touch in touches])
        self._positions = np.stack([touch.end_effector.position_mm for touch in touches])
        self._tips = np.stack([touch.tip_mm for touch in touches])
        self._prior = np.concatenate(
            [np.repeat([PRIOR_MM, PRIOR_RAD], 3), np.full(3, indenter_stddev_mm)]
        )

    def errors_mm(self, numbers: Floats) -> Floats:
        """Return the (N, 3) tips by arm and rig minus those in the images, mm."""
        mount = self._mount @ _motion(numbers[:6])
        tip = self._indenter_mm + numbers[6:]
        in_end_effector = np.einsum("nji,nj->ni", self._rotations, tip - self._positions)
        return np.asarray((in_end_effector - mount.position_mm) @ mount.matrix - self._tips)

    def solve(self, is_free: NDArray[np.bool_]) -> Floats:
        """Return the (9,) numbers of the best rig.

        Args:
            is_free: (6,) which directions of the mount are corrected.
        """
        chosen = self._chosen(is_free)

        def residuals(values: Floats) -> Floats:
            numbers = np.zeros(9)
            numbers[chosen] = values
            errors = (self.errors_mm(numbers) / TIP_STDDEV_MM).ravel()
            loss = np.sqrt(2.0 * OUTLIER**2 * (np.sqrt(1.0 + (errors / OUTLIER) ** 2) - 1.0))
            return np.concatenate([np.sign(errors) * loss, values / self._prior[chosen]])

        numbers = np.zeros(9)
        numbers[chosen] = least_squares(residuals, np.zeros(int(chosen.sum()))).x
        return numbers

    def stddevs(self, numbers: Floats, is_free: NDArray[np.bool_]) -> Floats:
        """Return the (9,) standard deviations, to first order.

        They grow with residuals that are larger than the usual errors of tips in images.

        Args:
            numbers: (9,) solution.
            is_free: (6,) which directions of the mount are corrected.
        """
        chosen = self._chosen(is_free)
        step = 1e-5
        columns = [
            ((self.errors_mm(numbers + shift) - self.errors_mm(numbers - shift)) / (2.0 * step))
            for shift in step * np.eye(9)[chosen]
        ]
        jacobian = np.stack([(column / TIP_STDDEV_MM).ravel() for column in columns], axis=1)
        residual = (self.errors_mm(numbers) / TIP_STDDEV_MM).ravel()
        freedom = max(residual.size - int(chosen.sum()), 1)
        scale = max(1.0, float(residual @ residual) / freedom)
        information = jacobian.T @ jacobian / scale + np.diag(self._prior[chosen] ** -2.0)
        covariance = np.linalg.inv(information)
        common = jacobian.T @ (self._depths() / TIP_STDDEV_MM).ravel() / scale
        bias = covariance @ common
        stddev = np.zeros(9)
        stddev[chosen] = np.sqrt(np.diag(covariance) + bias**2)
        return stddev

    def _depths(self) -> Floats:
        """(N, 3) error of the tips by the error that all depths have in common."""
        return np.asarray(self._tips * [0.0, 0.0, DEPTH_SCALE_STDDEV])

    def _chosen(self, is_free: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.append(is_free, self._prior[6:] > 0.0)


def _motion(numbers: Floats) -> Pose:
    """The pose of a translation and a rotation vector."""
    return Pose(numbers[:3], Rotation.from_rotvec(numbers[3:6]).as_matrix())


def _rms(errors_mm: Floats) -> float:
    return float(np.sqrt(np.mean(np.sum(errors_mm**2, axis=-1))))
