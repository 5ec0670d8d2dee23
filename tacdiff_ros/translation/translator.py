"""Runs an exported generator with OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.model_file import NETWORK, check_sensor, load_network
from tacdiff_ros.translation.openvino_runtime import import_openvino

Precision = Literal["exact", "fast"]


class Translator:
    """Maps in, tactile images out.

    Example: `Translator(Path("model")).translate(network_input("nocs", nocs))`
    """

    def __init__(
        self, folder: Path, threads: int | None = None, precision: Precision = "exact"
    ) -> None:
        """Load a model.

        Args:
            folder: of the model.
            threads: of the processor; default: what OpenVINO finds best.
            precision: `fast` lets processors that can calculate in bfloat16 at some
                loss of precision; `exact` keeps float32.

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
        """InputError for a model that was trained for another sensor file."""
        check_sensor(self.card, checksum, full_indentation_mm)

    def translate(self, maps: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 of one input (C, H, W), see `network_input`.

        Raises:
            InputError: another shape than the model's.
        """
        if maps.shape != self._shape:
            raise InputError(
                f"input of shape {maps.shape}, expected {self._shape} for a model of kind "
                f"{self.card.settings.kind}"
            )
        drawn = self._request.infer({0: np.ascontiguousarray(maps[None], np.float32)})[0][0]
        if not np.isfinite(drawn).all():
            raise InputError("the network drew values that are not finite: train it again")
        values = np.rint(255.0 * np.clip(drawn, 0.0, 1.0)).astype(np.uint8)
        return np.ascontiguousarray(values.transpose(1, 2, 0))

    def stream(self, inputs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.uint8]]:
        """Images of inputs (C, H, W) as they come."""
        for maps in inputs:
            yield self.translate(maps)
