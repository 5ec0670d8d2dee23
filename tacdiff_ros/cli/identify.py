"""`tacdiff identify`: estimates Young's modulus and friction of the gel from measured forces."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from tacdiff_ros.cli.output_folder import check_output_file, quoted
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.verdict import material_verdict
from tacdiff_ros.input_files import printable, read_table
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor
from tacdiff_ros.sensor.sensor_model import Material

MAX_CURVE_BYTES = 20_000_000


def identify(
    press: Annotated[Path, typer.Option(help="CSV file with columns depth_mm and force_n")],
    indenter: Annotated[str, typer.Option(help="indenter spec, such as sphere:diameter=5")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    shear: Annotated[
        Path | None, typer.Option(help="CSV file with columns shift_mm and friction_n")
    ] = None,
    shear_depth: Annotated[
        float | None, typer.Option(help="indentation depth during the shear in mm")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="sensor file to write: that of --sensor with the result")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Identify the gel's Young's modulus from a press and its friction from a shear (minutes)."""
    if (shear is None) != (shear_depth is None):
        raise InputError("--shear and --shear-depth belong together: give both or neither")
    model = default_sensor() if sensor is None else read_sensor(sensor)
    if out is not None:
        check_output_file(out, others=(press, shear))
    from tacdiff_ros.mechanics.identification import PressCurve, ShearCurve, identify_material
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    curve = PressCurve(*_columns(press, "depth_mm", "force_n"))
    shear_curve = None
    if shear is not None and shear_depth is not None:
        shear_curve = ShearCurve(shear_depth, *_columns(shear, "shift_mm", "friction_n"))
    console = Console(stderr=True)
    with console.status("simulating presses"):
        result = identify_material(model, build_indenter(indenter), curve, shear_curve)
    figures: dict[str, Any] = {
        "young_modulus_mpa": result.material.young_modulus_mpa,
        "young_modulus_stddev_mpa": result.young_modulus_stddev_mpa,
        "contact_offset_mm": result.contact_offset_mm,
        "press_residual_n": result.press_residual_n,
        "friction": result.material.friction if shear is not None else None,
        "friction_stddev": _finite(result.friction_stddev),
        "shear_residual_n": result.shear_residual_n,
    }
    if shear is not None and figures["friction_stddev"] is None:
        print("warning: the indenter never slipped: friction is a lower bound", file=sys.stderr)
    if out is not None:
        write_sensor(model.model_copy(update={"material": _material(figures)}), out)
    verdict = material_verdict(result.material.young_modulus_mpa, result.young_modulus_stddev_mpa)
    if as_json:
        print(json.dumps({**figures, "verdict": verdict.as_json()}))
        return
    print("\n".join(_lines(figures)))
    if out is not None and verdict.level != "bad":
        verdict = replace(verdict, advice=f"`tacdiff invert --sensor {quoted(out)}`: it is written")
    print(verdict.text)


def _lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures as lines of text with their units."""
    modulus, stddev = figures["young_modulus_mpa"], figures["young_modulus_stddev_mpa"]
    lines = [
        f"Young's modulus {modulus:.4g} MPa, standard deviation {stddev:.2g} MPa",
        f"first contact at a depth of {figures['contact_offset_mm']:.3f} mm in the file, residual "
        f"of the press {figures['press_residual_n']:.3g} N",
    ]
    if figures["friction"] is not None:
        stddev = figures["friction_stddev"]
        text = "a lower bound" if stddev is None else f"standard deviation {stddev:.2g}"
        residual = figures["shear_residual_n"]
        lines.append(f"friction {figures['friction']:.3g}, {text}")
        lines += [] if residual is None else [f"residual of the shear {residual:.3g} N"]
    return lines


def _material(figures: dict[str, Any]) -> Material:
    """Section of the sensor file; a lower bound of the friction is not written."""
    slipped = figures["friction_stddev"] is not None
    return Material(
        young_modulus_mpa=figures["young_modulus_mpa"],
        young_modulus_stddev_mpa=figures["young_modulus_stddev_mpa"],
        friction=figures["friction"] if slipped else None,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _columns(path: Path, *names: str) -> list[NDArray[np.float64]]:
    """Columns of a curve's file as arrays (N,).

    Raises:
        InputError: the file cannot be read, lacks a column, or a value is no number.
    """
    table = read_table(path, "curve", MAX_CURVE_BYTES)
    for name in names:
        if name not in table:
            columns = printable(", ".join(table))
            raise InputError(f"{printable(path)} has no column {name}: it has {columns}")
    try:
        return [np.array([float(value) for value in table[name]]) for name in names]
    except ValueError as error:
        raise InputError(f"{printable(path)}: {error}") from error
