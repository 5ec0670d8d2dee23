"""One touch of the calibrated sensor, from the approach to the end of its motion."""

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
from tacdiff_ros.twin.live_twin import Drawing, LiveTwin
from tacdiff_ros.twin.network_renderer import RenderedSurface

UNTOUCHED = "none"
MAX_YAW_RAD = 2.0 * math.pi


@dataclass(frozen=True)
class TouchRequest:
    """What is pressed in, where, and how it moves on.

    Attributes:
        indenter: spec, as text or parsed; `none` for the untouched sensor.
        start: where its axis meets the gel; its depth is not used.
        depth_mm: indentation.
        shear_mm: in-plane travel after the press.
        twist_rad: rotation after the press.
    """

    indenter: str | IndenterSpec
    start: IndenterPose
    depth_mm: float
    shear_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0

    @property
    def spec(self) -> IndenterSpec:
        """The indenter's spec; InputError where its text is none."""
        return parse_indenter(self.indenter) if isinstance(self.indenter, str) else self.indenter


@dataclass(frozen=True)
class SimulatedTouch:
    """What the sensor sees and feels at the end.

    Attributes:
        surface: of the gel.
        drawn: image and maps.
        contact: in numbers.
        force_n: (3,) of the indenter on the gel, frame gel.
        torque_n_mm: (3,) likewise, about the origin of the frame gel.
        error_mm: of the live gel, see `LiveResult`.
        converged: that error is within its tolerance.
        seconds: that all took.
    """

    surface: GelSurface
    drawn: RenderedSurface
    contact: Contact
    force_n: NDArray[np.float64]
    torque_n_mm: NDArray[np.float64]
    error_mm: float
    converged: bool
    seconds: float


def simulate_touch(
    model: SensorModel,
    request: TouchRequest,
    drawing: Drawing,
    material: GelMaterial | None = None,
    progress: Callable[[float], None] | None = None,
) -> SimulatedTouch:
    """Press, slide and turn the live gel, and draw what it comes to.

    Args:
        model: sensor.
        request: the touch.
        drawing: of that sensor.
        material: of the gel.
        progress: told the share that is done; may raise to end it.

    Raises:
        InputError: a number is out of range, or the spec is bad.
    """
    started = time.perf_counter()
    material = material or GelMaterial()
    if request.spec.name == UNTOUCHED:
        return _untouched(model, request, drawing, started)
    _check(request, model)
    twin = LiveTwin(model, request.spec, drawing, material)
    steps = plan_touch(request.start, request.depth_mm, request.shear_mm, request.twist_rad)
    for step in (steps[0], steps[-1]):
        twin.check_pose(step.pose)
    for number, step in enumerate(steps):
        answer = twin.move(step.pose)
        if progress is not None:
            progress(number / len(steps))
    surface = answer.surface()
    return SimulatedTouch(
        surface,
        twin.draw(answer),
        _contact(surface, answer, material),
        answer.net_force_n,
        answer.net_torque_nmm + np.cross(answer.pose.tip_mm, answer.net_force_n),
        answer.error_mm,
        answer.converged,
        time.perf_counter() - started,
    )


def _check(request: TouchRequest, model: SensorModel) -> None:
    """Every number in its bounds, before anything is computed."""
    start, gel = request.start, model.gel
    numbers = (request.depth_mm, *request.shear_mm, request.twist_rad)
    if not all(math.isfinite(number) for number in (*numbers, start.x_mm, start.y_mm)):
        raise InputError("a position, depth, shear or twist is not finite")
    deepest = MAX_DEPTH_FRACTION * gel_thickness_mm(model)
    if not 0 < request.depth_mm <= deepest:
        raise InputError(f"depth is {request.depth_mm:g} mm, expected above 0, up to {deepest:g}")
    if abs(start.x_mm) > gel.width_mm / 2 or abs(start.y_mm) > gel.height_mm / 2:
        raise InputError(
            f"position is ({start.x_mm:g}, {start.y_mm:g}) mm, expected on the pad: within "
            f"{gel.width_mm / 2:g} and {gel.height_mm / 2:g} mm of its middle"
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


def _untouched(
    model: SensorModel, request: TouchRequest, drawing: Drawing, started: float
) -> SimulatedTouch:
    if any((request.depth_mm, *request.shear_mm, request.twist_rad)):
        raise InputError("indenter 'none' leaves the sensor untouched: give no depth or motion")
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 49, 61)
    nothing = np.zeros((flat.rows, flat.columns))
    return SimulatedTouch(
        flat,
        drawing.draw_surface(flat),
        summarise(flat, nothing, np.ones(nothing.shape, bool)),
        np.zeros(3),
        np.zeros(3),
        0.0,
        True,
        time.perf_counter() - started,
    )


def _contact(surface: GelSurface, answer: LiveResult, material: GelMaterial) -> Contact:
    grid = (surface.rows, surface.columns)
    cell = float(np.diff(surface.x_mm).mean() * np.diff(surface.y_mm).mean())
    pressure = answer.pressure_n.reshape(grid) / (cell * material.young_modulus_mpa)
    return summarise(surface, pressure, np.ones(grid, bool))
