"""Result of an object pose estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.hypotheses import Hypothesis, in_hand_axes
from tacdiff_ros.object_pose.observability import OpenDirection
from tacdiff_ros.object_pose.plausibility import NOT_IDENTIFIED, Plausibility
from tacdiff_ros.object_pose.scene import Unknowns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DataAgreement:
    """Agreement of one kind of data with an estimate.

    Attributes:
        rms: root mean square residual of the inliers, in the unit of the data.
        inlier_fraction: fraction of residuals below three standard deviations.
        count: number of residuals.
        mean_loss: mean robust loss, at most the square of the loss's scale.
    """

    rms: float
    inlier_fraction: float
    count: int
    mean_loss: float


@dataclass(frozen=True)
class PoseEstimate:
    """Estimated pose of an object in the hand.

    Attributes:
        object_name: name of the object.
        hypotheses: possible poses, the most probable first.
        open_directions: directions of the best hypothesis that the data leave open.
        plausibility: contact state of the best hypothesis.
        agreement: agreement of each kind of data with it, by name.
        nominal: camera pose, joint positions and depth bias as reported.
        verdict: "stable", "floating", "colliding" or "not identified".
        reason: one line that explains the verdict.
        warnings: lines on what is doubtful.
        seconds: duration of the estimate, s.
    """

    object_name: str
    hypotheses: tuple[Hypothesis, ...]
    open_directions: tuple[OpenDirection, ...]
    plausibility: Plausibility
    agreement: dict[str, DataAgreement]
    nominal: Unknowns
    verdict: str
    reason: str
    warnings: tuple[str, ...]
    seconds: float

    @property
    def best(self) -> Hypothesis:
        """Most probable hypothesis."""
        return self.hypotheses[0]

    @property
    def is_identified(self) -> bool:
        """Whether the pose is identified, except for the open directions."""
        return self.verdict != NOT_IDENTIFIED

    @property
    def camera_correction(self) -> Floats:
        """(4, 4) corrected camera pose in the frame of the reported one."""
        return se3.inverse(self.nominal.camera_pose) @ self.best.fit.unknowns.camera_pose

    @property
    def joint_offsets(self) -> Floats:
        """(J,) estimated minus reported joint positions, rad or m."""
        return self.best.fit.unknowns.joint_positions - self.nominal.joint_positions

    def as_json(self) -> dict[str, Any]:
        """Return the estimate for JSON, with units in the names."""
        return {
            "object": self.object_name,
            "verdict": self.verdict,
            "reason": self.reason,
            "warnings": list(self.warnings),
            "pose": _rows(self.best.object_pose),
            "hypotheses": [_hypothesis(each) for each in self.hypotheses],
            "unobservable": [each.words for each in self.open_directions],
            "camera_correction": _rows(self.camera_correction),
            "joint_offsets": _numbers(self.joint_offsets),
            "depth_bias_m": float(self.best.fit.unknowns.depth_bias),
            "contacts_m": _rows(self.plausibility.contacts),
            "penetration_m": self.plausibility.penetration,
            "unbalanced_weight_fraction": self.plausibility.unbalanced,
            "agreement": {
                name: {
                    "rms": each.rms,
                    "inlier_fraction": each.inlier_fraction,
                    "count": each.count,
                    "mean_loss": each.mean_loss,
                }
                for name, each in self.agreement.items()
            },
            "seconds": round(self.seconds, 3),
        }


def _hypothesis(hypothesis: Hypothesis) -> dict[str, Any]:
    covariance = in_hand_axes(hypothesis.object_covariance, hypothesis.object_pose)
    return {
        "weight": hypothesis.weight,
        "pose": _rows(hypothesis.object_pose),
        "covariance_hand_axes": _rows(covariance),
        "position_stddev_m": float(np.sqrt(np.trace(covariance[:3, :3]))),
        "rotation_stddev_rad": float(np.sqrt(np.trace(covariance[3:, 3:]))),
        "cost": hypothesis.fit.cost,
    }


def _numbers(values: Floats) -> list[float]:
    return [float(value) for value in np.ravel(values)]


def _rows(values: Floats) -> list[list[float]]:
    return [_numbers(row) for row in values]
