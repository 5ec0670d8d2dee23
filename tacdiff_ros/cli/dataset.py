"""`tacdiff dataset`: generates datasets of simulated touches and shows their content."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tacdiff_ros.cli.output_folder import quoted
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import png_bytes, write_file
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor

if TYPE_CHECKING:
    from distributed import Client

    from tacdiff_ros.dataset.cluster import SlurmSettings
    from tacdiff_ros.dataset.cluster_security import TlsFiles
    from tacdiff_ros.dataset.generate import GenerationReport
    from tacdiff_ros.dataset.plan import DatasetPlan
    from tacdiff_ros.dataset.store import Dataset

NO_TLS_WARNING = (
    "--no-tls: anyone who reaches the scheduler's port can run programs as you, here and in jobs"
)

dataset = typer.Typer(
    help="Generate or resume a dataset of simulated touches; `dataset info DIR` describes one.",
    rich_markup_mode=None,
)


@dataset.callback(invoke_without_command=True)
def make(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="folder of the dataset")] = None,
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000_000, help="total number of trials; default: 500, as in the plan"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="seed of the trials")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="YAML file of the plan; default: the paper's 56,000 samples")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="number of processes; default: one per core")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a Dask scheduler, such as tls://head:8786")
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the certificate authority of a tls:// scheduler"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of your certificate")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of your private key")] = None,
    slurm: Annotated[Path | None, typer.Option(help="YAML file of Slurm settings")] = None,
    interface: Annotated[
        str | None,
        typer.Option(help="with --slurm: network interface of scheduler and workers, such as ib0"),
    ] = None,
    no_tls: Annotated[
        bool,
        typer.Option(
            "--no-tls", help="with --slurm: allow anyone on that network to control the jobs"
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only print what would be done, with the Slurm script")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Generate or resume a dataset of simulated touches; an interrupted command can be repeated."""
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise InputError("--out is missing: the folder of the dataset")
    if sum(option is not None for option in (workers, scheduler, slurm)) > 1:
        raise InputError("--workers, --scheduler and --slurm exclude each other: give one")
    if slurm is None and (interface is not None or no_tls):
        raise InputError("--interface and --no-tls are for --slurm")
    tls_files = _tls_files(scheduler, tls_ca, tls_cert, tls_key)
    model = default_sensor() if sensor is None else read_sensor(sensor)
    require_dataset_packages()
    dataset_plan = _plan(plan, trials, seed)
    jobs = None if slurm is None else _slurm_settings(slurm, interface)
    if jobs is not None and no_tls and jobs.interface is None:
        raise InputError(
            "--no-tls opens ports to others: restrict them to a network with --interface"
        )
    if dry_run:
        _print_dry_run(dataset_plan, jobs, out, as_json, tls=not no_tls)
        return
    from tacdiff_ros.dataset.generate import generate

    print_cost(dataset_plan, None if scheduler or jobs else workers or _cores())
    cluster = _cluster(out, workers, scheduler, tls_files, jobs, tls=not no_tls)
    with cluster as client, dataset_progress() as advance:
        report = generate(out, dataset_plan, model, client, advance)
    _print_report(out, model.checksum, report, as_json)


def _cores() -> int:
    from tacdiff_ros.dataset.cluster import usable_cores

    return usable_cores()


def print_cost(plan: DatasetPlan, workers: int | None) -> None:
    """Print on stderr what a plan costs, whether a network can be trained on it, and warnings.

    Args:
        plan: plan of a dataset.
        workers: number of processes; None if it is not known.
    """
    from tacdiff_ros.dataset.plan_cost import plan_cost, plan_warnings

    cost = plan_cost(plan)
    print(f"{cost.describe(workers)}; Ctrl-C stops, the same command resumes", file=sys.stderr)
    for line in plan_warnings(plan):
        print(f"warning: {line}", file=sys.stderr)


def _print_report(out: Path, checksum: str, report: GenerationReport, as_json: bool) -> None:
    """Print the outcome of the generation: one line, failed trials on stderr, or JSON."""
    figures = {
        "out": str(out),
        "sensor_checksum": checksum,
        "trials": report.trials,
        "complete": report.complete,
        "samples": report.samples,
        "failed": {str(index): reason for index, reason in report.failed.items()},
        "samples_made": report.samples_made,
        "seconds": round(report.seconds, 1),
        "mechanics_s": round(report.touch_seconds, 1),
        "rendering_s": round(report.image_seconds, 1),
    }
    if as_json:
        print(json.dumps(figures))
        return
    for index, reason in report.failed.items():
        print(f"trial {index} failed: {reason}", file=sys.stderr)
    print(
        f"{out}: {report.samples} samples of {report.complete} trials, {report.samples_made} of "
        f"them generated in {report.seconds:.0f} s; {len(report.failed)} trials failed\n"
        f"next: `tacdiff dataset info {quoted(out)}`, then `tacdiff train {quoted(out)} --out "
        "MODEL`"
    )


@dataset.command(short_help="size, splits and failures; contact_sheet.png")
def info(
    folder: Annotated[Path, typer.Argument(help="folder of the dataset")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Print size, splits and failures of a dataset, and write contact_sheet.png into it."""
    require_dataset_packages()
    from tacdiff_ros.dataset.contact_sheet import contact_sheet
    from tacdiff_ros.dataset.reader import sensor_checksums
    from tacdiff_ros.dataset.store import open_dataset

    opened = open_dataset(folder)
    sensors = {checksum: _counts(opened, checksum) for checksum in sensor_checksums(opened)}
    sheet = None
    for checksum in sensors:
        if any(sensors[checksum].values()):
            sheet = folder / "contact_sheet.png"
            write_file(sheet, png_bytes(contact_sheet(opened, checksum)))
            break
    plan = opened.plan
    figures = {
        "folder": str(folder),
        "trials_planned": plan.trials,
        "states_per_trial": plan.states_per_trial,
        "indenters": list(plan.indenters),
        "samples": sensors,
        "failed": len(opened.failures()),
        "megabytes": round(_bytes(folder) / 1e6, 1),
        "contact_sheet": None if sheet is None else str(sheet),
    }
    if as_json:
        print(json.dumps(figures))
        return
    print(
        f"{folder}: {plan.trials} trials of {plan.states_per_trial} states planned, "
        f"{figures['failed']} failed, {figures['megabytes']} MB"
    )
    for checksum, counts in sensors.items():
        parts = ", ".join(f"{count} {split}" for split, count in counts.items())
        print(f"  sensor {checksum[:16]}: {parts}")
    if sheet is not None:
        print(f"  {sheet}")


def require_dataset_packages() -> None:
    """Check that Dask and Zarr are installed.

    Raises:
        InputError: a package is missing; the message says what to install.
    """
    try:
        import distributed
        import zarr
    except ImportError as error:
        raise InputError(
            f"datasets need {error.name}: `pip install 'tacdiff_ros[cluster]'` (Python 3.11 or "
            "newer), or run `make setup`"
        ) from error
    del distributed, zarr


def _plan(path: Path | None, trials: int | None, seed: int | None) -> DatasetPlan:
    from tacdiff_ros.dataset.plan import DatasetPlan, read_plan

    plan = DatasetPlan() if path is None else read_plan(path)
    given = {"trials": trials, "seed": seed}
    return plan.model_copy(update={name: v for name, v in given.items() if v is not None})


def _slurm_settings(path: Path, interface: str | None) -> SlurmSettings:
    from tacdiff_ros.dataset.cluster import read_slurm_settings

    settings = read_slurm_settings(path)
    return settings if interface is None else settings.model_copy(update={"interface": interface})


def _tls_files(
    scheduler: str | None, authority: Path | None, certificate: Path | None, key: Path | None
) -> TlsFiles | None:
    """Return the three TLS files, or None if no file is given."""
    if authority is None and certificate is None and key is None:
        return None
    if scheduler is None or authority is None or certificate is None or key is None:
        raise InputError("--tls-ca, --tls-cert and --tls-key belong together, with --scheduler")
    require_dataset_packages()
    from tacdiff_ros.dataset.cluster_security import TlsFiles

    return TlsFiles(authority, certificate, key)


def _print_dry_run(
    plan: DatasetPlan, jobs: SlurmSettings | None, out: Path, as_json: bool, tls: bool
) -> None:
    from tacdiff_ros.dataset.cluster import slurm_script

    script = None if jobs is None else slurm_script(jobs, tls)
    print_cost(plan, None)
    samples = plan.trials * plan.states_per_trial
    if as_json:
        print(json.dumps({"out": str(out), "samples": samples, "slurm_script": script}))
        return
    print(f"{out}: {plan.trials} trials of {plan.states_per_trial} states, {samples} samples")
    if jobs is not None:
        print(f"{jobs.jobs} jobs of this script:\n\n{script}")


def _cluster(
    out: Path,
    workers: int | None,
    scheduler: str | None,
    tls_files: TlsFiles | None,
    jobs: SlurmSettings | None,
    tls: bool,
) -> AbstractContextManager[Client]:
    """Return the requested Dask client; warn on stderr if it is open to other users."""
    from tacdiff_ros.dataset import cluster
    from tacdiff_ros.dataset.cluster_security import address_warning

    if scheduler is not None:
        if warning := address_warning(scheduler):
            print(f"warning: {warning}", file=sys.stderr)
        return cluster.remote_client(scheduler, tls_files)
    if jobs is not None:
        if not tls:
            print(f"warning: {NO_TLS_WARNING}", file=sys.stderr)
        return cluster.slurm_client(jobs, out, tls)
    return cluster.local_client(workers or cluster.usable_cores())


@contextmanager
def dataset_progress() -> Iterator[Any]:
    """Show a progress bar of the trials with the sample rate and the time left."""
    with ProgressBar("trials") as bar:
        started = time.perf_counter()
        samples = 0

        def advance(done: int, missing: int, report: Any) -> None:
            nonlocal samples
            samples += report.samples
            rate = f"{samples / (time.perf_counter() - started):.2f} samples/s"
            bar.update(done, missing, note=rate)

        yield advance


def _counts(opened: Dataset, checksum: str) -> dict[str, int]:
    from tacdiff_ros.dataset.plan import SPLITS
    from tacdiff_ros.dataset.reader import SampleReader

    return {split: len(SampleReader(opened, split, checksum)) for split in SPLITS}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
