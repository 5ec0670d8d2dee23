"""Where an indenter touches, from one image: a matched filter on how much the shading changed.

What the filter looks for is the slope of the gel under the indenter, at some depths and yaws; where
the gel is level, lights from the sides shade it as before. No light needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import FitImage, value_change
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

DEPTHS_MM = (0.3, 0.6, 1.0, 1.5)
YAWS = 12  # tried for an indenter that is not round
STEEP = 0.05  # slope that belongs to a contact
MIN_CHANGE, MIN_CORRELATION = 0.04, 0.3
MIN_SPREAD = 0.3  # of the most, below which nothing is there to be found

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A contact that was found.

    Attributes:
        press: where.
        correlation: normalised correlation of the change with the slope, 1 at best.
        change: 99th percentile of the relative change of the image.
    """

    press: Press
    correlation: float
    change: float


@dataclass(frozen=True)
class _Template:
    """Slope under the indenter, and (x, y) of the indenter's tip in it, px."""

    image: NDArray[np.float32]
    middle: Floats
    depth_mm: float
    yaw_rad: float


def relative_change(reference: FitImage, image: FitImage) -> Floats:
    """(h, w, 3) of image / reference - 1, smooth where either is hidden by dots."""
    free = (reference.free & image.free)[..., None]
    before = np.where(free, reference.value, reference.smooth)
    after = np.where(free, image.value, image.smooth)
    return value_change(before, after)


class ContactSearch:
    """Finds contacts of one indenter on one sensor."""

    def __init__(self, model: SensorModel, surfaces: PressSurfaces, shape: tuple[int, ...]) -> None:
        """Templates for images of a shape.

        Args:
            model: with its camera fitted.
            surfaces: the gel under the indenter.
            shape: (h, w) of the images.
        """
        self._model = model
        self._spec = surfaces.indenter.spec
        self._templates = list(_templates(model, surfaces, shape))

    def find(self, reference: FitImage, image: FitImage, name: str) -> Found:
        """Find where the indenter touches.

        Args:
            reference: the untouched gel.
            image: the press.
            name: of the image, for messages.

        Raises:
            InputError: nothing changed, or what changed looks like no contact of this indenter.
        """
        change = np.abs(relative_change(reference, image)).max(axis=-1)
        change = cv2.GaussianBlur(change, (0, 0), 1.0)
        size = float(np.percentile(change, 99))
        if size < MIN_CHANGE:
            raise InputError(
                f"{name}: no contact: the image differs from the reference by {100 * size:.1f} %, "
                f"expected over {100 * MIN_CHANGE:.0f} % where it is pressed; press deeper"
            )
        found = max((self._match(t, change, size) for t in self._templates), key=_correlation)
        if found.correlation < MIN_CORRELATION:
            raise InputError(
                f"{name}: what changed does not look like a contact with {self._spec}: correlation "
                f"{found.correlation:.2f}, expected at least {MIN_CORRELATION}; is it the right "
                "indenter, and the right reference?"
            )
        return found

    def _match(self, template: _Template, change: Floats, size: float) -> Found:
        """The best place for a template whose middle is inside the image."""
        width = change.shape[1]
        image = template.image
        away = np.ceil([*template.middle[::-1], *(np.array(image.shape) - template.middle[::-1])])
        top, left, bottom, right = (int(side) for side in away)
        padded = cv2.copyMakeBorder(
            change.astype(np.float32), top, bottom, left, right, cv2.BORDER_CONSTANT
        )
        joint = cv2.matchTemplate(padded, image, cv2.TM_CCOEFF)
        one = np.ones_like(image)
        mean = cv2.matchTemplate(padded, one, cv2.TM_CCORR) / one.size
        power = cv2.matchTemplate(padded**2, one, cv2.TM_CCORR) / one.size
        spread = np.sqrt(np.maximum(power - mean**2, 0.0))
        spread = np.maximum(spread, MIN_SPREAD * float(spread.max()))
        score = joint / (one.size * spread * float(image.std()))
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        pixel = np.array([column - left, row - top]) + template.middle
        scale = self._model.image.width_px / width
        at = unproject(parameter_values(self._model), scale * (pixel + 0.5) - 0.5)
        press = Press(*_inside(self._model, at), template.depth_mm, template.yaw_rad)
        return Found(press, float(score[row, column]), size)


def slopes(model: SensorModel, surface: GelSurface, shape: tuple[int, ...]) -> Floats:
    """(h, w, 2) slope toward x and y as the camera sees it: positive where it faces that way."""
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    renderer = Renderer(model.model_copy(update={"markers": None}))
    renderer.show(surface)
    maps = renderer.maps(RenderSettings(shape[1], shape[0]))
    normal = maps.normal.astype(np.float64)
    steepness = np.minimum(normal[..., 2:], -0.1)
    return np.asarray(np.where(maps.hit[..., None], -normal[..., :2] / steepness, 0.0))


def _templates(
    model: SensorModel, surfaces: PressSurfaces, shape: tuple[int, ...]
) -> Iterator[_Template]:
    for depth in DEPTHS_MM:
        surface = surfaces.surface(Press(0.0, 0.0, depth))
        steep = np.linalg.norm(slopes(model, surface, shape), axis=-1)
        for yaw in _yaws(surfaces):
            yield _Template(*_cut(_turned(steep, yaw)), depth, yaw)


def _correlation(found: Found) -> float:
    return found.correlation


def _yaws(surfaces: PressSurfaces) -> list[float]:
    if surfaces.is_round:
        return [0.0]
    return [float(turn) for turn in np.pi * np.arange(YAWS) / YAWS]


def _turned(image: Floats, yaw: float) -> Floats:
    """The image turned about its middle, x toward y."""
    height, width = image.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, -np.degrees(yaw), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height)))


def _cut(steep: Floats) -> tuple[NDArray[np.float32], Floats]:
    """The steep part with some room around, and where the image's middle is in it."""
    rows, columns = (np.flatnonzero((steep > STEEP).any(axis=axis)) for axis in (1, 0))
    room = 4
    top, left = max(int(rows[0]) - room, 0), max(int(columns[0]) - room, 0)
    part = steep[top : int(rows[-1]) + room + 1, left : int(columns[-1]) + room + 1]
    middle = (np.array(steep.shape[::-1]) - 1) / 2
    return part.astype(np.float32), middle - [left, top]


def _inside(model: SensorModel, at: Floats) -> tuple[float, float]:
    half = 0.5 * np.array([model.gel.width_mm, model.gel.height_mm])
    x, y = np.clip(at[:2], -half, half)
    return float(x), float(y)
