"""The differentiable renderer: the tactile image of a sensor model and a gel surface.

Camera rays are refracted through the layers in closed form and intersect the surface by Mitsuba's
ray tracing with gradients attached. Illumination is computed in closed form or by a fixed
quadrature; only shadows are sampled. One sample per pixel therefore has very little noise, and all
parameters have exact gradients.

Limits: the gradient of a cast shadow's border is neglected (shadows are sampled visibility). Light
between parts of a deformed surface is simplified (see `interreflection`) unless local
inter-reflection is computed (see `local_interreflection`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.map_arrays import SurfaceMaps
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
from tacdiff_ros.optics.illumination import GOLDEN_RATIO, ShadowSamples, irradiance  # noqa: E402
from tacdiff_ros.optics.interreflection import IndirectLights  # noqa: E402
from tacdiff_ros.optics.local_interreflection import local_interreflection  # noqa: E402
from tacdiff_ros.optics.parameters import Parameters, View  # noqa: E402
from tacdiff_ros.optics.printed_markers import (  # noqa: E402
    marker_reflectance,
    nearest_marker,
    visible_rest,
)
from tacdiff_ros.optics.surface_maps import pack_maps, unpack_maps  # noqa: E402

SLOPE_STEP = 0.05  # step of the finite differences of `slope_derivatives`
DITHER = (52.9829189, 0.06711056, 0.00583715)  # of interleaved gradient noise
SEEDS = 1024  # distinct dithers, consecutive ones far apart


@dataclass(frozen=True)
class RenderSettings:
    """Size and quality of a rendered image.

    Attributes:
        width_px: columns of the image; None for the sensor's.
        height_px: rows of the image; None for the sensor's.
        samples: samples per pixel and side: 2 gives four samples per pixel.
        shadows: whether the surface casts shadows.
        seed: seed of the shadow rays.
    """

    width_px: int | None = None
    height_px: int | None = None
    samples: int = 2
    shadows: bool = True
    seed: int = 0


class _KernelSettings(NamedTuple):
    """The settings that need kernels of their own; see `RenderSettings` for the fields."""

    width_px: int
    height_px: int
    samples: int
    shadows: bool


@dataclass(frozen=True)
class SlopeDerivatives:
    """An image and its derivatives with respect to the slope of the surface at each pixel.

    Attributes:
        value: (H, W, 3) float32 RGB pixel values, 1 for white.
        by_slope: (H, W, 3, 2) float32 derivatives of the pixel values by dz/dx and dz/dy.
        shadow_variance: (H, W, 3) float32 variance of the values by the sampling of shadows, which
            is large at the borders of shadows; None for a single image.
    """

    value: NDArray[np.float32]
    by_slope: NDArray[np.float32]
    shadow_variance: NDArray[np.float32] | None = None

    @classmethod
    def mean(cls, parts: Sequence[SlopeDerivatives]) -> SlopeDerivatives:
        """Return the mean of images with different seeds, and their variance.

        Args:
            parts: two or more images.
        """
        values = np.stack([part.value for part in parts])
        by_slope = np.mean([part.by_slope for part in parts], axis=0)
        return cls(values.mean(axis=0), by_slope, values.var(axis=0, ddof=1))


class Renderer:
    """Renderer of one sensor.

    Enable gradients on arrays of `parameters` or on `mesh.vertices` to differentiate the image. The
    following example computes the gradient of a loss with respect to the camera's position:

        renderer = Renderer(model)
        renderer.set_surface(surface)
        position = mi.Float(renderer.parameters["camera.position_mm"])
        dr.enable_grad(position)
        renderer.parameters["camera.position_mm"] = position
        image = renderer.render()        # mi.Color3f, one lane per pixel, in row-major order
        dr.backward(dr.sum(dr.squared_norm(image - target)))
        dr.grad(position)

    Attributes:
        model: sensor model.
        parameters: sensor parameters, which may be replaced.
        mesh: gel surface.
    """

    def __init__(self, model: SensorModel) -> None:
        """Create a renderer with an undeformed surface.

        Args:
            model: sensor model.
        """
        self.model = model
        self.parameters = Parameters(parameter_values(model))
        gel = model.gel
        self.mesh = GelMesh(GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11))
        self._indirect = IndirectLights(self.parameters, model)
        self._frozen = FrozenCalls(self)

    def set_surface(self, surface: GelSurface) -> None:
        """Set the gel surface to render; this is fast if it has the grid of the previous one.

        Args:
            surface: gel surface.
        """
        if self.mesh.has_same_grid(surface):
            self.mesh.set_surface(surface)
        else:
            self.mesh = GelMesh(surface)

    def gather_local_interreflection(self) -> None:
        """Compute the local inter-reflection of the current surface for the following images.

        The result has no gradients. It stays in use for other surfaces on the same grid until it is
        computed again or dropped.
        """
        indirect = self._indirect.current()
        if indirect is not None:
            self.mesh.local_interreflection = local_interreflection(
                self.parameters, self.model, self.mesh, indirect
            )

    def drop_local_interreflection(self) -> None:
        """Render the following images without local inter-reflection."""
        self.mesh.local_interreflection = None

    def render(self, settings: RenderSettings | None = None) -> Any:
        """Render the image, differentiable by all `parameters` and `mesh.vertices` with gradients.

        Args:
            settings: size and quality of the image; None for the defaults.

        Returns:
            `mi.Color3f` pixel values, one lane per pixel in row-major order, 1 for white, not
            clipped.
        """
        kernel, seed = self._kernel_settings(settings)
        return self._rendered(kernel, seed)

    def image(self, settings: RenderSettings | None = None) -> NDArray[np.float32]:
        """Render the image without gradients.

        Args:
            settings: size and quality of the image; None for the defaults.

        Returns:
            (H, W, 3) float32 RGB pixel values, 1 for white, not clipped.
        """
        kernel, seed = self._kernel_settings(settings)
        values = self._evaluate("_flat_image", kernel, seed)
        return _to_host(values).reshape(kernel.height_px, kernel.width_px, 3)

    def slope_derivatives(self, settings: RenderSettings | None = None) -> SlopeDerivatives:
        """Render the image and its derivatives by the slope of the surface at each pixel.

        The image has one sample per pixel. The derivatives are finite differences: three images are
        rendered, the first unchanged, the others with a slope added along x and along y. The effect
        of a slope on other pixels (shadows, reflected light) is neglected.

        Args:
            settings: size and quality of the image; None for the defaults.
        """
        return self.begin_slope_derivatives(settings)()

    def begin_slope_derivatives(
        self, settings: RenderSettings | None = None
    ) -> Callable[[], SlopeDerivatives]:
        """Start to compute `slope_derivatives` asynchronously.

        The surface may be changed before the result is complete; the result is not affected.

        Args:
            settings: size and quality of the image; None for the defaults.

        Returns:
            Function that waits for the result and returns it.
        """
        kernel, seed = self._kernel_settings(settings)
        values = self._evaluate("_flat_slopes", kernel._replace(samples=1), seed)
        dr.eval(values)

        def finish() -> SlopeDerivatives:
            images = _to_host(values).reshape(3, kernel.height_px, kernel.width_px, 3)
            value, offset_x, offset_y = images
            by_slope = np.stack([offset_x - value, offset_y - value], axis=-1)
            return SlopeDerivatives(value, by_slope / np.float32(SLOPE_STEP))

        return finish

    def maps(self, settings: RenderSettings | None = None) -> SurfaceMaps:
        """Return the surface maps at the centres of the pixels.

        Args:
            settings: size of the image; None for the sensor's.
        """
        kernel, _ = self._kernel_settings(settings)
        values = self._evaluate("_flat_maps", kernel._replace(samples=1, shadows=False))
        return unpack_maps(_to_host(values), (kernel.height_px, kernel.width_px))

    def vertex_gradient(
        self,
        loss: Callable[..., Any],
        *arrays: Any,
        settings: RenderSettings | None = None,
    ) -> tuple[Any, Any]:
        """Return a loss of the image and its gradient with respect to the surface's vertices.

        The result is that of `render` with gradients enabled on `mesh.vertices` and of
        `dr.backward`, but it needs one large kernel instead of three and is traced only once.

        Args:
            loss: function of the image (`mi.Color3f`, one lane per pixel) and the arrays that
                returns the loss of each pixel (`mi.Float`). It must be the same function in each
                call and read no other arrays.
            *arrays: Dr.Jit arrays without gradients, passed to the loss.
            settings: size and quality of the image; None for the defaults.

        Returns:
            Sum of the loss (`mi.Float` of width 1), and its gradient (flat `mi.Float` (3 N)).

        Raises:
            InputError: `parameters` or `mesh.vertices` have gradients.
        """
        if self._has_gradients():
            raise InputError("vertex_gradient: detach the parameters and vertices, or use render()")
        kernel, seed = self._kernel_settings(settings)
        value, gradient = self._frozen.call("_loss_gradient", kernel, seed, loss, list(arrays))
        return value, gradient

    def kernel_inputs(self) -> list[Any]:
        """Return all data that kernels read besides their arguments, if nothing has gradients."""
        indirect = self._indirect.current()
        table = [] if indirect is None else [indirect.table]
        return [self.mesh.kernel_inputs(), self.parameters.kernel_inputs(), table]

    def _has_gradients(self) -> bool:
        return self.parameters.has_gradients() or dr.grad_enabled(self.mesh.vertices)

    def _evaluate(self, method: str, *arguments: Any) -> Any:
        """Return the evaluated result of a method, without gradients."""
        has_gradients = self._has_gradients()
        with dr.suspend_grad():
            if not has_gradients:
                return self._frozen.call(method, *arguments)
            values = getattr(self, method)(*arguments)
            dr.eval(values)
            return values

    def _loss_gradient(
        self, kernel: _KernelSettings, seed: Any, loss: Callable[..., Any], arrays: list[Any]
    ) -> tuple[Any, Any]:
        with self.mesh.separate_gradients() as (vertices, normals):
            values = loss(self._rendered(kernel, seed), *arrays)
            dr.backward(values)
            vertex_gradient, normal_gradient = dr.grad(vertices), dr.grad(normals)
            dr.eval(values, vertex_gradient, normal_gradient)
        gradient = vertex_gradient + self.mesh.normals_backward(normal_gradient)
        return dr.sum(dr.detach(values)), gradient

    def _flat_image(self, kernel: _KernelSettings, seed: Any) -> Any:
        return dr.ravel(self._rendered(kernel, seed))

    def _flat_slopes(self, kernel: _KernelSettings, seed: Any) -> Any:
        """Render three images: unchanged, with a slope added along x, and along y."""
        count = kernel.width_px * kernel.height_px
        lane = dr.arange(mi.UInt32, 3 * count)
        variation, pixel = lane // count, lane % count
        axes = mi.Vector2f(mi.Float(variation == 1), mi.Float(variation == 2))
        self.mesh.slope_offset = SLOPE_STEP * axes
        try:
            return dr.ravel(self._pixels(pixel, kernel, seed))
        finally:
            self.mesh.slope_offset = None

    def _flat_maps(self, kernel: _KernelSettings) -> Any:
        width, height = kernel.width_px, kernel.height_px
        lane = dr.arange(mi.UInt32, width * height)
        position = _sample_positions(lane, mi.UInt32(0), width, height, 1)
        x_px, y_px = self._model_pixels(position)
        view = self.parameters.view(width * height)
        return pack_maps(view, self.model, self.mesh, x_px, y_px)

    def _rendered(self, kernel: _KernelSettings, seed: Any) -> Any:
        """Return the values of all pixels."""
        width, height = kernel.width_px, kernel.height_px
        return self._pixels(dr.arange(mi.UInt32, width * height), kernel, seed)

    def _pixels(self, pixel: Any, kernel: _KernelSettings, seed: Any) -> Any:
        """Return the values of pixels.

        Args:
            pixel: indices of the pixels, in row-major order.
            kernel: size and quality of the image.
            seed: seed of the shadow rays, as an array.
        """
        width, height = kernel.width_px, kernel.height_px
        samples = kernel.samples**2
        lane = dr.arange(mi.UInt32, dr.width(pixel) * samples)
        sampled = pixel if samples == 1 else dr.gather(mi.UInt32, pixel, lane // samples)
        view = self.parameters.view(dr.width(lane))
        position = _sample_positions(sampled, lane % samples, width, height, kernel.samples)
        shadows = _shadow_samples(sampled, lane % samples, samples, width, seed)
        radiance = self._radiance(view, position, shadows if kernel.shadows else None, kernel)
        if samples > 1:
            dr.eval(radiance)
            radiance = (
                mi.Color3f(*(dr.block_sum(channel, samples) for channel in radiance)) / samples
            )
        centre = mi.Point2f(
            (mi.Float(pixel % width) + 0.5) / width, (mi.Float(pixel // width) + 0.5) / height
        )
        return pixel_values(
            view=self.parameters.view(dr.width(pixel)),
            flat_field=self._flat_field_shape(),
            radiance=radiance,
            position=centre,
            aspect=width / height,
        )

    def _radiance(
        self, view: View, position: Any, shadows: ShadowSamples | None, kernel: _KernelSettings
    ) -> Any:
        """Return the RGB radiance at the camera of points of the image.

        Args:
            view: sensor parameters, one lane per point.
            position: (x, y) image coordinates of the points, in [0, 1].
            shadows: sample numbers of the shadow rays; None for no cast shadows.
            kernel: size and quality of the image.
        """
        rays = gel_rays(view, *self._model_pixels(position))
        hit = self.mesh.intersect(rays)
        markers = self.model.markers
        marker = None
        if markers is not None:
            rest = visible_rest(view, hit.rest, rays.direction, hit.normal)
            marker = nearest_marker(view, markers, rest)
        arriving = irradiance(
            view=view,
            model=self.model,
            mesh=self.mesh,
            hit=hit,
            marker=marker,
            indirect=self._indirect.current(),
            shadows=shadows,
        )
        color = arriving * view.triple("gel.base_color") * (rays.weight / dr.pi)
        if marker is not None:
            footprint = self._footprint(view) * self.model.image.width_px
            footprint /= kernel.width_px * kernel.samples
            color *= marker_reflectance(view, marker, footprint)
        return mi.Color3f(dr.select(hit.valid & dr.all(dr.isfinite(color)), color, 0.0))

    def _footprint(self, view: View) -> Any:
        """Return the size of a pixel of the sensor's own image on the undeformed surface, mm."""
        count = view.count("layers.thickness_mm")
        apparent_depth = -view.scalar("camera.position_mm", 2)
        for k in range(count):
            thickness, index = (
                view.scalar("layers.thickness_mm", k),
                view.scalar("layers.index", k + 1),
            )
            apparent_depth = apparent_depth - thickness + thickness / index
        return apparent_depth / view.scalar("camera.focal_px")

    def _model_pixels(self, position: Any) -> tuple[Any, Any]:
        """Return pixels of the sensor's own image size for image coordinates in [0, 1]."""
        image = self.model.image
        return position.x * image.width_px - 0.5, position.y * image.height_px - 0.5

    def _flat_field_shape(self) -> tuple[int, int] | None:
        field = self.model.flat_field
        return None if field is None else (len(field.values), len(field.values[0]))

    def _kernel_settings(self, settings: RenderSettings | None) -> tuple[_KernelSettings, Any]:
        """Return the settings that choose a kernel, and the seed as an array that it reads."""
        settings, image = settings or RenderSettings(), self.model.image
        kernel = _KernelSettings(
            width_px=settings.width_px or image.width_px,
            height_px=settings.height_px or image.height_px,
            samples=settings.samples,
            shadows=settings.shadows,
        )
        return kernel, dr.opaque(mi.UInt32, settings.seed)


def _to_host(values: Any) -> NDArray[np.float32]:
    """Copy a flat array to NumPy; the array of a CPU would otherwise share Dr.Jit's memory."""
    host: NDArray[np.float32] = values.numpy()
    return host if dr.backend_v(mi.Float) == dr.JitBackend.CUDA else host.copy()


def _sample_positions(pixel: Any, sample: Any, width: int, height: int, side: int) -> Any:
    """Return the image coordinates of samples, which form a regular grid in each pixel.

    Args:
        pixel: indices of the pixels, in row-major order.
        sample: indices of the samples in their pixel.
        width: columns of the image.
        height: rows of the image.
        side: samples per pixel and side.

    Returns:
        (x, y) coordinates in [0, 1].
    """
    x = mi.Float(pixel % width) + (mi.Float(sample % side) + 0.5) / side
    y = mi.Float(pixel // width) + (mi.Float(sample // side) + 0.5) / side
    return mi.Point2f(x / width, y / height)


def _shadow_samples(pixel: Any, sample: Any, samples: int, width: int, seed: Any) -> ShadowSamples:
    """Return sample numbers that are evenly spread over the samples of near pixels.

    The rotation is an ordered dither (interleaved gradient noise, Jimenez 2014): the mean over a
    few pixels, or over consecutive seeds, has much less noise than with independent numbers.
    They depend on pixel and sample only: images that differ in a slope have the same shadow rays.

    Args:
        pixel: indices of the pixels, in row-major order.
        sample: indices of the samples in their pixel.
        samples: number of samples of a pixel.
        width: columns of the image.
        seed: seed, as an array.
    """
    x, y = mi.Float(pixel % width), mi.Float(pixel // width)
    inner = DITHER[1] * x + DITHER[2] * y
    outer = DITHER[0] * (inner - dr.floor(inner)) + GOLDEN_RATIO * mi.Float(seed % SEEDS)
    return ShadowSamples(
        stratum=mi.Float(sample) / samples,
        rotation=outer - dr.floor(outer),
        across=mi.sample_tea_float32(pixel * samples + sample, 2 * seed + 1, 4),
    )
