"""Serves a live view to browsers of this machine."""

from __future__ import annotations

import json
from http import HTTPStatus

from tacdiff_ros.viewing.live import LiveView
from tacdiff_ros.viewing.local_server import LocalHandler, LocalServer

BOUNDARY = "frame"


class LiveServer(LocalServer):
    """HTTP server of one live view.

    Attributes:
        view: live view that is shown.
        page: HTML text of the page.
    """

    def __init__(self, view: LiveView, page: str, port: int) -> None:
        """Bind the port.

        Args:
            view: live view.
            page: HTML text of the page.
            port: port; 0 for a free one.

        Raises:
            InputError: the port is taken.
        """
        self.view, self.page = view, page
        super().__init__(port, _Handler)


class _Handler(LocalHandler):
    server: LiveServer

    def do_GET(self) -> None:  # noqa: N802
        """Send the page, its pictures as one endless answer, or its status."""
        if not self.is_local():
            return
        if self.path == "/":
            self.send("text/html; charset=utf-8", self.server.page.encode())
        elif self.path == "/status":
            self.send("application/json", json.dumps(self.server.view.status()).encode())
        elif self.path == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """Take a reference image."""
        if not self.is_local():
            return
        if self.path != "/reference":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.server.view.take_reference()
        self.send("application/json", b"{}")

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        number = 0
        try:
            while (newest := self.server.view.next_jpeg(number)) is not None:
                number, jpeg = newest
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
        except OSError:  # the browser has closed the page
            return
