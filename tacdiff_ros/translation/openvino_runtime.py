"""OpenVINO, silent: its import would report each use to Intel through Google Analytics."""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast


def import_openvino() -> Any:
    """The module `openvino`, which sends nothing in this process.

    Its telemetry is a package of its own, sends without being asked, and keeps an identifier in
    `~/intel`. Where that package cannot be imported OpenVINO goes on without.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    cast(Any, sys.modules).setdefault("openvino_telemetry", None)  # imports of it fail
    return importlib.import_module("openvino")
