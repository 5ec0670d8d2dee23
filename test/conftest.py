"""Order of the tests, which skips are allowed, and images of one virtual sensor."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_model import SensorModel

# Reasons for a skip where `make setup` has provided everything that it can.
ALLOWED_SKIPS = (
    "real data not here",  # recorded images are not part of the repository
    "no graphics card",
    "this machine has CUDA",
    "one kernel takes minutes to compile on a graphics card",
    "`launch` comes with a ROS installation only",
    "no /dev/full",
    "not run by pytest-xdist with groups",
    "could not import 'lerobot",  # larger than all other packages together
    *(("could not import 'zarr'",) if sys.version_info < (3, 11) else ()),  # zarr 3 needs 3.11
)


# Tests whose processes keep time with each other: nothing else may run beside them.
ALONE = ("nodes", "launch", "cli/test_interrupts.py")
# What of them only converts messages, or waits for the answers of one node, however slow it is.
NOT_ALONE = ("nodes/conversion", "nodes/test_calibration.py", "nodes/test_readiness.py")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what runs alone; keep tests that share fixtures in one process of pytest-xdist."""
    sharing = {item.path for item in items if "unit_folder" in getattr(item, "fixturenames", ())}
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        if _is_in(path, ALONE) and not _is_in(path, NOT_ALONE):
            item.add_marker("alone")
        group = "unit" if item.path in sharing else path.parts[0]
        item.add_marker(pytest.mark.xdist_group(group))


def _is_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        help="fail what is skipped because a part of the installation is missing",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return fail_unexpected_skip(item.config, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return fail_unexpected_skip(collector.config, (yield))


def fail_unexpected_skip(config: pytest.Config, report: Any) -> Any:
    """With --strict-skips, make a skip for any other reason a failure."""
    if config.getoption("--strict-skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2]
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{reason} (with --strict-skips this is a failure)"
    return report


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
