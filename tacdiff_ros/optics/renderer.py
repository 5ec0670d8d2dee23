"""The differentiable renderer: a sensor model and a gel surface give the tactile image.

Camera rays are refracted through the layers in closed form, meet the surface by Mitsuba's ray
tracing with gradients attached, and are lit in closed form or by a fixed quadrature; only shadows
are sampled. So one sample per pixel has hardly any noise, and all parameters have exact gradients.

Limits: the gradient of a cast shadow's border is left out (shadows are sampled visibility); light
between parts of a deformed surface is simplified (see `interreflection`) unless it is gathered (see
`local_interreflection`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

from tacdiff_ros.optics.camera_rays import gel_rays  # noqa: E402
from tacdiff_ros.optics.camera_response import pixel_values  # noqa: E402
from tacdiff_ros.optics.frozen_calls import FrozenCalls  # noqa: E402
from tacdiff_ros.optics.gel_mesh import GelMesh  # noqa: E402
from tacdiff_ros.optics.illumination import ShadowSamples, irradiance  # noqa: E402
from tacdiff_ros.optics.interreflection import Indirect, indirect_light  # noqa: E402
from tacdiff_ros.optics.local_interreflection import local_interreflection  # noqa: E402
from tacdiff_ros.optics.parameters import Parameters, View  # noqa: E402
from tacdiff_ros.optics.printed_markers import nearest_marker, shade, visible_rest  # noqa: E402
from tacdiff_ros.optics.surface_maps import (  # noqa: E402
    SurfaceMaps,
    packed_maps,
    unpacked_maps,
)

TILT = 0.05  # slope by which derivatives are taken


@dataclass(frozen=True)
class RenderSettings:
    """How an image is drawn.

    Attributes:
        width_px: columns; the model's own by default.
        height_px: rows; the model's own by default.
        samples: per pixel and side: 2 draws four points of each pixel.
        shadows: whether the surface casts shadows.
        seed: of the shadow rays.
    """

    width_px: int | None = None
    height_px: int | None = None
    samples: int = 2
    shadows: bool = True
    seed: int = 0


class _Frame(NamedTuple):
    """What makes a kernel another one; see `RenderSettings`."""

    width_px: int
    height_px: int
    samples: int
    shadows: bool


@dataclass(frozen=True)
class SlopeDerivatives:
    """An image and its derivatives by slope.

    Attributes:
        value: (H, W, 3) float32 pixel values.
        by_slope: (H, W, 3, 2) float32, per unit of dz/dx and dz/dy.
    """

    value: NDArray[np.float32]
    by_slope: NDArray[np.float32]


class Renderer:
    """Draws one sensor; change `parameters` or `mesh.vertices` for gradients.

    Example of a gradient, by the camera's position:

        renderer = Renderer(model)
        renderer.show(surface)
        position = mi.Float(renderer.parameters["camera.position_mm"])
        dr.enable_grad(position)
        renderer.parameters["camera.position_mm"] = position
        image = renderer.draw()          # mi.Color3f, one lane a pixel, rows first
        dr.backward(dr.sum(dr.squared_norm(image - target)))
        dr.grad(position)
    """

    def __init__(self, model: SensorModel) -> None:
        """A sensor, with its untouched surface."""
        self.model = model
        self.parameters = Parameters(parameter_values(model))
        gel = model.gel
        self.mesh = GelMesh(GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11))
        self._indirect: tuple[int, Indirect | None] | None = None
        self._frozen = FrozenCalls(self)

    def show(self, surface: GelSurface) -> None:
        """Draw this surface from now on; surfaces on one grid are changed quickly."""
        if self.mesh.fits(surface):
            self.mesh.show(surface)
        else:
            self.mesh = GelMesh(surface)

    def gather_local_interreflection(self) -> None:
        """Draw what parts of the surface that is shown send to and hide from each other.

        It stays as it is when another surface on the same grid is shown, until it is gathered
        anew or dropped. Without gradients.
        """
        indirect = self._indirect_light()
        if indirect is not None:
            self.mesh.local_interreflection = local_interreflection(
                self.parameters, self.model, self.mesh, indirect
            )

    def drop_local_interreflection(self) -> None:
        """Draw as if the surface were the only part of itself."""
        self.mesh.local_interreflection = None

    def draw(self, settings: RenderSettings | None = None) -> Any:
        """Pixel values (`mi.Color3f`, one lane a pixel), 1 for white, not clipped.

        Gradients flow to all attached `parameters` and to attached `mesh.vertices`.
        """
        frame, seed = self._frame(settings)
        return self._drawn(frame, seed)

    def image(self, settings: RenderSettings | None = None) -> NDArray[np.float32]:
        """Pixel values (H, W, 3) float32 RGB, 1 for white, not clipped."""
        frame, seed = self._frame(settings)
        values = self._called("_flat_image", frame, seed)
        return _on_host(values).reshape(frame.height_px, frame.width_px, 3)

    def slope_derivatives(self, settings: RenderSettings | None = None) -> SlopeDerivatives:
        """The image and how its pixels change with the slope of what they see.

        One sample a pixel. By differences: one lane is drawn as it is, one tilted along x and one
        along y. What a slope does elsewhere (shadows, reflected light) is left out.
        """
        return self.begin_slope_derivatives(settings)()

    def begin_slope_derivatives(
        self, settings: RenderSettings | None = None
    ) -> Callable[[], SlopeDerivatives]:
        """Begin to draw `slope_derivatives`; what is returned waits for them.

        Other work can be done in between. The surface may be changed: what was begun stays.
        """
        frame, seed = self._frame(settings)
        values = self._called("_flat_slopes", frame._replace(samples=1), seed)
        dr.eval(values)

        def finish() -> SlopeDerivatives:
            parts = _on_host(values).reshape(3, frame.height_px, frame.width_px, 3)
            value, along_x, along_y = parts
            by_slope = np.stack([along_x - value, along_y - value], axis=-1) / np.float32(TILT)
            return SlopeDerivatives(value, by_slope)

        return finish

    def maps(self, settings: RenderSettings | None = None) -> SurfaceMaps:
        """Surface maps at the pixels' middles."""
        frame, _ = self._frame(settings)
        values = self._called("_flat_maps", frame._replace(samples=1, shadows=False))
        return unpacked_maps(_on_host(values), (frame.height_px, frame.width_px))

    def vertex_gradient(
        self,
        loss: Callable[..., Any],
        *arrays: Any,
        settings: RenderSettings | None = None,
    ) -> tuple[Any, Any]:
        """A loss of the image, and its gradient by the surface's vertices.

        The same as drawing with attached `mesh.vertices` and calling `dr.backward`, but in one
        large kernel instead of three, and traced once only.

        Args:
            loss: takes the image (`mi.Color3f`, one lane a pixel) and the arrays, returns what each
                pixel adds to the loss (`mi.Float`); the same function each time, which reads no
                other arrays.
            arrays: of Dr.Jit, for the loss; without gradients.
            settings: how the image is drawn.

        Returns:
            Loss (`mi.Float` of width 1) and gradient (flat `mi.Float` (3 N)).

        Raises:
            InputError: `parameters` or `mesh.vertices` have gradients.
        """
        if self._attached():
            raise InputError("vertex_gradient: detach the parameters and vertices, or use draw()")
        frame, seed = self._frame(settings)
        value, gradient = self._frozen.call("_loss_gradient", frame, seed, loss, list(arrays))
        return value, gradient

    def read_arrays(self) -> list[Any]:
        """What kernels read beside their arguments, for a renderer without gradients."""
        indirect = self._indirect_light()
        table = [] if indirect is None else [indirect.table, indirect.tangent]
        return [self.mesh.read_arrays(), self.parameters.read_arrays(), table]

    def _attached(self) -> bool:
        return self.parameters.attached() or dr.grad_enabled(self.mesh.vertices)

    def _called(self, method: str, *arguments: Any) -> Any:
        """What a method returns, without gradients."""
        attached = self._attached()
        with dr.suspend_grad():
            if not attached:
                return self._frozen.call(method, *arguments)
            values = getattr(self, method)(*arguments)
            dr.eval(values)
            return values

    def _loss_gradient(
        self, frame: _Frame, seed: Any, loss: Callable[..., Any], arrays: list[Any]
    ) -> tuple[Any, Any]:
        with self.mesh.attached() as (vertices, normals):
            values = loss(self._drawn(frame, seed), *arrays)
            dr.backward(values)
            direct, by_normal = dr.grad(vertices), dr.grad(normals)
            dr.eval(values, direct, by_normal)
        return dr.sum(dr.detach(values)), direct + self.mesh.normals_backward(by_normal)

    def _flat_image(self, frame: _Frame, seed: Any) -> Any:
        return dr.ravel(self._drawn(frame, seed))

    def _flat_slopes(self, frame: _Frame, seed: Any) -> Any:
        """Images as they are, tilted along x and tilted along y."""
        width, height = frame.width_px, frame.height_px
        count = width * height
        lane = dr.arange(mi.UInt32, 3 * count)
        kind, pixel = lane // count, lane % count
        self.mesh.tilt = TILT * mi.Vector2f(mi.Float(kind == 1), mi.Float(kind == 2))
        try:
            return dr.ravel(self._pixels(pixel, frame, seed))
        finally:
            self.mesh.tilt = None

    def _flat_maps(self, frame: _Frame) -> Any:
        width, height = frame.width_px, frame.height_px
        lane = dr.arange(mi.UInt32, width * height)
        place = _sample_places(lane, mi.UInt32(0), width, height, 1)
        x_px, y_px = self._model_pixels(place)
        view = self.parameters.view(width * height)
        return packed_maps(view, self.model, self.mesh, x_px, y_px)

    def _drawn(self, frame: _Frame, seed: Any) -> Any:
        """Pixel values of all pixels."""
        width, height = frame.width_px, frame.height_px
        return self._pixels(dr.arange(mi.UInt32, width * height), frame, seed)

    def _pixels(self, pixel: Any, frame: _Frame, seed: Any) -> Any:
        """Pixel values of pixels by their numbers; the seed is an array."""
        width, height = frame.width_px, frame.height_px
        samples = frame.samples**2
        lane = dr.arange(mi.UInt32, dr.width(pixel) * samples)
        sampled = pixel if samples == 1 else dr.gather(mi.UInt32, pixel, lane // samples)
        view = self.parameters.view(dr.width(lane))
        place = _sample_places(sampled, lane % samples, width, height, frame.samples)
        shadows = _shadow_samples(sampled, lane, samples, seed)
        radiance = self._radiance(view, place, shadows if frame.shadows else None, frame)
        if samples > 1:
            dr.eval(radiance)
            radiance = mi.Color3f(*(dr.block_sum(part, samples) for part in radiance)) / samples
        middle = mi.Point2f(
            (mi.Float(pixel % width) + 0.5) / width, (mi.Float(pixel // width) + 0.5) / height
        )
        return pixel_values(
            self.parameters.view(dr.width(pixel)),
            self._flat_field_shape(),
            radiance,
            middle,
            width / height,
        )

    def _radiance(
        self, view: View, place: Any, shadows: ShadowSamples | None, frame: _Frame
    ) -> Any:
        """RGB radiance at the camera of points of the image."""
        rays = gel_rays(view, *self._model_pixels(place))
        hit = self.mesh.intersect(rays)
        markers = self.model.markers
        dot = None
        if markers is not None:
            seen = visible_rest(view, hit.rest, rays.direction, hit.normal)
            dot = nearest_marker(view, markers, seen)
        arriving = irradiance(
            view, self.model, self.mesh, hit, dot, self._indirect_light(), shadows
        )
        color = arriving * view.triple("gel.base_color") * (rays.weight / dr.pi)
        if dot is not None:
            footprint = self._footprint(view) * self.model.image.width_px
            footprint /= frame.width_px * frame.samples
            color *= shade(view, dot, footprint)
        return mi.Color3f(dr.select(hit.valid & dr.all(dr.isfinite(color)), color, 0.0))

    def _indirect_light(self) -> Indirect | None:
        """Reflected light; computed again only when a parameter changed or has gradients."""
        if self.parameters.attached():
            return indirect_light(self.parameters, self.model)
        version = self.parameters.version
        if self._indirect is None or self._indirect[0] != version:
            self._indirect = (version, indirect_light(self.parameters, self.model))
        return self._indirect[1]

    def _footprint(self, view: View) -> Any:
        """Size in mm of a pixel of the model's own image on the untouched surface."""
        count = view.count("layers.thickness_mm")
        apparent = -view.scalar("camera.position_mm", 2)
        for k in range(count):
            thickness, index = (
                view.scalar("layers.thickness_mm", k),
                view.scalar("layers.index", k + 1),
            )
            apparent = apparent - thickness + thickness / index
        return apparent / view.scalar("camera.focal_px")

    def _model_pixels(self, place: Any) -> tuple[Any, Any]:
        """Pixels of the model's own image size at places in [0, 1] across the image."""
        image = self.model.image
        return place.x * image.width_px - 0.5, place.y * image.height_px - 0.5

    def _flat_field_shape(self) -> tuple[int, int] | None:
        field = self.model.flat_field
        return None if field is None else (len(field.values), len(field.values[0]))

    def _frame(self, settings: RenderSettings | None) -> tuple[_Frame, Any]:
        """What makes a kernel another one, and the seed as an array, which does not."""
        settings, image = settings or RenderSettings(), self.model.image
        width, height = settings.width_px or image.width_px, settings.height_px or image.height_px
        frame = _Frame(width, height, settings.samples, settings.shadows)
        return frame, dr.opaque(mi.UInt32, settings.seed)


def _on_host(values: Any) -> NDArray[np.float32]:
    """A flat array of this process; one copy from a card, its own memory from a processor."""
    host: NDArray[np.float32] = values.numpy()
    return host if dr.backend_v(mi.Float) == dr.JitBackend.CUDA else host.copy()


def _sample_places(pixel: Any, sample: Any, width: int, height: int, side: int) -> Any:
    """Places in [0, 1] across the image, a regular grid in each pixel."""
    x = mi.Float(pixel % width) + (mi.Float(sample % side) + 0.5) / side
    y = mi.Float(pixel // width) + (mi.Float(sample // side) + 0.5) / side
    return mi.Point2f(x / width, y / height)


def _shadow_samples(pixel: Any, lane: Any, samples: int, seed: Any) -> ShadowSamples:
    return ShadowSamples(
        mi.Float(lane % samples) / samples,
        mi.sample_tea_float32(pixel, 2 * seed, 4),
        mi.sample_tea_float32(lane, 2 * seed + 1, 4),
    )
