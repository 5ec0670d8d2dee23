"""The camera that takes over what the dots' offsets have in common."""

import numpy as np
import pytest

from tacdiff_ros.calibration.camera_pose import CameraPriors
from tacdiff_ros.calibration.settled_camera import refit_camera
from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.virtual.random_sensors import random_sensor

LENS_KNOWN = CameraPriors(focal_fraction=None, distortion=None)


@pytest.fixture(scope="module")
def unit():
    """A unit whose dots lie on their lattice."""
    unit = random_sensor(3)
    return with_parameter_values(unit, {"markers.offset_mm": np.zeros((63, 2))})


@pytest.fixture(scope="module")
def moved(unit):
    """The same dots, seen by a camera that is off and explained by the dots' offsets."""
    values = parameter_values(unit)
    seen = project(values, marker_positions_mm(unit))
    off = {
        "camera.position_mm": values["camera.position_mm"] + [0.05, -0.04, 0.1],
        "camera.rotation_rad": values["camera.rotation_rad"] + [0.002, -0.003, 0.001],
    }
    camera = with_parameter_values(unit, off)
    places = marker_positions_mm(camera)
    offset = (unproject(parameter_values(camera), seen, places[..., 2]) - places)[..., :2]
    assert np.abs(offset).max() > 0.05
    return with_parameter_values(camera, {"markers.offset_mm": offset.reshape(-1, 2)})


def test_common_offsets_become_the_cameras(unit, moved):
    settled, fit = refit_camera(moved, unit, np.ones((7, 9), bool), LENS_KNOWN)
    assert fit.rms_px < 1e-4
    for name in ("camera.position_mm", "camera.rotation_rad"):
        assert parameter_values(settled)[name] == pytest.approx(
            parameter_values(unit)[name], abs=1e-4
        )
    assert np.abs(parameter_values(settled)["markers.offset_mm"]).max() < 1e-4


def test_dots_stay_where_they_were_seen_and_single_ones_keep_their_offset(unit, moved):
    offset = parameter_values(moved)["markers.offset_mm"].copy()
    offset[30] += [0.03, -0.02]
    moved = with_parameter_values(moved, {"markers.offset_mm": offset})
    settled, _ = refit_camera(moved, unit, np.ones((7, 9), bool), LENS_KNOWN)
    before, after = (project(parameter_values(m), marker_positions_mm(m)) for m in (moved, settled))
    assert np.abs(after - before).max() < 1e-4
    own = parameter_values(settled)["markers.offset_mm"]
    assert own[30] == pytest.approx([0.03, -0.02], abs=0.004)


def test_the_lens_stays_near_the_files_value(unit, moved):
    """Priors are around the file, not around what an earlier stage made of it."""
    longer = with_parameter_values(
        moved, {"camera.focal_px": 1.05 * parameter_values(unit)["camera.focal_px"]}
    )
    settled, fit = refit_camera(longer, unit, np.ones((7, 9), bool), LENS_KNOWN)
    assert settled.camera.focal_px == unit.camera.focal_px
    assert "camera.focal_px" not in fit.stddev


def test_too_few_dots_are_refused(unit, moved):
    used = np.zeros((7, 9), bool)
    used[:2, :8] = True
    with pytest.raises(InputError, match=r"16 markers were found, at least 20 are needed"):
        refit_camera(moved, unit, used, LENS_KNOWN)
