"""Serves a live view to browsers of this machine."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import explain
from tacdiff_ros.viewing.live import LiveView

ADDRESS = "127.0.0.1"
BOUNDARY = "frame"


class LiveServer(ThreadingHTTPServer):
    """HTTP server of one live view, on the loopback address only.

    Attributes:
        view: live view that is shown.
        page: HTML text of the page.
    """

    daemon_threads = True

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
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise InputError(f"port {port}: {explain(error)}; give another --port") from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer

    def do_GET(self) -> None:
        """Send the page, its pictures as one endless answer, or its status."""
        if not self._is_local():
            return
        if self.path == "/":
            self._send("text/html; charset=utf-8", self.server.page.encode())
        elif self.path == "/status":
            self._send("application/json", json.dumps(self.server.view.status()).encode())
        elif self.path == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Take a reference image."""
        if not self._is_local():
            return
        if self.path != "/reference":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.server.view.take_reference()
        self._send("application/json", b"{}")

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing."""

    def _is_local(self) -> bool:
        """Refuse pages of other origins, whose names a browser may resolve to this machine."""
        own = {f"{host}:{self.server.server_port}" for host in (ADDRESS, "localhost")}
        origin = (self.headers.get("Origin") or "").removeprefix("http://")
        if self.headers.get("Host") in own and (not origin or origin in own):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

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
