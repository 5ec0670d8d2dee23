"""`tacdiff rig`: the rig file, and the mount of the sensor from touches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tacdiff_ros.acquisition.rig_file import read_rig, write_rig
from tacdiff_ros.acquisition.rig_settings import RigSettings, Triple
from tacdiff_ros.cli.output_folder import quoted
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import read_sensor

if TYPE_CHECKING:
    from tacdiff_ros.geometry.mount_fit import MountFit
    from tacdiff_ros.replay.mount_touches import RunTouches

rig = typer.Typer(help="One file for what all nodes must know of the rig.", rich_markup_mode=None)
FileArgument = Annotated[Path, typer.Argument(help="rig file, or a parameter file with a rig")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]
Numbers = tuple[float, float, float]
DECIMALS = 4


@rig.command("write", short_help="write a rig file, or change one")
def write(
    file: FileArgument,
    name: Annotated[
        str | None, typer.Option(help="name that recordings state; default: name of the file")
    ] = None,
    mount: Annotated[
        Numbers | None, typer.Option(help="x y z of the gel in the end effector, mm")
    ] = None,
    mount_rpy: Annotated[
        Numbers | None, typer.Option(help="roll pitch yaw of the gel in the end effector, rad")
    ] = None,
    indenter_position: Annotated[
        Numbers | None, typer.Option(help="x y z of the indenter's tip in the robot base, mm")
    ] = None,
    indenter_rpy: Annotated[
        Numbers | None, typer.Option(help="roll pitch yaw of the gel at contact, rad")
    ] = None,
    indenter: Annotated[
        str | None, typer.Option(help="spec of the indenter, such as sphere:diameter=5")
    ] = None,
    sensor: Annotated[Path | None, typer.Option(help="sensor file of the sensor")] = None,
    base_frame: Annotated[str | None, typer.Option(help="frame of O_T_EE")] = None,
    end_effector_frame: Annotated[str | None, typer.Option(help="link of O_T_EE")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a rig file; in an existing one only what is given changes."""
    before = read_rig(file) if file.exists() else RigSettings()
    if indenter is not None:
        build_indenter(indenter)
    if sensor is not None:
        read_sensor(sensor)
    _check_finite("--mount", mount)
    _check_finite("--mount-rpy", mount_rpy)
    _check_finite("--indenter-position", indenter_position)
    _check_finite("--indenter-rpy", indenter_rpy)
    given = {
        "name": name or before.name or file.stem,
        "mount_position_mm": mount,
        "mount_rpy_rad": mount_rpy,
        "indenter_position_mm": indenter_position,
        "indenter_rpy_rad": indenter_rpy,
        "indenter": indenter,
        "sensor_file": None if sensor is None else str(sensor.absolute()),
        "base_frame": base_frame,
        "end_effector_frame": end_effector_frame,
    }
    changed = before.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    write_rig(file, changed)
    summary = {"out": str(file), **changed.describe()}
    if as_json:
        print(json.dumps(summary))
        return
    print(f"{file}: rig {changed.line}\nnext: `tacdiff doctor --rig-file {quoted(file)}`")


def _check_finite(option: str, numbers: Numbers | None) -> None:
    if numbers is not None and not all(math.isfinite(value) for value in numbers):
        raise InputError(f"{option} is {numbers}, expected three finite numbers")


@rig.command("mount", short_help="pose of the sensor at the arm, from a recorded run")
def mount(
    recording: Annotated[Path, typer.Argument(help="recorded run with touches of one indenter")],
    sensor: Annotated[Path, typer.Option(help="sensor file of this sensor")],
    indenter: Annotated[str, typer.Option(help="indenter spec; default: that of the run")] = "",
    indenter_stddev: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=50.0,
            help="how well the indenter's position is known per axis, mm; 0: it is taken as known",
        ),
    ] = 0.0,
    file: Annotated[
        Path | None, typer.Option("--write", help="rig file or parameter file to correct")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the pose of the sensor at the end effector from the touches of a run."""
    from tacdiff_ros.geometry.mount_fit import fit_mount

    before = None if file is None else read_rig(file)
    console = Console(stderr=True)
    measured = _touches(recording, sensor, indenter)
    if before is not None:
        _check_same_rig(before, measured, recording)
    for line in measured.left_out:
        console.print(f"left out: {line}", style="yellow", markup=False, soft_wrap=True)
    fit = fit_mount(measured.touches, measured.rig, indenter_stddev)
    corrected = _corrected(before or RigSettings(), fit)
    if file is not None:
        write_rig(file, corrected)
    summary = _summary(fit, measured, corrected, file)
    print(json.dumps(summary) if as_json else _text(fit, measured, corrected, file))


def _touches(recording: Path, sensor: Path, indenter: str) -> RunTouches:
    """Touches of a run, with a progress bar."""
    from tacdiff_ros.recording.bag_reading import open_run
    from tacdiff_ros.replay.mount_touches import run_touches

    model, run = read_sensor(sensor), open_run(recording)
    with ProgressBar("touches", 1.0) as bar:
        return run_touches(run, model, indenter, bar.update)


def _check_same_rig(settings: RigSettings, measured: RunTouches, recording: Path) -> None:
    """Check that a file has the rig that the run was recorded with."""
    for ours, theirs in (
        (settings.rig.end_effector_to_gel, measured.rig.end_effector_to_gel),
        (settings.rig.base_to_indenter, measured.rig.base_to_indenter),
    ):
        distance_mm, angle_rad = ours.distance_to(theirs)
        if distance_mm > 1e-3 or angle_rad > 1e-4:
            raise InputError(
                f"{recording} was recorded with another rig than that of --write "
                f"({distance_mm:.2f} mm and {math.degrees(angle_rad):.2f} degrees apart): was it "
                "corrected already? "
                "Record a run with this rig, or leave out --write"
            )


def _corrected(before: RigSettings, fit: MountFit) -> RigSettings:
    from scipy.spatial.transform import Rotation

    mount = fit.rig.end_effector_to_gel
    rpy = Rotation.from_matrix(mount.matrix).as_euler("xyz")
    return before.model_copy(
        update={
            "mount_position_mm": _triple(mount.position_mm),
            "mount_rpy_rad": _triple(rpy),
            "indenter_position_mm": _triple(fit.rig.base_to_indenter.position_mm),
        }
    )


def _triple(values: Any) -> Triple:
    x, y, z = (round(float(value), DECIMALS) for value in values)
    return (x, y, z)


def _summary(
    fit: MountFit, measured: RunTouches, corrected: RigSettings, file: Path | None
) -> dict[str, Any]:
    """The result as JSON values."""
    from tacdiff_ros.geometry.mount_fit import DIRECTIONS

    numbers = zip(DIRECTIONS, fit.correction, fit.stddev, strict=True)
    return {
        "trials": list(measured.trials),
        "left_out": list(measured.left_out),
        "corrections": {
            name: {
                "value": round(float(value), 5),
                "stddev": round(float(stddev), 5),
                "unit": _symbol(name),
                "determined": name not in fit.undetermined,
            }
            for name, value, stddev in numbers
        },
        "indenter_shift_mm": [round(float(value), DECIMALS) for value in fit.indenter_shift_mm],
        "rms_before_mm": round(fit.before_mm, DECIMALS),
        "rms_after_mm": round(fit.after_mm, DECIMALS),
        "rig": corrected.model_dump(mode="json"),
        "written": None if file is None else str(file),
    }


def _symbol(direction: str) -> str:
    return "rad" if direction.startswith(("tilt", "rotation")) else "mm"


def _text(fit: MountFit, measured: RunTouches, corrected: RigSettings, file: Path | None) -> str:
    """The result, and what to do, for a terminal."""
    from tacdiff_ros.geometry.mount_fit import DIRECTIONS

    lines = [f"mount corrected from {len(measured.touches)} touches, along axes of the gel:"]
    for name, value, stddev in zip(DIRECTIONS, fit.correction, fit.stddev, strict=True):
        factor, symbol = (1.0, "mm") if _symbol(name) == "mm" else (math.degrees(1.0), "degrees")
        number = f"{factor * value:+8.3f} +- {factor * stddev:.3f} {symbol}"
        lines.append(f"  {name:26}{'not determined' if name in fit.undetermined else number}")
    lines.append(
        f"tips by arm and images are {fit.after_mm:.3f} mm (RMS) apart, before "
        f"{fit.before_mm:.3f} mm"
    )
    lines += [_reason(fit)] if fit.undetermined else []
    for name in ("mount_position_mm", "mount_rpy_rad", "indenter_position_mm"):
        lines.append(f"rig.{name}: {list(getattr(corrected, name))}")
    lines.append(
        f"written to {file}: start the nodes again with it"
        if file is not None
        else "enter these values, or give --write RIG_FILE"
    )
    return "\n".join(lines)


def _reason(fit: MountFit) -> str:
    """Why directions are not determined, and what to do."""
    names = ", ".join(fit.undetermined)
    if any(_symbol(name) == "mm" for name in fit.undetermined):
        return (
            f"{names}: known only together with the indenter's position, which takes the "
            "correction; for x and y touch with the sensor turned about its normal "
            "(start.yaw_deg of the protocol); the height needs a measured height of the indenter"
        )
    return f"{names}: touch at positions that are spread over the gel in x and y"
