"""Calibrate a sensor from a reference image and two presses of a ball.

python examples/calibrate_sensor.py reference.png press1.png press2.png --diameter 5
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_figures import residuals
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import default_sensor, write_sensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("reference", type=Path, help="image of the undeformed gel")
parser.add_argument("presses", type=Path, nargs="+", help="images of presses")
parser.add_argument("--diameter", type=float, default=5.0, help="diameter of the ball, mm")
parser.add_argument("--out", type=Path, default=Path("sensor.yaml"))
options = parser.parse_args()

ball = build_indenter(f"sphere:diameter={options.diameter}")
presses = [PressImage(read_image(path), ball, path.name) for path in options.presses]
result = calibrate(
    default_sensor(),
    read_image(options.reference),
    presses,
    progress=lambda stage, fraction: print(f"\r{stage}: {100 * fraction:3.0f} %", end=""),
)
write_sensor(result.model, options.out)
print()
for name, value in residuals(result).items():
    print(f"{name}: {value:.3g}")
for line in result.warnings:
    print(f"warning: {line}")
