"""The guide on a virtual sensor: what it asks for, refuses and keeps. Fits: test_live.py."""

import numpy as np
import pytest

from tacdiff_ros.calibration.guided.guide import CalibrationGuide
from tacdiff_ros.calibration.guided.press_analysis import _check_depth
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.hand import VirtualHand


@pytest.fixture(scope="module")
def images():
    """Untouched gel, a press, and the same press moved by a millimetre."""
    hand = VirtualHand(5.0)
    untouched = [hand.next(None) for _ in range(5)]
    press = [hand.next((0.0, 0.0)) for _ in range(2)]
    hand.lift()
    return {"untouched": untouched, "press": press, "moved": [press[0], hand.next((1.5, 0.0))]}


@pytest.fixture
def guide(tmp_path):
    return CalibrationGuide(default_sensor(), SessionFolder(tmp_path / "images"), 5.0)


def watch(guide, frames):
    return [guide.watch(frame) for frame in frames][-1]


def test_first_the_reference_image_is_taken_of_five_still_images(guide, images):
    assert guide.step == "reference"
    assert guide.target_mm is None
    first = guide.watch(images["untouched"][0])
    assert not first.can_take
    with pytest.raises(InputError, match="too few images"):
        guide.take()
    state = watch(guide, images["untouched"])
    assert state.can_take
    assert state.picture.shape == (480, 640, 3)
    assert "reference" in guide.take()
    mean = np.mean([frame.astype(float) for frame in images["untouched"]], axis=0)
    assert np.abs(guide.folder.reference() - mean).max() <= 0.5
    assert guide.step == "press"
    assert guide.target_mm == (0.0, 0.0)


def test_a_touched_reference_is_refused(guide, images):
    watch(guide, images["untouched"][:3] + images["press"])
    with pytest.raises(InputError, match="nothing may touch"):
        guide.take()
    assert not guide.folder.has_reference


def test_another_gel_is_refused(tmp_path, images):
    plain = default_sensor().model_copy(update={"markers": None})
    guide = CalibrationGuide(plain, SessionFolder(tmp_path / "images"), 5.0)
    watch(guide, images["untouched"])
    with pytest.raises(InputError, match="--plain"):
        guide.take()


def test_the_hint_says_why_a_press_cannot_be_taken(guide, images):
    watch(guide, images["untouched"])
    guide.take()
    for frames, reason in (("untouched", "nothing touches"), ("moved", "moves")):
        state = watch(guide, images[frames])
        assert reason in state.hint
        with pytest.raises(InputError, match=reason):
            guide.take()
    assert watch(guide, images["press"]).can_take
    with pytest.raises(InputError, match="0 presses are taken, expected 2"):
        guide.finish()


def test_undo_returns_to_the_reference_image(guide, images):
    with pytest.raises(InputError, match="nothing is taken"):
        guide.undo()
    watch(guide, images["untouched"])
    guide.take()
    guide.undo()
    assert guide.step == "reference"
    assert not guide.folder.has_reference


@pytest.mark.parametrize(
    ("depth_mm", "diameter_mm", "message"),
    [(0.1, 5.0, "press about 1 mm"), (1.2, 3.0, "too wide for a ball of 3"), (1.7, 8.0, "less")],
)
def test_presses_too_flat_too_deep_or_of_a_larger_ball_are_refused(depth_mm, diameter_mm, message):
    with pytest.raises(InputError, match=message):
        _check_depth(depth_mm, diameter_mm, "press 1")


def test_a_press_of_one_millimetre_is_accepted():
    _check_depth(1.0, 5.0, "press 1")
