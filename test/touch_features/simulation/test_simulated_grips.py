"""Simulated grasps that an encoder reads: their truth, their part files, their loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tacdiff_ros.errors import InputError
from tacdiff_ros.resources import shipped_encoder
from tacdiff_ros.touch_features.simulation import simulated_grips
from tacdiff_ros.touch_features.simulation.grip_motion import STOP_MM, random_grip
from tacdiff_ros.touch_features.simulation.simulated_grips import (
    GripSettings,
    simulate_grip,
    simulate_grips,
)

FRAMES = 12


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> GripSettings:
    monkeypatch.setattr(simulated_grips, "FRAMES", FRAMES)
    return GripSettings(
        encoder=str(shipped_encoder()), checksum="", grasps=5, sensors=2, sensors_per_grasp=2
    )


def test_both_sensors_read_the_same_grasp(settings: GripSettings) -> None:
    part = simulate_grip(settings, 3)
    assert part["surface"].shape == (2, FRAMES, 5, 30, 40)
    assert part["grasp"].tolist() == [3, 3]
    assert sorted(part["has_markers"].tolist()) == [False, True]
    first, second = part["slip_fraction"]
    assert np.array_equal(first, second, equal_nan=True) and np.nanmax(first) <= 1.0
    depth = part["surface"][:, :, 0].astype(float).max(axis=(2, 3))
    assert (depth[:, -1] > 0.05).all() and (depth[:, -1] > 2.0 * depth[:, 0]).all()


def test_parts_of_other_settings_are_refused(settings: GripSettings, tmp_path: Path) -> None:
    simulated = simulate_grips(settings.model_copy(update={"grasps": 1}), tmp_path)
    assert len(simulated.surface) == 2
    again = simulate_grips(settings.model_copy(update={"grasps": 1, "processes": 7}), tmp_path)
    assert np.array_equal(simulated.surface, again.surface)
    with pytest.raises(InputError, match="other settings"):
        simulate_grips(settings, tmp_path)


def test_loads_begin_after_the_grasp_is_closed_and_some_stop_or_return() -> None:
    reach = []
    for seed in range(60):
        motion, begin_s = random_grip(np.random.default_rng(seed), 75)
        moved = np.linalg.norm(motion.position_mm - motion.position_mm[0], axis=1)
        assert motion.load[round(25 * begin_s) - 1] == pytest.approx(0.98)
        assert moved[: round(25 * begin_s)].max() < 0.02
        reach.append(moved[-1])
    assert np.mean(np.array(reach) > STOP_MM[1]) > 0.3
    assert np.mean(np.array(reach) < STOP_MM[1]) > 0.3
