"""Live part of `tacdiff view`: a camera in a page of this machine."""

from __future__ import annotations

import json
import threading
import webbrowser
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.reports.pages import page_text
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.viewing.live import LiveFrames, LiveView
from tacdiff_ros.viewing.live_server import LiveServer
from tacdiff_ros.viewing.live_sources import CameraSource, VirtualSource

POLL_S = 0.2


def show_live(
    camera: str, sensor: Path | None, port: int, open_browser: bool, as_json: bool
) -> None:
    """Serve a live view until it is interrupted.

    Args:
        camera: part of a camera's name, number, path, or "virtual".
        sensor: sensor file for the depth; None for a view without depth.
        port: port on this machine; 0 for a free one.
        open_browser: whether to open the page.
        as_json: whether to print the address as JSON.

    Raises:
        InputError: the camera does not open or was lost, the sensor file is invalid, or the port is
            taken.
    """
    model = None if sensor is None else read_sensor(sensor)
    frames: LiveFrames
    if camera == "virtual":
        frames = VirtualSource(model or default_sensor())
    else:
        frames = CameraSource(camera, model)
    view = LiveView(frames, model)
    try:
        page = page_text("live.html.j2", title=f"Live view of {camera}", sensor=model)
        server = LiveServer(view, page, port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        text = json.dumps({"url": server.url}) if as_json else f"{server.url} (Ctrl-C ends)"
        print(text, flush=True)
        if open_browser:
            webbrowser.open(server.url)
        while view.error is None:
            thread.join(POLL_S)
        server.shutdown()
        raise InputError(view.error)
    finally:
        view.close()
