"""Simulate a press and write what the sensor sees.

python examples/simulate_press.py [--indenter cross:size=4] [--depth 0.8] [--out press.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.output_files import png_bytes, write_file
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.twin.physical_renderer import PhysicalRenderer
from tacdiff_ros.twin.touch_simulation import simulate_touch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--indenter", default="cross:size=4")
parser.add_argument("--depth", type=float, default=0.8, help="indentation depth, mm; 0: reference")
parser.add_argument("--at", type=float, nargs=2, default=(0.0, 0.0), help="x and y, mm")
parser.add_argument("--out", type=Path, default=Path("press.png"))
options = parser.parse_args()

model = default_sensor()
indenter = options.indenter if options.depth > 0 else "none"
request = TouchRequest(indenter, IndenterPose(*options.at), options.depth)
touch = simulate_touch(model, request, PhysicalRenderer(model))
write_file(options.out, png_bytes(touch.rendered.image))
force_n = -touch.result.force_n[2]  # on the gel, whose z axis points away from the camera
print(f"{options.out}: normal force {force_n:.2f} N, {touch.contact.area_mm2:.1f} mm2")
