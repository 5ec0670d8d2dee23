"""What `tacdiff demo` checks before any node is started."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.demo import _check_frames
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.crop import RAW_SIZE
from tacdiff_ros.sensor.marker_grid import MarkerGrid
from tacdiff_ros.sensor.sensor_model import Image
from tacdiff_ros.virtual.frames import GeneratedFrames

GRID = MarkerGrid(7, 9)


def whole_frame(image: np.ndarray) -> np.ndarray:
    """What a camera takes: the image in the middle, and more of the gel's markers around it."""
    width, height = RAW_SIZE
    left, top = (int(side * Image().border_fraction) for side in RAW_SIZE)
    inner = cv2.resize(image, (width - 2 * left, height - 2 * top))
    return cv2.copyMakeBorder(inner, top, top, left, left, cv2.BORDER_REFLECT)


@pytest.fixture
def folder(tmp_path):
    frame = whole_frame(GeneratedFrames(seed=0).render(IndenterPose()))
    cv2.imwrite(str(tmp_path / "0.png"), frame)
    return tmp_path


def test_markers_of_whole_frames_are_searched_after_the_crop(folder):
    _check_frames(folder, GRID)


def test_frames_of_another_grid_are_refused(folder):
    with pytest.raises(InputError, match="grid"):
        _check_frames(folder, MarkerGrid(9, 12))
