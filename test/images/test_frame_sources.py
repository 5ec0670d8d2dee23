"""Images come in the right order, size and colours, and their end is announced."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images import frame_sources
from tacdiff_ros.images.frame_sources import (
    FolderFrames,
    VideoFrames,
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
