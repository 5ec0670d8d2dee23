"""Estimate the deformed gel surface from one tactile image.

python examples/invert_image.py press.png reference.png [--sensor sensor.yaml]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("image", type=Path, help="tactile image")
parser.add_argument("reference", type=Path, help="image of the undeformed gel")
parser.add_argument("--sensor", type=Path, help="sensor file; default: the package's")
options = parser.parse_args()

model = read_sensor(options.sensor) if options.sensor else default_sensor()
inverter = Inverter(model, read_image(options.reference))
inversion = inverter.invert(read_image(options.image))
contact = inversion.contact
height_mm = inversion.surface.position[:, 2]
print(f"surface: {inversion.surface.rows} x {inversion.surface.columns} vertices")
print(f"deepest point: {-height_mm.min():.3f} mm")
print(f"contact: {contact.area_mm2:.1f} mm2 around {contact.centroid_mm} mm")
for line in inversion.warnings:
    print(f"warning: {line}")
