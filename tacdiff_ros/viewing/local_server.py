"""HTTP server for browsers of this machine only.

It listens on 127.0.0.1, and refuses requests for another host name or from a page of another
origin, so that no page of the internet can read or control anything by DNS rebinding.
"""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import explain

HOST = "127.0.0.1"
CONTENT_POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'"
)


class LocalServer(ThreadingHTTPServer):
    """HTTP server on the loopback address."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[LocalHandler]) -> None:
        """Bind the port.

        Args:
            port: port; 0 for a free one.
            handler: answers requests.

        Raises:
            InputError: the port is taken.
        """
        try:
            super().__init__((HOST, port), handler)
        except OSError as error:
            raise InputError(f"port {port}: {explain(error)}; give another --port") from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"


class LocalHandler(BaseHTTPRequestHandler):
    """Base of handlers, which answer nobody but pages of their own server."""

    server: LocalServer
    timeout = 10.0  # s, of a client that sends nothing

    def is_local(self) -> bool:
        """Return whether a request is from a page of this server; refuse it otherwise."""
        own = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        origin = (self.headers.get("Origin") or "").removeprefix("http://")
        if self.headers.get("Host") in own and (not origin or origin in own):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def send(self, kind: str, content: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send a whole response, which browsers do not keep.

        Args:
            kind: media type.
            content: body.
            status: status of the response.
        """
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", CONTENT_POLICY)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing."""
