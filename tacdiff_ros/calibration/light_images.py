"""Images of single lights of unit radiance: what an image is linear in.

Every light has three colours, and so has an image: three lights are rendered at once, each in a
channel of its own. Derivatives by one kind of placement (all heights, say) cost one image too,
since the lights do not mix. Reflected light is included; the gel is grey for this, as the colours
of gel and lights show only as their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import Values
from tacdiff_ros.sensor.sensor_model import Response, SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.renderer import RenderSettings

Floats = NDArray[np.float64]
COLOURS = 3
SHADOW_SAMPLES = 2


@dataclass(frozen=True)
class LightImageSet:
    """What a surface shows under unit radiances: K lights, h x w pixels.

    Attributes:
        light: (K, h, w).
        ambient: (h, w).
    """

    light: Floats
    ambient: Floats

    def lit(self, radiance: Floats, ambient: Floats) -> Floats:
        """(h, w, 3) radiance of the surface under radiances (K, 3) and ambient light (3,)."""
        lights = np.tensordot(self.light, radiance, axes=(0, 0))
        return np.asarray(lights + self.ambient[..., None] * ambient)


class LightImages:
    """Renders unit images of one sensor at a size."""

    def __init__(self, model: SensorModel, width_px: int, height_px: int) -> None:
        """A sensor; its dots, response, flat field and radiances are left out."""
        from tacdiff_ros.optics.renderer import Renderer, RenderSettings

        grey = float(np.mean(model.gel.base_color))
        gel = model.gel.model_copy(update={"base_color": (grey,) * 3})
        bare = {"markers": None, "flat_field": None, "gel": gel, "response": Response()}
        self._renderer = Renderer(model.model_copy(update=bare))
        self._plain = RenderSettings(width_px, height_px, samples=1, shadows=False)
        self._shadowed = RenderSettings(width_px, height_px, samples=SHADOW_SAMPLES)
        self._count = len(model.lights)
        self._shown: GelSurface | None = None

    def place(self, placement: Values) -> None:
        """Move and shape the lights: values by names as in `parameter_values`, K rows."""
        for name, value in placement.items():
            self._set(name, value)

    def images(self, surface: GelSurface, shadows: bool = False) -> LightImageSet:
        """Unit images of a surface, on wish with the shadows that it casts."""
        light = self.light_images(surface, shadows)
        self._set("lights.radiance", np.zeros((self._count, COLOURS)))
        self._set("gel.ambient", np.ones(COLOURS))
        return LightImageSet(light, self._draw(self._plain)[..., 0])

    def light_images(self, surface: GelSurface, shadows: bool = False) -> Floats:
        """(K, h, w) images of the lights alone."""
        if surface is not self._shown:
            self._renderer.show(surface)
            self._shown = surface
        self._set("gel.ambient", np.zeros(COLOURS))
        images: list[Floats] = []
        for first in range(0, self._count, COLOURS):
            radiance = np.zeros((self._count, COLOURS))
            together = min(COLOURS, self._count - first)
            radiance[first + np.arange(together), np.arange(together)] = 1.0
            self._set("lights.radiance", radiance)
            drawn = self._draw(self._shadowed if shadows else self._plain)
            images += list(np.moveaxis(drawn, -1, 0)[:together])
        return np.stack(images)

    def _draw(self, settings: RenderSettings) -> Floats:
        return self._renderer.image(settings).astype(np.float64)

    def _set(self, name: str, value: Floats) -> None:
        import mitsuba as mi

        flat = np.ascontiguousarray(value, np.float32).ravel()
        self._renderer.parameters[name] = mi.Float(flat)
