"""A small dataset, made once in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacdiff_ros.optics import llvm

PLAN = """
trials: 6
indenters: ["sphere:diameter=5", "cube"]
rows: 11
columns: 13
start_mm: [3.0, 2.0]
trajectory: {depth_mm: 0.4, translation_mm: 0.2, directions: ["x+"], rotation_deg: 0, step_mm: 0.2}
"""


@pytest.fixture(scope="session")
def plan_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory, plan_file) -> Path:
    """Three states of each of six trials, in all three splits."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    from tacdiff_ros.dataset.plan import read_plan
    from tacdiff_ros.dataset.store import gel_size, open_or_create
    from tacdiff_ros.dataset.trial_work import make_trial, write_sensor_group
    from tacdiff_ros.sensor.sensor_file import default_sensor, format_sensor

    model = default_sensor()
    folder = tmp_path_factory.mktemp("dataset") / "set"
    dataset = open_or_create(folder, read_plan(plan_file), gel_size(model))
    write_sensor_group(dataset, model)
    for index in range(6):
        assert make_trial(folder, index, format_sensor(model)).failure is None
    return folder
