"""Whether the data agree with an estimate well enough to believe it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacdiff_ros.object_pose import robust_loss
from tacdiff_ros.object_pose.hypotheses import Hypothesis
from tacdiff_ros.object_pose.joint_cost import JointCost
from tacdiff_ros.object_pose.observability import OpenDirection
from tacdiff_ros.object_pose.pose_estimate import DataAgreement
from tacdiff_ros.object_pose.scene import Unknowns
from tacdiff_ros.objects.near_symmetry import NearSymmetry

INLIER_STDDEVS = 3.0
MIN_WEIGHT = 0.7  # of the best hypothesis
# Mean loss of sight lines beside the object: of right meshes up to 0.02, of larger ones from 0.02.
WARNED_FREE_SPACE_LOSS = 0.03
MAX_MISSING = 0.5  # fraction of the hand's surface that the camera looks through
MIN_COUNT = 5  # residuals below which a kind of data does not decide
# Least inlier fraction and largest mean loss of each kind of data, and what others mean.
REQUIREMENTS = {
    "depth": (
        0.5,
        2.0,
        "the object's pixels do not fit its surface: another object or size, or a wrong mask",
    ),
    "hand_depth": (
        0.4,
        np.inf,
        "the hand in the depth image does not match the joint positions",
    ),
    "free_space": (
        0.7,
        0.2,
        "the camera sees through the estimated object: another object, or a mesh that is too large",
    ),
    "mask": (0.6, 0.8, "the mask is larger than the estimated object"),
    "taxel_contact": (0.4, np.inf, "touched taxels are not at the object's surface"),
    "gel_contact": (0.4, np.inf, "touched gels are not at the object's surface"),
    "penetration": (0.8, np.inf, "the hand lies inside the estimated object"),
}


def agreement_of(cost: JointCost, unknowns: Unknowns) -> dict[str, DataAgreement]:
    """Return the agreement of each kind of data with an estimate, by name.

    Args:
        cost: joint cost.
        unknowns: estimate.
    """
    result = {}
    for term, residual in zip(cost.terms, cost.residuals(unknowns).values(), strict=True):
        inlier = np.abs(residual) < INLIER_STDDEVS
        rms = float(np.sqrt(np.mean(residual[inlier] ** 2))) if inlier.any() else float("nan")
        result[term.name] = DataAgreement(
            rms * term.stddev,
            float(inlier.mean()),
            len(residual),
            robust_loss.loss(residual, term.scale) / max(len(residual), 1),
        )
    return result


def size_warning(agreement: dict[str, DataAgreement]) -> tuple[str, ...]:
    """Return a warning if sight lines beside the object pass through it, however little.

    Args:
        agreement: agreement of each kind of data.
    """
    free_space = agreement.get("free_space")
    if free_space is None or free_space.mean_loss < WARNED_FREE_SPACE_LOSS:
        return ()
    return (
        "the camera sees past parts of the estimated object: is its mesh too large, or the mask "
        "too small?",
    )


def near_symmetry_warning(name: str, symmetry: NearSymmetry) -> str:
    """Return a warning that an object looks alike in two poses.

    Args:
        name: name of the object.
        symmetry: rotation that nearly maps the object onto itself.
    """
    axis = ", ".join(f"{part:.2f}" for part in symmetry.axis)
    moved_mm = 1e3 * symmetry.distance
    return (
        f"{name} looks nearly the same turned by {symmetry.angle_deg:.0f} degrees about ({axis}), "
        f"{moved_mm:.1f} mm from its surface: give a pose to start from if you know it"
    )


def doubts(
    hypotheses: Sequence[Hypothesis],
    agreement: dict[str, DataAgreement],
    open_directions: Sequence[OpenDirection],
    hand_missing: float,
) -> list[str]:
    """Return the reasons why a pose is not identified; empty if it is.

    Args:
        hypotheses: hypotheses, the most probable first.
        agreement: agreement of each kind of data with the first one.
        open_directions: directions that the data leave open.
        hand_missing: fraction of the hand's surface that the camera looks through.
    """
    reasons = []
    if hand_missing > MAX_MISSING:
        reasons.append(
            f"the camera looks through {100.0 * hand_missing:.0f} % of the hand: check joint "
            "positions, camera pose and hand"
        )
    for name, (min_fraction, max_loss, meaning) in REQUIREMENTS.items():
        kind = agreement.get(name)
        if kind is None or kind.count < MIN_COUNT:
            continue
        if kind.inlier_fraction < min_fraction or kind.mean_loss > max_loss:
            agreeing = f"{100.0 * kind.inlier_fraction:.0f} % of {name} agree"
            reasons.append(f"{meaning} ({agreeing}, mean loss {kind.mean_loss:.1f})")
    if hypotheses[0].weight < MIN_WEIGHT:
        reasons.append(
            f"{len(hypotheses)} poses explain the data; the best has {hypotheses[0].weight:.2f} "
            "of the probability"
        )
    if len(open_directions) > 3:
        reasons.append(f"the data leave {len(open_directions)} of 6 directions open")
    return reasons
