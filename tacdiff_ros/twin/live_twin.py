"""Live simulation of the calibrated sensor: from an indenter pose to an image and maps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.network_renderer import RenderedSurface

SURFACE_MM = 0.2  # vertex spacing of the rendered surface


class SurfaceRenderer(Protocol):
    """Renders surfaces of one sensor, by a network or by the physically based renderer."""

    def render_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """Render the image of a surface, and its maps if they are requested.

        Args:
            surface: surface of the gel.
            with_maps: whether the maps are required.
        """
        ...


@dataclass(frozen=True)
class TwinFrame:
    """One frame of the twin.

    Attributes:
        pose: indenter pose in the frame `gel`.
        rendered: image and maps.
        result: result of the live gel: surface, forces, convergence.
        mechanics_s: computing time of the live gel, s.
        rendering_s: computing time of maps and image, s.
    """

    pose: IndenterPose
    rendered: RenderedSurface
    result: LiveResult
    mechanics_s: float
    rendering_s: float

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB image."""
        return self.rendered.image


class LiveTwin:
    """Simulates one sensor under one indenter; friction depends on the order of the poses."""

    def __init__(
        self,
        model: SensorModel,
        indenter: str | IndenterSpec | Indenter,
        renderer: SurfaceRenderer,
        material: GelMaterial | None = None,
        grid: tuple[int, int] = (49, 61),
        surface_mm: float = SURFACE_MM,
    ) -> None:
        """Compute the tables of the live gel, which takes some seconds.

        Args:
            model: sensor model; it gives the size of the pad.
            indenter: indenter, or its spec as text or parsed.
            renderer: renderer of the same sensor.
            material: material of the gel; None for the default.
            grid: number of rows and columns of the simulated surface.
            surface_mm: vertex spacing of the rendered surface, mm.

        Raises:
            InputError: the spec or the grid is invalid.
        """
        if not isinstance(indenter, Indenter):
            indenter = build_indenter(indenter)
        self._gel = LiveGel.of_sensor(model, indenter, material, grid)
        self._renderer = renderer
        size = (model.gel.height_mm, model.gel.width_mm)
        rows, columns = (math.ceil(side / surface_mm) + 1 for side in size)
        self._render_grid = max(rows, grid[0]), max(columns, grid[1])

    def follow(self, pose: IndenterPose) -> TwinFrame:
        """Simulate and render the sensor under the next pose.

        Args:
            pose: indenter pose in the frame `gel`; a depth of 0 or less means no contact.

        Returns:
            The rendered frame.

        Raises:
            InputError: the pose is not finite, beside the pad, or too deep.
        """
        started_s = time.perf_counter()
        result = self.move(pose)
        solved_s = time.perf_counter()
        rendered = self.render(result)
        return TwinFrame(
            pose=pose,
            rendered=rendered,
            result=result,
            mechanics_s=solved_s - started_s,
            rendering_s=time.perf_counter() - solved_s,
        )

    def move(self, pose: IndenterPose, waypoints: Sequence[IndenterPose] = ()) -> LiveResult:
        """Simulate the gel under the next pose without rendering it.

        Args:
            pose: indenter pose in the frame `gel`.
            waypoints: poses between the previous pose and this one, in order.

        Returns:
            Result of the live gel.

        Raises:
            InputError: a pose is not finite, beside the pad, or too deep.
        """
        return self._gel.follow(pose, waypoints)

    def render(self, result: GelResult, with_maps: bool = True) -> RenderedSurface:
        """Render the image, and the maps if they are requested, of a result of `move`."""
        surface = refine_contact(
            result.surface, self._gel.indenter, result.pose, *self._render_grid
        )
        return self._renderer.render_surface(surface, with_maps)

    def reset(self) -> None:
        """Return the gel to rest, and discard its friction history."""
        self._gel.reset()
