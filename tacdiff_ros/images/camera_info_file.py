"""Calibration files of cameras, in the YAML format of camera_info_manager."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tacdiff_ros.settings_file import read_settings

MAX_BYTES = 100_000
# Numbers of coefficients of the distortion models in sensor_msgs/distortion_models.hpp.
COEFFICIENTS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}


class Matrix(BaseModel):
    """A matrix, row by row."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: Annotated[int, Field(ge=1, le=4)]
    cols: Annotated[int, Field(ge=1, le=14)]
    data: tuple[float, ...]

    @model_validator(mode="after")
    def _check_length(self) -> Matrix:
        if len(self.data) != self.rows * self.cols:
            raise ValueError(
                f"{len(self.data)} numbers, expected {self.rows} x {self.cols} as rows and cols say"
            )
        return self


class CameraCalibration(BaseModel):
    """Pinhole calibration of a camera for images of one size."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    image_width: Annotated[int, Field(ge=1, le=8192)]
    image_height: Annotated[int, Field(ge=1, le=8192)]
    camera_matrix: Matrix
    distortion_model: Literal["plumb_bob", "rational_polynomial", "equidistant"] = "plumb_bob"
    distortion_coefficients: Matrix
    rectification_matrix: Matrix
    projection_matrix: Matrix

    @model_validator(mode="after")
    def _check_shapes(self) -> CameraCalibration:
        """Raise a ValueError for a matrix of another shape or a focal length that is not > 0."""
        expected = {
            "camera_matrix": (self.camera_matrix, (3, 3)),
            "rectification_matrix": (self.rectification_matrix, (3, 3)),
            "projection_matrix": (self.projection_matrix, (3, 4)),
            "distortion_coefficients": (
                self.distortion_coefficients,
                (1, COEFFICIENTS[self.distortion_model]),
            ),
        }
        for name, (matrix, shape) in expected.items():
            if (matrix.rows, matrix.cols) != shape:
                raise ValueError(
                    f"{name} has {matrix.rows} x {matrix.cols} values, expected "
                    f"{shape[0]} x {shape[1]}"
                )
        if not (self.camera_matrix.data[0] > 0 and self.camera_matrix.data[4] > 0):
            raise ValueError("camera_matrix has a focal length that is not above 0")
        return self


def read_calibration(path: Path) -> CameraCalibration:
    """Read a calibration file.

    Args:
        path: YAML file.

    Raises:
        InputError: the file is missing or no valid calibration; the message names the value.
    """
    return read_settings(path, CameraCalibration, "camera calibration", MAX_BYTES)
