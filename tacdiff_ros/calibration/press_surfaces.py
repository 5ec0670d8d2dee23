"""Surfaces of the gel under a known indenter, for poses that are not known yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.live_contact import LiveState
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

SOLVED_MM, DRAWN_MM = 0.28, 0.18  # spacing of the vertices that are solved for, and drawn
ROUNDNESS_POINTS, ROUNDNESS_TURN_RAD = 9, 0.5
CARRIED_MM, DEEPER_MM = 0.7, 0.5  # of a solved press; farther, another is solved for
SETTLING = 3  # calls at one pose in which contact settles


@dataclass(frozen=True)
class Press:
    """A press whose pose an image is to tell.

    Attributes:
        x_mm: of the tip at the end.
        y_mm: of the tip at the end.
        depth_mm: of the tip.
        yaw_rad: at the end.
        slide_mm: (x, y) travel after the press.
        twist_rad: turn after the press.
    """

    x_mm: float
    y_mm: float
    depth_mm: float
    yaw_rad: float = 0.0
    slide_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0

    @property
    def met(self) -> IndenterPose:
        """Pose after the press, before slide and twist."""
        return IndenterPose(
            self.x_mm - self.slide_mm[0],
            self.y_mm - self.slide_mm[1],
            self.depth_mm,
            self.yaw_rad - self.twist_rad,
        )

    @property
    def end(self) -> IndenterPose:
        """Pose at the end."""
        return IndenterPose(self.x_mm, self.y_mm, self.depth_mm, self.yaw_rad)


@dataclass(frozen=True)
class PressedGel:
    """The gel under a press.

    Attributes:
        press: where the indenter ended.
        surface: there.
        moved: where it moved on to.
        solved: the press that contact was solved for, level with this one and near it.
        state: of the contact there.
    """

    press: Press
    surface: GelSurface
    moved: tuple[GelSurface, ...] = ()
    solved: Press | None = None
    state: LiveState | None = None

    @property
    def flat(self) -> GelSurface:
        """The untouched gel on the same grid."""
        return self.surface.moved(self.surface.rest)


class PressSurfaces:
    """The live gel under one indenter, asked for single presses."""

    def __init__(
        self,
        model: SensorModel,
        indenter: Indenter,
        material: GelMaterial | None = None,
        solved_mm: float = SOLVED_MM,
    ) -> None:
        """Tables of the gel, in about a second."""
        width, height = model.gel.width_mm, model.gel.height_mm
        pad = PadGrid(
            width,
            height,
            model.layers[-1].thickness_mm or PadGrid.thickness_mm,
            math.ceil(height / solved_mm) + 1,
            math.ceil(width / solved_mm) + 1,
        )
        self.indenter = indenter
        self._gel = LiveGel(indenter, material, pad)
        self.is_round = _is_round(indenter)
        self._grid = (math.ceil(height / DRAWN_MM) + 1, math.ceil(width / DRAWN_MM) + 1)

    def surface(self, press: Press) -> GelSurface:
        """The gel at the end of a press.

        Raises:
            InputError: the press is not on the pad or too deep.
        """
        return self.around(press, []).surface

    def around(self, press: Press, moves: list[IndenterPose]) -> PressedGel:
        """The gel at the end of a press, and after it moved on from there a little.

        Args:
            press: where the indenter ends.
            moves: (x, y, depth, yaw) that it moves on from there.
        """
        self._gel.reset()
        self._gel.follow(press.met)
        return self._settled(press, press, moves)

    def near(self, known: PressedGel, press: Press, moves: list[IndenterPose]) -> PressedGel:
        """Like `around`, from a press nearby: deeper or less deep there, then carried over.

        The same touch elsewhere on the pad looks the same but for the pad's borders, and costs
        no solution. A press that slides or turns otherwise, or is too far, is solved for anew.
        """
        solved = known.solved
        if solved is None or not _is_level(solved, press):
            return self.around(press, moves)
        self._gel.come_back(known.state)
        there = replace(solved, depth_mm=press.depth_mm)
        return self._settled(there, press, moves)

    def _settled(self, solved: Press, press: Press, moves: list[IndenterPose]) -> PressedGel:
        """Solve for a press from where the gel is, and carry it over to one level with it."""
        gel = self._gel
        for _ in range(SETTLING):
            answer = gel.follow(solved.end)
            if answer.converged:
                break
        end, answers = gel.state, [answer]
        for move in moves:
            gel.come_back(end)
            answers.append(gel.follow(_sum(solved.end, move)))
        away = (press.x_mm - solved.x_mm, press.y_mm - solved.y_mm)
        surface, *moved = [self._drawn(answer, away) for answer in answers]
        return PressedGel(press, surface, tuple(moved), solved, end)

    def _drawn(self, answer: LiveResult, away_mm: tuple[float, float]) -> GelSurface:
        coarse = answer.surface()
        surface = refine_surface(coarse, *self._grid)
        return surface if away_mm == (0.0, 0.0) else shifted(surface, *away_mm)


def _is_level(solved: Press, press: Press) -> bool:
    """Whether a press differs from a solved one by place and depth only, and by little."""
    away = math.hypot(press.x_mm - solved.x_mm, press.y_mm - solved.y_mm)
    same = replace(press, x_mm=solved.x_mm, y_mm=solved.y_mm, depth_mm=solved.depth_mm) == solved
    return same and away < CARRIED_MM and abs(press.depth_mm - solved.depth_mm) < DEEPER_MM


def _sum(pose: IndenterPose, move: IndenterPose) -> IndenterPose:
    return IndenterPose(
        pose.x_mm + move.x_mm,
        pose.y_mm + move.y_mm,
        pose.depth_mm + move.depth_mm,
        pose.yaw_rad + move.yaw_rad,
    )


def _is_round(indenter: Indenter) -> bool:
    """Whether a turn about its axis changes nothing."""
    low, high = indenter.bounds
    grid = [np.linspace(a, b, ROUNDNESS_POINTS) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 3)
    cosine, sine = math.cos(ROUNDNESS_TURN_RAD), math.sin(ROUNDNESS_TURN_RAD)
    turned = points @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return bool(np.abs(indenter.distance(points) - indenter.distance(turned)).max() < 1e-3)


def shifted(surface: GelSurface, x_mm: float, y_mm: float) -> GelSurface:
    """The surface under the same touch a little farther along x and y, the pad's borders aside."""
    shape = (surface.rows, surface.columns, 3)
    moved = (surface.position.astype(np.float64) - surface.rest).reshape(shape)
    columns = float(surface.x_mm[1] - surface.x_mm[0])
    rows = float(surface.y_mm[1] - surface.y_mm[0])
    offset = (y_mm / rows, x_mm / columns)
    parts = (
        ndimage.shift(part, offset, order=3, mode="nearest") for part in moved.T.swapaxes(1, 2)
    )
    there = np.stack(list(parts), axis=-1)
    return surface.moved(surface.rest + there.reshape(-1, 3), may_overhang=True)
