"""Decoding of image messages, against the definitions of their encodings."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_message import (
    decode_compressed_image,
    decode_raw_image,
    describe_compressed_image,
)

COLOR = (200, 90, 30)
RGB = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)


def message(rows: np.ndarray, encoding: str, width: int) -> SimpleNamespace:
    data = np.ascontiguousarray(rows).reshape(len(rows), -1)
    return SimpleNamespace(
        height=len(data), width=width, encoding=encoding, step=data.shape[1], data=data.ravel()
    )


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_of_one_colour_gives_that_colour(pattern):
    values = dict(zip("rgb", COLOR, strict=True))
    cell = np.array([values[letter] for letter in pattern], np.uint8).reshape(2, 2)
    image = decode_raw_image(message(np.tile(cell, (4, 6)), f"bayer_{pattern}8", 12))
    np.testing.assert_array_equal(image[2:-2, 2:-2], np.broadcast_to(COLOR, (4, 8, 3)))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")],
)
def test_yuv_gives_the_colour_that_bt_601_defines(encoding, order):
    r, g, b = (value / 255 for value in COLOR)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    values = {
        "y": 16 + 219 * luma,
        "u": 128 + 224 * 0.5 * (b - luma) / (1 - 0.114),
        "v": 128 + 224 * 0.5 * (r - luma) / (1 - 0.299),
    }
    pair = np.rint([values[letter] for letter in order]).astype(np.uint8)
    image = decode_raw_image(message(np.tile(pair, (4, 3)), encoding, 6))
    assert image.shape == (4, 6, 3)
    assert np.abs(image.astype(int) - COLOR).max() <= 3


def test_an_image_of_half_a_yuv_pair_is_refused():
    with pytest.raises(InputError, match="5x4 uyvy: expected even sides"):
        decode_raw_image(message(np.zeros((4, 10), np.uint8), "uyvy", 5))


def test_16_bits_and_floats_are_refused_by_name():
    for encoding in ("mono16", "rgb16", "32FC1", "bayer_rggb16"):
        with pytest.raises(InputError, match=f"image encoding is '{encoding}'"):
            decode_raw_image(message(np.zeros((4, 64), np.uint8), encoding, 4))


def test_a_compressed_image_has_the_colours_of_its_file():
    png = cv2.imencode(".png", RGB[..., ::-1])[1]
    np.testing.assert_array_equal(decode_compressed_image(png.ravel()), RGB)
    flat = np.full((16, 16, 3), COLOR, np.uint8)
    jpeg = cv2.imencode(".jpg", flat[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    assert np.abs(decode_compressed_image(jpeg.tobytes()).astype(int) - COLOR).max() <= 3
    assert describe_compressed_image(png, "rgb8; png") == "16 x 12 rgb8; png"


def test_a_compressed_image_that_is_huge_damaged_or_of_another_kind_is_refused():
    png = bytearray(cv2.imencode(".png", RGB)[1].tobytes())
    huge = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    tiff = cv2.imencode(".tiff", RGB)[1].tobytes()
    cases = [
        (huge, "60000 x 60000"),
        (png[:40], "no image"),
        (tiff, "neither JPEG nor"),
        (b"", "nor"),
    ]
    for data, expected in cases:
        with pytest.raises(InputError, match=expected):
            decode_compressed_image(data)
