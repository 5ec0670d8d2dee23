"""What a dataset's cluster listens on, and who may talk to it."""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import stat
import sys
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from tacdiff_ros.cli.application import run
from tacdiff_ros.dataset import cluster
from tacdiff_ros.dataset.cluster_security import (
    TlsFiles,
    address_warning,
    client_security,
    host,
    temporary_security,
    write_security,
)
from tacdiff_ros.dataset.worker_log import is_no_task_failure
from tacdiff_ros.errors import InputError

SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo $! > {folder}/pid
echo Submitted batch job 1
"""
SCANCEL = """#!/bin/sh
kill $(cat {folder}/pid) 2>/dev/null
exit 0
"""


def listening_addresses(pid: int) -> set[str]:
    """Hosts of all TCP sockets on which a process and its children listen."""
    process = psutil.Process(pid)
    found = set()
    for each in (process, *process.children(recursive=True)):
        sockets = each.net_connections(kind="tcp")
        found |= {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture
def tls_files(tmp_path) -> TlsFiles:
    """Credentials of a scheduler that somebody else runs, as files."""
    write_security(tmp_path)
    return TlsFiles(tmp_path / "ca_file.pem", tmp_path / "cert.pem", tmp_path / "key.pem")


@pytest.fixture
def quick_jobs(monkeypatch) -> cluster.SlurmSettings:
    """One job of one worker, which does not start the renderer."""
    monkeypatch.setattr(cluster, "WORKER_PRELOAD", "json")
    return cluster.SlurmSettings(jobs=1, cores=1, memory="1GB", interface="lo")


def test_a_local_cluster_listens_on_loopback_only_and_refuses_strangers(monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_PRELOAD", "json")
    with cluster.local_client(1) as client:
        assert client.submit(int, "7").result(timeout=30) == 7
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert listening_addresses(os.getpid()) == {"127.0.0.1"}
        with pytest.raises(OSError, match=r"tcp://|handshake"):
            Client(address.replace("tls:", "tcp:"), timeout=0.5)
        with pytest.raises((OSError, ssl.SSLError)):
            Client(address, timeout=0.5, security=temporary_security())


def test_a_scheduler_with_tls_takes_those_with_its_certificates(tmp_path):
    files = TlsFiles(tmp_path / "ca_file.pem", tmp_path / "cert.pem", tmp_path / "key.pem")
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tls://",
            security=write_security(tmp_path),
            dashboard_address="127.0.0.1:0",
        ) as started,
        cluster.remote_client(started.scheduler_address, files) as client,
    ):
        assert client.submit(int, "7").result(timeout=30) == 7


def test_jobs_get_their_credentials_from_a_private_folder(tmp_path, monkeypatch, quick_jobs):
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(script.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with cluster.slurm_client(quick_jobs, tmp_path / "touches") as client:
        assert client.submit(os.getppid).result(timeout=30) != os.getpid()
        (folder,) = tmp_path.glob(".tls-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
        job = int((tmp_path / "pid").read_text())
        assert listening_addresses(job) | listening_addresses(os.getpid()) == {"127.0.0.1"}
    assert not list(tmp_path.glob(".tls-*"))


@pytest.mark.parametrize(("options", "encrypted"), [([], True), (["--no-tls"], False)])
def test_slurm_jobs_use_tls_unless_told_otherwise(tmp_path, capsys, options, encrypted):
    settings = tmp_path / "slurm.yaml"
    settings.write_text("{jobs: 1, cores: 2}")
    arguments = ["--out", str(tmp_path / "a"), "--slurm", str(settings), "--interface", "lo"]
    assert run(["dataset", *arguments, *options, "--dry-run", "--json"]) == 0
    script = json.loads(capsys.readouterr().out)["slurm_script"]
    scheme = "tls" if encrypted else "tcp"
    assert re.search(rf"{scheme}://127\.0\.0\.1:\d+", script)
    assert ("--tls-ca-file" in script, "--tls-key" in script) == (encrypted, encrypted)
    assert "--interface lo" in script
    assert "PRIVATE KEY" not in script


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("tcp://127.0.0.1:8786", "127.0.0.1"),
        ("tcp://[::1]:8786", "::1"),
        ("localhost:8786", "localhost"),
        ("head", "head"),
    ],
)
def test_host_of_an_address(address, name):
    assert host(address) == name


def test_an_open_scheduler_beyond_this_machine_is_warned_of():
    for address in ("tcp://10.0.0.5:8786", "head:8786", "ws://head:80", "tcp://127.evil.org:1"):
        assert "can run programs as you" in str(address_warning(address))
    for address in ("tls://head:8786", "tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:1"):
        assert address_warning(address) is None


def test_credentials_that_do_not_fit_are_named(tls_files):
    with pytest.raises(InputError, match="needs credentials: give --tls-ca"):
        client_security("tls://head:8786", None)
    with pytest.raises(InputError, match="need a tls:// address"):
        client_security("tcp://head:8786", tls_files)
    tls_files.key.write_text("no key")
    with pytest.raises(InputError, match="expected certificates and the key that fits them"):
        client_security("tls://head:8786", tls_files)
    tls_files.key.unlink()
    with pytest.raises(InputError, match=r"cannot read TLS credentials .*key\.pem"):
        client_security("tls://head:8786", tls_files)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--interface", "lo"], "are for --slurm"),
        (["--no-tls"], "are for --slurm"),
        (["--scheduler", "tls://x:1", "--tls-ca", "ca.pem"], "belong together"),
        (["--slurm", "{}/slurm.yaml", "--no-tls"], "restrict them to a network with --interface"),
        (["--slurm", "{}/slurm.yaml", "--interface", "none7", "--dry-run"], "none7"),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, capsys, arguments, expected):
    (tmp_path / "slurm.yaml").write_text("{}")
    given = ["--out", str(tmp_path / "a"), *(part.format(tmp_path) for part in arguments)]
    assert run(["dataset", *given]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_a_path_that_the_jobs_script_would_break_is_refused(tmp_path, quick_jobs, monkeypatch):
    folder = tmp_path / "two words"
    folder.mkdir()
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    refused = cluster.slurm_client(quick_jobs, Path(folder / "touches"))
    with pytest.raises(InputError, match="path without spaces"), refused:
        pass


def test_failures_of_trials_that_the_caller_is_told_are_not_logged_by_workers_too():
    def record(text):
        return logging.LogRecord("distributed.worker", logging.ERROR, "", 1, text, None, None)

    assert not is_no_task_failure(record("Compute Failed\nKey: make_trial"))
    assert is_no_task_failure(record("Worker process died unexpectedly"))
