"""Build the chaincode package that an organisation installs on its peers so that they find this service.

The same input gives the same bytes, and so the same package id, on every machine. The package contains no code, only
the service's address and TLS material. Source: Fabric documentation, Chaincode as an external service.
"""

import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
DIAL_TIMEOUT = "10s"
_STORED_MAX = 0xFFFF
_GZIP_START = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class UnfitPackageError(ValueError):
    """A package cannot be built from these values; the message states what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """TLS of the peer's connection, in PEM: the root the peer trusts, and the client certificate it presents."""

    root_certificate: str
    client_certificate: str = ""
    client_key: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package's bytes, and the package id that peers and the service use."""

    content: bytes
    package_id: str


def build(*, address: str, label: str, trust: Trust | None = None) -> Package:
    """Build the package of a service at `address` (HOST:PORT, as the peers reach it).

    Raises:
        UnfitPackageError: label, address or trust is not valid in a package.
    """
    if not LABEL.fullmatch(label):
        raise UnfitPackageError(f"label {label!r}: letters, digits, and _ . + - after the first")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 0xFFFF:
        raise UnfitPackageError(f"address {address!r}: expected HOST:PORT as the peers reach it")
    code = _tar_gz({"connection.json": _json(_connection(address, trust))})
    metadata = _json({"type": "ccaas", "label": label})
    content = _tar_gz({"metadata.json": metadata, "code.tar.gz": code})
    return Package(content=content, package_id=f"{label}:{hashlib.sha256(content).hexdigest()}")


def _connection(address: str, trust: Trust | None) -> dict[str, object]:
    """Return connection.json; a peer uses `domain` (the server name) only with a client certificate."""
    connection: dict[str, object] = {
        "address": address,
        "dial_timeout": DIAL_TIMEOUT,
        "tls_required": trust is not None,
    }
    if trust is None:
        return connection
    connection["root_cert"] = trust.root_certificate
    if bool(trust.client_certificate) != bool(trust.client_key):
        raise UnfitPackageError("a client certificate and its key go together")
    if trust.client_certificate:
        connection["client_auth_required"] = True
        connection["client_cert"] = trust.client_certificate
        connection["client_key"] = trust.client_key
    if trust.server_name:
        if not trust.client_certificate:
            raise UnfitPackageError(
                "a peer uses another server name only with mutual TLS: "
                "give --client-cert and --client-key, or an address that the certificate names"
            )
        connection["domain"] = trust.server_name
    return connection


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _tar_gz(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return _gzip(archive.getvalue())


def _gzip(content: bytes) -> bytes:
    """Return a gzip file of stored blocks, because zlib's compressed output differs between versions."""
    parts = [content[first : first + _STORED_MAX] for first in range(0, len(content), _STORED_MAX)]
    blocks = [
        struct.pack("<BHH", number == len(parts) - 1, len(part), len(part) ^ _STORED_MAX) + part
        for number, part in enumerate(parts)
    ]
    return b"".join([_GZIP_START, *blocks, struct.pack("<II", zlib.crc32(content), len(content))])
