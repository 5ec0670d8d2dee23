"""Where trials run: processes of this machine, any Dask scheduler, or Slurm.

What is started here talks TLS with credentials made for it. It listens on a loopback address, or
with Slurm on one network; Slurm's workers, where none is named, on all of their node's. Dashboards,
which have no protection of their own, stay on loopback addresses.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.dataset.cluster_security import (
    TlsFiles,
    client_security,
    is_loopback,
    temporary_security,
    written_security,
)
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
MAX_SLURM_BYTES = 16_384
CONNECT_S = 15.0
LOOPBACK = "127.0.0.1"
DASHBOARD = f"{LOOPBACK}:0"
WORKER_PRELOAD = "tacdiff_ros.dataset.worker_threads"


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
    """Processes of this machine, one thread each, out of reach of its other users.

    Raises:
        InputError: the package `cryptography` is missing.
    """
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            env=ONE_THREAD,
            host=LOOPBACK,
            protocol="tls://",
            security=temporary_security(),
            dashboard_address=DASHBOARD,
            memory_limit=0,
            preload=[WORKER_PRELOAD],
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str, tls: TlsFiles | None = None) -> Iterator[Client]:
    """A running scheduler, such as `tls://head:8786`; its workers must see the same folders.

    Args:
        address: address of the scheduler.
        tls: credentials for a `tls://` address; default: those of Dask's own configuration.

    Raises:
        InputError: nobody answers there, or the credentials do not fit the address.
    """
    from distributed import Client

    security = client_security(address, tls)
    try:
        client = Client(address, timeout=CONNECT_S, security=security)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"no Dask scheduler at {address!r} ({reason})") from error
    with client:
        yield client


@contextmanager
def slurm_client(settings: SlurmSettings, out: Path, tls: bool = True) -> Iterator[Client]:
    """Jobs of a Slurm cluster; to be called where `sbatch` is.

    Args:
        settings: settings of the jobs.
        out: folder of the dataset, seen by this machine and by all nodes. Until the cluster ends
            a folder beside it, which only this user can read, holds the cluster's credentials.
        tls: without it anybody who reaches the scheduler can run programs as this user.

    Raises:
        InputError: there is no `sbatch`, the network interface has no address, there is no room
            for the credentials, or the package `cryptography` is missing.
    """
    import shutil

    from distributed import Client

    if shutil.which("sbatch") is None:
        raise InputError("sbatch is not found: --slurm runs on a login node of a Slurm cluster")
    with (
        _credentials_folder(out.resolve()) if tls else nullcontext() as credentials,
        _slurm_cluster(settings, credentials) as cluster,
    ):
        cluster.scale(jobs=settings.jobs)
        with Client(cluster) as client:
            yield client


def slurm_script(settings: SlurmSettings, tls: bool = True) -> str:
    """The script that every job would run; the credentials that it names are gone.

    Raises:
        InputError: the network interface has no address, or `cryptography` is missing.
    """
    with (
        tempfile.TemporaryDirectory() as credentials,
        _slurm_cluster(settings, credentials if tls else None) as cluster,
    ):
        return str(cluster.job_script())


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read a YAML file.

    Raises:
        InputError: missing, not YAML, or a value is unknown or out of range.
    """
    return read_settings(path, SlurmSettings, "Slurm settings", MAX_SLURM_BYTES)


def usable_cores() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0))


def _scheduler_address(interface: str | None) -> str:
    """The one address that the scheduler listens on: of an interface, or of the default route."""
    from distributed.utils import get_ip, get_ip_interface

    try:
        address = str(get_ip_interface(interface) if interface else get_ip())
    except ValueError as error:  # names the interfaces that there are
        raise InputError(f"--interface: {' '.join(str(error).split())}") from error
    if interface is None and is_loopback(address):
        raise InputError("this machine has no default route: name a network with --interface")
    return address


@contextmanager
def _credentials_folder(out: Path) -> Iterator[str]:
    """A folder that only this user can read, beside a dataset, or in it where that is all there is.

    Dask writes the path into the jobs' script as it is.
    """
    parent = out.parent if os.access(out.parent, os.W_OK) else out
    if shlex.quote(str(parent)) != str(parent):
        raise InputError(f"with --slurm a path without spaces and quotes is needed, not {parent}")
    try:
        folder = tempfile.TemporaryDirectory(prefix=".tls-", dir=parent)
    except OSError as error:
        raise InputError(f"no folder for TLS credentials in {parent}: {error.strerror}") from error
    with folder as path:
        yield path


def _slurm_cluster(settings: SlurmSettings, credentials: str | None):  # type: ignore[no-untyped-def]
    from dask_jobqueue.slurm import SLURMCluster

    security = None if credentials is None else written_security(Path(credentials))
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
        worker_extra_args=[
            *("--preload", WORKER_PRELOAD),
            *("--dashboard-address", DASHBOARD),
        ],
        security=security,
        scheduler_options={
            "host": _scheduler_address(settings.interface),
            "dashboard_address": DASHBOARD,
        },
    )
