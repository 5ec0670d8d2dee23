"""A recorded touch as a folder of images and poses, drawn by the renderer over the full solver."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros.optics import llvm

BALL = "sphere:diameter=6"


@pytest.fixture(scope="session")
def touch_folder(tmp_path_factory) -> Path:
    """Three untouched frames, a press and a slide; noise, shadows and another solver than live."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    from tacdiff_ros.geometry.indenter_pose import IndenterPose
    from tacdiff_ros.mechanics.indenters.build import build_indenter
    from tacdiff_ros.mechanics.surface_refinement import refine_surface
    from tacdiff_ros.mechanics.touch import SolverSettings, Touch
    from tacdiff_ros.mechanics.trajectory import plan_touch
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.simulate import simulate_image
    from tacdiff_ros.sensor.gel_surface import GelSurface
    from tacdiff_ros.sensor.sensor_file import default_sensor

    model = default_sensor()
    folder = tmp_path_factory.mktemp("touch")
    random = np.random.default_rng(0)
    renderer = Renderer(model)
    touch = Touch(model, build_indenter(BALL), settings=SolverSettings(rows=33, columns=41))
    start = IndenterPose(1.0, -0.5)
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 139, 169)
    shown = [(flat, IndenterPose(1.0, -0.5, -1.0), "reference")] * 3
    for step, state in zip(
        plan_touch(start, 0.6, (0.25, 0.0)),
        touch.run(plan_touch(start, 0.6, (0.25, 0.0))),
        strict=True,
    ):
        phase = "indent" if step.phase == "press" else step.phase
        shown.append((refine_surface(state.surface, 139, 169), step.pose, phase))
    with (folder / "poses.csv").open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["image", "x_mm", "y_mm", "depth_mm", "yaw_rad", "trial", "phase"])
        for number, (surface, pose, phase) in enumerate(shown):
            image = simulate_image(renderer, surface).image + random.normal(0, 1.0, (240, 320, 3))
            name = f"frame_{number:03d}.png"
            cv2.imwrite(str(folder / name), np.clip(np.rint(image), 0, 255)[..., ::-1])
            place = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
            writer.writerow([name, *(f"{value:.6f}" for value in place), 0, phase])
    return folder
