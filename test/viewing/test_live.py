"""The live view serves frames, change and depth to this machine only."""

from __future__ import annotations

import http.client
import threading
import time

import cv2
import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.viewing.live import REFERENCE_IMAGES, LiveView
from tacdiff_ros.viewing.live_server import LiveServer


class Steps:
    """Frames of brightness 100, and of 120 from the frame after the reference image on."""

    def __init__(self, last: int | None = None) -> None:
        self.count, self.last, self.is_closed = 0, last, False

    def read(self) -> np.ndarray | None:
        time.sleep(0.005)
        self.count += 1
        if self.count == self.last:
            raise InputError("the camera is gone")
        if self.count == 2:
            return None  # a broken frame
        level = 100 if self.count <= REFERENCE_IMAGES + 1 else 120
        return np.full((24, 32, 3), level, np.uint8)

    def close(self) -> None:
        self.is_closed = True


def pictures(view: LiveView, count: int) -> list[np.ndarray]:
    number, decoded = 0, []
    for _ in range(count):
        newest = view.next_jpeg(number)
        assert newest is not None
        number, jpeg = newest
        decoded.append(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    return decoded


def test_a_picture_is_the_frame_beside_its_change_from_the_reference_image():
    source = Steps()
    view = LiveView(source, None)
    last = pictures(view, 20)[-1].astype(float)
    view.close()
    assert last.shape == (24, 64, 3)
    assert abs(last[:, :32].mean() - 120) < 2
    assert abs(last[:, 32:].mean() - (128 + 4 * 20)) < 2
    assert source.is_closed


def test_a_new_reference_image_makes_the_change_zero():
    view = LiveView(Steps(), None)
    pictures(view, 10)
    view.take_reference()
    last = pictures(view, 20)[-1].astype(float)
    view.close()
    assert abs(last[:, 32:].mean() - 128) < 2


def test_a_lost_camera_is_named():
    view = LiveView(Steps(last=8), None)
    deadline_s = time.monotonic() + 5
    while view.error is None and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert view.error == "the camera is gone"
    view.close()


@pytest.fixture
def server():
    view = LiveView(Steps(), None)
    made = LiveServer(view, "<h1>page</h1>", 0)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()
    view.close()


def answer(server, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    content = response.read(200)
    connection.close()
    return response.status, content


def test_the_page_streams_to_this_machine(server):
    assert answer(server, "GET", "/") == (200, b"<h1>page</h1>")
    status, content = answer(server, "GET", "/stream")
    assert status == 200
    assert content.startswith(b"--frame\r\nContent-Type: image/jpeg")
    assert answer(server, "POST", "/reference")[0] == 200
    assert answer(server, "GET", "/other")[0] == 404


def test_pages_of_other_origins_are_refused(server):
    assert answer(server, "GET", "/status", Host="example.org")[0] == 403
    assert answer(server, "POST", "/reference", Origin="http://example.org")[0] == 403


def test_only_the_loopback_address_is_bound(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named(server):
    with pytest.raises(InputError, match="another --port"):
        LiveServer(server.view, "", server.server_port)
