"""Reasons of what the twin's images lack in the contact: mechanics, calibration or drawing.

A virtual sensor is calibrated from a reference image and two presses of a ball, as in the
demonstration. Then an indenter is pressed, slid and turned; each part of the twin is replaced by
the truth in turn, and the PSNR in the contact measured again. The truth is the virtual sensor: its
sensor file, and the surfaces of its gel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.evaluation.agreement import changed_pixels
from tacdiff_ros.evaluation.image_metrics import score_images
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_trajectory
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.optics.simulate import ImageRenderer, to_uint8
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor, virtual_sensor_model

SEED = 0  # virtual sensor of the demonstration
BALL = "sphere:diameter=5"
INDENTERS = (BALL, "cross")
CALIBRATION_POSES = (IndenterPose(2.5, 1.5, 1.0), IndenterPose(-2.5, -1.5, 1.0))
MOTION = Trajectory(depth_mm=1.0, translation_mm=0.4, step_mm=0.2, rotation_deg=4.0, step_deg=2.0)
START = IndenterPose(0.4, -0.3, 0.0, 0.2)
FINE, COARSE = (105, 128), (71, 86)  # vertices of the surface that is drawn: 0.2 and 0.3 mm
TRUE_GRID = (65, 81)  # vertices of the gel of the virtual sensor
GRIDS = {"replay": (49, 61), "live": (41, 51)}  # vertices of the gel
UNTOUCHED = IndenterPose(depth_mm=-1.0)

Image = NDArray[np.uint8]
Scores = dict[str, list[float]]


def contact_psnr_rows(sensor_file: Path | None) -> list[dict[str, Any]]:
    """Return the PSNR in the contact, dB, for each indenter and replaced part.

    Args:
        sensor_file: calibrated sensor file (`sensor.yaml` of a demonstration); None to calibrate.
    """
    truth = virtual_sensor_model(SEED)
    calibrated = _calibrated(truth) if sensor_file is None else read_sensor(sensor_file)
    return [row for spec in INDENTERS for row in _indenter_rows(truth, calibrated, spec)]


def _calibrated(truth: SensorModel) -> SensorModel:
    sensor, ball = VirtualSensor(truth, BALL, SEED), build_indenter(BALL)
    reference = sensor.sense(UNTOUCHED).image
    presses = []
    for pose in CALIBRATION_POSES:
        sensor.sense(UNTOUCHED)
        presses.append(PressImage(sensor.sense(pose).image, ball))
    return calibrate(default_sensor(), reference, presses).model


def _indenter_rows(truth: SensorModel, calibrated: SensorModel, spec: str) -> list[dict[str, Any]]:
    sensor, indenter = VirtualSensor(truth, spec, SEED, grid=TRUE_GRID), build_indenter(spec)
    gels = {
        name: LiveGel.of_sensor(calibrated, indenter, None, grid) for name, grid in GRIDS.items()
    }
    draw_calibrated, draw_true = FastRenderer(calibrated), FastRenderer(truth)
    other_drawing = Renderer(truth)
    reference = sensor.sense(UNTOUCHED).image
    scores: Scores = {}
    for step in plan_trajectory(MOTION, START):
        real = sensor.sense(step.pose)
        moved = {name: gel.follow(step.pose).surface for name, gel in gels.items()}

        replayed = refine_contact(moved["replay"], indenter, step.pose, *FINE)
        true_surface = refine_contact(real.result.surface, indenter, real.result.pose, *FINE)
        drawn = {
            "nothing: the twin of the replay": (draw_calibrated, replayed),
            "nothing: the live twin": (
                draw_calibrated,
                refine_contact(moved["live"], indenter, step.pose, *COARSE),
            ),
            "the live twin, drawn finer": (
                draw_calibrated,
                refine_contact(moved["live"], indenter, step.pose, *FINE),
            ),
            "the replay, drawn coarser": (
                draw_calibrated,
                refine_contact(moved["replay"], indenter, step.pose, *COARSE),
            ),
            "mechanics": (draw_calibrated, true_surface),
            "calibration": (draw_true, replayed),
            "both, other renderer (drawing)": (other_drawing, true_surface),
            "both, same renderer (camera noise)": (draw_true, true_surface),
        }
        contact = changed_pixels(real.image, reference)
        if contact.any():
            _add_scores(scores, drawn, real.image, contact, reference)
    return [
        {
            "indenter": spec,
            "replaced by the truth": name,
            "psnr_db": round(float(np.median(values)), 1),
            "worst_db": round(float(np.min(values)), 1),
        }
        for name, values in scores.items()
    ]


def _add_scores(
    scores: Scores,
    drawn: dict[str, tuple[ImageRenderer, GelSurface]],
    real: Image,
    contact: NDArray[np.bool_],
    reference: Image,
) -> None:
    """Add the PSNR in the contact of one frame for each way to draw it."""
    images = {name: _draw(*parts) for name, parts in drawn.items()}
    images["background: the reference image"] = reference
    for name, image in images.items():
        scores.setdefault(name, []).append(score_images(image, real, contact).psnr_db)


def _draw(renderer: ImageRenderer, surface: GelSurface) -> Image:
    renderer.set_surface(surface)
    return to_uint8(renderer.image())
