"""`tacdiff pose`: estimates the pose of an object in the hand from one observation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import json_text, png_bytes, write_files

if TYPE_CHECKING:
    from tacdiff_ros.object_pose.pose_estimate import PoseEstimate

FILES = ("pose.json", "overlay.png", "report.html")
STAGES = {"search": (0.0, 0.1), "coarse": (0.1, 0.6), "fine": (0.6, 0.95), "assess": (0.95, 1.0)}


def pose(
    observation: Annotated[
        Path, typer.Argument(help="folder with observation.yaml and arrays.npz")
    ],
    object_mesh: Annotated[
        Path, typer.Option("--object", help="mesh of the object, or a folder in YCB's layout")
    ],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    hand: Annotated[
        str, typer.Option(help="name of a hand in config/hands, hand file, or URDF")
    ] = "franka_two_minis",
    unit: Annotated[str, typer.Option(help="unit of the mesh: m, cm, mm or in")] = "m",
    mass: Annotated[float | None, typer.Option(help="mass of the object in kg")] = None,
    friction: Annotated[
        float | None, typer.Option(help="friction coefficient of the object and the hand")
    ] = None,
    from_nothing: Annotated[
        bool, typer.Option("--from-nothing", help="ignore the start pose of the observation")
    ] = False,
    touch_only: Annotated[
        bool, typer.Option("--touch-only", help="ignore the camera of the observation")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Estimate the pose of an object in the hand: pose.json, overlay.png, report.html.

    The exit code is 1 if the pose is not identified.
    """
    check_output_folder(out, FILES)
    from dataclasses import replace

    from tacdiff_ros.object_pose.observation_file import read_observation
    from tacdiff_ros.object_pose.refiner import PoseRefiner
    from tacdiff_ros.objects.hand_files import load_hand
    from tacdiff_ros.objects.object_files import load_object
    from tacdiff_ros.reports.object_pose_report import overlay_of, report_text

    the_hand = load_hand(hand)
    measured, start = read_observation(observation, the_hand)
    if touch_only:
        measured = replace(measured, camera=None, depth=None, mask=None)
    if (mass is not None and mass <= 0.0) or (friction is not None and friction < 0.0):
        raise InputError(f"mass {mass} kg, friction {friction}: expected positive numbers")
    item = load_object(object_mesh, unit, mass=mass, friction=friction)
    refiner = PoseRefiner(item, the_hand)
    console = Console(stderr=True)
    with ProgressBar("searching", 1.0) as bar:

        def progress(stage: str, fraction: float, _cost: float) -> None:
            low, high = STAGES[stage]
            bar.update(low + (high - low) * fraction, stage=stage)

        estimate = refiner.refine(measured, None if from_nothing else start, progress)
    picture = overlay_of(estimate, item, measured)
    contents: dict[str, str | bytes] = {
        "pose.json": json_text(estimate.as_json()),
        "report.html": report_text(estimate, item, measured),
    }
    if picture is not None:
        contents["overlay.png"] = png_bytes(picture)
    write_files(out, contents)
    _print(estimate, out, as_json, console)
    return 0 if estimate.is_identified else 1


def _print(estimate: PoseEstimate, out: Path, as_json: bool, console: Console) -> None:
    for line in estimate.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({**estimate.as_json(), "out": str(out)}))
        return
    x, y, z = (1e3 * estimate.best.object_pose[:3, 3]).tolist()
    print(
        f"{out}: {estimate.object_name} at ({x:.1f}, {y:.1f}, {z:.1f}) mm of the hand, "
        f"{len(estimate.hypotheses)} hypotheses, {estimate.seconds:.1f} s\n"
        f"{estimate.verdict}: {estimate.reason}"
    )
    for direction in estimate.open_directions:
        print(f"not observed: {direction.words}")
