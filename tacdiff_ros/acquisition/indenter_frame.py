"""Geometry between the frame `gel` and the indenter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose


@dataclass(frozen=True)
class IndenterFrame:
    """Location of the indenter, and the gel poses that follow from it.

    Attributes:
        pose: indenter pose in the robot base; its origin defines depth 0.
        standoff_mm: gap between gel and indenter before the approach, mm.
    """

    pose: Pose
    standoff_mm: float

    def height_mm(self, gel: Pose) -> float:
        """Return the height of the gel above depth 0, along the axis of the gel.

        Args:
            gel: pose of the frame `gel` in the robot base.

        Returns:
            Height, mm; negative during indentation.
        """
        return float((gel.inverse() @ self.pose).position_mm[2])

    def shifted_to_contact(self, gel: Pose) -> IndenterFrame:
        """Return the frame whose depth is 0 at a gel pose; the shift is along the gel's axis.

        Args:
            gel: measured pose of the frame `gel` in the robot base, at contact.
        """
        along_approach = gel.rotate([0.0, 0.0, -self.height_mm(gel)])
        return replace(self, pose=Pose(self.pose.position_mm + along_approach, self.pose.matrix))

    def gel_for(self, indenter: IndenterPose) -> Pose:
        """Return the pose of the frame `gel` in the robot base for an indenter pose in `gel`."""
        return self.pose @ Pose(indenter.tip_mm, indenter.matrix).inverse()

    def start_gel(self, start: IndenterPose) -> Pose:
        """Return the pose of the frame `gel` in the robot base at the stand-off.

        Args:
            start: indenter pose in the frame `gel` at contact (depth 0).
        """
        return self.gel_for(replace(start, depth_mm=-self.standoff_mm))
