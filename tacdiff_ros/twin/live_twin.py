"""What the calibrated sensor would see now: indenter pose in, image and maps out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pose_path import straight_way
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.mechanics.touch import gel_thickness_mm
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.network_renderer import RenderedSurface

SURFACE_MM = 0.2  # spacing of the surface that is drawn


class Drawing(Protocol):
    """Draws surfaces of one sensor: a network, or the renderer."""

    def draw_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """The image of a surface, and its maps where they are wanted."""
        ...


@dataclass(frozen=True)
class TwinFrame:
    """One moment of the twin.

    Attributes:
        pose: of the indenter.
        drawn: image and maps.
        answer: of the live gel: surface, forces, whether it converged.
        mechanics_s: that the gel took.
        drawing_s: that maps and image took.
    """

    pose: IndenterPose
    drawn: RenderedSurface
    answer: LiveResult
    mechanics_s: float
    drawing_s: float

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        return self.drawn.image


class LiveTwin:
    """One sensor under one indenter; give it the poses in their order."""

    def __init__(
        self,
        model: SensorModel,
        indenter: str | IndenterSpec,
        drawing: Drawing,
        material: GelMaterial | None = None,
        grid: tuple[int, int] = (49, 61),
        surface_mm: float = SURFACE_MM,
    ) -> None:
        """Tables of the gel, in some seconds.

        Args:
            model: of the sensor, for the size of its pad.
            indenter: spec.
            drawing: of the same sensor.
            material: of the gel.
            grid: rows and columns of the gel's surface.
            surface_mm: spacing of the surface that is drawn.

        Raises:
            InputError: a bad spec or grid.
        """
        size = (model.gel.width_mm, model.gel.height_mm, gel_thickness_mm(model))
        pad = PadGrid(*size, rows=grid[0], columns=grid[1])
        self._gel = LiveGel(build_indenter(indenter), material, pad)
        self._drawing = drawing
        self._last: IndenterPose | None = None
        rows, columns = (math.ceil(side / surface_mm) + 1 for side in (size[1], size[0]))
        self._fine = max(rows, grid[0]), max(columns, grid[1])

    def follow(self, pose: IndenterPose) -> TwinFrame:
        """The sensor under a pose; of a depth of 0 or less, the untouched one.

        Raises:
            InputError: the pose is not finite, beside the pad, or too deep.
        """
        started = time.perf_counter()
        answer = self.move(pose)
        solved = time.perf_counter()
        drawn = self.draw(answer)
        return TwinFrame(pose, drawn, answer, solved - started, time.perf_counter() - solved)

    def move(self, pose: IndenterPose) -> LiveResult:
        """The gel under a pose, undrawn.

        Raises:
            InputError: the pose is not finite, beside the pad, or too deep.
        """
        self._gel.check_pose(pose)
        for point in straight_way(self._last, pose):
            self._gel.follow(point)
        answer = self._gel.follow(pose)
        self._last = pose
        return answer

    def check_pose(self, pose: IndenterPose) -> None:
        """InputError for a pose that `move` would refuse."""
        self._gel.check_pose(pose)

    def draw(self, answer: LiveResult, with_maps: bool = True) -> RenderedSurface:
        """What the sensor sees of the gel."""
        surface = refine_surface(answer.surface(), *self._fine)
        return self._drawing.draw_surface(surface, with_maps)

    def reset(self) -> None:
        """The gel is at rest and has no history."""
        self._gel.reset()
        self._last = None
