"""A camera is found, its mode is read back, and its images are whole, RGB and rightly stamped."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_faults import CASES, SIZE, count_named, is_named, observe

from tacdiff_ros.images.camera import (
    BrokenImageError,
    CameraFrames,
    CameraSettings,
    find_camera,
)
from tacdiff_ros.images.camera_stream import CameraStream
from tacdiff_ros.images.capture_clock import CaptureClock
from tacdiff_ros.images.capture_settings import (
    GELSIGHT_MINI,
    CameraLostError,
    CaptureMode,
    configure,
)
from tacdiff_ros.images.crop import crop_and_resize
from tacdiff_ros.virtual.camera import (
    CameraBehaviour,
    SimulatedTime,
    VirtualCamera,
    VirtualCapture,
)


@pytest.fixture
def listing(tmp_path) -> Path:
    """As in /sys/class/video4linux."""
    for node, name in (
        ("video0", "Integrated Webcam: HD"),
        ("video10", "GelSight Mini R0B 2DXY-ABCD: Ge"),
        ("video2", "GelSight Mini R0B 28J8-EFGH: Ge"),
    ):
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(name + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("device", "opened"),
    [
        ("GelSight Mini", "/dev/video2"),
        ("gelsight mini r0b 2dxy", "/dev/video10"),
        ("Webcam", "/dev/video0"),
        ("/dev/video7", "/dev/video7"),
        ("3", 3),
    ],
)
def test_a_camera_is_found_by_name_path_or_number(listing, device, opened):
    assert find_camera(device, listing) == opened


@pytest.mark.parametrize("device", ["DIGIT", "²"])
def test_when_no_camera_has_the_name_those_present_are_listed(listing, device):
    with pytest.raises(CameraLostError) as caught:
        find_camera(device, listing)
    assert device in str(caught.value)
    assert "/dev/video10 (GelSight Mini R0B 2DXY-ABCD: Ge)" in str(caught.value)
    with pytest.raises(CameraLostError, match="cameras: none"):
        find_camera(device, listing / "absent")


def test_a_camera_that_vanishes_while_they_are_listed_is_passed_over(listing):
    (listing / "video0" / "name").unlink()
    assert find_camera("GelSight", listing) == "/dev/video2"


@pytest.mark.parametrize("border", [0.0, 0.1, 1 / 7, 0.25])
@pytest.mark.parametrize("size", [(320, 240), (160, 120)])
def test_cropping_keeps_the_geometry(border, size):
    """A pixel of the result averages the pixels of the view that it covers: a ramp stays a ramp."""
    width, height = 640, 480
    x_ramp = np.repeat(np.linspace(0, 255, width)[None, :, None], height, 0).repeat(3, 2)
    result = crop_and_resize(np.rint(x_ramp).astype(np.uint8), size, border)
    left = int(width * border)
    scale = (width - 2 * left) / size[0]
    centres = left + scale * (np.arange(size[0]) + 0.5) - 0.5
    expected = centres * 255 / (width - 1)
    assert result.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(result[size[1] // 2, :, 0], expected, atol=1.0)


# --- the mode that is reached ----------------------------------------------------------------


SETTINGS = CameraSettings("0", mode=CaptureMode(*SIZE))


def make(behaviour: CameraBehaviour) -> tuple[VirtualCamera, SimulatedTime]:
    clock = SimulatedTime()
    return VirtualCamera(behaviour, clock), clock


def test_v4l2_mjpg_size_rate_and_one_buffer_are_requested_and_read_back():
    camera, _ = make(CameraBehaviour())
    capture = camera.open("/dev/video0")
    assert configure(capture, GELSIGHT_MINI) == CaptureMode(3280, 2464, 25.0, "MJPG", 1)
    assert capture.get(cv2.CAP_PROP_FPS) == 25.0
    assert capture.get(cv2.CAP_PROP_BUFFERSIZE) == 1


@pytest.mark.parametrize(
    ("behaviour", "got"),
    [
        (CameraBehaviour(accepts_mjpg=False), "320x240 YUYV at 10 Hz, buffers: 1"),
        (CameraBehaviour(only_size=(800, 600)), "800x600 MJPG at 25 Hz, buffers: 1"),
        (CameraBehaviour(accepts_rate=False), "320x240 MJPG at 10 Hz, buffers: 1"),
    ],
)
def test_a_mode_that_differs_is_one_warning_with_both(behaviour, got):
    (line,) = observe(behaviour, 1.0, lock_exposure=False).warnings
    assert line == f"camera '0' uses {got}; requested was 320x240 MJPG at 25 Hz, buffers: 1"


def test_a_back_end_that_says_little_is_asked_for_size_and_rate_only():
    class OtherBackEnd(VirtualCapture):
        def getBackendName(self) -> str:  # noqa: N802
            return "MSMF"

        def get(self, control):
            return 0.0 if control == cv2.CAP_PROP_FPS else super().get(control)

    camera, clock = make(CameraBehaviour(stamps="none"))
    camera.open = lambda _device: OtherBackEnd(camera)
    warnings = []
    stream = CameraStream(SETTINGS, warnings.append, camera.open, clock.monotonic, clock.sleep)
    frame = stream.next()
    assert frame.image.shape == (240, 320, 3)
    assert frame.captured_s == frame.arrived_s
    assert not frame.has_driver_stamp
    assert warnings == ["images are stamped at their arrival: the driver gives no time stamps"]
    assert stream.report().values["exposure"] == "automatic: no lock by the back end MSMF"


# --- images ----------------------------------------------------------------------------------


def read_one(behaviour: CameraBehaviour, settings: CameraSettings) -> np.ndarray:
    camera, clock = make(behaviour)
    return CameraFrames(settings, camera.open, clock.monotonic).read().image


@pytest.mark.parametrize("accepts_mjpg", [True, False])
def test_a_camera_image_is_the_middle_of_the_view_in_rgb(accepts_mjpg):
    """A seventh off each side of 700 x 490 leaves 500 x 350 from (100, 70) on."""
    behaviour = CameraBehaviour(only_size=(700, 490), accepts_mjpg=accepts_mjpg)
    settings = CameraSettings("0", size=(100, 70), mode=CaptureMode(700, 490))
    image = read_one(behaviour, settings)
    x, y = np.meshgrid(100 + 5 * np.arange(100) + 2, 70 + 5 * np.arange(70) + 2)
    np.testing.assert_allclose(image[..., 0], 20 + 180 * x / 699, atol=3)
    np.testing.assert_allclose(image[..., 1], 20 + 180 * y / 489, atol=3)
    np.testing.assert_allclose(image[..., 2], 62, atol=3)


def test_decoding_a_reduced_jpeg_equals_decoding_it_whole():
    """Eight million pixels, as a GelSight Mini sends them; the reference is OpenCV's full image."""
    rng = np.random.default_rng(1)
    small = rng.integers(40, 220, (77, 102, 3), dtype=np.uint8)
    scene = cv2.resize(small, (3280, 2464), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", scene)[1]

    class OneImage(VirtualCapture):
        def retrieve(self):
            return True, data.reshape(1, -1)

    camera, clock = make(CameraBehaviour())
    camera.open = lambda _device: OneImage(camera)
    image = CameraFrames(CameraSettings("0"), camera.open, clock.monotonic).read().image
    whole = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    difference = image.astype(int) - crop_and_resize(whole, (320, 240), 1 / 7)
    assert np.abs(difference).max() <= 3
    assert np.abs(difference).mean() < 0.5


def test_half_a_jpeg_is_no_image_and_the_next_one_is():
    camera, clock = make(CameraBehaviour(broken_every=2))
    frames = CameraFrames(
        CameraSettings("0", mode=CaptureMode(*SIZE)), camera.open, clock.monotonic
    )
    frames.read()
    with pytest.raises(BrokenImageError):
        frames.read()
    assert frames.read().image is not None


def test_a_camera_that_never_sends_the_end_marker_is_not_refused():
    class NoEnd(VirtualCapture):
        def retrieve(self):
            is_valid, data = super().retrieve()
            return is_valid, data[:, :-2]

    camera, clock = make(CameraBehaviour())
    camera.open = lambda _device: NoEnd(camera)
    frames = CameraFrames(
        CameraSettings("0", mode=CaptureMode(*SIZE)), camera.open, clock.monotonic
    )
    assert frames.read().image.std() > 10


def test_a_camera_whose_images_never_decode_is_lost_and_not_tried_for_ever():
    class Garbage(VirtualCapture):
        def retrieve(self):
            return True, np.random.default_rng(self._images).integers(
                0, 255, (1, 500), dtype=np.uint8
            )

    camera, clock = make(CameraBehaviour())
    camera.open = lambda _device: Garbage(camera)
    frames = CameraFrames(
        CameraSettings("0", mode=CaptureMode(*SIZE)), camera.open, clock.monotonic
    )
    with pytest.raises(CameraLostError, match="cannot be decoded"):
        for _ in range(30):
            with pytest.raises(BrokenImageError):
                frames.read()


# --- time of capture -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        CameraBehaviour(),
        CameraBehaviour(transfer_s=0.06),
        CameraBehaviour(lag_growth=0.3),
        CameraBehaviour(repeat_every=3),
        CameraBehaviour(unplugged_s=1.0, back_s=1.6),
        CameraBehaviour(broken_every=4),
    ],
)
def test_stamps_are_within_5_ms_of_the_true_capture(behaviour):
    assert observe(behaviour, 5.0).stamp_error_max_s < 5e-3


@pytest.mark.parametrize(
    ("stamps", "reason"),
    [("none", "gives no time stamps"), ("other", "not on the monotonic clock")],
)
def test_useless_driver_stamps_give_way_to_the_arrival_and_that_is_said_once(stamps, reason):
    behaviour = CameraBehaviour(stamps=stamps, transfer_s=0.03)
    observation = observe(behaviour, 3.0, lock_exposure=False)
    assert observation.stamp_error_max_s == pytest.approx(0.03, abs=1e-6)
    (line,) = observation.warnings
    assert reason in line
    assert observation.values["stamps"].startswith("arrival (")


def test_stamps_that_stand_still_or_lie_ahead_are_given_up():
    for later_ms, reason in ((1000.0, "do not increase"), (1100.0, "60 ms in the future")):
        clock = CaptureClock()
        assert clock.captured_s(1000.0, 1.02) == 1.0
        assert clock.captured_s(later_ms, 1.04) == 1.04
        assert reason in clock.complaint
        assert clock.captured_s(1060.0, 1.08) == 1.08  # for the rest of this stream


# --- exposure --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [
        (CameraBehaviour(), "exposure locked at 156, white balance locked"),
        (
            CameraBehaviour(accepts_lock=False),
            "exposure automatic (lock refused), white balance automatic (lock refused)",
        ),
        (CameraBehaviour(locked_gain=0.5), "automatic: the lock changed the brightness by -49 %"),
    ],
)
def test_exposure_is_locked_where_that_is_possible_and_the_result_is_said(behaviour, state):
    observation = observe(behaviour, 3.0)
    assert observation.values["exposure"] == state
    assert len(observation.warnings) == ("automatic" in state)


def test_a_lock_that_darkens_the_images_is_undone():
    camera, clock = make(CameraBehaviour(locked_gain=0.5))
    settings = CameraSettings("0", size=(80, 60), mode=CaptureMode(*SIZE))
    frames = CameraStream(settings, lambda _: None, camera.open, clock.monotonic, clock.sleep)
    means = [frames.next().image.mean() for _ in range(50)]
    assert min(means[26:34]) < 0.6 * means[0]
    assert means[-1] == pytest.approx(means[0], rel=0.1)


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_camera_does_is_named_and_nothing_else(case):
    observation = observe(case.behaviour, case.report_after_s)
    assert is_named(case, observation), observation.problems


def test_the_benchmark_counts_a_wrong_name(monkeypatch):
    monkeypatch.setattr("camera_faults.CASES", (CASES[0], CASES[0], CASES[2]))
    monkeypatch.setattr("camera_faults.observe", lambda *_: observe(CameraBehaviour(), 1.0))
    assert count_named() == (2, 3)


def test_a_camera_that_comes_back_is_opened_again_and_its_loss_is_on_record():
    behaviour = CameraBehaviour(unplugged_s=1.0, back_s=3.2)
    gone, back = observe(behaviour, 2.5), observe(behaviour, 8.0)
    assert gone.problems[0].startswith("no camera: the camera returns no images any more")
    assert back.problems == []
    assert back.values["reconnects"] == "1"
    assert back.values["last_loss"] == "the camera returns no images any more: check its cable"
    assert float(back.values["rate_hz"]) == pytest.approx(25.0, rel=0.01)


def test_a_camera_that_opens_but_returns_nothing_is_not_back():
    class Dead(VirtualCapture):
        def grab(self) -> bool:
            return False

    camera, clock = make(CameraBehaviour())
    camera.open = lambda _device: Dead(camera)
    warnings = []
    stream = CameraStream(SETTINGS, warnings.append, camera.open, clock.monotonic, clock.sleep)
    assert all(stream.next() is None for _ in range(10))
    assert stream.report().problems == [
        "no camera: the camera returns no images any more: check its cable"
    ]
    assert len(warnings) == 1


def test_counts_rate_latency_and_jitter_are_the_cameras():
    values = observe(CameraBehaviour(repeat_every=10, transfer_s=0.03), 6.0).values
    assert int(values["repeated"]) in (14, 15)
    assert float(values["rate_hz"]) == pytest.approx(22.5, rel=0.02)  # nine of ten at 25 Hz
    assert float(values["latency_ms"]) == pytest.approx(30.0, abs=0.2)
    assert float(values["jitter_ms"]) == pytest.approx(1e3 * np.std([0.08] + [0.04] * 8), rel=0.1)


@pytest.mark.parametrize("device", ["/dev/video987", "987"])
def test_a_device_that_is_absent_is_named(device):
    with pytest.raises(CameraLostError, match="there is no camera /dev/video987"):
        CameraFrames(CameraSettings(device))


def test_a_camera_in_use_says_so():
    camera, _ = make(CameraBehaviour(unplugged_s=0.0))
    with pytest.raises(CameraLostError, match="does not open"):
        CameraFrames(CameraSettings("/dev/video2"), camera.open)
