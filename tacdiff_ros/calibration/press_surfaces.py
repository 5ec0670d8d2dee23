"""Gel surfaces under a known indenter, for presses whose pose is being fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tacdiff_ros.calibration.contact_interior import interior, on_indenter
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.live_contact import LiveState
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.trajectory import Motion, Trajectory, divide_motions
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

SOLVED_MM, RENDERED_MM = 0.28, 0.18  # vertex spacing of the contact solver, and of surfaces
ROUNDNESS_POINTS, ROUNDNESS_TURN_RAD = 9, 0.5
MAX_TRANSLATION_MM = 0.7  # from a solved press, beyond which contact is solved again
MAX_DEPTH_CHANGE_MM = 0.5
# Distance of fitted presses from the largest depth, so that small motions from them are possible.
FIT_DEPTH_FRACTION, FIT_DEPTH_MARGIN_MM = 0.96, 0.04
REMEMBERED = 16  # presses whose solutions are kept
SETTLING = 3  # maximum calls of the live gel at one pose, until contact converges
# Steps of a press. Friction depends on its path: a press of 0.8 mm with a slide of 0.4 mm in one
# step differs by up to 0.015 mm (root mean square), in these steps by up to 0.004 mm.
STEPS = Trajectory(step_mm=0.0625, step_deg=1.5)


@dataclass(frozen=True)
class Press:
    """Press of an indenter with a slide and a twist at the end, to be estimated from an image.

    Attributes:
        x_mm: x of the indenter's tip at the end, mm.
        y_mm: y of the indenter's tip at the end, mm.
        depth_mm: depth of the tip, mm.
        yaw_rad: yaw of the indenter at the end, rad.
        slide_mm: (x, y) translation after the vertical press, mm.
        twist_rad: rotation about z after the vertical press, rad.
    """

    x_mm: float
    y_mm: float
    depth_mm: float
    yaw_rad: float = 0.0
    slide_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0

    @property
    def pressed_pose(self) -> IndenterPose:
        """Pose after the vertical press, before slide and twist."""
        return IndenterPose(
            self.x_mm - self.slide_mm[0],
            self.y_mm - self.slide_mm[1],
            self.depth_mm,
            self.yaw_rad - self.twist_rad,
        )

    @property
    def end_pose(self) -> IndenterPose:
        """Pose at the end."""
        return IndenterPose(self.x_mm, self.y_mm, self.depth_mm, self.yaw_rad)


@dataclass(frozen=True)
class PressedGel:
    """Gel under a press.

    Attributes:
        press: press of the indenter.
        surface: gel surface at the end of the press.
        solved_press: nearby press for which contact was solved; it differs from `press` in
            position and depth at most.
        state: contact state of the solved press.
    """

    press: Press
    surface: GelSurface
    solved_press: Press | None = None
    state: LiveState | None = None

    @property
    def flat(self) -> GelSurface:
        """Undeformed gel on the same grid."""
        return self.surface.moved(self.surface.rest)


class PressSurfaces:
    """Computes gel surfaces under single presses of one indenter, with the live gel.

    Attributes:
        indenter: indenter of the presses.
        is_round: whether the indenter is rotationally symmetric about z.
        max_depth_mm: largest depth of a fitted press, mm.
    """

    def __init__(
        self,
        model: SensorModel,
        indenter: Indenter,
        material: GelMaterial | None = None,
        solved_mm: float = SOLVED_MM,
    ) -> None:
        """Compute the tables of the live gel, which takes about a second.

        Args:
            model: sensor model with the pad's size and thickness.
            indenter: indenter of the presses.
            material: gel material; the default one if None.
            solved_mm: vertex spacing of the contact solver, mm.
        """
        size = (model.gel.height_mm, model.gel.width_mm)
        rows, columns = (math.ceil(side / solved_mm) + 1 for side in size)
        self.indenter = indenter
        self._latest: dict[Press, PressedGel] = {}
        self._gel = LiveGel.of_sensor(model, indenter, material, (rows, columns))
        self.is_round = _is_round(indenter)
        limit_mm = self._gel.limits.max_depth_mm
        self.max_depth_mm = min(FIT_DEPTH_FRACTION * limit_mm, limit_mm - FIT_DEPTH_MARGIN_MM)
        fine_rows, fine_columns = (math.ceil(side / RENDERED_MM) + 1 for side in size)
        self._shape = fine_rows, fine_columns

    def surface(self, press: Press) -> GelSurface:
        """Return the gel surface at the end of a press.

        Args:
            press: press of the indenter.

        Raises:
            InputError: the press is not on the pad or too deep.
        """
        return self.solve(press).surface

    def solve(self, press: Press) -> PressedGel:
        """Solve contact at the end of a press; the latest presses are remembered.

        Args:
            press: press of the indenter.

        Raises:
            InputError: the press is not on the pad or too deep.
        """
        if press not in self._latest:
            self._gel.reset()
            self._move_to(press.pressed_pose)
            self._latest[press] = self._solve_from_here(press, press)
            if len(self._latest) > REMEMBERED:
                self._latest.pop(next(iter(self._latest)))
        return self._latest[press]

    def solve_near(self, known: PressedGel, press: Press) -> PressedGel:
        """Like `solve`, but faster, from the solution of a press nearby.

        The depth is changed at the known position, and the surface is then translated: this
        neglects only the change of the distance to the pad's borders. A press with another slide,
        yaw or twist, or one that is too far away, is solved from scratch.

        Args:
            known: solution of a press nearby.
            press: press of the indenter.

        Raises:
            InputError: the press is not on the pad or too deep.
        """
        solved = known.solved_press
        if solved is None or not _is_near(solved, press):
            return self.solve(press)
        self._gel.restore(known.state)
        deeper = replace(solved, depth_mm=press.depth_mm)
        return self._solve_from_here(deeper, press)

    def moved(self, known: PressedGel, moves: list[IndenterPose]) -> list[GelSurface]:
        """Return the gel surfaces after small further motions.

        Args:
            known: solution of a press of this indenter.
            moves: motions (x, y, depth, yaw) of the indenter, each from the press's end.

        Raises:
            InputError: a motion leaves the pad or is too deep.
        """
        solved = known.solved_press or known.press
        surfaces = []
        for move in moves:
            self._gel.restore(known.state)
            result = self._gel.step(_sum(solved.end_pose, move))
            surfaces.append(self._refined(result, _translation(solved, known.press)))
        return surfaces

    def interior(self, gel: PressedGel) -> NDArray[np.float64]:
        """Return which vertices are in the interior of the contact (see `contact_interior`).

        Args:
            gel: gel under a press of this indenter.

        Returns:
            (rows, columns) from 0 outside the contact to 1 in its interior.
        """
        return interior(gel.surface, self.indenter, gel.press.end_pose)

    def _solve_from_here(self, solved: Press, press: Press) -> PressedGel:
        """Solve contact for one press from the gel's present state, and translate it to another.

        Args:
            solved: press for which contact is solved.
            press: press to return, which differs from the solved one in its position at most.
        """
        self._move_to(solved.end_pose)
        for _ in range(SETTLING):
            result = self._gel.step(solved.end_pose)
            if result.converged:
                break
        return PressedGel(
            press=press,
            surface=self._refined(result, _translation(solved, press)),
            solved_press=solved,
            state=self._gel.state,
        )

    def _move_to(self, goal: IndenterPose) -> None:
        """Move the indenter straight to a pose in steps; the first press begins at the surface."""
        state = self._gel.state
        start = replace(goal, depth_mm=0.0) if state is None else state.pose
        for step in divide_motions(start, [Motion("press", "press", goal)], STEPS):
            self._gel.step(step.pose)

    def _refined(self, result: LiveResult, translation_mm: tuple[float, float]) -> GelSurface:
        """Surface of a solution on the finer grid, exact under the indenter, translated."""
        surface = refine_contact(result.surface, self.indenter, result.pose, *self._shape)
        surface = on_indenter(surface, self.indenter, result.pose)
        return surface if translation_mm == (0.0, 0.0) else shifted(surface, *translation_mm)


def _is_near(solved: Press, press: Press) -> bool:
    """Whether a press differs from a solved one in position and depth only, and by little."""
    distance = math.hypot(press.x_mm - solved.x_mm, press.y_mm - solved.y_mm)
    same = replace(press, x_mm=solved.x_mm, y_mm=solved.y_mm, depth_mm=solved.depth_mm) == solved
    depth_change = abs(press.depth_mm - solved.depth_mm)
    return same and distance < MAX_TRANSLATION_MM and depth_change < MAX_DEPTH_CHANGE_MM


def _translation(solved: Press, press: Press) -> tuple[float, float]:
    """Translation (x, y) from a solved press to another one, mm."""
    return press.x_mm - solved.x_mm, press.y_mm - solved.y_mm


def _sum(pose: IndenterPose, move: IndenterPose) -> IndenterPose:
    return IndenterPose(
        pose.x_mm + move.x_mm,
        pose.y_mm + move.y_mm,
        pose.depth_mm + move.depth_mm,
        pose.yaw_rad + move.yaw_rad,
    )


def _is_round(indenter: Indenter) -> bool:
    """Whether the indenter is rotationally symmetric about z."""
    low, high = indenter.bounds
    grid = [np.linspace(a, b, ROUNDNESS_POINTS) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 3)
    cosine, sine = math.cos(ROUNDNESS_TURN_RAD), math.sin(ROUNDNESS_TURN_RAD)
    rotated = points @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return bool(np.abs(indenter.distance(points) - indenter.distance(rotated)).max() < 1e-3)


def shifted(surface: GelSurface, x_mm: float, y_mm: float) -> GelSurface:
    """Return the surface under the same contact, translated; the pad's borders are neglected.

    Args:
        surface: deformed gel surface on a regular grid.
        x_mm: translation of the contact along x, mm.
        y_mm: translation of the contact along y, mm.
    """
    shape = (surface.rows, surface.columns, 3)
    motion = (surface.position.astype(np.float64) - surface.rest).reshape(shape)
    column_mm = float(surface.x_mm[1] - surface.x_mm[0])
    row_mm = float(surface.y_mm[1] - surface.y_mm[0])
    offset = (y_mm / row_mm, x_mm / column_mm)
    parts = (
        ndimage.shift(part, offset, order=3, mode="nearest") for part in motion.T.swapaxes(1, 2)
    )
    translated = np.stack(list(parts), axis=-1)
    return surface.moved(surface.rest + translated.reshape(-1, 3), may_overhang=True)
