"""Simulation of one complete press on the calibrated sensor, with shear and twist."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.inversion.contact_summary import Contact, summarise
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, parse_indenter
from tacdiff_ros.mechanics.live.live_gel import MAX_DEPTH_FRACTION
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import gel_thickness_mm
from tacdiff_ros.mechanics.trajectory import (
    MAX_SHEAR_MM,
    MAX_TWIST_DEG,
    plan_touch,
)
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.live_twin import LiveTwin, SurfaceRenderer
from tacdiff_ros.twin.network_renderer import RenderedSurface

NO_INDENTER = "none"
MAX_YAW_RAD = 2.0 * math.pi


@dataclass(frozen=True)
class TouchRequest:
    """A press with its indenter, position and subsequent motion.

    Attributes:
        indenter: indenter spec, as text or parsed; `none` for the untouched sensor.
        start: indenter pose at the first contact; its depth is not used.
        depth_mm: indentation depth, mm.
        shear_mm: in-plane motion after the press, x and y, mm.
        twist_rad: rotation about the indenter's axis after the press, rad.
    """

    indenter: str | IndenterSpec
    start: IndenterPose
    depth_mm: float
    shear_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0

    @property
    def spec(self) -> IndenterSpec:
        """Parsed indenter spec; InputError if the text is invalid."""
        return parse_indenter(self.indenter) if isinstance(self.indenter, str) else self.indenter


@dataclass(frozen=True)
class SimulatedTouch:
    """State of the sensor at the end of a press.

    Attributes:
        surface: surface of the gel.
        rendered: image and maps.
        contact: summary of the contact.
        force_n: (3,) force of the indenter on the gel in the frame `gel`, N.
        torque_n_mm: (3,) torque of the indenter about the origin of the frame `gel`, N mm.
        error_mm: error of the live gel, see `LiveResult`, mm.
        converged: whether the error is within its tolerance.
        seconds: computing time, s.
    """

    surface: GelSurface
    rendered: RenderedSurface
    contact: Contact
    force_n: NDArray[np.float64]
    torque_n_mm: NDArray[np.float64]
    error_mm: float
    converged: bool
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
        InputError: a number is out of range, or the spec is invalid.
    """
    started_s = time.perf_counter()
    material = material or GelMaterial()
    if request.spec.name == NO_INDENTER:
        return _reference_state(model, request, renderer, started_s)
    _check(request, model)
    twin = LiveTwin(model, request.spec, renderer, material)
    steps = plan_touch(request.start, request.depth_mm, request.shear_mm, request.twist_rad)
    for step in (steps[0], steps[-1]):
        twin.check_pose(step.pose)
    for number, step in enumerate(steps):
        result = twin.move(step.pose)
        if progress is not None:
            progress(number / len(steps))
    surface = result.surface()
    return SimulatedTouch(
        surface=surface,
        rendered=twin.render(result),
        contact=_contact(surface, result, material),
        force_n=result.net_force_n,
        torque_n_mm=result.net_torque_nmm + np.cross(result.pose.tip_mm, result.net_force_n),
        error_mm=result.error_mm,
        converged=result.converged,
        seconds=time.perf_counter() - started_s,
    )


def _check(request: TouchRequest, model: SensorModel) -> None:
    """Check the range of every number before the simulation."""
    start, gel = request.start, model.gel
    numbers = (request.depth_mm, *request.shear_mm, request.twist_rad)
    if not all(math.isfinite(number) for number in (*numbers, start.x_mm, start.y_mm)):
        raise InputError("a position, depth, shear or twist is not finite")
    max_depth_mm = MAX_DEPTH_FRACTION * gel_thickness_mm(model)
    if not 0 < request.depth_mm <= max_depth_mm:
        raise InputError(
            f"depth is {request.depth_mm:g} mm, expected above 0, up to {max_depth_mm:g}"
        )
    if abs(start.x_mm) > gel.width_mm / 2 or abs(start.y_mm) > gel.height_mm / 2:
        raise InputError(
            f"position is ({start.x_mm:g}, {start.y_mm:g}) mm, expected on the pad: within "
            f"{gel.width_mm / 2:g} and {gel.height_mm / 2:g} mm of its centre"
        )
    if not abs(start.yaw_rad) <= MAX_YAW_RAD:
        raise InputError(f"yaw is {start.yaw_rad:g} rad, expected up to {MAX_YAW_RAD:.3g}")
    if math.hypot(*request.shear_mm) > MAX_SHEAR_MM:
        raise InputError(f"shear is {request.shear_mm} mm, expected up to {MAX_SHEAR_MM:g} mm")
    if abs(math.degrees(request.twist_rad)) > MAX_TWIST_DEG:
        raise InputError(
            f"twist is {math.degrees(request.twist_rad):g} deg, expected up to "
            f"{MAX_TWIST_DEG:g} deg"
        )


def _reference_state(
    model: SensorModel, request: TouchRequest, renderer: SurfaceRenderer, started_s: float
) -> SimulatedTouch:
    """Return the state of the sensor without an indenter."""
    if any((request.depth_mm, *request.shear_mm, request.twist_rad)):
        raise InputError(
            "indenter 'none' leaves the sensor untouched: give no depth, shear or twist"
        )
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 49, 61)
    no_pressure = np.zeros((flat.rows, flat.columns))
    return SimulatedTouch(
        surface=flat,
        rendered=renderer.render_surface(flat),
        contact=summarise(flat, no_pressure, np.ones(no_pressure.shape, bool)),
        force_n=np.zeros(3),
        torque_n_mm=np.zeros(3),
        error_mm=0.0,
        converged=True,
        seconds=time.perf_counter() - started_s,
    )


def _contact(surface: GelSurface, result: LiveResult, material: GelMaterial) -> Contact:
    grid = (surface.rows, surface.columns)
    cell_mm2 = float(np.diff(surface.x_mm).mean() * np.diff(surface.y_mm).mean())
    pressure = result.pressure_n.reshape(grid) / (cell_mm2 * material.young_modulus_mpa)
    return summarise(surface, pressure, np.ones(grid, bool))
