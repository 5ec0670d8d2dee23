"""Network and physical renderer of one sensor behind one lock."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.network_renderer import NetworkRenderer, RenderedSurface
from tacdiff_ros.twin.physical_renderer import PhysicalRenderer


class SharedRenderer:
    """Renders one image at a time; the physical renderer is created at its first use."""

    def __init__(
        self,
        model: SensorModel,
        network: NetworkRenderer | None,
        threads: int | None = None,
        differentiable: bool = False,
        local_interreflection: bool = True,
    ) -> None:
        """Start without the physical renderer.

        Args:
            model: sensor model.
            network: renderer of streamed frames; None for the physical renderer.
            threads: number of threads of the physical renderer; None for the default.
            differentiable: whether the physical renderer is the differentiable one.
            local_interreflection: whether the fast renderer computes local inter-reflection.
        """
        self._model, self._network = model, network
        self._threads, self._differentiable = threads, differentiable
        self._local_interreflection = local_interreflection
        self._renderer: PhysicalRenderer | None = None
        self._physical: SharedRenderer | None = None
        self._lock = threading.RLock()

    def physical(self) -> SharedRenderer:
        """Return the physical renderer, under the same lock."""
        if self._network is None:
            return self
        if self._physical is None:
            self._physical = SharedRenderer(
                self._model, None, self._threads, False, self._local_interreflection
            )
            self._physical._lock = self._lock
        return self._physical

    def for_requests(self, use_renderer: bool) -> SharedRenderer:
        """Return the renderer of single presses.

        Args:
            use_renderer: whether the physical renderer is requested instead of the network.
        """
        return self.physical() if use_renderer else self

    def render_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """Render the image of a surface, and its maps if `with_maps`."""
        with self._lock:
            if self._network is not None:
                return self._network.render_surface(surface)
            self._renderer = self._renderer or self._create_renderer()
            return self._renderer.render_surface(surface, with_maps)

    def render_nocs(self, nocs: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Render the (H, W, 3) uint8 image of a NOCS map (H, W, 3) float32 in [0, 1].

        Raises:
            InputError: there is no network.
        """
        with self._lock:
            if self._network is None:
                raise InputError("the renderer needs surfaces: use simulator:=pix2pix for maps")
            return self._network.render_nocs(nocs)

    def _create_renderer(self) -> PhysicalRenderer:
        if not self._differentiable:
            threads = self._threads or FastSettings().threads
            settings = FastSettings(
                threads=threads, local_interreflection=self._local_interreflection
            )
            return PhysicalRenderer(self._model, FastRenderer(self._model, settings))
        from tacdiff_ros.optics.renderer import Renderer
        from tacdiff_ros.optics.variant import limit_threads

        if self._threads:
            limit_threads(self._threads)
        return PhysicalRenderer(self._model, Renderer(self._model))
