"""Cameras by Video4Linux, against a driver that is played by its documentation."""

from __future__ import annotations

import errno
import struct

from tacdiff_ros.machine.camera_checks import check_cameras
from tacdiff_ros.machine.v4l2 import VideoMode, list_modes, read_modes

MJPG = int.from_bytes(b"MJPG", "little")
YUYV = int.from_bytes(b"YUYV", "little")
# Numbers of the requests as <linux/videodev2.h> gives them.
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = (
    0x80685600,
    0xC0405602,
    0xC02C564A,
    0xC034564B,
)


class Driver:
    """One camera: MJPG at two sizes, YUYV at any size from 160x120 to 640x480."""

    def __init__(self, capabilities=0x84200001, device_caps=0x04200001):
        self.capabilities = capabilities, device_caps

    def __call__(self, descriptor, request, buffer):
        if request == QUERYCAP:
            struct.pack_into("<2I", buffer, 84, *self.capabilities)
        elif request == ENUM_FMT:
            self._put(buffer, 44, [MJPG, YUYV])
        elif request == ENUM_FRAMESIZES:
            index, pixel_format = struct.unpack_from("<2I", buffer)
            if pixel_format == MJPG and index < 2:
                size = [(3280, 2464), (1640, 1232)][index]
                struct.pack_into("<3I", buffer, 8, 1, *size)
            elif pixel_format == YUYV and index == 0:
                struct.pack_into("<7I", buffer, 8, 3, 160, 640, 2, 120, 480, 2)
            else:
                raise OSError(errno.EINVAL, "no more")
        elif request == ENUM_FRAMEINTERVALS:
            index, pixel_format, width, _ = struct.unpack_from("<4I", buffer)
            rates = {3280: [(1, 10), (1, 25)], 1640: [(1, 30)]}.get(width, [])
            if index >= len(rates):
                raise OSError(errno.EINVAL, "no more")
            struct.pack_into("<3I", buffer, 16, 1, *rates[index])
        else:
            raise AssertionError(hex(request))
        return 0

    def _put(self, buffer, offset, values):
        (index,) = struct.unpack_from("<I", buffer)
        if index >= len(values):
            raise OSError(errno.EINVAL, "no more")
        struct.pack_into("<I", buffer, offset, values[index])


def test_formats_sizes_and_rates_of_a_camera():
    assert list_modes(0, Driver()) == [
        VideoMode("MJPG", 3280, 2464, (25.0, 10.0)),
        VideoMode("MJPG", 1640, 1232, (30.0,)),
        VideoMode("YUYV", 160, 120, ()),
        VideoMode("YUYV", 640, 480, ()),
    ]


def test_the_metadata_device_of_a_camera_has_no_modes():
    assert list_modes(0, Driver(device_caps=0x04A00000)) == []


def listing(tmp_path, **names):
    for device, name in names.items():
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(f"{name}\n")
    return tmp_path


def test_no_camera_is_said_and_not_bad(tmp_path):
    (check,) = check_cameras(tmp_path / "none")
    assert (check.state, "none" in check.detail) == ("good", True)


def test_a_gelsight_is_found_with_its_modes(tmp_path):
    folder = listing(tmp_path, video0="GelSight Mini R0B", video1="GelSight Mini R0B")
    modes = {"/dev/video0": [VideoMode("MJPG", 3280, 2464, (25.0,))], "/dev/video1": []}
    (check,) = check_cameras(folder, lambda device: modes[str(device)])
    assert check.state == "good"
    assert check.line.startswith("camera /dev/video0: GelSight Mini R0B: MJPG 3280x2464 25 Hz; ")
    assert "expect 18 to 25 Hz" in check.line


def test_a_gelsight_without_mjpg_at_25_hz_is_a_warning_with_the_remedy(tmp_path):
    modes = [VideoMode("MJPG", 3280, 2464, (10.0,)), VideoMode("YUYV", 640, 480, (30.0,))]
    (check,) = check_cameras(listing(tmp_path, video0="GelSight Mini"), lambda device: modes)
    assert check.state == "warning"
    assert "no MJPG at 25 Hz" in check.line
    assert "USB 3 port" in check.advice


def test_a_camera_that_is_no_gelsight_is_a_warning(tmp_path):
    modes = [VideoMode("YUYV", 640, 480, (30.0,))]
    checks = check_cameras(listing(tmp_path, video0="Webcam"), lambda device: modes)
    assert [check.state for check in checks] == ["good", "warning"]


def test_a_camera_that_this_user_may_not_open_is_bad_with_the_group(tmp_path):
    def refuse(device):
        raise PermissionError(errno.EACCES, "Permission denied")

    check, *_ = check_cameras(listing(tmp_path, video0="GelSight Mini"), refuse)
    assert check.state == "bad"
    assert "usermod -aG video" in check.advice


def test_a_device_that_is_missing_in_a_container_is_bad(tmp_path):
    check, *_ = check_cameras(listing(tmp_path, video99="GelSight Mini"), read_modes)
    assert check.state == "bad"
    assert "--device" in check.advice
