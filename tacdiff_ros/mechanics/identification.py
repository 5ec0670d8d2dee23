"""Young's modulus and friction of one gel from measured forces.

The force of a press grows in proportion to Young's modulus, so that one simulated press gives the
modulus, and the depth at which the gel was truly met, by linear regression. Friction shows where an
indenter is shifted: the friction force rises with the stiffness of the gel and ends at mu times the
normal force. Poisson's ratio is not identified; it is held at what is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares, minimize_scalar

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.sensor.sensor_model import SensorModel

MIN_SAMPLES, MAX_SAMPLES = 5, 100_000
STEP_MM = 0.125
MAX_OFFSET_MM = 0.2
FRICTION_RANGE, FRICTION_TOLERANCE = (0.05, 1.5), 0.005
COARSE = SolverSettings(rows=33, columns=41)


@dataclass(frozen=True)
class PressCurve:
    """A measured press.

    Attributes:
        depth_mm: (N,) 0 or more, rising; its zero may be off by up to 0.2 mm.
        force_n: (N,) normal force on the gel.
    """

    depth_mm: NDArray[np.float64]
    force_n: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_curve("press", self.depth_mm, self.force_n)


@dataclass(frozen=True)
class ShearCurve:
    """An indenter that was shifted along x after a press.

    Attributes:
        depth_mm: of the press.
        shift_mm: (M,) 0 or more, rising.
        friction_n: (M,) force against the shift.
    """

    depth_mm: float
    shift_mm: NDArray[np.float64]
    friction_n: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_curve("shear", self.shift_mm, self.friction_n)


@dataclass(frozen=True)
class IdentifiedMaterial:
    """What the curves say.

    Attributes:
        material: with the identified values.
        young_modulus_sd_mpa: standard deviation, from the residuals.
        contact_offset_mm: depth at which the gel was met.
        press_residual_n: RMS.
        friction_sd: standard deviation; None without a shear curve, infinite where the indenter
            never slipped and the curve does not depend on friction.
        shear_residual_n: RMS; None without a shear curve.
    """

    material: GelMaterial
    young_modulus_sd_mpa: float
    contact_offset_mm: float
    press_residual_n: float
    friction_sd: float | None = None
    shear_residual_n: float | None = None


def identify_material(
    model: SensorModel,
    indenter: Indenter,
    press: PressCurve,
    shear: ShearCurve | None = None,
    start: GelMaterial | None = None,
    settings: SolverSettings = COARSE,
) -> IdentifiedMaterial:
    """Fit modulus and, from a shear curve, friction; half a minute to two.

    Raises:
        InputError: a curve is too short, not rising, not finite, or deeper than the pad allows.
        NotConvergedError: a simulated touch found no equilibrium.
    """
    material = start or GelMaterial()
    fit = _fit_press(model, indenter, press, material, settings)
    if shear is None:
        return fit
    material = fit.material

    def misfit(friction: float) -> float:
        tried = material.model_copy(update={"friction": friction})
        return float(np.mean(_shear_residual(model, indenter, shear, tried, settings) ** 2))

    found = minimize_scalar(
        misfit, bounds=FRICTION_RANGE, method="bounded", options={"xatol": FRICTION_TOLERANCE}
    )
    friction = float(found.x)
    fit = _fit_press(
        model, indenter, press, material.model_copy(update={"friction": friction}), settings
    )
    apart = 4.0 * FRICTION_TOLERANCE
    below, above = (misfit(friction + sign * apart) for sign in (-1.0, 1.0))
    bend = (below + above - 2.0 * float(found.fun)) / apart**2
    spread = (
        math.sqrt(2.0 * float(found.fun) / (bend * len(shear.shift_mm))) if bend > 0 else np.inf
    )
    return IdentifiedMaterial(
        fit.material,
        fit.young_modulus_sd_mpa,
        fit.contact_offset_mm,
        fit.press_residual_n,
        spread,
        math.sqrt(float(found.fun)),
    )


def _fit_press(
    model: SensorModel,
    indenter: Indenter,
    press: PressCurve,
    material: GelMaterial,
    settings: SolverSettings,
) -> IdentifiedMaterial:
    deepest = float(press.depth_mm[-1]) + MAX_OFFSET_MM
    depth, force = _simulated_press(model, indenter, deepest, material, settings)
    unit_force = CubicSpline(depth, force / material.young_modulus_mpa)

    def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
        met = np.clip(press.depth_mm - values[1], 0.0, deepest)
        return np.asarray(values[0] * unit_force(met) - press.force_n)

    found = least_squares(
        residual,
        [material.young_modulus_mpa, 0.0],
        bounds=([1e-3, -MAX_OFFSET_MM], [100.0, MAX_OFFSET_MM]),
        x_scale=[material.young_modulus_mpa, 0.05],
    )
    freedom = max(len(press.force_n) - 2, 1)
    variance = 2.0 * found.cost / freedom
    covariance = variance * np.linalg.pinv(found.jac.T @ found.jac)
    return IdentifiedMaterial(
        material.model_copy(update={"young_modulus_mpa": float(found.x[0])}),
        math.sqrt(float(covariance[0, 0])),
        float(found.x[1]),
        math.sqrt(2.0 * found.cost / len(press.force_n)),
    )


def _simulated_press(
    model: SensorModel,
    indenter: Indenter,
    deepest: float,
    material: GelMaterial,
    settings: SolverSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    depths = np.linspace(0.0, deepest, math.ceil(deepest / STEP_MM) + 1)
    forces = [0.0]
    with Touch(model, indenter, material, settings) as touch:
        touch.check_pose(IndenterPose(depth_mm=deepest))
        forces += [-float(touch.move_to(IndenterPose(depth_mm=d)).force_n[2]) for d in depths[1:]]
    return depths, np.array(forces)


def _shear_residual(
    model: SensorModel,
    indenter: Indenter,
    shear: ShearCurve,
    material: GelMaterial,
    settings: SolverSettings,
) -> NDArray[np.float64]:
    depths = np.linspace(0.0, shear.depth_mm, math.ceil(shear.depth_mm / STEP_MM) + 1)
    farthest = float(shear.shift_mm[-1])
    shifts = np.linspace(0.0, farthest, math.ceil(farthest / STEP_MM) + 1)
    pulls = [0.0]
    with Touch(model, indenter, material, settings) as touch:
        for depth in depths[1:]:
            touch.move_to(IndenterPose(depth_mm=float(depth)))
        for shift in shifts[1:]:
            state = touch.move_to(IndenterPose(x_mm=float(shift), depth_mm=shear.depth_mm))
            pulls.append(float(state.force_n[0]))
    return np.asarray(np.interp(shear.shift_mm, shifts, pulls) - shear.friction_n)


def _check_curve(name: str, along: NDArray[np.floating], force: NDArray[np.floating]) -> None:
    shape = np.shape(along)
    if len(shape) != 1 or shape != np.shape(force):
        raise InputError(
            f"{name} curve: positions have shape {shape} and forces {np.shape(force)}, expected "
            "two lists of one length"
        )
    if not MIN_SAMPLES <= shape[0] <= MAX_SAMPLES:
        raise InputError(
            f"{name} curve has {shape[0]} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}"
        )
    if not (np.isfinite(along).all() and np.isfinite(force).all()):
        raise InputError(f"{name} curve: a value is not finite")
    if along[0] < 0.0 or (np.diff(along) < 0.0).any():
        raise InputError(f"{name} curve: positions must be 0 or more and rise")
