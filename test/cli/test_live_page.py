"""The page of a guided calibration: its state, its buttons, and whom it refuses."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest

from tacdiff_ros.cli.live_page import LivePage


@pytest.fixture
def page():
    page = LivePage(0)
    yield page
    page.close()


def ask(page, path, method="GET", **headers):
    connection = HTTPConnection(urlsplit(page.url).netloc, timeout=5)
    connection.request(method, "/" + path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_the_page_shows_the_newest_state_and_picture(page):
    page.show(np.zeros((8, 8, 3), np.uint8), instruction="press", can_take=True)
    page.show(hint="moves")
    state = json.loads(ask(page, "state.json")[1])
    assert state == {"instruction": "press", "can_take": True, "hint": "moves"}
    assert ask(page, "picture.jpg")[1].startswith(b"\xff\xd8")
    assert b"<title>" in ask(page, "")[1]


def test_buttons_reach_the_program_in_order(page):
    for name in ("take", "undo", "finish"):
        ask(page, name, "POST", **{"X-Tacdiff": "1"})
    assert [page.next_command() for _ in range(4)] == ["take", "undo", "finish", None]


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("take", "POST", {}),
        ("quit", "POST", {"X-Tacdiff": "1"}),
        ("take", "POST", {"X-Tacdiff": "1", "Host": "evil.example"}),
        ("state.json", "GET", {"Host": "evil.example"}),
    ],
)
def test_other_pages_can_neither_read_nor_press_buttons(page, path, method, headers):
    assert ask(page, path, method, **headers)[0] == 403
    assert page.next_command() is None
