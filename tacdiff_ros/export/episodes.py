"""Episodes of recorded runs and simulated datasets, frame by frame, for export.

An episode is one trial. Frames are read one at a time: memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.bag_reading import RecordedRun, open_run

if TYPE_CHECKING:
    from tacdiff_ros.dataset.store import Dataset

POSE_NAMES = ("x_mm", "y_mm", "depth_mm", "yaw_rad")
RUN_STATE = (
    *POSE_NAMES,
    *(f"force_base_{axis}_n" for axis in "xyz"),
    *(f"torque_base_{axis}_n_m" for axis in "xyz"),
)
DATASET_STATE = (
    *POSE_NAMES,
    *(f"force_gel_{axis}_n" for axis in "xyz"),
    *(f"torque_gel_{axis}_n_m" for axis in "xyz"),
)
DATASET_FPS = 10  # nominal: states of a simulated trial have no time
MAPS = ("nocs", "depth_mm", "indentation_mm", "shear_mm", "contact")


@dataclass(frozen=True)
class Frame:
    """One image with the numbers that belong to it.

    Attributes:
        episode: index of the episode, ascending from 0 without gaps.
        image: (H, W, 3) uint8 RGB image of the gel.
        state: (10,) float32 indenter pose in frame `gel`, force and torque, see
            `Episodes.state_names`.
        action: (4,) float32 commanded indenter pose in frame `gel`, see `POSE_NAMES`.
        phase: index into `Episodes.phases`.
        in_contact: whether the indenter touches the gel.
        time_s: time since the first frame of the episode, s.
        maps: (H, W) or (H, W, C) maps of simulated frames by name, see `MAPS`.
    """

    episode: int
    image: NDArray[np.uint8]
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    phase: int
    in_contact: bool
    time_s: float
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Episodes:
    """The episodes of a run or dataset.

    Attributes:
        source: folder of the run or dataset.
        kind: "run" or "dataset".
        fps: rate of the frames, Hz; nominal for a dataset.
        state_names: names of the components of `Frame.state`, with their units.
        phases: names of the phases.
        tasks: description of each episode.
        splits: "train", "validation" or "test" of each episode; empty for a run.
        frames: returns an iterator over all frames, episode by episode.
        properties: JSON values that describe the origin.
    """

    source: Path
    kind: str
    fps: int
    state_names: tuple[str, ...]
    phases: tuple[str, ...]
    tasks: tuple[str, ...]
    splits: tuple[str, ...]
    frames: Callable[[], Iterator[Frame]]
    properties: Mapping[str, Any]


def open_episodes(source: Path, checksum: str | None = None) -> Episodes:
    """Open a recorded run or a dataset.

    Args:
        source: folder of the run or dataset.
        checksum: checksum of the sensor file whose images of a dataset are exported; None for the
            only one.

    Raises:
        InputError: the folder is neither, has no frames, or a package is missing.
    """
    if (source / "index.csv").is_file():
        return _run_episodes(open_run(source))
    if (source / "zarr.json").is_file():
        try:
            from tacdiff_ros.dataset.store import open_dataset
        except ImportError as error:
            raise InputError(
                f"datasets need {error.name}: `pip install 'tacdiff_ros[cluster]'`"
            ) from error
        return _dataset_episodes(open_dataset(source), checksum)
    raise InputError(
        f"{source} is neither a recorded run (index.csv) nor a dataset (zarr.json): give "
        "the folder of one"
    )


def _run_episodes(run: RecordedRun) -> Episodes:
    """Episodes of a run, one for each trial; images without a sample are omitted."""
    if run.sample_count == 0:
        raise InputError(f"{run.folder} contains no samples")
    columns = run.columns
    trials, first_rows = np.unique(columns["trial"], return_index=True)
    indenter = str(run.run.get("indenter", "")) or "unknown indenter"
    intervals_s = 1e-9 * np.diff(columns["stamp_ns"])
    return Episodes(
        source=run.folder,
        kind="run",
        fps=max(1, round(1.0 / float(np.median(intervals_s)))) if len(intervals_s) else 1,
        state_names=RUN_STATE,
        phases=tuple(phase.name.lower() for phase in Phase),
        tasks=(f"touch {indenter} with the tactile sensor",) * len(trials),
        splits=(),
        frames=lambda: _run_frames(run, trials, first_rows),
        properties={
            "indenter": indenter,
            "recorded_by": str(run.run.get("tacdiff_ros", "")),
            "trials": [int(trial) for trial in trials],
        },
    )


def _run_frames(
    run: RecordedRun, trials: NDArray[np.float64], first_rows: NDArray[np.int64]
) -> Iterator[Frame]:
    columns = run.columns
    row_of = {int(stamp): row for row, stamp in enumerate(columns["stamp_ns"])}
    measured, commanded = (
        np.stack([columns[f"{kind}_{name}"] for name in POSE_NAMES], axis=-1)
        for kind in ("measured", "commanded")
    )
    wrench = np.stack(
        [columns[f"force_{axis}_n"] for axis in "xyz"]
        + [columns[f"torque_{axis}_n_m"] for axis in "xyz"],
        axis=-1,
    )
    state = np.concatenate([measured, wrench], axis=-1)
    episode_of = np.searchsorted(trials, columns["trial"])
    for stamp_ns, image in run.images():
        row = row_of.get(stamp_ns)
        if row is None:
            continue
        episode = int(episode_of[row])
        start_ns = int(columns["stamp_ns"][first_rows[episode]])
        yield Frame(
            episode=episode,
            image=image,
            state=state[row].astype(np.float32),
            action=commanded[row].astype(np.float32),
            phase=int(Phase[str(columns["phase"][row]).upper()]),
            in_contact=bool(columns["in_contact"][row] > 0),
            time_s=1e-9 * (stamp_ns - start_ns),
        )


def _dataset_episodes(dataset: Dataset, checksum: str | None) -> Episodes:
    from tacdiff_ros.dataset.plan import SPLITS, plan_trial
    from tacdiff_ros.dataset.reader import SampleReader, only_checksum
    from tacdiff_ros.dataset.touches import PHASES

    known = checksum or only_checksum(dataset)
    readers = {split: SampleReader(dataset, split, known) for split in SPLITS}
    order = [(split, k) for split, reader in readers.items() for k in range(len(reader.trials))]
    if not order:
        raise InputError(f"{dataset.folder} has no samples yet: run `tacdiff dataset` first")
    trials = [readers[split].trials[k] for split, k in order]
    indenters = [plan_trial(dataset.plan, trial).indenter for trial in trials]

    def frames() -> Iterator[Frame]:
        for episode, (split, number) in enumerate(order):
            yield from _trial_frames(readers[split], number, episode)

    return Episodes(
        source=dataset.folder,
        kind="dataset",
        fps=DATASET_FPS,
        state_names=DATASET_STATE,
        phases=PHASES,
        tasks=tuple(f"touch {indenter} with the tactile sensor" for indenter in indenters),
        splits=tuple(split for split, _ in order),
        frames=frames,
        properties={"sensor_checksum": known, "seed": dataset.plan.seed, "trials": trials},
    )


def _trial_frames(reader: Any, number: int, episode: int) -> Iterator[Frame]:
    """Frames of a dataset's trial; the action is the pose of the next state.

    Args:
        reader: `SampleReader` of the trial's split.
        number: index of the trial in the split.
        episode: index of the episode.
    """
    from tacdiff_ros.dataset.store import read_array, read_group

    group = read_group(reader.dataset.touch_folder(reader.trials[number]))
    pose, force_n, torque_n_mm = (read_array(group, n) for n in ("pose", "force_n", "torque_n_mm"))
    phase = read_array(group, "phase")
    states = reader.dataset.plan.states_per_trial
    for step in range(states):
        sample = reader.sample(number * states + step)
        state = np.concatenate([pose[step], force_n[step], 1e-3 * torque_n_mm[step]])
        yield Frame(
            episode=episode,
            image=sample.rgb,
            state=state.astype(np.float32),
            action=pose[min(step + 1, states - 1)].astype(np.float32),
            phase=int(phase[step]),
            in_contact=bool(sample.contact.any()),
            time_s=step / DATASET_FPS,
            maps={name: getattr(sample, name) for name in MAPS},
        )
