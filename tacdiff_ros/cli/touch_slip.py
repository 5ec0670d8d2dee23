"""`tacdiff touch slip`: trains the slip head of an encoder on simulated grasps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.cli.touch_train import require_packages

GRASPS, PARTS = 220, "grasps"


def slip(
    encoder: Annotated[Path, typer.Option(help="folder of the encoder, which gets the head")],
    work: Annotated[Path, typer.Option(help="folder of the simulated grasps")],
    grasps: Annotated[
        int, typer.Option(help="number of simulated grasps", min=5, max=100_000)
    ] = GRASPS,
    processes: Annotated[int, typer.Option(help="number of processes", min=1, max=256)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Train the slip head of an encoder: slip.safetensors in its folder.

    The same command resumes what was interrupted.
    """
    require_packages()
    from tacdiff_ros.touch_features.simulation.simulated_grips import GripSettings, simulate_grips
    from tacdiff_ros.touch_features.slip.slip_head import FILE, save_slip_head
    from tacdiff_ros.touch_features.slip.slip_training import SlipTrainingSettings, train_slip_head
    from tacdiff_ros.touch_features.touch_encoder import TouchEncoder

    checksum = TouchEncoder(encoder, threads=1).checksum
    check_output_folder(encoder, (FILE,))
    check_output_folder(work, ())
    settings = GripSettings(
        encoder=str(encoder), checksum=checksum, grasps=grasps, processes=processes
    )
    with ProgressBar("grasps") as bar:
        grips = simulate_grips(settings, work / PARTS, bar.update)
    with ProgressBar("training") as bar:
        trained = train_slip_head(grips, checksum, SlipTrainingSettings(), bar.update)
    save_slip_head(encoder, trained.weights, trained.card)
    figures = {"out": str(encoder / FILE), "grasps": grasps, **trained.scores._asdict()}
    if as_json:
        print(json.dumps(figures))
        return
    print(
        f"{encoder / FILE}: slip fraction of simulated grasps that were not in the training: "
        f"correlation {trained.scores.correlation:.2f}, area under the curve "
        f"{trained.scores.area_under_curve:.2f}"
    )
