"""Checks of the cameras connected to this machine."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.v4l2 import VideoMode, read_modes

VIDEO_DEVICES = Path("/sys/class/video4linux")
SENSOR_NAME = "gelsight"
WANTED_HZ = 25.0
# Measured by users of the sensor with v4l2-ctl: gsrobotics, issues 6 and 36 on GitHub.
EXPECTED_RATE = (
    "expect 18 to 25 Hz on Linux with a USB port of its own; the driver requests V4L2, MJPG and "
    "one buffer, and /diagnostics has the measured rate"
)
RATE_ADVICE = "connect it to a USB 3 port without a hub, or set `rate_hz` to a rate that it lists"


def check_cameras(
    listing: Path = VIDEO_DEVICES, modes_of: Callable[[Path], list[VideoMode]] = read_modes
) -> list[Check]:
    """Return one check per camera, or a single check if no camera is connected.

    Args:
        listing: folder with one entry per video device.
        modes_of: function that returns the video modes of a device path.
    """
    checks = [
        check
        for entry in sorted(listing.glob("video*"), key=_number)
        if (check := _check_camera(entry, modes_of)) is not None
    ]
    if not checks:
        return [Check("camera", "good", "none connected: use image files or simulated images")]
    if not any(SENSOR_NAME in check.detail.lower() for check in checks):
        checks.append(
            Check(
                "sensor",
                "warning",
                "no camera is a GelSight",
                "connect one, or give the camera's device path",
            )
        )
    return checks


def _check_camera(entry: Path, modes_of: Callable[[Path], list[VideoMode]]) -> Check | None:
    """Return the check of one device, or None if the device captures no images."""
    device = Path("/dev") / entry.name
    try:
        name = (entry / "name").read_text("utf-8", errors="replace").strip()
        modes = modes_of(device)
    except PermissionError:
        advice = "run `sudo usermod -aG video $USER` and log in again"
        return Check(f"camera {device}", "bad", f"{name}: this user may not open it", advice)
    except OSError as error:
        return Check(f"camera {device}", "bad", str(error.strerror or error), _advice(error))
    if not modes:
        return None
    detail = f"{name}: {_describe(modes)}"
    if SENSOR_NAME not in name.lower():
        return Check(f"camera {device}", "good", detail)
    rates_hz = [rate for mode in modes if mode.pixel_format == "MJPG" for rate in mode.rates_hz]
    if max(rates_hz, default=0.0) < WANTED_HZ:
        detail += f": no MJPG at {WANTED_HZ:g} Hz"
        return Check(f"camera {device}", "warning", detail, RATE_ADVICE)
    return Check(f"camera {device}", "good", f"{detail}; {EXPECTED_RATE}")


def _describe(modes: list[VideoMode]) -> str:
    """Return a list of the modes: "MJPG 3280x2464 25 Hz, YUYV 640x480 30 Hz 15 Hz"."""
    return ", ".join(
        " ".join(
            [mode.pixel_format, f"{mode.width}x{mode.height}"]
            + [f"{rate:g} Hz" for rate in mode.rates_hz]
        )
        for mode in modes
    )


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return "in a container, start it with `--device`; otherwise reconnect the camera"
    if error.errno == errno.EBUSY:
        return "close the program that uses the camera"
    return "reconnect the camera"


def _number(entry: Path) -> int:
    digits = entry.name.removeprefix("video")
    return int(digits) if digits.isdecimal() else 0
