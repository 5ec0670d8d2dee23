"""Simulation of one complete press on the calibrated sensor, with shear and twist."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.inversion.contact_summary import Contact, summarise
from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import LiveTwin, SurfaceRenderer
from tacdiff_ros.twin.network_renderer import RenderedSurface


@dataclass(frozen=True)
class SimulatedTouch:
    """State of the sensor at the end of a press.

    Attributes:
        result: gel: surface, forces, error.
        rendered: image and maps.
        contact: summary of the contact.
        seconds: computing time, s.
    """

    result: GelResult
    rendered: RenderedSurface
    contact: Contact
    seconds: float


def simulate_touch(
    model: SensorModel,
    request: TouchRequest,
    renderer: SurfaceRenderer,
    material: GelMaterial | None = None,
    progress: Callable[[float], None] | None = None,
) -> SimulatedTouch:
    """Press, shear and twist the live gel, and render its final state.

    Args:
        model: sensor model.
        request: press to simulate.
        renderer: renderer of the same sensor.
        material: material of the gel; None for the default.
        progress: callback with the completed fraction; it may raise to cancel the simulation.

    Returns:
        State of the sensor at the end of the press.

    Raises:
        InputError: the indenter cannot be built, or a pose is outside the limits of the sensor.
    """
    started_s = time.perf_counter()
    if not request.has_indenter:
        return _reference_state(model, renderer, started_s)
    material = material or GelMaterial()
    indenter = build_indenter(request.spec)
    steps = request.steps(PoseLimits.of_maps(model, indenter))
    twin = LiveTwin(model, indenter, renderer, material)
    for number, step in enumerate(steps):
        result = twin.move(step.pose)
        if progress is not None:
            progress(number / len(steps))
    return SimulatedTouch(
        result=result,
        rendered=twin.render(result),
        contact=_contact(result, material),
        seconds=time.perf_counter() - started_s,
    )


def _reference_state(
    model: SensorModel, renderer: SurfaceRenderer, started_s: float
) -> SimulatedTouch:
    """Return the state of the sensor without an indenter."""
    pad = PadGrid.of_sensor(model)
    zero = np.zeros((pad.count, 3))
    gel = GelResult(
        pose=IndenterPose(),
        rest=pad.rest_mm,
        displacement=zero,
        vertex_force_n=zero,
        vertex_area_mm2=pad.vertex_area_mm2,
        rows=pad.rows,
        columns=pad.columns,
        error_mm=0.0,
        converged=True,
    )
    return SimulatedTouch(
        result=gel,
        rendered=renderer.render_surface(gel.surface),
        contact=summarise(gel.surface, gel.pressure_mpa, np.ones_like(gel.contact)),
        seconds=time.perf_counter() - started_s,
    )


def _contact(result: LiveResult, material: GelMaterial) -> Contact:
    """Return the summary of the contact, by the pressure along the indenter's normal."""
    pressure = result.normal_force_n / (result.vertex_area_mm2 * material.young_modulus_mpa)
    grid = (result.rows, result.columns)
    return summarise(result.surface, pressure.reshape(grid), np.ones(grid, bool))
