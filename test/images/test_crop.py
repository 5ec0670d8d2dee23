"""Whole frames of a camera become the images of the sensor file, everywhere in the same way."""

import json

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import default_crop, sensor_crop
from tacdiff_ros.sensor.sensor_file import default_sensor, format_sensor, parse_sensor

INNER = np.s_[352 : 2464 - 352, 468 : 3280 - 468]  # a seventh of 3280 x 2464 at each side


@pytest.fixture(scope="module")
def raw():
    """A frame with a black border of a seventh, and a grey interior."""
    frame = np.zeros((2464, 3280, 3), np.uint8)
    frame[INNER] = 90
    return frame


def test_a_raw_frame_of_a_mini_loses_its_border_without_an_option(raw):
    image = sensor_crop(default_sensor()).to_sensor(raw, "raw")
    assert image.shape == (240, 320, 3)
    assert (image == 90).all()


def test_the_crop_is_that_of_the_sensor_file(raw):
    model = parse_sensor(
        format_sensor(default_sensor()).replace("fraction: 0.14285714285714285", "fraction: 0.0")
    )
    image = sensor_crop(model).to_sensor(raw, "raw")
    assert (image[0] == 0).all()
    assert (image[120, 160] == 90).all()


def test_frames_of_other_sizes_need_the_option(raw):
    frame = raw[::4, ::4]
    with pytest.raises(InputError) as error:
        sensor_crop(default_sensor()).to_sensor(frame, "press.png")
    for part in ("press.png has 820 x 616", "320 x 240", "--crop FRACTION"):
        assert part in str(error.value)
    assert (sensor_crop(default_sensor(), 0.15).to_sensor(frame, "press.png") == 90).all()
    assert default_crop().reduce(frame, "frame") is frame


def test_a_frame_that_is_too_small_after_the_crop_is_refused(raw):
    with pytest.raises(InputError, match="expected at least 320 x 240"):
        sensor_crop(default_sensor(), 0.3).to_sensor(raw[::8, ::8], "press.png")


@pytest.mark.parametrize("fraction", [-0.1, 0.45, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(InputError, match="--crop"):
        default_crop(fraction)


def test_images_of_the_final_size_pass_unchanged():
    image = np.zeros((240, 320, 3), np.uint8)
    assert sensor_crop(default_sensor(), 0.1).to_sensor(image, "image") is image


def test_files_without_the_crop_keep_their_checksum():
    model = default_sensor()
    lines = format_sensor(model).splitlines(keepends=True)
    old = parse_sensor("".join(line for line in lines if "border_fraction" not in line))
    assert old == model
    image = model.image.model_copy(update={"border_fraction": 0.1})
    assert model.model_copy(update={"image": image}).checksum != old.checksum == model.checksum


def test_markers_are_found_in_a_raw_frame(raw, tmp_path, capsys):
    frame = raw.copy()
    for row in range(7):
        for column in range(9):
            centre = (1640 + 240 * (column - 4), 1232 + 240 * (row - 3))
            cv2.circle(frame, centre, 60, (10, 10, 10), -1)
    path = tmp_path / "raw.jpg"
    cv2.imwrite(str(path), frame)
    assert run(["markers", str(path), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["frames"][0]
    assert first["found"] == 63
    assert first["dots"][0]["x_px"] == pytest.approx((1640 - 960 - 468) * 320 / 2344, abs=1.0)
