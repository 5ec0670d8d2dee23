"""Stiffness of the gel's coating, from what surrounds the contacts of presses.

Under the indenter the surface is the indenter's, whatever the gel is like. Beside it, a thin and
stiffer coating carries the surface farther down than a bare layer: the slopes there are up to half
as steep again, and the markers move otherwise. With lights from the contacts' interior, each press
is fitted for a few stiffnesses; a parabola through the costs gives the best one.

Limits: the gel's thickness and Poisson's ratio are those of the file; bending is neglected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tacdiff_ros.calibration.press_fit import PressFitter
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.sensor.sensor_model import MAX_COATING_MM, SensorModel

COATINGS_MM = (0.0, 0.4, 0.8, 1.2)
PRESSES = 3  # that are used at most
STEPS = 2
MIN_GAIN = 4.0  # of the cost over that of a bare gel: two standard deviations


@dataclass(frozen=True)
class CoatingPress:
    """A press from which the coating is fitted.

    Attributes:
        indenter: indenter of the press.
        press: initial press.
        image: image at the fit's size.
        markers: markers of the image; None for a gel without markers.
    """

    indenter: Indenter
    press: Press
    image: FitImage
    markers: MarkerField | None


@dataclass(frozen=True)
class CoatingFit:
    """Fitted coating.

    Attributes:
        coating_mm: stiffness against stretching over the gel's Young's modulus, mm; 0 where the
            presses do not show a coating.
        stddev_mm: its standard deviation, to first order.
    """

    coating_mm: float
    stddev_mm: float


def with_coating(model: SensorModel, coating_mm: float) -> SensorModel:
    """Return a sensor model with another coating.

    Args:
        model: sensor model.
        coating_mm: stiffness of the coating against stretching over Young's modulus, mm.
    """
    gel = model.gel.model_copy(update={"coating_mm": coating_mm})
    return model.model_copy(update={"gel": gel})


def fit_coating(
    model: SensorModel,
    presses: Sequence[CoatingPress],
    reference: FitImage,
    markers: MarkerField | None,
    progress: Callable[[float], None],
) -> CoatingFit:
    """Fit the coating to presses under known lights.

    Args:
        model: sensor model with fitted camera and lights.
        presses: presses of the calibration.
        reference: reference image at the fit's size.
        markers: markers of the reference image; None for a gel without markers.
        progress: callback on the completed fraction.
    """
    costs = []
    for k, coating_mm in enumerate(COATINGS_MM):
        coated = with_coating(model, coating_mm)
        costs.append(_cost(coated, presses[:PRESSES], reference, markers))
        progress((k + 1) / len(COATINGS_MM))
    return _minimum(np.array(COATINGS_MM), np.array(costs))


def _cost(
    model: SensorModel,
    presses: Sequence[CoatingPress],
    reference: FitImage,
    markers: MarkerField | None,
) -> float:
    """Sum of the squared residuals of all presses, each fitted."""
    total = 0.0
    surfaces: dict[str, PressSurfaces] = {}
    for press in presses:
        spec = press.indenter.spec
        if spec not in surfaces:
            surfaces[spec] = PressSurfaces(model, press.indenter)
        fitter = PressFitter(model, surfaces[spec], reference, markers)
        total += fitter.fit(press.press, press.image, press.markers, steps=STEPS).cost
    return total


def _minimum(
    coating: np.ndarray[tuple[int], np.dtype[np.float64]],
    cost: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> CoatingFit:
    """Minimum of the parabola through the lowest cost and its neighbours."""
    lowest = int(np.clip(np.argmin(cost), 1, len(cost) - 2))
    near = slice(lowest - 1, lowest + 2)
    curvature, slope, _ = np.polyfit(coating[near], cost[near], 2)
    if curvature <= 0.0:
        best, stddev = float(coating[np.argmin(cost)]), float(MAX_COATING_MM)
    else:
        best, stddev = float(-0.5 * slope / curvature), float(curvature**-0.5)
    best = float(np.clip(best, 0.0, coating[-1]))
    shows = cost[0] - cost.min() > MIN_GAIN
    return CoatingFit(round(best, 4) if shows else 0.0, stddev)
