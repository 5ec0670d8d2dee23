"""Local web page of a guided calibration: live picture, instruction, buttons.

It listens on 127.0.0.1 only. Requests for another host name are refused, so that no page of the
internet can read the picture by DNS rebinding, and buttons need a header that such a page cannot
send.
"""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("live_page.html")
COMMANDS = ("take", "undo", "finish")
COMMAND_HEADER = "X-Tacdiff"
POLL_S = 0.05  # until the server notices that it ends
MAX_COMMANDS = 100  # that wait
JPEG_QUALITY = 90
CONTENT_POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'"
)


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
        port: port on 127.0.0.1.
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
        try:
            self._server = ThreadingHTTPServer((HOST, port), handler)
        except OSError as error:
            raise InputError(
                f"port {port} of {HOST} cannot be used ({error.strerror}): give another --port"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.port}/"

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


class _Handler(BaseHTTPRequestHandler):
    """Serves the page, its picture and state, and receives the buttons."""

    page: LivePage
    timeout = 10.0  # s, of a client that sends nothing

    def do_GET(self) -> None:
        """Send the page, the picture or the state."""
        state = self.page.state
        path = self.path.partition("?")[0]
        if not self._is_local():
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"")
        elif path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.read_bytes())
        elif path == "/picture.jpg" and state.picture:
            self._send(HTTPStatus.OK, "image/jpeg", state.picture)
        elif path == "/state.json":
            self._send(HTTPStatus.OK, "application/json", json.dumps(state.text).encode())
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"")

    def do_POST(self) -> None:
        """Receive a button."""
        command = self.path.strip("/")
        if not (self._is_local() and self.headers.get(COMMAND_HEADER) and command in COMMANDS):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"")
            return
        with suppress(queue.Full):  # the program is busy
            self.page.commands.put_nowait(command)
        self._send(HTTPStatus.ACCEPTED, "text/plain", b"")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def _is_local(self) -> bool:
        names = {f"{name}:{self.page.port}" for name in (HOST, "localhost")}
        return self.headers.get("Host") in names

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", CONTENT_POLICY)
        self.end_headers()
        self.wfile.write(content)
