"""Images of one virtual unit, shared by the tests of calibration, its command and its node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class UnitFolder:
    """A gs_sdk calibration folder of a unit whose truth is known."""

    folder: Path
    truth: SensorModel
    places_mm: tuple[tuple[float, float], ...]
    depth_mm: float

    @property
    def reference(self) -> Path:
        return self.folder / "background.png"

    def press(self, number: int) -> Path:
        return self.folder / "5.000mm" / str(number) / "gelsight.png"


@pytest.fixture(scope="session")
def unit_folder(tmp_path_factory) -> UnitFolder:
    """Drawn with shadows, more samples and noise, over surfaces of the full solver."""
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
    from tacdiff_ros.virtual.random_sensors import random_sensor

    folder = tmp_path_factory.mktemp("unit")
    truth, places, depth = random_sensor(3), ((-3.0, -1.5), (3.5, 2.0)), 0.8
    renderer, random = Renderer(truth), np.random.default_rng(1)

    def draw(surface: GelSurface, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        noisy = simulate_image(renderer, surface).image + random.normal(0.0, 1.0, (240, 320, 3))
        cv2.imwrite(str(path), np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[..., ::-1])

    draw(
        GelSurface.flat(truth.gel.width_mm, truth.gel.height_mm, 139, 169),
        folder / "background.png",
    )
    ball, rows = build_indenter("sphere:diameter=5"), ["experiment_reldir,diameter(mm)"]
    for k, place in enumerate(places):
        with Touch(truth, ball, settings=SolverSettings()) as touch:
            *_, state = touch.run(plan_touch(IndenterPose(*place), depth, (0.1, 0.0), 0.0))
        draw(refine_surface(state.surface, 139, 169), folder / f"5.000mm/{k}/gelsight.png")
        rows.append(f"5.000mm/{k},5.0")
    (folder / "catalog.csv").write_text("\n".join(rows) + "\n")
    return UnitFolder(folder, truth, places, depth)


@dataclass(frozen=True)
class CalibratedUnit:
    """The calibration of a unit folder's three images, computed once for all tests.

    Attributes:
        images: (H, W, 3) uint8: reference and two presses.
        found: what `calibrate` returned.
        told: stages and shares that it reported.
    """

    images: list[np.ndarray]
    found: Any
    told: list[tuple[str, float]]


@pytest.fixture(scope="session")
def calibrated_unit(unit_folder) -> CalibratedUnit:
    """Half a minute on two cores."""
    from tacdiff_ros.calibration.calibrate import calibrate
    from tacdiff_ros.calibration.calibration_inputs import CalibrationSettings, PressImage
    from tacdiff_ros.images.image_file import read_image
    from tacdiff_ros.mechanics.indenters.build import build_indenter
    from tacdiff_ros.sensor.sensor_file import default_sensor

    paths = (unit_folder.reference, *map(unit_folder.press, (0, 1)))
    images, told = [read_image(path) for path in paths], []
    ball = build_indenter("sphere:diameter=5")
    found = calibrate(
        default_sensor(),
        images[0],
        [PressImage(image, ball, f"press {k}") for k, image in enumerate(images[1:], 1)],
        CalibrationSettings(sensor_id="unit_3"),
        lambda stage, share: told.append((stage, share)),
    )
    return CalibratedUnit(images, found, told)
