"""Messages `sensor_msgs/CameraInfo` of an image source."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.camera_info_file import CameraCalibration, read_calibration
from tacdiff_ros.input_files import printable


class CameraInfoSource:
    """Calibration of a file, of a focal length, or none (all-zero K)."""

    def __init__(self, url: str, focal_length_px: float, frame_id: str) -> None:
        """Read the calibration.

        Args:
            url: "file:///path" or "package://name/path" of a calibration file; empty for none.
            focal_length_px: focal length of a pinhole camera, px; 0 for none.
            frame_id: frame of the camera.

        Raises:
            InputError: the URL or its file is unusable, or both calibrations are given.
        """
        if url and focal_length_px > 0.0:
            raise InputError(
                "parameters 'camera_info_url' and 'focal_length_px' are both given: expected one"
            )
        self._focal_px, self._frame_id = focal_length_px, frame_id
        self._calibration = read_calibration(path_of(url)) if url else None

    def check_size(self, width: int, height: int) -> None:
        """Check that images of this size are calibrated.

        Raises:
            InputError: the file is for images of another size.
        """
        file = self._calibration
        if file is not None and (file.image_width, file.image_height) != (width, height):
            raise InputError(
                f"the camera calibration is for images of {file.image_width}x{file.image_height} "
                f"pixels, the images have {width}x{height}: calibrate at this size"
            )

    def message(self, shape: tuple[int, ...], stamp: Time) -> CameraInfo:
        """Return the message of one image.

        Args:
            shape: shape of the image, which passed `check_size` if there is a file.
            stamp: time of the image.
        """
        info = CameraInfo(height=shape[0], width=shape[1], distortion_model="plumb_bob")
        info.header.stamp, info.header.frame_id = stamp, self._frame_id
        info.d = [0.0] * 5
        if self._calibration is not None:
            _fill(info, self._calibration)
        elif self._focal_px > 0.0:
            f, x, y = self._focal_px, (shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0
            info.k = [f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0]
            info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
            info.p = [f, 0.0, x, 0.0, 0.0, f, y, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info


def path_of(url: str) -> Path:
    """Return the path of a `file://` or `package://` URL.

    Raises:
        InputError: the URL has another form, or the package is not installed.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and path:
        return Path(path)
    if parts.scheme == "package" and parts.netloc and path.strip("/"):
        try:
            return Path(get_package_share_directory(parts.netloc)) / path.lstrip("/")
        except (PackageNotFoundError, ValueError) as error:
            raise InputError(
                f"parameter 'camera_info_url': package '{printable(parts.netloc)}' is not installed"
            ) from error
    raise InputError(
        f"parameter 'camera_info_url' is '{printable(url)}': expected file:///PATH or "
        "package://NAME/PATH"
    )


def _fill(info: CameraInfo, calibration: CameraCalibration) -> None:
    info.distortion_model = calibration.distortion_model
    info.d = list(calibration.distortion_coefficients.data)
    info.k = list(calibration.camera_matrix.data)
    info.r = list(calibration.rectification_matrix.data)
    info.p = list(calibration.projection_matrix.data)
