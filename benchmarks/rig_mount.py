"""`tacdiff rig mount` on a recorded run of the virtual arm whose mount is configured wrongly.

    python benchmarks/rig_mount.py [--quick] [--json]

The run has eight presses of a ball; `tacdiff calibrate --run` calibrates the virtual sensor from it
as on a real arm, and the mount is then found from the same run, with the position of the indenter
unknown and known. Two to three minutes on two cores, with `--quick` one: four presses, and the true
sensor file. It needs the Python modules of the nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import print_rows

from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.cli.application import run as run_command
from tacdiff_ros.cli.virtual_graph import GraphRun, parameters, require_ros, run_graph
from tacdiff_ros.geometry.mount_fit import DIRECTIONS, fit_mount
from tacdiff_ros.recording.bag_reading import open_run
from tacdiff_ros.replay.mount_touches import run_touches
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.sensor_file import read_sensor, write_sensor
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

BALL, SEED, YAW_DEG = "sphere:diameter=5", 0, 20.0
TRIALS, QUICK_TRIALS = 8, 4
ERROR_MM, ERROR_RAD = (0.6, -0.4, 0.3), (0.02, -0.015, 0.03)
INDENTER_STDDEV_MM = {"unknown": 5.0, "known": 0.0}


def main() -> int:
    """Run the benchmark; exit code 0, or 1 if the run or the calibration failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four presses, no calibration")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    require_ros()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        result = run_graph(
            _graph(out, QUICK_TRIALS if options.quick else TRIALS), out, Console(stderr=True)
        )
        sensor = out / "sensor.yaml"
        calibrate = ["calibrate", "--run", str(out / "touches"), "--out", str(sensor)]
        if not result["success"]:
            print(result["message"], file=sys.stderr)
            return 1
        if options.quick:
            write_sensor(virtual_sensor_model(SEED), sensor)
        else:
            with contextlib.redirect_stdout(sys.stderr):
                if run_command(calibrate) != 0:
                    return 1
        rows = [row for name in INDENTER_STDDEV_MM for row in measure(out, sensor, name)]
    if options.json:
        print(json.dumps({"rows": rows}))
    else:
        print_rows("mount", rows)
    return 0


def measure(out: Path, sensor: Path, indenter: str) -> list[dict[str, Any]]:
    """Return a row for each correction: what was configured wrongly, and what was found."""
    touches = run_touches(open_run(out / "touches"), read_sensor(sensor), BALL)
    fit = fit_mount(touches.touches, touches.rig, INDENTER_STDDEV_MM[indenter])
    true = dict(zip(DIRECTIONS, [-value for value in (*ERROR_MM, *ERROR_RAD)], strict=True))
    rows = []
    for name, value, stddev in zip(DIRECTIONS, fit.correction, fit.stddev, strict=True):
        is_angle = name.startswith(("tilt", "rotation"))
        factor = math.degrees(1.0) if is_angle else 1.0
        rows.append(
            {
                "indenter": indenter,
                "direction": f"{name}, {'degrees' if is_angle else 'mm'}",
                "true": round(factor * true[name], 3),
                "estimated": round(factor * float(value), 3),
                "stddev": round(factor * float(stddev), 3),
                "determined": name not in fit.undetermined,
            }
        )
    return rows


def _graph(out: Path, trials: int) -> GraphRun:
    """Acquisition with the wrong mount; arm and sensor have the default one."""
    protocols = out / "protocols"
    shutil.copytree(config_path("protocols"), protocols)
    protocol = yaml.safe_load((protocols / "demo_ball.yaml").read_text(encoding="utf-8"))
    protocol["trials"], protocol["start"]["yaw_deg"] = trials, YAW_DEG
    (protocols / "mount.yaml").write_text(yaml.safe_dump(protocol), encoding="utf-8")
    rig = RigSettings()
    acquisition = parameters(
        data_folder=out,
        protocol_folder=protocols,
        rig__mount_position_mm=_sum(rig.mount_position_mm, ERROR_MM),
        rig__mount_rpy_rad=_sum(rig.mount_rpy_rad, ERROR_RAD),
    )
    nodes = {
        "virtual_panda": parameters(start_gap_mm=12.0),
        "virtual_gelsight": parameters(seed=SEED, indenter=f"'{BALL}'", threads=1),
        "acquisition": acquisition,
    }
    return GraphRun("touches", "mount.yaml", BALL, nodes, awaited=["image_raw"])


def _sum(values: tuple[float, float, float], errors: tuple[float, float, float]) -> list[float]:
    return [value + error for value, error in zip(values, errors, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
