"""Who may talk to a Dask cluster: certificates, and a warning where there are none.

A Dask scheduler and its workers run whatever program a client sends them, so that a port without
TLS is open to everybody who can reach it, on a loopback address to every user of the machine.
With TLS both ends must show a certificate of the same authority.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tacdiff_ros.errors import InputError

if TYPE_CHECKING:
    from distributed.security import Security

TLS_OPTIONS = "--tls-ca, --tls-cert and --tls-key"


@dataclass(frozen=True)
class TlsFiles:
    """Credentials of a client, as PEM files.

    Attributes:
        authority: certificate of the authority that signed the scheduler's certificate.
        certificate: the client's certificate, signed by the same authority.
        key: the client's private key.
    """

    authority: Path
    certificate: Path
    key: Path


def temporary_security() -> Security:
    """A key and a certificate made for one cluster, kept in memory and forgotten with it.

    Raises:
        InputError: the package `cryptography` is missing.
    """
    from distributed.security import Security

    try:
        return Security.temporary()
    except ImportError as error:
        raise InputError(
            "an encrypted cluster needs cryptography: `pip install 'tacdiff_ros[cluster]'`, or "
            "run `make setup`"
        ) from error


def written_security(folder: Path) -> Security:
    """The same in files, which only this user can read, for workers that others start.

    Raises:
        InputError: the package `cryptography` is missing, or the folder cannot be written.
    """
    from distributed.security import Security

    made = temporary_security().get_tls_config_for_role("worker")
    paths = {name: folder / f"{name}.pem" for name in ("ca_file", "cert", "key")}
    try:
        for name, path in paths.items():
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(str(made[name]))
    except OSError as error:
        raise InputError(f"no TLS credentials in {folder}: {error.strerror}") from error
    roles = {
        f"tls_{role}_{name}": str(paths[name])
        for role in ("client", "scheduler", "worker")
        for name in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["ca_file"]), **roles)


def client_security(address: str, files: TlsFiles | None) -> Security | None:
    """Credentials for a scheduler's address, from files or else from Dask's own configuration.

    Raises:
        InputError: a `tls://` address without credentials, another address with them, or files
            that hold none.
    """
    from distributed.security import Security

    if scheme(address) != "tls":
        if files is not None:
            raise InputError(f"{TLS_OPTIONS} need a tls:// address, not {address!r}")
        return None
    if files is None:
        security = Security(require_encryption=True)
    else:
        security = Security(
            require_encryption=True,
            tls_ca_file=str(files.authority),
            tls_client_cert=str(files.certificate),
            tls_client_key=str(files.key),
        )
    _check_credentials(security, address)
    return security


def address_warning(address: str) -> str | None:
    """A line for people who are about to use a scheduler that anybody may command, or None."""
    if scheme(address) == "tls" or is_loopback(host(address)):
        return None
    return (
        f"{address} has no TLS: whoever reaches that port can run programs as you, there and "
        f"here; use a tls:// address with {TLS_OPTIONS}"
    )


def scheme(address: str) -> str:
    """The protocol of a scheduler's address; `tcp` where it names none."""
    return address.split("://", 1)[0].lower() if "://" in address else "tcp"


def host(address: str) -> str:
    """The host of a scheduler's address, without scheme, port and brackets."""
    location = address.split("://", 1)[-1]
    name = location.rsplit(":", 1)[0] if ":" in location.rsplit("]", 1)[-1] else location
    return name.strip("[]")


def is_loopback(name: str) -> bool:
    """Whether a host's name or address is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _check_credentials(security: Security, address: str) -> None:
    configured = security.get_tls_config_for_role("client")
    for path in (configured[name] for name in ("ca_file", "cert", "key")):
        if path is None:
            raise InputError(f"{address} needs credentials: give {TLS_OPTIONS}")
        if "\n" not in path and not Path(path).is_file():  # else PEM text of the configuration
            raise InputError(f"cannot read TLS credentials {path}: no such file")
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{TLS_OPTIONS}: no certificates and a key that fit ({reason})") from error
