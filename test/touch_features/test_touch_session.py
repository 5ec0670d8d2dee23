"""Present touches, slip and requests about them, with an encoder whose readings are scripted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.slip.slip_watch import SlipWatch
from tacdiff_ros.touch_features.touch_encoder import TouchReading
from tacdiff_ros.touch_features.touch_memory import TouchMemory
from tacdiff_ros.touch_features.touch_session import TouchSession, describe
from tacdiff_ros.touch_features.touched_sensor import TouchedSensor

IMAGE = np.full((240, 320, 3), 90, np.uint8)
KEY, COIN = np.array([1.0, 0.0, 0.1]), np.array([0.0, 1.0, 0.0])


def reading(
    touch: np.ndarray = KEY, depth_mm: float = 0.3, slip: float = 0.0, shear_mm: float = 0.0
) -> TouchReading:
    surface = np.zeros((5, 30, 40), np.float32)
    surface[0, 10:20, 10:20] = depth_mm
    surface[3] = shear_mm
    direction = (touch / np.linalg.norm(touch)).astype(np.float32)
    return TouchReading(direction, direction, {"slip_fraction": slip}, surface)


class ScriptedEncoder:
    """Gives the reading that a test sets."""

    checksum = "scripted"

    def __init__(self) -> None:
        self.next = reading()

    def read(self, _image: Any, _reference: Any, _earlier: Any = None) -> TouchReading:
        return self.next


@pytest.fixture
def encoders() -> list[ScriptedEncoder]:
    return [ScriptedEncoder(), ScriptedEncoder()]


@pytest.fixture
def sensors(encoders: list[ScriptedEncoder]) -> list[TouchedSensor]:
    return [TouchedSensor(f"image_{k}", encoder) for k, encoder in enumerate(encoders)]


def show(sensor: TouchedSensor, encoder: ScriptedEncoder, touch: TouchReading, at_s: float) -> None:
    encoder.next = touch
    sensor.read(IMAGE, at_s, at_s)


def test_slip_is_smoothed_over_three_images_and_warns_from_the_threshold() -> None:
    watch = SlipWatch(0.8)
    states = [watch.update(reading(slip=s), 0.04 * k) for k, s in enumerate((0.3, 0.9, 1.0, 1.0))]
    assert [state.slip_fraction for state in states] == pytest.approx([0.3, 0.6, 2.2 / 3, 2.9 / 3])
    assert [state.warning for state in states] == [False, False, False, True]


def test_shear_rate_is_the_displacement_between_images_over_their_time() -> None:
    watch = SlipWatch()
    first = watch.update(reading(shear_mm=0.1), 1.0)
    assert not first.shear_rate_mm_s.any()
    second = watch.update(reading(shear_mm=0.16), 1.04)
    assert second.shear_rate_mm_s == pytest.approx([1.5, 0.0], rel=1e-5)
    after_pause = watch.update(reading(shear_mm=0.5), 3.0)
    assert not after_pause.shear_rate_mm_s.any()
    lost = watch.update(reading(depth_mm=0.0), 3.04)
    assert not lost.in_contact and not lost.warning and lost.slip_fraction == 0.0
    assert not watch.update(reading(shear_mm=0.5), 3.08).shear_rate_mm_s.any()


def test_a_request_is_refused_with_the_true_reason(
    sensors: list[TouchedSensor], encoders: list[ScriptedEncoder], tmp_path: Path
) -> None:
    session = TouchSession(sensors[:1], tmp_path / "memory.npz", "scripted")
    sensor, encoder = sensors[0], encoders[0]
    assert sensor.read(IMAGE, 0.0, 0.0) is None  # without a reference image
    for request in (lambda: session.remember("key", 0.0), lambda: session.recognize(0.0)):
        with pytest.raises(InputError, match="image_0: no reference image yet"):
            request()
    sensor.take_reference(IMAGE)
    with pytest.raises(InputError, match="none since the reference image"):
        session.recognize(0.0)
    show(sensor, encoder, reading(depth_mm=0.0), 1.0)
    with pytest.raises(InputError, match="nothing touches the gel"):
        session.remember("key", 1.1)
    show(sensor, encoder, reading(), 2.0)
    with pytest.raises(InputError, match="nothing is remembered"):
        session.recognize(2.1)
    with pytest.raises(InputError, match=r"the newest is 0\.7 s old"):
        session.remember("key", 2.7)
    with pytest.raises(InputError, match="4:3"):
        sensor.read(IMAGE[:, :240], 3.0, 3.0)
    with pytest.raises(InputError, match="4:3"):
        session.remember("key", 3.1)
    for request in (session.match, session.identify):
        with pytest.raises(InputError, match="two sensors"):
            request(2.0)
    assert session.names == () and not (tmp_path / "memory.npz").exists()


def test_what_both_fingers_remember_is_identified_in_the_hand_after_a_restart(
    sensors: list[TouchedSensor], encoders: list[ScriptedEncoder], tmp_path: Path
) -> None:
    session = TouchSession(sensors, tmp_path / "memory.npz", "scripted")
    for at_s, (name, touch) in enumerate((("key", KEY), ("coin", COIN)), 1):
        for sensor, encoder in zip(sensors, encoders, strict=True):
            sensor.take_reference(IMAGE)
            show(sensor, encoder, reading(touch), float(at_s))
        assert session.remember(name, at_s + 0.1) == 2
    assert session.match(2.1) == pytest.approx(1.0)
    again = TouchSession(sensors, tmp_path / "memory.npz", "scripted")
    identified = again.identify(2.1)
    assert identified.names == ("coin", "key") and identified.known
    assert describe(identified) == "coin (similarity 1.00)"
    show(sensors[0], encoders[0], reading(KEY), 2.2)
    expected = 0.5 * (1.0 + KEY @ COIN / np.linalg.norm(KEY))
    assert again.identify(2.3).similarity[0] == pytest.approx(expected, abs=1e-6)
    assert again.match(2.3) == pytest.approx(0.0, abs=1e-6)
    show(sensors[1], encoders[1], reading(depth_mm=0.0), 2.4)
    assert again.remember("key", 2.5) == 3  # by the sensor that is touched
    again.forget("coin")
    assert TouchSession(sensors, tmp_path / "memory.npz", "scripted").names == ("key",)
    with pytest.raises(InputError, match="'coin' is not remembered"):
        again.forget("coin")


def test_a_failed_write_leaves_the_memory_as_it_was(
    sensors: list[TouchedSensor], encoders: list[ScriptedEncoder], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    session = TouchSession(sensors[:1], tmp_path / "taken" / "memory.npz", "scripted")
    sensors[0].take_reference(IMAGE)
    show(sensors[0], encoders[0], reading(), 1.0)
    with pytest.raises(InputError, match="cannot write"):
        session.remember("key", 1.1)
    assert session.names == ()


def test_damaged_memories_and_those_of_other_encoders_are_refused(
    sensors: list[TouchedSensor], tmp_path: Path
) -> None:
    path = tmp_path / "memory.npz"
    TouchMemory("another").save(path)
    with pytest.raises(InputError, match="another encoder"):
        TouchSession(sensors, path, "scripted")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"memory\.npz"):
        TouchSession(sensors, path, "scripted")


def test_an_image_that_is_read_while_the_reference_changes_is_not_used(
    encoders: list[ScriptedEncoder],
) -> None:
    sensor = TouchedSensor("image_raw", encoders[0])
    began, go_on = threading.Event(), threading.Event()

    def slow_read(*_images: Any) -> TouchReading:
        began.set()
        assert go_on.wait(10.0)
        return reading()

    encoders[0].read = slow_read  # type: ignore[method-assign]
    sensor.take_reference(IMAGE)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(sensor.read(IMAGE, 1.0, 1.0)))
    thread.start()
    assert began.wait(10.0)
    sensor.take_reference(IMAGE + 1)
    go_on.set()
    thread.join(10.0)
    assert results == [None]
    with pytest.raises(InputError, match="none since the reference image"):
        sensor.touch(1.0)


def test_a_camera_with_small_images_is_read(sensors: list[TouchedSensor]) -> None:
    small = np.ascontiguousarray(IMAGE[::2, ::2])
    sensors[0].take_reference(small)
    assert sensors[0].read(small, 1.0, 1.0) is not None
    assert sensors[0].read(small, 1.04, 1.04) is not None
