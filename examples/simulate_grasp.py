"""Simulate a stable grasp that a depth camera and touch sensors see: input for `tacdiff pose`.

python examples/simulate_grasp.py grasp/ [--object mug.obj] [--hand allegro_xela] [--seed 0]

Without --object the hand holds a box. The folder gets the object's mesh, the observation with a
start about 2 cm and 15 degrees off, and the true pose.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import trimesh

from tacdiff_ros.object_pose.observation_file import write_observation
from tacdiff_ros.objects.grasp_set import GraspSetSettings, generate_cases
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import load_object

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("out", type=Path, help="folder to write to")
parser.add_argument("--object", type=Path, help="mesh, m; default: a box of 50 x 70 x 120 mm")
parser.add_argument("--hand", default="allegro_xela", help="or franka_two_minis")
parser.add_argument("--seed", type=int, default=0, help="seed of grasp and noise")
options = parser.parse_args()

options.out.mkdir(parents=True, exist_ok=True)
mesh = options.object
if mesh is None:
    mesh = options.out / "box.obj"
    trimesh.creation.box((0.05, 0.07, 0.12)).export(mesh)
item, hand = load_object(mesh), load_hand(options.hand)
case = next(iter(generate_cases(hand, item, GraspSetSettings(grasps=1), options.seed)))
write_observation(options.out, case.observation, hand, case.starts[0])
(options.out / "true_pose.json").write_text(json.dumps(case.truth.pose.tolist()))
x, y, z = 1e3 * case.truth.pose[:3, 3]
offset_mm = 1e3 * np.linalg.norm(case.starts[0][:3, 3] - case.truth.pose[:3, 3])
print(f"{item.name} at ({x:.1f}, {y:.1f}, {z:.1f}) mm of the hand, start {offset_mm:.0f} mm off")
print(f"next: tacdiff pose {options.out} --object {mesh} --hand {options.hand} --out pose")
