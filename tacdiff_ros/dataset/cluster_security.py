"""Access control of Dask clusters: TLS credentials, and a warning for clusters without TLS.

A Dask scheduler and its workers execute any code that a client sends them. Everybody who can reach
a port without TLS can therefore run programs; a loopback address can be reached by all users of the
machine. With TLS both ends must present a certificate of the same authority.
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
    """Create a key and a certificate for one cluster; they exist only in memory.

    Returns:
        Credentials of scheduler, workers and client.

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


def write_security(folder: Path) -> Security:
    """Create a key and a certificate for one cluster as files that only this user can read.

    Workers that are started by a batch system read their credentials from these files.

    Args:
        folder: existing folder of the files.

    Returns:
        Credentials of scheduler, workers and client that refer to the files.

    Raises:
        InputError: the package `cryptography` is missing, or the folder cannot be written.
    """
    from distributed.security import Security

    credentials = temporary_security().get_tls_config_for_role("worker")
    paths = {name: folder / f"{name}.pem" for name in ("ca_file", "cert", "key")}
    try:
        for name, path in paths.items():
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(str(credentials[name]))
    except OSError as error:
        raise InputError(f"cannot write TLS credentials to {folder}: {error.strerror}") from error
    roles = {
        f"tls_{role}_{name}": str(paths[name])
        for role in ("client", "scheduler", "worker")
        for name in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["ca_file"]), **roles)


def client_security(address: str, files: TlsFiles | None) -> Security | None:
    """Return the credentials of a client for a scheduler.

    Args:
        address: address of the scheduler.
        files: PEM files of the credentials; None to use those of Dask's configuration.

    Returns:
        Credentials; None for an address without TLS.

    Raises:
        InputError: a `tls://` address has no credentials, another address has some, or the files
            contain no valid credentials.
    """
    from distributed.security import Security

    if scheme(address) != "tls":
        if files is not None:
            raise InputError(
                f"{TLS_OPTIONS} need a tls:// address of the scheduler, not {address!r}"
            )
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
    """Return a one-line warning for a scheduler without TLS; None if no warning is needed.

    Args:
        address: address of the scheduler.
    """
    if scheme(address) == "tls" or is_loopback(host(address)):
        return None
    return (
        f"{address} has no TLS: everybody who can reach that port can run programs as you, there "
        f"and here; use a tls:// address with {TLS_OPTIONS}"
    )


def scheme(address: str) -> str:
    """Return the protocol of a scheduler's address; `tcp` if the address names none."""
    return address.split("://", 1)[0].lower() if "://" in address else "tcp"


def host(address: str) -> str:
    """Return the host of a scheduler's address, without protocol, port and brackets."""
    location = address.split("://", 1)[-1]
    name = location.rsplit(":", 1)[0] if ":" in location.rsplit("]", 1)[-1] else location
    return name.strip("[]")


def is_loopback(name: str) -> bool:
    """Whether a host name or IP address is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _check_credentials(security: Security, address: str) -> None:
    """Raise an InputError unless all credentials exist and the key fits the certificate."""
    configured = security.get_tls_config_for_role("client")
    for path in (configured[name] for name in ("ca_file", "cert", "key")):
        if path is None:
            raise InputError(f"{address} needs credentials: give {TLS_OPTIONS}")
        is_pem_text = "\n" in path  # Dask's configuration may contain the text itself
        if not is_pem_text and not Path(path).is_file():
            raise InputError(f"cannot read TLS credentials {path}: no such file")
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{TLS_OPTIONS}: expected certificates and the key that fits them ({reason})"
        ) from error
