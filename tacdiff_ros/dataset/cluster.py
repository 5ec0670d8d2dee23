"""Where trials run: processes of this machine, any Dask scheduler, or Slurm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.settings_file import read_settings

if TYPE_CHECKING:
    from distributed import Client

# One process a core: their threads would only wait for each other. MKL_CBWR makes its results
# independent of how arrays happen to be aligned, so that a trial is the same bit for bit.
ONE_THREAD = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
    ),
    "MKL_CBWR": "COMPATIBLE",
}
LARGEST_SLURM_BYTES = 16_384
CONNECT_S = 15.0


class SlurmSettings(BaseModel):
    """How many jobs to ask Slurm for, and of what size; each core of a job runs one worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: str | None = Field(None, description="partition; default: the cluster's own")
    account: str | None = None
    jobs: int = Field(4, ge=1, le=10_000)
    cores: int = Field(16, ge=1, le=1024, description="of a job")
    memory: str = Field("32GB", pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$", description="of a job")
    walltime: str = Field("04:00:00", pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$")
    interface: str | None = Field(None, description="network interface, such as ib0")
    python: str | None = Field(None, description="interpreter on the nodes; default: this one")
    prologue: list[str] = Field([], description="shell lines before the worker starts")
    extra_directives: list[str] = Field([], description="lines after #SBATCH")


@contextmanager
def local_client(workers: int) -> Iterator[Client]:
    """Processes of this machine, one thread each."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            env=ONE_THREAD,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            preload=["tacdiff_ros.dataset.worker_threads"],
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """A running scheduler, such as `tcp://head:8786`; its workers must see the same folders.

    Raises:
        InputError: nobody answers there.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"no Dask scheduler at {address!r} ({reason})") from error
    with client:
        yield client


@contextmanager
def slurm_client(settings: SlurmSettings) -> Iterator[Client]:
    """Jobs of a Slurm cluster; to be called where `sbatch` is.

    Raises:
        InputError: there is no `sbatch`.
    """
    import shutil

    from distributed import Client

    if shutil.which("sbatch") is None:
        raise InputError("sbatch is not found: --slurm runs on a login node of a Slurm cluster")
    with _slurm_cluster(settings) as cluster:
        cluster.scale(jobs=settings.jobs)
        with Client(cluster) as client:
            yield client


def slurm_script(settings: SlurmSettings) -> str:
    """The script that every job would run."""
    with _slurm_cluster(settings) as cluster:
        return str(cluster.job_script())


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read a YAML file.

    Raises:
        InputError: missing, not YAML, or a value is unknown or out of range.
    """
    return read_settings(path, SlurmSettings, "Slurm settings", LARGEST_SLURM_BYTES)


def usable_cores() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0))


def _slurm_cluster(settings: SlurmSettings):  # type: ignore[no-untyped-def]
    from dask_jobqueue.slurm import SLURMCluster

    exports = [f"export {name}={value}" for name, value in ONE_THREAD.items()]
    return SLURMCluster(
        queue=settings.queue,
        account=settings.account,
        cores=settings.cores,
        processes=settings.cores,
        memory=settings.memory,
        walltime=settings.walltime,
        interface=settings.interface,
        python=settings.python,
        job_script_prologue=[*exports, *settings.prologue],
        job_extra_directives=settings.extra_directives,
        worker_extra_args=["--preload", "tacdiff_ros.dataset.worker_threads"],
        scheduler_options={"dashboard_address": ":0"},
    )
