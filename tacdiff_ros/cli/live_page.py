"""Local web page of a guided calibration: live picture, instruction, buttons.

Buttons need a header that pages of the internet cannot send.
"""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.viewing.local_server import LocalHandler, LocalServer

PAGE = Path(__file__).with_name("live_page.html")
COMMANDS = ("take", "undo", "finish")
COMMAND_HEADER = "X-Tacdiff"
POLL_S = 0.05  # until the server notices that it ends
MAX_COMMANDS = 100  # that wait
JPEG_QUALITY = 90


@dataclass
class PageState:
    """What the page shows; replaced by the program's thread, read by the server's.

    Attributes:
        text: texts of the page by name.
        picture: JPEG file.
    """

    text: dict[str, Any] = field(default_factory=dict)
    picture: bytes = b""


class LivePage:
    """Page that a running program fills.

    Attributes:
        commands: commands of the user, in order; the buttons put one of `COMMANDS` each.
    """

    def __init__(self, port: int) -> None:
        """Start the server.

        Args:
            port: port on 127.0.0.1; 0 for any free one.

        Raises:
            InputError: the port is taken.
        """
        self.state = PageState()
        self.commands: queue.Queue[str] = queue.Queue(MAX_COMMANDS)
        handler = type("Handler", (_Handler,), {"page": self})
        self._server = LocalServer(port, handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the page."""
        return self._server.url

    def show(self, picture: NDArray[np.uint8] | None = None, **text: Any) -> None:
        """Change the picture and texts of the page.

        Args:
            picture: (H, W, 3) uint8 RGB; None to keep the present one.
            text: texts that change, by name.
        """
        jpeg = self.state.picture
        if picture is not None:
            _, data = cv2.imencode(
                ".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            )
            jpeg = data.tobytes()
        self.state = PageState({**self.state.text, **text}, jpeg)

    def next_command(self) -> str | None:
        """Return the next command of the user; None if there is none."""
        try:
            return self.commands.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(LocalHandler):
    """Serves the page, its picture and state, and receives the buttons."""

    page: LivePage

    def do_GET(self) -> None:  # noqa: N802
        """Send the page, the picture or the state."""
        state = self.page.state
        path = self.path.partition("?")[0]
        if not self.is_local():
            return
        if path == "/":
            self.send("text/html; charset=utf-8", PAGE.read_bytes())
        elif path == "/picture.jpg" and state.picture:
            self.send("image/jpeg", state.picture)
        elif path == "/state.json":
            self.send("application/json", json.dumps(state.text).encode())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """Receive a button."""
        if not self.is_local():
            return
        command = self.path.strip("/")
        if not self.headers.get(COMMAND_HEADER) or command not in COMMANDS:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        with suppress(queue.Full):  # the program is busy
            self.page.commands.put_nowait(command)
        self.send("text/plain", b"", HTTPStatus.ACCEPTED)
