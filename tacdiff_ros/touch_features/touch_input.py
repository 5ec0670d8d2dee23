"""Network input of the touch encoder: change against the reference image, and motion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

HEIGHT, WIDTH, CHANNELS = 240, 320, 6
MIN_HEIGHT, MIN_WIDTH = 120, 160
CHANGE_GREY, MOTION_GREY = 64.0, 32.0  # grey levels that become 1 in the network input
MOTION_S = 0.12  # time between the two frames of the motion channels
MAX_ASPECT_ERROR = 0.02  # relative deviation from the aspect ratio 4:3
MAX_SIDE_PX = 8192

Images = NDArray[np.uint8]


def touch_image(image: Images) -> Images:
    """Return an image in the size of the encoder.

    Args:
        image: (H, W, 3) uint8 RGB image of a sensor, with the aspect ratio 4:3.

    Returns:
        (240, 320, 3) uint8 RGB image; a smaller image is enlarged, but lacks fine texture.

    Raises:
        InputError: the image has another type, shape or aspect ratio, or is smaller than 160x120.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"touch image of shape {image.shape} and type {image.dtype}; expected (H, W, 3) uint8"
        )
    height, width = image.shape[:2]
    if not MIN_HEIGHT <= height <= MAX_SIDE_PX or not MIN_WIDTH <= width <= MAX_SIDE_PX:
        raise InputError(
            f"touch image of {width}x{height} pixels; expected {MIN_WIDTH}x{MIN_HEIGHT} to "
            f"{MAX_SIDE_PX}"
        )
    if abs(width * HEIGHT / (height * WIDTH) - 1.0) > MAX_ASPECT_ERROR:
        raise InputError(
            f"touch image of {width}x{height} pixels; expected the aspect ratio 4:3 (crop the "
            "border as the driver does)"
        )
    if (height, width) == (HEIGHT, WIDTH):
        return image
    method = cv2.INTER_LINEAR if is_enlarged(image) else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=method), np.uint8)


def is_enlarged(image: Images) -> bool:
    """Return whether `touch_image` enlarges an image, which then lacks fine texture."""
    return image.shape[0] < HEIGHT


def network_input(
    images: Images, references: Images, earlier: Images | None = None
) -> NDArray[np.float32]:
    """Return the input of the encoder for a batch of images.

    Args:
        images: (N, H, W, 3) uint8 RGB images.
        references: (N, H, W, 3) uint8 reference images of the same sensors.
        earlier: (N, H, W, 3) uint8 images 0.12 s earlier; None for images without motion.

    Returns:
        (N, 6, H, W) float32: change against the reference in units of 64 grey levels, change
        since the earlier image in units of 32.

    Raises:
        InputError: shapes or types differ.
    """
    expected = (*images.shape[:3], 3)
    for name, values in (("images", images), ("reference", references), ("earlier", earlier)):
        if values is not None and (values.shape != expected or values.dtype != np.uint8):
            raise InputError(
                f"{name} of shape {values.shape} and type {values.dtype}; expected {expected} uint8"
            )
    current = images.astype(np.float32)
    result = np.zeros((len(images), CHANNELS, *images.shape[1:3]), np.float32)
    result[:, :3] = np.moveaxis(current - references, 3, 1) / CHANGE_GREY
    if earlier is not None:
        result[:, 3:] = np.moveaxis(current - earlier, 3, 1) / MOTION_GREY
    return result
