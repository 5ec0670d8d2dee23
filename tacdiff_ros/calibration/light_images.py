"""Images of single lights of unit radiance: a rendered image is a linear combination of them.

An image has three channels, so three lights are rendered at once, each in a channel of its own.
Derivatives by one kind of placement parameter (all heights, for example) cost one image too, since
lights do not mix. Reflected light is included; the gel is grey here, because the colours of gel and
lights can be identified only as their product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.light_vector import COLOURS, KINDS, LightVector
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import Values
from tacdiff_ros.sensor.sensor_model import Response, SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.optics.renderer import RenderSettings

Floats = NDArray[np.float64]
Surfaces = Mapping[int, GelSurface]
STEP = 0.02  # of finite differences, in the units of the light vector
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


@dataclass
class _RenderedSurface:
    """A rendered surface, and the local inter-reflection of each rendered group of lights on it."""

    mesh: Any
    surface: GelSurface
    local: list[Any] = field(default_factory=list)
    local_ambient: Any = None


class LightImages:
    """Renders images of single lights of one sensor at one image size.

    Several surfaces are rendered together, because the light that the layers reflect depends on the
    lights only. Each is known by a number, under which a later surface may take its place.
    """

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
        self._values: dict[str, NDArray[np.float32]] = {}
        self._surfaces: dict[int, _RenderedSurface] = {}

    def set_lights(self, placement: Values) -> None:
        """Set positions, directions and shapes of the lights.

        Args:
            placement: values of K lights by name, as in `parameter_values`.
        """
        for name, value in placement.items():
            self._set(name, value)

    def gather_local_interreflection(self, surfaces: Surfaces) -> None:
        """Compute the light that parts of each surface reflect to each other, for the next images.

        It stays in use under other placements of the lights and for later surfaces of the same
        number: its derivatives are neglected.

        Args:
            surfaces: gel surfaces by number.
        """
        for number, surface in surfaces.items():
            slot = self._show(number, surface)
            slot.local = []
            for first in range(0, self._count, COLOURS):
                self._light_up(first)
                slot.local.append(self._gathered())
            self._light_ambient()
            slot.local_ambient = self._gathered()

    def images(self, surfaces: Surfaces) -> dict[int, LightImageSet]:
        """Return the images of all lights and of the ambient light, without cast shadows.

        Args:
            surfaces: gel surfaces by number.
        """
        lights = self.light_images(surfaces)
        self._light_ambient()
        images = {}
        for number, surface in surfaces.items():
            slot = self._show(number, surface)
            slot.mesh.local_interreflection = slot.local_ambient
            ambient = self._render(self._plain)[..., 0]
            images[number] = LightImageSet(lights[number], ambient)
        return images

    def light_images(self, surfaces: Surfaces, shadows: bool = False) -> dict[int, Floats]:
        """Return (K, h, w) images of the lights, without ambient light.

        Args:
            surfaces: gel surfaces by number.
            shadows: whether the surfaces cast shadows.
        """
        images: dict[int, list[Floats]] = {number: [] for number in surfaces}
        for first in range(0, self._count, COLOURS):
            together = self._light_up(first)
            for number, surface in surfaces.items():
                slot = self._show(number, surface)
                local = slot.local[first // COLOURS] if slot.local else None
                slot.mesh.local_interreflection = local
                rendered = self._render(self._shadowed if shadows else self._plain)
                images[number] += list(np.moveaxis(rendered, -1, 0)[:together])
        return {number: np.stack(parts) for number, parts in images.items()}

    def _show(self, number: int, surface: GelSurface) -> _RenderedSurface:
        """Render a surface from now on; its mesh is replaced only if it has changed."""
        from tacdiff_ros.optics.gel_mesh import GelMesh

        slot = self._surfaces.get(number)
        if slot is None or not slot.mesh.has_same_grid(surface):
            slot = self._surfaces[number] = _RenderedSurface(GelMesh(surface), surface)
        elif surface is not slot.surface:
            slot.mesh.set_surface(surface)
            slot.surface = surface
        self._renderer.mesh = slot.mesh
        return slot

    def _light_up(self, first: int) -> int:
        """Give the lights from `first` on unit radiance, each in a channel; return how many."""
        radiance = np.zeros((self._count, COLOURS))
        together = min(COLOURS, self._count - first)
        radiance[first + np.arange(together), np.arange(together)] = 1.0
        self._set("lights.radiance", radiance)
        self._set("gel.ambient", np.zeros(COLOURS))
        return together

    def _light_ambient(self) -> None:
        self._set("lights.radiance", np.zeros((self._count, COLOURS)))
        self._set("gel.ambient", np.ones(COLOURS))

    def _gathered(self) -> Any:
        self._renderer.gather_local_interreflection()
        return self._renderer.mesh.local_interreflection

    def _render(self, settings: RenderSettings) -> Floats:
        return self._renderer.image(settings).astype(np.float64)

    def _set(self, name: str, value: Floats) -> None:
        """Set a parameter; one that stays keeps what was computed from it."""
        import mitsuba as mi

        flat = np.ascontiguousarray(value, np.float32).ravel()
        if not np.array_equal(flat, self._values.get(name, ())):
            self._renderer.parameters[name] = mi.Float(flat)
            self._values[name] = flat


def perturbed_light_images(
    renderer: LightImages, lights: LightVector, vector: Floats, surfaces: Surfaces
) -> list[list[Floats]]:
    """Return the images of the lights with each kind of placement parameter enlarged by `STEP`.

    Args:
        renderer: renderer of the lights, which keeps the last placement.
        lights: parametrisation of the lights.
        vector: light vector.
        surfaces: gel surfaces by number.

    Returns:
        For each kind, (K, h, w) images of each surface.
    """
    images = []
    for kind in range(KINDS):
        perturbed = vector.copy()
        perturbed[lights.placement_slice(kind)] += STEP
        renderer.set_lights(lights.placement(perturbed))
        images.append(list(renderer.light_images(surfaces).values()))
    return images
