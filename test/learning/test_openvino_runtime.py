"""Running a network sends nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

IMPORT = """
import sys
SENDING = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.posix_spawn")
said = set()
sys.addaudithook(lambda event, _: said.add(event) if event in SENDING else None)
from tacdiff_ros.learning.openvino_runtime import import_openvino
import_openvino().Core()
print(*said, *(name for name, module in sys.modules.items() if module and "telemetry." in name))
"""


def test_import_of_openvino_contacts_nobody():
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed; `make setup` brings it")
    told = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []
