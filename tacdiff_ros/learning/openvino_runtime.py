"""Import of OpenVINO without its telemetry, which reports use to Intel via Google Analytics."""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast


def import_openvino() -> Any:
    """Return the module `openvino` with telemetry disabled in this process.

    The telemetry is a separate package that is active by default and stores an identifier in
    `~/intel`. If that package cannot be imported, OpenVINO runs without it.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    cast(Any, sys.modules).setdefault("openvino_telemetry", None)  # makes its import fail
    return importlib.import_module("openvino")
