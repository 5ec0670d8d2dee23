"""Images come in the right order, size and colours, and their end is announced."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images import frame_sources
from tacdiff_ros.images.frame_sources import (
    CameraFrames,
    CameraLostError,
    FolderFrames,
    VideoFrames,
    crop_and_resize,
    find_camera,
    open_frames,
)


def coloured(k: int) -> np.ndarray:
    """A plain RGB image whose three colours tell it from any other k, even after compression."""
    return np.full((48, 64, 3), (10 + 20 * k, 240 - 20 * k, 60), np.uint8)


def read_all(source, most: int = 100) -> list[np.ndarray]:
    found = []
    while len(found) < most and (image := source.read()) is not None:
        found.append(image)
    source.close()
    return found


def save(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


# --- folders -------------------------------------------------------------------------------


def test_images_of_a_folder_come_in_the_order_a_person_would_count(tmp_path):
    names = ["run1/img_1.png", "run1/img_2.png", "run1/img_10.png", "run2/img_1.PNG", "run10/a.bmp"]
    for k, name in enumerate(names):
        save(tmp_path / name, coloured(k))
    (tmp_path / "run1" / "notes.txt").write_text("no image")
    for image, k in zip(read_all(open_frames(str(tmp_path), loop=False)), range(5), strict=True):
        np.testing.assert_array_equal(image, coloured(k))


def test_names_with_strange_digits_are_no_obstacle(tmp_path):
    for k, name in enumerate(["depth 1 mm².png", "depth 2 mm².png"]):
        save(tmp_path / name, coloured(k))
    found = read_all(FolderFrames(tmp_path, loop=False))
    assert [int(image[0, 0, 0]) for image in found] == [10, 30]


def test_a_folder_that_loops_begins_again(tmp_path):
    for k in range(3):
        save(tmp_path / f"{k}.png", coloured(k))
    found = read_all(FolderFrames(tmp_path, loop=True), most=8)
    assert [int(image[0, 0, 0]) for image in found] == [10, 30, 50, 10, 30, 50, 10, 30]


def test_a_broken_image_is_named(tmp_path):
    save(tmp_path / "1.png", coloured(0))
    (tmp_path / "2.png").write_bytes(b"\x89PNG no more")
    source = FolderFrames(tmp_path, loop=False)
    source.read()
    with pytest.raises(InputError, match=r"2\.png is no image"):
        source.read()


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="no image in"):
        open_frames(str(tmp_path), loop=False)


# --- videos --------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "press.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    assert writer.isOpened()
    for k in range(10):
        writer.write(coloured(k)[..., ::-1])
    writer.release()
    return path


def assert_shows(images: list[np.ndarray], numbers: list[int]) -> None:
    """Compression changes a grey level or a few; the next picture is 20 away."""
    for image, k in zip(images, numbers, strict=True):
        assert image.shape == (48, 64, 3)
        assert np.abs(image.astype(int) - coloured(k)).max() < 8


def test_a_video_gives_its_frames_in_order_in_rgb(video):
    assert_shows(read_all(open_frames(str(video), loop=False)), list(range(10)))


def test_a_video_that_loops_begins_again(video):
    found = read_all(VideoFrames(video, loop=True), most=23)
    assert_shows(found, [*range(10), *range(10), 0, 1, 2])


def test_a_missing_video_and_a_file_that_is_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="no video at"):
        open_frames(str(tmp_path / "absent.avi"), loop=False)
    (tmp_path / "text.avi").write_text("this is not a video")
    with pytest.raises(InputError, match="is no video that OpenCV can read"):
        open_frames(str(tmp_path / "text.avi"), loop=False)


# --- cameras -------------------------------------------------------------------------------


class FakeCapture:
    """A camera that shows a ramp and is unplugged after some images."""

    def __init__(self, images: int = 3, opens: bool = True) -> None:
        self.left = images
        self.opens = opens
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def read(self):
        self.left -= 1
        return (True, ramp(700, 490)[..., ::-1]) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def ramp(width: int, height: int) -> np.ndarray:
    """Red grows by 0.3 a pixel to the right, green by 0.4 a pixel down, blue is 77."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([0.3 * x, 0.4 * y, np.full_like(x, 77)], axis=-1).astype(np.uint8)


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


def test_an_unplugged_camera_is_announced_and_not_a_black_image():
    capture = FakeCapture(images=3)
    camera = CameraFrames("/dev/video2", open_capture=lambda _device: capture)
    for _ in range(3):
        assert camera.read().shape == (240, 320, 3)
    with pytest.raises(CameraLostError, match="no images any more"):
        camera.read()
    camera.close()
    assert capture.released


def test_a_camera_in_use_says_so():
    with pytest.raises(CameraLostError, match="does not open"):
        CameraFrames("/dev/video2", open_capture=lambda _device: FakeCapture(opens=False))


def test_the_camera_is_opened_under_the_name_it_was_found_by():
    asked = []
    CameraFrames("/dev/video4", open_capture=lambda device: asked.append(device) or FakeCapture())
    assert asked == ["/dev/video4"]


def test_a_camera_image_is_the_middle_of_the_view_in_rgb():
    """A seventh off each side of 700 x 490 leaves 500 x 350 from (100, 70) on."""
    camera = CameraFrames("0", size=(100, 70), open_capture=lambda _device: FakeCapture())
    image = camera.read()
    x, y = np.meshgrid(100 + 5 * np.arange(100) + 2, 70 + 5 * np.arange(70) + 2)
    np.testing.assert_allclose(image[..., 0], 0.3 * x, atol=1.5)
    np.testing.assert_allclose(image[..., 1], 0.4 * y, atol=1.5)
    np.testing.assert_allclose(image[..., 2], 77, atol=1)


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


# --- a decoder that fails --------------------------------------------------------------------

HEADER = "import os, struct, sys; out = sys.stdout.buffer; out.write(struct.pack('<II', 0, 9)); "
FRAME = "out.write(struct.pack('<II', 2, 2) + bytes(12)); "


@pytest.mark.parametrize(
    ("program", "frames"),
    [("import os; os.abort()", None), (HEADER + FRAME + "out.flush(); os.abort()", 1)],
)
def test_a_crash_of_the_decoder_is_one_line_and_no_crash(tmp_path, monkeypatch, program, frames):
    """FFmpeg's memory was corrupted by one of 270,000 changed files."""
    video = tmp_path / "v.avi"
    video.write_bytes(b"RIFF....AVI ")
    decoder = tmp_path / "decoder.py"
    decoder.write_text(program)
    monkeypatch.setattr(frame_sources, "DECODER", decoder)
    with pytest.raises(InputError, match=f"damaged after {frames or 0} frames") as caught:
        source = VideoFrames(video, loop=False)
        while source.read() is not None:
            pass
    assert "decoder ended with code -6" in str(caught.value)
    if frames:
        assert source.read() is None  # and no traceback


def test_constants_of_the_decoder_and_its_reader_agree():
    text = frame_sources.DECODER.read_text()
    assert f'RECORD = struct.Struct("{frame_sources.RECORD.format}")' in text
    assert f"ERROR = 0x{frame_sources.DECODER_ERROR:X}" in text
