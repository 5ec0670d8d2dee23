"""Search for the contact position in one image: a matched filter on the change of shading.

The template is the slope of the gel under the indenter, at some depths and yaws: where the gel
stays level, lights from the sides shade it as before. The lights need not be known.
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
YAWS = 12  # number of yaw angles for an indenter that is not rotationally symmetric
STEEP = 0.05  # minimum slope inside a contact
MIN_CHANGE, MIN_CORRELATION = 0.04, 0.3
MIN_SPREAD = 0.3  # lower limit of the local standard deviation, as a fraction of its maximum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContactMatch:
    """Result of a contact search.

    Attributes:
        press: press of the best template at its best position.
        correlation: normalised correlation of the image change with the template, at most 1.
        change: 99th percentile of the relative change of the image.
    """

    press: Press
    correlation: float
    change: float


@dataclass(frozen=True)
class _Template:
    """Slope of the gel under the indenter.

    Attributes:
        image: (h, w) float32 magnitude of the slope.
        tip: (x, y) position of the indenter's tip in the template, px.
        depth_mm: depth of the press, mm.
        yaw_rad: yaw of the indenter, rad.
    """

    image: NDArray[np.float32]
    tip: Floats
    depth_mm: float
    yaw_rad: float


def relative_change(reference: FitImage, image: FitImage) -> Floats:
    """Return image / reference - 1, interpolated where markers hide either image.

    Args:
        reference: reference image at the fit's size.
        image: image of a press at the fit's size.

    Returns:
        (h, w, 3) relative change of the pixel values.
    """
    free = (reference.free & image.free)[..., None]
    before = np.where(free, reference.value, reference.smooth)
    after = np.where(free, image.value, image.smooth)
    return value_change(before, after)


class ContactSearch:
    """Searches contacts of one indenter on one sensor."""

    def __init__(self, model: SensorModel, surfaces: PressSurfaces, shape: tuple[int, ...]) -> None:
        """Render the templates.

        Args:
            model: sensor model with a fitted camera.
            surfaces: gel surfaces under the indenter.
            shape: (h, w) of the images, px.
        """
        self._model = model
        self._spec = surfaces.indenter.spec
        self._templates = list(_templates(model, surfaces, shape))

    def find(self, reference: FitImage, image: FitImage, name: str) -> ContactMatch:
        """Find the contact in an image.

        Args:
            reference: reference image at the fit's size.
            image: image of the press at the fit's size.
            name: name of the image in messages.

        Raises:
            InputError: the image does not differ from the reference, or the change does not look
                like a contact of this indenter.
        """
        change = np.abs(relative_change(reference, image)).max(axis=-1)
        change = cv2.GaussianBlur(change, (0, 0), 1.0)
        strength = float(np.percentile(change, 99))
        if strength < MIN_CHANGE:
            raise InputError(
                f"{name}: no contact: the image differs from the reference by "
                f"{100 * strength:.1f} %, expected over {100 * MIN_CHANGE:.0f} % under the "
                "contact; press deeper"
            )
        matches = (self._match(template, change, strength) for template in self._templates)
        best = max(matches, key=_correlation)
        if best.correlation < MIN_CORRELATION:
            raise InputError(
                f"{name}: the change of the image does not match a contact with {self._spec}: "
                f"correlation {best.correlation:.2f}, expected at least {MIN_CORRELATION}; check "
                "the indenter and the reference image"
            )
        return best

    def _match(self, template: _Template, change: Floats, strength: float) -> ContactMatch:
        """Best position of a template whose tip is inside the image.

        Args:
            template: template of one depth and yaw.
            change: (h, w) absolute relative change of the image.
            strength: 99th percentile of the change.
        """
        width = change.shape[1]
        image = template.image
        border = np.ceil([*template.tip[::-1], *(np.array(image.shape) - template.tip[::-1])])
        top, left, bottom, right = (int(side) for side in border)
        padded = cv2.copyMakeBorder(
            change.astype(np.float32), top, bottom, left, right, cv2.BORDER_CONSTANT
        )
        covariance = cv2.matchTemplate(padded, image, cv2.TM_CCOEFF)
        one = np.ones_like(image)
        mean = cv2.matchTemplate(padded, one, cv2.TM_CCORR) / one.size
        power = cv2.matchTemplate(padded**2, one, cv2.TM_CCORR) / one.size
        spread = np.sqrt(np.maximum(power - mean**2, 0.0))
        # Without a lower limit, noise in flat parts of the image would correlate best.
        spread = np.maximum(spread, MIN_SPREAD * float(spread.max()))
        score = covariance / (one.size * spread * float(image.std()))
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        pixel = np.array([column - left, row - top]) + template.tip
        scale = self._model.image.width_px / width
        tip_mm = unproject(parameter_values(self._model), scale * (pixel + 0.5) - 0.5)
        press = Press(*_clipped_to_pad(self._model, tip_mm), template.depth_mm, template.yaw_rad)
        return ContactMatch(press, float(score[row, column]), strength)


def slopes(model: SensorModel, surface: GelSurface, shape: tuple[int, ...]) -> Floats:
    """Return the slope of a surface at every pixel.

    Args:
        model: sensor model with a fitted camera.
        surface: gel surface.
        shape: (h, w) of the image, px.

    Returns:
        (h, w, 2) slope along x and y, positive where the surface faces +x and +y; 0 where a pixel
        does not see the gel.
    """
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    renderer = Renderer(model.model_copy(update={"markers": None}))
    renderer.set_surface(surface)
    maps = renderer.maps(RenderSettings(shape[1], shape[0]))
    normal = maps.normal.astype(np.float64)
    steepness = np.minimum(normal[..., 2:], -0.1)
    return np.asarray(np.where(maps.hit[..., None], -normal[..., :2] / steepness, 0.0))


def _templates(
    model: SensorModel, surfaces: PressSurfaces, shape: tuple[int, ...]
) -> Iterator[_Template]:
    """Templates of all depths and yaws."""
    for depth in dict.fromkeys(min(depth, surfaces.max_depth_mm) for depth in DEPTHS_MM):
        surface = surfaces.surface(Press(0.0, 0.0, depth))
        steep = np.linalg.norm(slopes(model, surface, shape), axis=-1)
        for yaw in _yaws(surfaces):
            image, tip = _cropped(_rotated(steep, yaw))
            yield _Template(image, tip, depth, yaw)


def _correlation(match: ContactMatch) -> float:
    return match.correlation


def _yaws(surfaces: PressSurfaces) -> list[float]:
    """Yaw angles to try, rad."""
    if surfaces.is_round:
        return [0.0]
    return [float(yaw) for yaw in np.pi * np.arange(YAWS) / YAWS]


def _rotated(image: Floats, yaw: float) -> Floats:
    """The image rotated about its centre by yaw rad, from x toward y."""
    height, width = image.shape
    centre = ((width - 1) / 2, (height - 1) / 2)
    rotation = cv2.getRotationMatrix2D(centre, -np.degrees(yaw), 1.0)
    return np.asarray(cv2.warpAffine(image, rotation, (width, height)))


def _cropped(steep: Floats) -> tuple[NDArray[np.float32], Floats]:
    """The steep part of an image with a margin, and the image's centre (x, y) in it, px."""
    rows, columns = (np.flatnonzero((steep > STEEP).any(axis=axis)) for axis in (1, 0))
    margin = 4
    top, left = max(int(rows[0]) - margin, 0), max(int(columns[0]) - margin, 0)
    part = steep[top : int(rows[-1]) + margin + 1, left : int(columns[-1]) + margin + 1]
    centre = (np.array(steep.shape[::-1]) - 1) / 2
    return part.astype(np.float32), centre - [left, top]


def _clipped_to_pad(model: SensorModel, position_mm: Floats) -> tuple[float, float]:
    """(x, y) mm of a position, clipped to the pad."""
    half = 0.5 * np.array([model.gel.width_mm, model.gel.height_mm])
    x, y = np.clip(position_mm[:2], -half, half)
    return float(x), float(y)
