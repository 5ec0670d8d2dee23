"""Surface of the pad under an indenter: vertex positions, and states with all of its points.

The solver works on the candidate points of one step; a state holds all points of the surface.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import Anchors, ContactLaw
from tacdiff_ros.mechanics.contact_points import ContactPoints, SurfaceFaces
from tacdiff_ros.mechanics.elasticity import ElasticForce
from tacdiff_ros.mechanics.gel_state import GelState, StepReport
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.newton_step import Equilibrium
from tacdiff_ros.mechanics.pad_mesh import PadMesh


class PadSurface:
    """Vertices, faces and contact points of the pad's whole surface.

    Attributes:
        faces: faces of the surface and the contact points on them.
        rest: (vertices, 3) undeformed positions of the surface vertices, mm.
    """

    def __init__(self, mesh: PadMesh) -> None:
        """Number the faces and points of a mesh."""
        self.faces = SurfaceFaces(mesh)
        self._nodes = mesh.surface_nodes
        self.rest = mesh.nodes()[self._nodes]
        self._all_points = self.faces.select(np.arange(len(self.faces.vertices)))

    def position(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (vertices, 3) positions in mm for a (unknowns,) displacement of the pad."""
        return np.asarray(self.rest + self.vertex_displacement(displacement))

    def vertex_displacement(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (vertices, 3) part of a (unknowns,) displacement of the pad, mm."""
        return np.asarray(displacement.reshape(-1, 3)[self._nodes])

    def undeformed_state(
        self,
        displacement: NDArray[np.float64],
        pose: IndenterPose,
        softness: float,
        elastic: ElasticForce,
    ) -> GelState:
        """Return the state without contact.

        Args:
            displacement: (unknowns,) displacement of the pad, all 0, mm.
            pose: indenter pose without contact.
            softness: compliance of a contact point, mm/N.
            elastic: internal force of the undeformed pad.
        """
        count = math.prod(self._shape)
        return GelState(
            displacement=displacement,
            pose=pose,
            point_force=np.zeros((*self._shape, 3)),
            anchors=Anchors(np.zeros((count, 3)), np.zeros(count, bool)),
            allowance_mm=np.zeros(self._shape),
            softness=softness,
            force=np.zeros((len(self.rest), 3)),
            penetration_mm=0.0,
            elastic=elastic,
            report=StepReport(),
        )

    def equilibrium_state(
        self, points: ContactPoints, law: ContactLaw, softness: float, equilibrium: Equilibrium
    ) -> GelState:
        """Return the state of an equilibrium.

        Args:
            points: candidate points of the step.
            law: contact law of the step, at these points.
            softness: compliance of a contact point, mm/N.
            equilibrium: pad and contact forces at these points.
        """
        iterate = equilibrium.iterate
        count = math.prod(self._shape)
        position = self.position(iterate.displacement)
        touching_force = np.where(equilibrium.contact.touches[:, None], iterate.point_force, 0.0)
        point_force = np.zeros((count, 3))
        point_force[points.numbers] = touching_force
        force = np.zeros((len(position), 3))
        on_surface = self.faces.select(points.faces)
        force[on_surface.chosen] = on_surface.gather(touching_force)
        anchors = Anchors(np.zeros((count, 3)), np.zeros(count, bool))
        anchors.position[points.numbers] = law.anchors.position
        anchors.valid[points.numbers] = law.anchors.valid
        allowance = np.zeros(count)
        allowance[points.numbers] = law.allowance_mm
        return GelState(
            displacement=iterate.displacement,
            pose=law.pose,
            point_force=point_force.reshape(*self._shape, 3),
            anchors=anchors,
            allowance_mm=allowance.reshape(self._shape),
            softness=softness,
            force=force,
            penetration_mm=self._penetration_mm(law.indenter, law.pose, position),
            elastic=iterate.elastic,
            report=equilibrium.report,
        )

    @property
    def _shape(self) -> tuple[int, int]:
        """Number of faces, and of points on each."""
        return len(self.faces.vertices), len(self.faces.weights)

    def _penetration_mm(
        self, indenter: Indenter, pose: IndenterPose, position: NDArray[np.float64]
    ) -> float:
        """Depth of the deepest point of the whole surface inside the indenter, mm, 0 or more."""
        gap = indenter.distance(pose.to_indenter(self._all_points.interpolate(position)))
        return max(0.0, -float(gap.min()))
