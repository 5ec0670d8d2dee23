"""The live gel beside the full solver: record, fit the second-order term, compare.

    python tools/fit_live_gel.py record FOLDER [--rows 33] [INDENTER ...]
    python tools/fit_live_gel.py fit FOLDER
    python tools/fit_live_gel.py compare FOLDER

`record` takes the full solver minutes to an hour per indenter; `fit` writes `second_order.yaml`.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from second_order_fit import FitState, fit_second_order

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import SHAPES, build_indenter
from tacdiff_ros.mechanics.live.gel_response import GelResponse
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.second_order import FITTED, SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import NotConvergedError, SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_trajectory
from tacdiff_ros.output_files import write_file
from tacdiff_ros.sensor.sensor_file import default_sensor

MAX_RECORDING_BYTES = 2_000_000_000
INDENTERS = (*(name for name in SHAPES if name != "mesh"), "sphere:diameter=10")


@dataclass(frozen=True)
class Recording:
    """States of the full solver along a trajectory, S steps, N vertices.

    Attributes:
        indenter: spec.
        rows: of the grid.
        columns: of the grid.
        names: (S,) of the motions.
        poses: (S, 4) x, y, depth in mm and yaw in rad.
        displacement: (S, N, 3) float32 mm.
        force: (S, N, 3) float32 N on the gel.
    """

    indenter: str
    rows: int
    columns: int
    names: NDArray[np.str_]
    poses: NDArray[np.float64]
    displacement: NDArray[np.float32]
    force: NDArray[np.float32]

    def save(self, file: Path) -> None:
        """As npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(self))
        write_file(file, buffer.getvalue())

    @classmethod
    def load(cls, file: Path) -> Recording:
        """Read what `save` wrote."""
        stored = read_archive(file, "recording", MAX_RECORDING_BYTES)
        try:
            return cls(
                str(stored["indenter"]),
                int(stored["rows"]),
                int(stored["columns"]),
                *(stored[name] for name in ("names", "poses", "displacement", "force")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file} is no recording of the full solver ({error})") from error

    @property
    def pad(self) -> PadGrid:
        """The grid, on the default sensor's pad."""
        return PadGrid(rows=self.rows, columns=self.columns)


def record(
    indenter: str,
    rows: int,
    columns: int,
    trajectory: Trajectory,
    start: IndenterPose | None = None,
) -> Recording:
    """Run the full solver on the default sensor, from its middle, as far as it converges."""
    settings = SolverSettings(rows=rows, columns=columns)
    names, poses, displacement, force = [], [], [], []
    plan = plan_trajectory(trajectory, start or IndenterPose())
    with Touch(default_sensor(), build_indenter(indenter), GelMaterial(), settings) as touch:
        area = touch.solver.mesh.tributary_area_mm2()[:, None]
        try:
            for step, state in zip(plan, touch.run(plan), strict=True):
                pose = state.pose
                names.append(step.name)
                poses.append((pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad))
                displacement.append(state.surface.position - state.surface.rest)
                traction = np.concatenate(
                    [state.traction_mpa.reshape(-1, 2), -state.pressure_mpa.reshape(-1, 1)], axis=1
                )
                force.append((traction * area).astype(np.float32))
        except NotConvergedError as error:
            print(f"{indenter}: {error}", file=sys.stderr)
    return Recording(
        indenter,
        rows,
        columns,
        np.array(names),
        np.array(poses),
        np.array(displacement),
        np.array(force),
    )


def fit_states(recording: Recording, every: int = 2) -> Iterator[FitState]:
    """What the fit needs of every second state."""
    response = GelResponse(recording.pad, GelMaterial(), SecondOrderWeights.none())
    shape = (3, recording.rows, recording.columns)
    for moved, force in zip(
        recording.displacement[1::every], recording.force[1::every], strict=True
    ):
        loads = force.astype(np.float64)
        linear = response.layer_displacement(loads) + response.correction(
            np.zeros_like(loads), loads
        )
        planes = [
            np.ascontiguousarray(np.asarray(field, np.float64).T).reshape(shape)
            for field in (moved, linear, loads)
        ]
        yield FitState(recording.indenter, response.second_order, *planes)


@dataclass(frozen=True)
class Agreement:
    """The live gel along a recording, S steps.

    Attributes:
        height_rms_mm: (S,) over all vertices, of the z displacement.
        plane_rms_mm: (S,) over all vertices, of the length of the in-plane difference.
        force_ratio: (S,) normal force of the live gel over the full solver's.
        seconds: (S,) of one core, per pose.
        converged: (S,) bool.
    """

    height_rms_mm: NDArray[np.float64]
    plane_rms_mm: NDArray[np.float64]
    force_ratio: NDArray[np.float64]
    seconds: NDArray[np.float64]
    converged: NDArray[np.bool_]


def compare(recording: Recording, weights: SecondOrderWeights | None = None) -> Agreement:
    """Follow the poses of a recording, and compare.

    Args:
        recording: of the full solver.
        weights: of the second-order term, the fitted ones by default.
    """
    gel = LiveGel(build_indenter(recording.indenter), pad=recording.pad, weights=weights)
    rows = []
    for pose, moved, force in zip(
        recording.poses, recording.displacement, recording.force, strict=True
    ):
        started = time.process_time()
        answer = gel.step(IndenterPose(*(float(value) for value in pose)))
        seconds = time.process_time() - started
        off = answer.displacement - moved
        rows.append(
            (
                np.sqrt((off[:, 2] ** 2).mean()),
                np.sqrt((off[:, :2] ** 2).sum(axis=1).mean()),
                answer.force_n[2] / min(float(force[:, 2].sum()), -1e-9),
                seconds,
                answer.converged,
            )
        )
    columns = np.array(rows, np.float64).T
    height, plane, ratio, seconds, converged = columns
    return Agreement(height, plane, ratio, seconds, converged.astype(bool))


def main() -> int:
    """Record, fit or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=("record", "fit", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=33)
    parser.add_argument("indenters", nargs="*", default=INDENTERS)
    options = parser.parse_args()
    if options.task == "record":
        options.folder.mkdir(parents=True, exist_ok=True)
        columns = round((options.rows - 1) * 1.25) + 1
        for indenter in options.indenters:
            recorded = record(indenter, options.rows, columns, Trajectory())
            name = indenter.replace(":", "_").replace("=", "")
            recorded.save(options.folder / f"{name}_{options.rows}.npz")
        return 0
    files = sorted(options.folder.glob("*.npz"))
    if not files:
        raise InputError(f"{options.folder} has no recordings: run `record` first")
    if options.task == "fit":
        states = (state for file in files for state in fit_states(Recording.load(file)))
        fit_second_order(states).to_yaml(FITTED)
    print_comparison([Recording.load(file) for file in files])
    return 0


def print_comparison(recordings: list[Recording]) -> None:
    """A row a recording: largest and mean differences, and how fast."""
    print("indenter               rows  height mm (max mean)  plane mm (max mean)  force  ms  late")
    for recording in recordings:
        found = compare(recording)
        print(
            f"{recording.indenter:22s} {recording.rows:4d}  "
            f"{found.height_rms_mm.max():.3f} {found.height_rms_mm.mean():.3f}  "
            f"{found.plane_rms_mm.max():.3f} {found.plane_rms_mm.mean():.3f}  "
            f"{found.force_ratio[-1]:.2f}  {1e3 * found.seconds.mean():.0f}  "
            f"{np.count_nonzero(~found.converged)}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
