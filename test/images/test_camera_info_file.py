"""Calibration files as ROS's camera_calibration writes them; others are refused in one line."""

from pathlib import Path

import pytest
import yaml

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.camera_info_file import read_calibration

WRITTEN = """image_width: 320
image_height: 240
camera_name: gelsight
camera_matrix:
  rows: 3
  cols: 3
  data: [310.5, 0., 160.2, 0., 309.8, 119.4, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.1, 0.02, 0.001, -0.002, 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [305., 0., 160., 0., 0., 306., 119., 0., 0., 0., 1., 0.]
"""


def test_a_file_of_camera_calibration_is_read(tmp_path):
    (tmp_path / "c.yaml").write_text(WRITTEN)
    calibration = read_calibration(tmp_path / "c.yaml")
    assert (calibration.image_width, calibration.image_height) == (320, 240)
    assert calibration.camera_matrix.data[4] == 309.8
    assert calibration.distortion_coefficients.data[:2] == (-0.1, 0.02)


def broken(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load(WRITTEN) | changes
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_width": 0}, "image_width"),
        ({"camera_matrix": None}, "camera_matrix"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [1.0]}}, "expected 3 x 3"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [0.0] * 9}}, "focal length"),
        ({"projection_matrix": {"rows": 3, "cols": 3, "data": [1.0] * 9}}, "expected 3 x 4"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [float("nan")] * 9}}, "finite"),
        ({"distortion_model": "fisheye"}, "distortion_model"),
        (
            {"distortion_model": "equidistant"},
            "distortion_coefficients has 1 x 5 values, expected 1 x 4",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_the_value(tmp_path, changes, named):
    with pytest.raises(InputError) as caught:
        read_calibration(broken(tmp_path, **changes))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_names_code_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("image_width: !!python/object/apply:os.getpid []")
    with pytest.raises(InputError, match="not valid YAML"):
        read_calibration(tmp_path / "c.yaml")
