"""Dask clients that run trials: on this machine, on an existing Dask scheduler, or on Slurm.

Schedulers and workers that this module starts communicate by TLS with credentials created for them.
On this machine they listen on a loopback address. With Slurm the scheduler listens on one network;
the workers listen on the named network interface, or on all of their node's networks if none is
named. Dashboards have no protection of their own and always listen on loopback addresses.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
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
    write_security,
)
from tacdiff_ros.errors import InputError
from tacdiff_ros.settings_file import read_settings

if TYPE_CHECKING:
    from distributed import Client

# There is one process per core, so that more threads would only compete for the cores. MKL_CBWR
# makes the results of MKL independent of the memory alignment of arrays: a trial is bit-identical
# on every run.
ONE_THREAD = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
    ),
    "MKL_CBWR": "COMPATIBLE",
}
# Dask makes glibc return the memory of every large array to the system at once, which costs a third
# of the processor time of a worker: here a worker keeps it.
KEPT_MEMORY = {
    **ONE_THREAD,
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
}
MAX_SLURM_BYTES = 16_384
CONNECT_S = 15.0
LOOPBACK = "127.0.0.1"
DASHBOARD = f"{LOOPBACK}:0"
WORKER_PRELOAD = "tacdiff_ros.dataset.worker_log"


class SlurmSettings(BaseModel):
    """Number and size of the Slurm jobs; each core of a job runs one worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: str | None = Field(None, description="partition; default: that of the cluster")
    account: str | None = Field(None, description="account that the jobs are charged to")
    jobs: int = Field(4, ge=1, le=10_000, description="number of jobs")
    cores: int = Field(16, ge=1, le=1024, description="cores per job")
    memory: str = Field("32GB", pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$", description="memory per job")
    walltime: str = Field(
        "04:00:00", pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$", description="time limit of a job"
    )
    interface: str | None = Field(None, description="network interface, such as ib0")
    python: str | None = Field(
        None, description="Python interpreter on the nodes; default: the one that runs this program"
    )
    prologue: list[str] = Field([], description="shell lines that run before the worker starts")
    extra_directives: list[str] = Field([], description="arguments of further #SBATCH lines")


@contextmanager
def local_client(workers: int) -> Iterator[Client]:
    """Start worker processes on this machine, with one thread each.

    Other users of the machine cannot access the cluster.

    Args:
        workers: number of worker processes.

    Returns:
        Context manager of a client; the processes end with its block.

    Raises:
        InputError: the package `cryptography` is missing.
    """
    import dask
    from distributed import Client, LocalCluster

    environment = {"distributed.nanny.pre-spawn-environ": KEPT_MEMORY}
    with _interrupts_blocked(), dask.config.set(environment):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            env=ONE_THREAD,
            host=LOOPBACK,
            protocol="tls://",
            security=temporary_security(),
            dashboard_address=DASHBOARD,
            memory_limit=0,
            preload=[WORKER_PRELOAD],
        )
    with cluster, Client(cluster) as client, _quiet_interrupts():
        yield client


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT; threads and processes that are started meanwhile never receive it.

    Ctrl-C reaches all processes of a terminal: only this one shall end the workers, in order.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _quiet_interrupts() -> Iterator[None]:
    """Keep the log free of the connections that an interrupt closes."""
    try:
        yield
    except KeyboardInterrupt:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        raise


@contextmanager
def remote_client(address: str, tls: TlsFiles | None = None) -> Iterator[Client]:
    """Connect to a running scheduler, whose workers must see the same folders.

    Args:
        address: address of the scheduler, such as `tls://head:8786`.
        tls: credentials for a `tls://` address; default: those of Dask's own configuration.

    Returns:
        Context manager of a client; the connection ends with its block.

    Raises:
        InputError: the scheduler does not respond, or the credentials do not fit the address.
    """
    from distributed import Client

    security = client_security(address, tls)
    try:
        client = Client(address, timeout=CONNECT_S, security=security)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"no Dask scheduler responds at {address!r} ({reason}): check the address, or start one"
        ) from error
    with client:
        yield client


@contextmanager
def slurm_client(settings: SlurmSettings, out: Path, tls: bool = True) -> Iterator[Client]:
    """Start workers as jobs of a Slurm cluster; this machine must have `sbatch`.

    Args:
        settings: settings of the jobs.
        out: folder of the dataset, accessible from this machine and from all nodes. Until the
            cluster ends, a folder next to it, which only this user can read, contains the
            cluster's credentials.
        tls: True to encrypt; if False, anybody who can reach the scheduler's port can run programs
            as this user.

    Returns:
        Context manager of a client; the jobs end with its block.

    Raises:
        InputError: there is no `sbatch`, the network interface has no address, the credentials
            cannot be written, or the package `cryptography` is missing.
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
    """Return the script that every job would run, for inspection.

    Args:
        settings: settings of the jobs.
        tls: True for a cluster that uses TLS.

    Returns:
        Text of the script; the credentials' files that it names no longer exist.

    Raises:
        InputError: the network interface has no address, or `cryptography` is missing.
    """
    with (
        tempfile.TemporaryDirectory() as credentials,
        _slurm_cluster(settings, credentials if tls else None) as cluster,
    ):
        return str(cluster.job_script())


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read Slurm settings from a YAML file.

    Args:
        path: YAML file.

    Returns:
        Validated settings.

    Raises:
        InputError: the file is missing or no YAML, or a value is unknown or out of range.
    """
    return read_settings(path, SlurmSettings, "Slurm settings", MAX_SLURM_BYTES)


def usable_cores() -> int:
    """Return the number of CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _scheduler_address(interface: str | None) -> str:
    """Address that the scheduler listens on: that of an interface, or of the default route."""
    from distributed.utils import get_ip, get_ip_interface

    try:
        address = str(get_ip_interface(interface) if interface else get_ip())
    except ValueError as error:  # its message lists the available interfaces
        raise InputError(f"--interface: {' '.join(str(error).split())}") from error
    if interface is None and is_loopback(address):
        raise InputError("this machine has no default route: name a network with --interface")
    return address


@contextmanager
def _credentials_folder(out: Path) -> Iterator[str]:
    """Create a temporary folder that only this user can read.

    The folder is next to the dataset, or inside it if the parent folder is not writable.
    """
    parent = out.parent if os.access(out.parent, os.W_OK) else out
    # Dask writes the path into the jobs' script without quoting it.
    if shlex.quote(str(parent)) != str(parent):
        raise InputError(f"with --slurm a path without spaces and quotes is needed, not {parent}")
    try:
        folder = tempfile.TemporaryDirectory(prefix=".tls-", dir=parent)
    except OSError as error:
        raise InputError(
            f"cannot create a folder for TLS credentials in {parent}: {error.strerror}"
        ) from error
    with folder as path:
        yield path


def _slurm_cluster(settings: SlurmSettings, credentials: str | None):  # type: ignore[no-untyped-def]
    """Create a `SLURMCluster` without jobs.

    Args:
        settings: settings of the jobs.
        credentials: folder that TLS credentials are written to; None for a cluster without TLS.
    """
    from dask_jobqueue.slurm import SLURMCluster

    security = None if credentials is None else write_security(Path(credentials))
    exports = [f"export {name}={value}" for name, value in KEPT_MEMORY.items()]
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
