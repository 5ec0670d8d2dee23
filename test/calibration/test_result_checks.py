"""Results of a calibration that no sensor has are refused with their likely cause."""

from types import SimpleNamespace

import numpy as np
import pytest

from tacdiff_ros.calibration.result_checks import check_lighting, check_scale
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import default_sensor


def markers(pitch_px):
    rows, columns = np.mgrid[:7, :9]
    return SimpleNamespace(position_px=pitch_px * np.stack([columns, rows], axis=-1))


def test_the_pitch_of_frames_resized_without_the_crop_names_the_crop():
    check_scale(default_sensor(), markers(32.8))
    with pytest.raises(InputError, match=r"23\.4 px apart.* without the crop of 0\.143"):
        check_scale(default_sensor(), markers(32.8 * 5 / 7))


@pytest.mark.parametrize(("rms", "correlation"), [(200.0, 0.9), (5.0, 0.1), (5.0, np.nan)])
def test_lights_that_do_not_explain_the_presses_are_refused(rms, correlation):
    def lighting(rms, correlation):
        presses = (SimpleNamespace(correlation=correlation),)
        return SimpleNamespace(lights=SimpleNamespace(rms=rms / 255), presses=presses)

    check_lighting(lighting(11.0, 0.8))
    with pytest.raises(InputError, match="does not explain the presses"):
        check_lighting(lighting(rms, correlation))
