"""Identification of a gel's Young's modulus and friction coefficient from measured forces.

The force of a press is proportional to Young's modulus, so that one simulated press gives, by
least squares, the modulus and the depth at which contact was actually made. Friction is identified
from an indenter that is shifted sideways: the friction force rises with the stiffness of the gel
and saturates at mu times the normal force.

Limits: Poisson's ratio is not identified; it keeps its initial value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
STEP_MM = 0.125  # largest step of the simulated indenter
MAX_OFFSET_MM = 0.2  # largest error of the depth reading at contact
FRICTION_RANGE, FRICTION_TOLERANCE = (0.05, 1.5), 0.005
COARSE = SolverSettings(rows=33, columns=41)


@dataclass(frozen=True)
class PressCurve:
    """Force-depth curve of a measured press, N samples.

    Attributes:
        depth_mm: (N,) indentation depth, mm, 0 or more, rising; its zero may be off by up to
            0.2 mm.
        force_n: (N,) normal force on the gel, N.
    """

    depth_mm: NDArray[np.float64]
    force_n: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_curve("press", self.depth_mm, self.force_n)


@dataclass(frozen=True)
class ShearCurve:
    """Force-shift curve of an indenter that was shifted along x after a press, M samples.

    Attributes:
        depth_mm: indentation depth during the shift, mm.
        shift_mm: (M,) shift along x, mm, 0 or more, rising.
        friction_n: (M,) force against the shift, N.
    """

    depth_mm: float
    shift_mm: NDArray[np.float64]
    friction_n: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_curve("shear", self.shift_mm, self.friction_n)


@dataclass(frozen=True)
class IdentifiedMaterial:
    """Estimated material, with uncertainties and residuals.

    Attributes:
        material: material with the identified values.
        young_modulus_stddev_mpa: standard deviation of the modulus from the residuals, MPa.
        contact_offset_mm: depth reading at which contact was made, mm.
        press_residual_n: RMS residual of the press curve, N.
        friction_stddev: standard deviation of the friction coefficient; None without a shear
            curve, infinite if the indenter never slipped, so that the curve does not depend on
            friction.
        shear_residual_n: RMS residual of the shear curve, N; None without a shear curve.
    """

    material: GelMaterial
    young_modulus_stddev_mpa: float
    contact_offset_mm: float
    press_residual_n: float
    friction_stddev: float | None = None
    shear_residual_n: float | None = None


def identify_material(
    model: SensorModel,
    indenter: Indenter,
    press: PressCurve,
    shear: ShearCurve | None = None,
    start: GelMaterial | None = None,
    settings: SolverSettings = COARSE,
) -> IdentifiedMaterial:
    """Fit Young's modulus and, if there is a shear curve, the friction coefficient.

    The computation takes 30 to 120 seconds.

    Args:
        model: sensor model, which gives the dimensions of the gel.
        indenter: indenter of the measurement.
        press: force-depth curve.
        shear: force-shift curve, or None to keep the initial friction coefficient.
        start: initial material; None for the default material.
        settings: mesh of the simulated gel.

    Returns:
        The identified material.

    Raises:
        InputError: a curve is too short, not rising, not finite, or deeper than the pad allows.
        NotConvergedError: a simulated step did not converge.
    """
    material = start or GelMaterial()
    fit = _fit_press(model, indenter, press, material, settings)
    if shear is None:
        return fit
    material = fit.material

    def mean_square_residual(friction: float) -> float:
        candidate = material.model_copy(update={"friction": friction})
        return float(np.mean(_shear_residual(model, indenter, shear, candidate, settings) ** 2))

    result = minimize_scalar(
        mean_square_residual,
        bounds=FRICTION_RANGE,
        method="bounded",
        options={"xatol": FRICTION_TOLERANCE},
    )
    friction, minimum = float(result.x), float(result.fun)
    fit = _fit_press(
        model, indenter, press, material.model_copy(update={"friction": friction}), settings
    )
    # Standard deviation from the curvature of the mean square, by central differences.
    step = 4.0 * FRICTION_TOLERANCE
    below, above = (mean_square_residual(friction + sign * step) for sign in (-1.0, 1.0))
    curvature = (below + above - 2.0 * minimum) / step**2
    stddev = (
        math.sqrt(2.0 * minimum / (curvature * len(shear.shift_mm))) if curvature > 0 else np.inf
    )
    return replace(fit, friction_stddev=stddev, shear_residual_n=math.sqrt(minimum))


def _fit_press(
    model: SensorModel,
    indenter: Indenter,
    press: PressCurve,
    material: GelMaterial,
    settings: SolverSettings,
) -> IdentifiedMaterial:
    """Fit modulus and contact offset to a press curve; friction is that of the given material."""
    max_depth = float(press.depth_mm[-1]) + MAX_OFFSET_MM
    depth, force = _simulated_press(model, indenter, max_depth, material, settings)
    force_per_modulus = CubicSpline(depth, force / material.young_modulus_mpa)

    def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
        modulus, offset = values
        indentation = np.clip(press.depth_mm - offset, 0.0, max_depth)
        return np.asarray(modulus * force_per_modulus(indentation) - press.force_n)

    result = least_squares(
        residual,
        [material.young_modulus_mpa, 0.0],
        bounds=([1e-3, -MAX_OFFSET_MM], [100.0, MAX_OFFSET_MM]),
        x_scale=[material.young_modulus_mpa, 0.05],
    )
    degrees_of_freedom = max(len(press.force_n) - 2, 1)
    variance = 2.0 * result.cost / degrees_of_freedom
    covariance = variance * np.linalg.pinv(result.jac.T @ result.jac)
    return IdentifiedMaterial(
        material=material.model_copy(update={"young_modulus_mpa": float(result.x[0])}),
        young_modulus_stddev_mpa=math.sqrt(float(covariance[0, 0])),
        contact_offset_mm=float(result.x[1]),
        press_residual_n=math.sqrt(2.0 * result.cost / len(press.force_n)),
    )


def _simulated_press(
    model: SensorModel,
    indenter: Indenter,
    max_depth: float,
    material: GelMaterial,
    settings: SolverSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depths in mm and normal forces in N of a simulated press."""
    depths = np.linspace(0.0, max_depth, math.ceil(max_depth / STEP_MM) + 1)
    forces = [0.0]
    with Touch(model, indenter, material, settings) as touch:
        touch.limits.check(IndenterPose(depth_mm=max_depth))
        forces += [-float(touch.move_to(IndenterPose(depth_mm=d)).force_n[2]) for d in depths[1:]]
    return depths, np.array(forces)


def _shear_residual(
    model: SensorModel,
    indenter: Indenter,
    shear: ShearCurve,
    material: GelMaterial,
    settings: SolverSettings,
) -> NDArray[np.float64]:
    """(M,) simulated less measured friction force, N."""
    depths = np.linspace(0.0, shear.depth_mm, math.ceil(shear.depth_mm / STEP_MM) + 1)
    max_shift = float(shear.shift_mm[-1])
    shifts = np.linspace(0.0, max_shift, math.ceil(max_shift / STEP_MM) + 1)
    friction_forces = [0.0]
    with Touch(model, indenter, material, settings) as touch:
        for depth in depths[1:]:
            touch.move_to(IndenterPose(depth_mm=float(depth)))
        for shift in shifts[1:]:
            state = touch.move_to(IndenterPose(x_mm=float(shift), depth_mm=shear.depth_mm))
            friction_forces.append(float(state.force_n[0]))
    return np.asarray(np.interp(shear.shift_mm, shifts, friction_forces) - shear.friction_n)


def _check_curve(name: str, along: NDArray[np.floating], force: NDArray[np.floating]) -> None:
    """Raise InputError unless a curve has enough samples, rising positions and finite values."""
    shape = np.shape(along)
    if len(shape) != 1 or shape != np.shape(force):
        raise InputError(
            f"{name} curve: positions have shape {shape} and forces {np.shape(force)}, expected "
            "two arrays (N,) of one length"
        )
    if not MIN_SAMPLES <= shape[0] <= MAX_SAMPLES:
        raise InputError(
            f"{name} curve has {shape[0]} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}"
        )
    if not (np.isfinite(along).all() and np.isfinite(force).all()):
        raise InputError(f"{name} curve: a value is not finite, expected finite numbers only")
    if along[0] < 0.0 or (np.diff(along) < 0.0).any():
        raise InputError(
            f"{name} curve: positions are negative or fall, expected values of 0 or more that rise"
        )
