"""Images of single lights of unit radiance: a rendered image is a linear combination of them.

An image has three channels, so three lights are rendered at once, each in a channel of its own.
Derivatives by one kind of placement parameter (all heights, for example) cost one image too, since
lights do not mix. Reflected light is included; the gel is grey here, because the colours of gel and
lights can be identified only as their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """Images of one surface under unit radiances: K lights, h x w pixels.

    Attributes:
        light: (K, h, w) image of each light alone.
        ambient: (h, w) image of the ambient light alone.
    """

    light: Floats
    ambient: Floats

    def combined(self, radiance: Floats, ambient: Floats) -> Floats:
        """Return the image under given radiances.

        Args:
            radiance: (K, 3) radiance of each light.
            ambient: (3,) radiance of the ambient light.

        Returns:
            (h, w, 3) radiance of the surface.
        """
        lights = np.tensordot(self.light, radiance, axes=(0, 0))
        return np.asarray(lights + self.ambient[..., None] * ambient)


class LightImages:
    """Renders images of single lights of one sensor at one image size."""

    def __init__(self, model: SensorModel, width_px: int, height_px: int) -> None:
        """Create a renderer without markers, response, flat field and radiances of the sensor.

        Args:
            model: sensor model with a fitted camera.
            width_px: width of the images, px.
            height_px: height of the images, px.
        """
        from tacdiff_ros.optics.renderer import Renderer, RenderSettings

        grey = float(np.mean(model.gel.base_color))
        gel = model.gel.model_copy(update={"base_color": (grey,) * 3})
        bare = {"markers": None, "flat_field": None, "gel": gel, "response": Response()}
        self._renderer = Renderer(model.model_copy(update=bare))
        self._plain = RenderSettings(width_px, height_px, samples=1, shadows=False)
        self._shadowed = RenderSettings(width_px, height_px, samples=SHADOW_SAMPLES)
        self._count = len(model.lights)
        self._surface: GelSurface | None = None
        self._local: list[Any] = []  # inter-reflection of each rendered group of lights
        self._local_ambient: Any = None

    def set_lights(self, placement: Values) -> None:
        """Set positions, directions and shapes of the lights.

        Args:
            placement: values of K lights by name, as in `parameter_values`.
        """
        for name, value in placement.items():
            self._set(name, value)

    def gather_local_interreflection(self, surface: GelSurface) -> None:
        """Compute the light that parts of a surface reflect to each other, for the next images.

        It stays in use under other placements of the lights and for other surfaces: its derivatives
        are neglected.

        Args:
            surface: gel surface.
        """
        self._show(surface)
        self._local = []
        self._set("gel.ambient", np.zeros(COLOURS))
        for first in range(0, self._count, COLOURS):
            self._light_up(first)
            self._local.append(self._gathered())
        self._set("lights.radiance", np.zeros((self._count, COLOURS)))
        self._set("gel.ambient", np.ones(COLOURS))
        self._local_ambient = self._gathered()

    def images(self, surface: GelSurface, shadows: bool = False) -> LightImageSet:
        """Return the images of all lights and of the ambient light.

        Args:
            surface: gel surface.
            shadows: whether the surface casts shadows.
        """
        light = self.light_images(surface, shadows)
        self._set("lights.radiance", np.zeros((self._count, COLOURS)))
        self._set("gel.ambient", np.ones(COLOURS))
        self._renderer.mesh.local_interreflection = self._local_ambient
        return LightImageSet(light, self._render(self._plain)[..., 0])

    def light_images(self, surface: GelSurface, shadows: bool = False) -> Floats:
        """Return (K, h, w) images of the lights, without ambient light.

        Args:
            surface: gel surface.
            shadows: whether the surface casts shadows.
        """
        self._show(surface)
        self._set("gel.ambient", np.zeros(COLOURS))
        images: list[Floats] = []
        for first in range(0, self._count, COLOURS):
            together = self._light_up(first)
            local = self._local[first // COLOURS] if self._local else None
            self._renderer.mesh.local_interreflection = local
            rendered = self._render(self._shadowed if shadows else self._plain)
            images += list(np.moveaxis(rendered, -1, 0)[:together])
        return np.stack(images)

    def _show(self, surface: GelSurface) -> None:
        if surface is not self._surface:
            self._renderer.set_surface(surface)
            self._surface = surface

    def _light_up(self, first: int) -> int:
        """Give the lights from `first` on unit radiance, each in a channel; return how many."""
        radiance = np.zeros((self._count, COLOURS))
        together = min(COLOURS, self._count - first)
        radiance[first + np.arange(together), np.arange(together)] = 1.0
        self._set("lights.radiance", radiance)
        return together

    def _gathered(self) -> Any:
        self._renderer.gather_local_interreflection()
        return self._renderer.mesh.local_interreflection

    def _render(self, settings: RenderSettings) -> Floats:
        return self._renderer.image(settings).astype(np.float64)

    def _set(self, name: str, value: Floats) -> None:
        import mitsuba as mi

        flat = np.ascontiguousarray(value, np.float32).ravel()
        self._renderer.parameters[name] = mi.Float(flat)
