"""Inverters of one sensor for single images and for a stream, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]


class SensorInverters:
    """Creates an inverter when it is first needed, in the thread that needs it.

    Single images and frames are inverted one after the other, whatever threads ask for them.
    """

    def __init__(
        self,
        model: SensorModel,
        reference: Image | None,
        settings: InversionSettings,
        material: GelMaterial | None = None,
        modulus_stddev_mpa: float | None = None,
    ) -> None:
        """Store the sensor; the inverters are created on first use.

        Args:
            model: calibrated sensor.
            reference: (H, W, 3) uint8 RGB image of the undeformed gel; None for the model's
                rendering of it.
            settings: settings of single images; `steps_streaming` is that of the stream.
            material: gel material, for the contact forces; None for the default.
            modulus_stddev_mpa: standard deviation of Young's modulus, MPa; None for 30 %.
        """
        self.model = model
        self.reference = reference
        self._settings = settings
        self._material, self._modulus_stddev_mpa = material, modulus_stddev_mpa
        self._lock = threading.Lock()
        self._single: Inverter | None = None
        self._stream: Inverter | None = None

    @property
    def has_reference(self) -> bool:
        """Whether images are compared with a reference image instead of a rendered one."""
        return self.reference is not None

    def invert(self, image: Image, progress: Callable[[float], None]) -> Inversion:
        """Invert a single image.

        Args:
            image: (H, W, 3) uint8 RGB.
            progress: callback on the completed fraction.

        Raises:
            InputError: the image is not from this sensor.
        """
        with self._lock:
            self._single = self._single or self._inverter(self._settings)
            return self._single.invert(image, progress)

    def follow(self, image: Image, after_pause: bool, with_forces: bool = False) -> Inversion:
        """Invert the next frame of the stream.

        Args:
            image: (H, W, 3) uint8 RGB.
            after_pause: whether frames were left out, so that the last one is no start.
            with_forces: whether to estimate the contact forces, which takes longer.

        Raises:
            InputError: the image is not from this sensor.
        """
        with self._lock:
            if self._stream is None:
                steps = self._settings.steps_streaming
                settings = STREAMING.model_copy(update={"steps_streaming": steps})
                self._stream = self._inverter(settings)
            if after_pause:
                self._stream.reset()
            return self._stream.follow(image, with_forces)

    def health(self, image: Image, inversion: Inversion) -> GelHealth:
        """Assess the condition of the gel in an image that was inverted.

        Args:
            image: (H, W, 3) uint8 RGB.
            inversion: result of `invert` or `follow`.
        """
        with self._lock:
            inverter = self._single or self._stream or self._inverter(self._settings)
            return inverter.health(image, inversion)

    def reset_stream(self) -> None:
        """Forget the last frame, so that the next one starts a new stream."""
        with self._lock:
            if self._stream is not None:
                self._stream.reset()

    def _inverter(self, settings: InversionSettings) -> Inverter:
        return Inverter(
            self.model, self.reference, settings, self._material, self._modulus_stddev_mpa
        )
