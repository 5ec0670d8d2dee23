"""A small dataset, made once by two worker processes."""

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
    from tacdiff_ros.dataset.cluster import local_client
    from tacdiff_ros.dataset.generate import generate
    from tacdiff_ros.dataset.plan import read_plan
    from tacdiff_ros.sensor.sensor_file import default_sensor

    folder = tmp_path_factory.mktemp("dataset") / "set"
    with local_client(2) as client:
        report = generate(folder, read_plan(plan_file), default_sensor(), client)
    assert (report.complete, report.samples, report.failed) == (6, 18, {})
    return folder
