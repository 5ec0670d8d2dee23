"""Images over the wire and as arrays, with and without cv_bridge."""

import array
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_message import decode_raw_image
from tacdiff_ros.nodes.conversion import images
from tacdiff_ros.nodes.conversion.images import (
    CV_BRIDGE_PIXEL_BYTES,
    from_image,
    to_image,
)

CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}
CODES = {"bgr8": cv2.COLOR_BGR2RGB, "mono8": cv2.COLOR_GRAY2RGB}


class CvBridge:
    """Stand-in with the interface of cv_bridge, and with its limits.

    As the original, it takes a row for a whole number of pixels, and fails on big-endian images
    with NumPy 2.
    """

    def __init__(self):
        self.converted = []

    def imgmsg_to_cv2(self, img_msg, desired_encoding="passthrough"):
        assert desired_encoding == "rgb8"
        self.converted.append((img_msg.encoding, desired_encoding))
        if img_msg.is_bigendian:
            raise AttributeError("newbyteorder")
        channels = CHANNELS[img_msg.encoding]
        shape = (img_msg.height, img_msg.step // channels, channels)
        image = np.ndarray(shape, np.uint8, img_msg.data)[:, : img_msg.width]
        code = CODES.get(img_msg.encoding)
        return image if code is None else cv2.cvtColor(np.ascontiguousarray(image), code)

    def cv2_to_imgmsg(self, cvim, encoding="passthrough", header=None):
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // message.height
        return message


class SwappedBridge(CvBridge):
    """Red and blue swapped."""

    def imgmsg_to_cv2(self, img_msg, desired_encoding="passthrough"):
        return super().imgmsg_to_cv2(img_msg, desired_encoding)[..., ::-1]


class CrashingBridge(CvBridge):
    """Binary of NumPy 1 with NumPy 2."""

    def imgmsg_to_cv2(self, img_msg, desired_encoding="passthrough"):
        raise AttributeError("_ARRAY_API not found")


@pytest.fixture
def install(monkeypatch):
    """Function that installs a class as cv_bridge's, or removes cv_bridge."""

    def put(bridge_class):
        module = ModuleType("cv_bridge")
        module.CvBridge = bridge_class
        monkeypatch.setitem(sys.modules, "cv_bridge", module if bridge_class else None)
        images._working_cv_bridge.cache_clear()

    yield put
    images._working_cv_bridge.cache_clear()


@pytest.fixture(params=[None, CvBridge], ids=["without", "with cv_bridge"])
def bridge(install, request):
    """The bridge in use, its record of conversions empty; None without one."""
    install(request.param)
    working = images._working_cv_bridge()
    assert type(working) is (request.param or type(None))
    if working is not None:
        working.converted.clear()
    return working


@pytest.mark.parametrize("broken", [SwappedBridge, CrashingBridge])
def test_a_bridge_that_converts_wrongly_or_crashes_is_not_used(install, broken):
    install(broken)
    assert images._working_cv_bridge() is None
    np.testing.assert_array_equal(from_image(encode(picture(), "bgr8", 0)), picture())


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (11, 13, channels), np.uint8)


def encode(rgb: np.ndarray, encoding: str, padding: int) -> Image:
    """A message by the definition of its encoding, channel by channel."""
    r, g, b = (rgb[..., i] for i in range(3))
    grey, opaque = rgb[..., 0], np.full_like(r, 200)
    channels = {
        "rgb8": [r, g, b],
        "bgr8": [b, g, r],
        "8UC3": [b, g, r],
        "mono8": [grey],
        "8UC1": [grey],
        "rgba8": [r, g, b, opaque],
        "bgra8": [b, g, r, opaque],
        "8UC4": [b, g, r, opaque],
    }[encoding]
    rows = np.stack(channels, axis=-1).reshape(rgb.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    return message


ENCODINGS = ("rgb8", "bgr8", "8UC3", "mono8", "8UC1", "rgba8", "bgra8", "8UC4")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 1, 7])
@pytest.mark.parametrize("is_bigendian", [0, 1])
def test_every_encoding_gives_the_same_rgb_picture(bridge, encoding, padding, is_bigendian):
    """With and without cv_bridge; the byte order of single bytes changes nothing."""
    rgb = picture()
    message = encode(rgb, encoding, padding)
    message.is_bigendian = is_bigendian
    sent = deserialize_message(serialize_message(message), Image)
    is_grey = encoding in ("mono8", "8UC1")
    expected = np.repeat(rgb[..., :1], 3, axis=-1) if is_grey else rgb
    np.testing.assert_array_equal(from_image(sent), expected)
    np.testing.assert_array_equal(decode_raw_image(message), expected)  # the decoder of bags
    uses_bridge = bridge is not None and encoding in CV_BRIDGE_PIXEL_BYTES
    if uses_bridge and padding == 0 and not is_bigendian:
        assert bridge.converted == [(encoding, "rgb8")]
    elif bridge is not None:
        assert bridge.converted == []


def test_an_image_survives_the_way_there_and_back(bridge):
    rgb = picture()
    message = to_image(rgb[:, ::-1], Time(sec=5, nanosec=7), "gel")  # not contiguous in memory
    sent = deserialize_message(serialize_message(message), Image)
    assert (sent.height, sent.width, sent.encoding, sent.step) == (11, 13, "rgb8", 39)
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (5, 7)
    assert sent.header.frame_id == "gel"
    np.testing.assert_array_equal(from_image(sent), rgb[:, ::-1])


@pytest.mark.parametrize(("shape", "encoding"), [((4, 6), "32FC1"), ((4, 6, 3), "32FC3")])
def test_float_maps_are_sent_as_they_are(shape, encoding):
    values = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    message = to_image(values, Time(), "gel")
    assert message.encoding == encoding
    assert message.step == values.strides[0]
    np.testing.assert_array_equal(np.frombuffer(message.data, "<f4").reshape(shape), values)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": 0},
        {"height": 12},
        {"height": 10},
        {"width": 14},
        {"step": 38},
        {"step": 0},
        {"height": 9000},
        {"width": 4_000_000_000},
        {"encoding": "bayer_rggb16"},
        {"encoding": "rgba8"},
        {"encoding": "mono16"},
        {"encoding": ""},
        {"encoding": "x" * 10_000},
        {"data": array.array("B")},
    ],
)
def test_images_whose_numbers_disagree_are_refused(change):
    message = encode(picture(), "rgb8", 0)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InputError, match="image") as caught:
        from_image(message)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
