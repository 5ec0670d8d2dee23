"""`tacdiff touch simulate`: a touch set of random objects on many virtual sensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import typer
from pydantic import ValidationError

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import write_files
from tacdiff_ros.settings_file import first_complaint, read_settings

if TYPE_CHECKING:
    from tacdiff_ros.touch_features.simulation.simulated_touch import SimulationSettings

SET, SHEET = "set", "contact_sheet.png"
MAX_BYTES = 16_384


def simulate(
    out: Annotated[Path, typer.Option(help="output folder; gets set/ and contact_sheet.png")],
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of the simulation's settings")
    ] = None,
    objects: Annotated[
        int | None, typer.Option(help="number of random objects; overrides the settings file")
    ] = None,
    processes: Annotated[int, typer.Option(help="number of processes", min=1, max=256)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Simulate a touch set: random objects pressed and slid on random sensors, with truth.

    The same command resumes what was interrupted.
    """
    from tacdiff_ros.touch_features.simulation.simulated_touches import simulate_touches
    from tacdiff_ros.touch_features.touch_sheet import contact_sheet

    given = _settings(settings, objects, processes)
    check_output_folder(out, (SHEET,))
    with ProgressBar("touches") as bar:
        touches = simulate_touches(given, out / SET, bar.update)
    sheet = contact_sheet(touches)[..., ::-1]
    write_files(out, {SHEET: cv2.imencode(".png", sheet)[1].tobytes()})
    figures = {"out": str(out), "images": len(touches), "sensors": len(touches.references)}
    if as_json:
        print(json.dumps(figures))
        return
    print(
        f"{out / SET}: {figures['images']} images of {figures['sensors']} sensors; overview: "
        f"{out / SHEET}\nNext: `tacdiff touch train --set {out / SET} --out ENCODER`"
    )


def _settings(path: Path | None, objects: int | None, processes: int) -> SimulationSettings:
    from tacdiff_ros.touch_features.simulation.simulated_touch import SimulationSettings

    given = SimulationSettings()
    if path is not None:
        given = read_settings(path, SimulationSettings, "simulation settings", MAX_BYTES)
    values = given.model_dump() | {"processes": processes}
    if objects is not None:
        values["objects"] = objects
    try:
        return SimulationSettings.model_validate(values)
    except ValidationError as error:
        raise InputError(f"simulation: {first_complaint(error)}") from error
