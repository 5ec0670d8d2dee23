"""Inference with a trained touch encoder, by OpenVINO, for images and for streams of images."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line
from tacdiff_ros.learning.openvino_runtime import import_openvino
from tacdiff_ros.touch_features.encoder_file import INPUT_SHAPE, NETWORK, load_network
from tacdiff_ros.touch_features.touch_input import (
    HEIGHT,
    MOTION_S,
    WIDTH,
    is_enlarged,
    network_input,
    touch_image,
)

MAX_MOTION_S = 0.4  # older images say nothing about the present motion
MIN_INDENTATION_MM = 0.02
MIN_CONTACT_CELLS = 4  # cells of the surface maps, 16 pixels each

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class TouchReading:
    """Reading of one image by the encoder.

    Attributes:
        embedding: (F,) features for probes and heads of one's own.
        touch: (F,) features of length 1 that are alike for the same touch on other sensors.
        properties: estimated quantities by name: `force` (N), `contact_area_mm2`, `curvature`
            (1/mm), `texture_rms_mm`, `texture_wavelength_mm`, `compliance`, `slip_fraction`;
            NaN for those that the encoder's card withholds.
        surface: (5, 30, 40) estimated indentation (mm), slopes dz/dx and dz/dy, and in-plane
            displacement x and y (mm), in image layout.
    """

    embedding: Floats
    touch: Floats
    properties: Mapping[str, float]
    surface: Floats

    @property
    def contact(self) -> bool:
        """Whether the estimated indentation says that something touches the gel."""
        return int((self.surface[0] > MIN_INDENTATION_MM).sum()) >= MIN_CONTACT_CELLS

    @property
    def shear_mm(self) -> NDArray[np.float64]:
        """(2,) mean in-plane displacement of the gel in the contact, mm; 0 without contact."""
        if not self.contact:
            return np.zeros(2)
        weight = np.maximum(self.surface[0], 0.0).astype(float)
        return np.asarray((self.surface[3:] * weight).sum((1, 2)) / weight.sum())


class TouchEncoder:
    """Touch encoder with its heads.

    Example: `TouchEncoder(Path("encoder")).read(image, reference).touch`

    Attributes:
        card: metadata of the encoder.
        checksum: SHA-256 of the encoder's file; touches of other encoders are not comparable.
    """

    def __init__(
        self, folder: Path, threads: int | None = None, give_withheld: bool = False
    ) -> None:
        """Load an encoder.

        Args:
            folder: folder of the encoder.
            threads: number of CPU threads; by default OpenVINO chooses it.
            give_withheld: give the quantities too that the card withholds, to measure them.

        Raises:
            InputError: OpenVINO or a file is missing, or a file is damaged.
        """
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise InputError(
                "the touch encoder needs openvino: `pip install 'tacdiff_ros[learn]'`, or run "
                "`make setup`"
            ) from error
        content, self.card = load_network(folder)
        self._withheld = set() if give_withheld else set(self.card.withheld)
        self.checksum = hashlib.sha256(content).hexdigest()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            network = openvino.Core().read_model(content, b"")
            network.reshape([1, *INPUT_SHAPE])
            self._request = openvino.compile_model(network, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise InputError(
                f"{folder / NETWORK} cannot be run ({one_line(error, 160)})"
            ) from error

    def read(self, image: Image, reference: Image, earlier: Image | None = None) -> TouchReading:
        """Return the reading of one image.

        Args:
            image: (H, W, 3) uint8 RGB image, with the aspect ratio 4:3.
            reference: reference image of the same sensor.
            earlier: image 0.12 s earlier; None if there is none.

        Raises:
            InputError: an image has an unusable type, size or aspect ratio, or the output is not
                finite.
        """
        before = None if earlier is None else touch_image(earlier)[None]
        values = network_input(touch_image(image)[None], touch_image(reference)[None], before)
        _check_sharpness(is_enlarged(image), is_enlarged(reference))
        embedding, touch, properties, surface = self._infer(values)
        return TouchReading(embedding, touch, self._quantities(properties), surface)

    def _infer(self, values: Floats) -> list[Floats]:
        outputs = self._request.infer({0: values})
        results = [np.array(outputs[k][0], np.float32) for k in range(4)]
        if not all(np.isfinite(values).all() for values in results):
            raise InputError("the touch encoder's output is not finite: train it again")
        return results

    def _quantities(self, values: Floats) -> dict[str, float]:
        card = self.card
        logarithm = np.asarray(card.mean) + np.asarray(card.stddev) * values
        quantities = np.maximum(np.exp(np.minimum(logarithm, 20.0)) - np.asarray(card.floors), 0.0)
        result = dict(zip(card.properties, quantities.tolist(), strict=True))
        if "slip_fraction" in result:
            result["slip_fraction"] = min(1.0, result["slip_fraction"])
        return result | dict.fromkeys(self._withheld & set(result), math.nan)


def _check_sharpness(image_is_enlarged: bool, reference_is_enlarged: bool) -> None:
    """Check that an image and its reference image are both enlarged, or neither is.

    Raises:
        InputError: only one is, so that their difference shows the lost sharpness as a touch.
    """
    if image_is_enlarged != reference_is_enlarged:
        small = "image" if image_is_enlarged else "reference image"
        raise InputError(
            f"only the {small} is smaller than {WIDTH}x{HEIGHT} pixels, so that their difference "
            "is no touch: give both in the same size"
        )


class TouchStream:
    """Reads the images of one sensor in the order of their time.

    Attributes:
        reference: reference image in the size of the encoder; None before it is known.
    """

    def __init__(self, encoder: TouchEncoder) -> None:
        """Start without a reference image.

        Args:
            encoder: touch encoder.
        """
        self._encoder = encoder
        self.reference: Image | None = None
        self._is_enlarged = False
        self._recent: deque[tuple[float, Image]] = deque()

    def set_reference(self, image: Image) -> None:
        """Set the reference image, and forget earlier images.

        Args:
            image: (H, W, 3) uint8 RGB image of the untouched gel.

        Raises:
            InputError: the image is unusable.
        """
        self.reference = touch_image(image)
        self._is_enlarged = is_enlarged(image)
        self._recent.clear()

    def read(self, image: Image, stamp_s: float) -> TouchReading:
        """Return the reading of the next image, with the motion since the image 0.12 s earlier.

        Args:
            image: (H, W, 3) uint8 RGB image.
            stamp_s: time of the image, s.

        Raises:
            InputError: there is no reference image, or the image is unusable.
        """
        if self.reference is None:
            raise InputError("no reference image yet: show the untouched gel first")
        current = touch_image(image)
        _check_sharpness(is_enlarged(image), self._is_enlarged)
        if self._recent and stamp_s <= self._recent[-1][0]:
            self._recent.clear()  # time went back: a new recording
        while len(self._recent) > 1 and stamp_s - self._recent[1][0] >= MOTION_S - 1e-6:
            self._recent.popleft()
        earlier = None
        if self._recent and MOTION_S / 2 <= stamp_s - self._recent[0][0] <= MAX_MOTION_S:
            earlier = self._recent[0][1]
        self._recent.append((stamp_s, current))
        return self._encoder.read(current, self.reference, earlier)
