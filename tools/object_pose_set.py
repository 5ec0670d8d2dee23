"""Writes a synthetic set of grasps with known poses, in the format that `tacdiff pose` reads.

    python tools/object_pose_set.py OBJECT... --out DIR [--hand allegro_xela] [--grasps 3]
        [--errors hard] [--occluded] [--start-m 0.0221] [--start-deg 15.3] [--seed 0]

OBJECT is a mesh file in metres or a folder in the layout of YCB. Each grasp is a folder
OBJECT_NUMBER with the observation; OBJECT_NUMBER.truth.json beside it has the true pose (4 x 4,
object in the frame of the hand's root link, m), joint positions, camera pose and visible fraction.
The decimated mesh for estimates is OBJECT.ply.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose.observation_file import write_observation
from tacdiff_ros.objects.grasp_sensing import ERRORS
from tacdiff_ros.objects.grasp_set import (
    GraspCase,
    GraspSetSettings,
    decimated,
    generate_cases,
)
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import load_object
from tacdiff_ros.output_files import json_text, write_file


def main(arguments: list[str] | None = None) -> int:
    """Write the set; exit code 2 if a name or an object is invalid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--hand", default="allegro_xela", help="hand, hand file or URDF")
    parser.add_argument("--grasps", type=int, default=3)
    parser.add_argument("--errors", choices=ERRORS, default="hard")
    parser.add_argument("--occluded", action="store_true", help="a camera behind the hand")
    parser.add_argument("--start-m", type=float, default=0.0221, help="median distance")
    parser.add_argument("--start-deg", type=float, default=15.3, help="median angle")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    settings = GraspSetSettings(
        grasps=options.grasps,
        errors=ERRORS[options.errors],
        occluded=options.occluded,
        start_position=options.start_m,
        start_angle_deg=options.start_deg,
    )
    try:
        hand = load_hand(options.hand)
        options.out.mkdir(parents=True, exist_ok=True)
        for path in options.objects:
            write_object(path, hand, settings, options.out, options.seed)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write_object(
    path: Path, hand: Hand, settings: GraspSetSettings, folder: Path, seed: int
) -> None:
    """Write the grasps of one object and its decimated mesh."""
    full = load_object(path)
    coarse = decimated(full)
    mesh = trimesh.Trimesh(coarse.vertices, coarse.faces, process=False)
    write_file(folder / f"{full.name}.ply", bytes(mesh.export(file_type="ply")))
    for number, case in enumerate(generate_cases(hand, full, settings, seed)):
        name = f"{full.name}_{number:03d}"
        write_observation(folder / name, case.observation, hand, case.starts[0])
        write_file(folder / f"{name}.truth.json", json_text(truth_content(case)))
        print(f"{name}: {case.truth.visible_fraction:.0%} of the object is visible", flush=True)


def truth_content(case: GraspCase) -> dict[str, object]:
    """Return the truth of a grasp as numbers and lists."""
    truth = case.truth
    return {
        "pose": truth.pose.tolist(),
        "joint_positions": truth.joint_positions.tolist(),
        "camera_pose": truth.camera.pose.tolist(),
        "visible_fraction": truth.visible_fraction,
    }


if __name__ == "__main__":
    raise SystemExit(main())
