"""Inference with an exported generator, by OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line
from tacdiff_ros.learning.openvino_runtime import import_openvino
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.model_file import NETWORK, check_sensor, load_network

Precision = Literal["exact", "fast"]


class Translator:
    """Translates network inputs to tactile images.

    Example: `Translator(Path("model")).translate(network_input("nocs", nocs))`
    """

    def __init__(
        self, folder: Path, threads: int | None = None, precision: Precision = "exact"
    ) -> None:
        """Load a model.

        Args:
            folder: folder of the model.
            threads: number of CPU threads; by default OpenVINO chooses it.
            precision: `exact` computes in float32; `fast` computes in bfloat16 on CPUs that
                support it, at some loss of precision.

        Raises:
            InputError: OpenVINO or a file is missing, or a file is damaged.
        """
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise InputError(
                "running a model needs openvino: `pip install 'tacdiff_ros[learn]'`, or run "
                "`make setup`"
            ) from error
        path = folder / NETWORK
        content, self.card = load_network(folder)
        settings = self.card.settings
        self._shape = (CHANNELS[settings.kind], settings.height_px, settings.width_px)
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision == "exact":
            options["INFERENCE_PRECISION_HINT"] = "f32"
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            network = openvino.Core().read_model(content, b"")
            network.reshape([1, *self._shape])
            self._request = openvino.compile_model(network, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise InputError(f"{path} cannot be run ({one_line(error, 160)})") from error

    def check_sensor(self, checksum: str, full_indentation_mm: float) -> None:
        """Raise an error if the model was trained for another sensor file.

        Args:
            checksum: checksum of the sensor file in use.
            full_indentation_mm: indentation at which the third NOCS channel is 0, mm, by the
                sensor file in use.

        Raises:
            InputError: the sensor or the depth range of the NOCS maps differs.
        """
        check_sensor(self.card, checksum, full_indentation_mm)

    def translate(self, maps: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the tactile image of one input.

        Args:
            maps: (C, H, W) float32 result of `network_input`.

        Returns:
            (H, W, 3) uint8 RGB image.

        Raises:
            InputError: the input has another shape than the model's, or the network's output is
                not finite.
        """
        if maps.shape != self._shape:
            raise InputError(
                f"input of shape {maps.shape}, expected {self._shape} for a model of kind "
                f"{self.card.settings.kind}"
            )
        output = self._request.infer({0: np.ascontiguousarray(maps[None], np.float32)})[0][0]
        if not np.isfinite(output).all():
            raise InputError("the network's output has values that are not finite: train it again")
        values = np.rint(255.0 * np.clip(output, 0.0, 1.0)).astype(np.uint8)
        return np.ascontiguousarray(values.transpose(1, 2, 0))

    def stream(self, inputs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images (H, W, 3) uint8 of inputs (C, H, W) float32, one after the other."""
        for maps in inputs:
            yield self.translate(maps)
