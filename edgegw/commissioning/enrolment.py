"""Enrols a ledger identity: creates a key and a certificate request, and installs the certificate that the CA issues.

Decides what is requested (P-256, node role client, the contract's role as an attribute), and installs a certificate only
where key, organisation, CA, role and validity all match. Every step may be interrupted and repeated: one rename of the
certificate's file switches to the new identity (`ledger.keys` finds the key that matches).
Source: Hyperledger Fabric, MSP with NodeOUs; attributes in the format of Fabric CA.
"""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.commissioning.files import Owner
from edgegw.common.errors import ConfigError, EdgegwError
from edgegw.ledger.identity import (
    GATEWAY_ATTRIBUTE,
    ROLE_ATTRIBUTE,
    Identity,
    MalformedMessageError,
    Roots,
    attributes_extension,
)
from edgegw.ledger.keys import CERTIFICATE, CURRENT, NEXT, open_key, signer_of

REQUEST = "request.csr"
_NODE_ROLES = frozenset({"client", "admin"})


class EnrolmentError(EdgegwError):
    """The certificate cannot be installed; `faults` lists every reason."""

    hint = "nothing is changed; ask the CA for another certificate, or run edgegw enroll"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The identity to enrol in `folder` (`<MSP>/<name>`): the contract's role, and the id of a gateway."""

    folder: Path
    role: str
    gateway: str = ""

    @property
    def msp_id(self) -> str:
        """The MSP id of the organisation."""
        return self.folder.resolve().parent.name

    @property
    def name(self) -> str:
        """The certificate's common name."""
        return self.folder.resolve().name

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that the contract reads from the certificate."""
        gateway = {GATEWAY_ATTRIBUTE: self.gateway} if self.gateway else {}
        return {ROLE_ATTRIBUTE: self.role, **gateway}


def request(wanted: Wanted, *, key_uri: str | None = None, keep_key: bool = False) -> Path:
    """Create a key, unless one is pending, and a certificate request; return the request's file.

    The installed identity remains in use until `install`. `key_uri`: where the key is or is created, such as a PKCS#11
    token. `keep_key`: request a certificate for the present key.

    Raises:
        OSError, ConfigError, MalformedMessageError: an existing key cannot be used.
    """
    if not wanted.folder.exists():
        wanted.folder.mkdir(parents=True, mode=0o700)
        daemon = Owner.of_daemon()
        if daemon is not None:
            daemon.take(wanted.folder)
    in_use = (wanted.folder / CERTIFICATE).exists()
    stem = NEXT if in_use and not keep_key else CURRENT
    pem, uri = wanted.folder / f"{stem}.pem", wanted.folder / f"{stem}.uri"
    if key_uri is not None:
        _make_in_token(key_uri)
        _write(uri, key_uri.encode() + b"\n", mode=0o600)
        pem.unlink(missing_ok=True)
    place = uri if uri.exists() else pem
    if not place.exists():
        if keep_key:
            raise ConfigError((f"{wanted.folder}: contains no key to keep",))
        _write(pem, _fresh_key(), mode=0o600)
    path = wanted.folder / REQUEST
    _write(path, _signed_request(wanted, place).public_bytes(serialization.Encoding.PEM), mode=0o644)
    return path


def _signed_request(wanted: Wanted, key: Path) -> x509.CertificateSigningRequest:
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, wanted.msp_id),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, wanted.name),
        ]
    )
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(attributes_extension(wanted.attributes), critical=False)
        .sign(open_key(key), hashes.SHA256())
    )


def install(wanted: Wanted, certificate_pem: bytes, roots: Roots, *, now: datetime | None = None) -> Identity:
    """Install a signed certificate and return its identity.

    Raises:
        EnrolmentError: the certificate does not match; nothing has changed.
        OSError, ConfigError: the key cannot be read.
    """
    identity = Identity(msp_id=wanted.msp_id, certificate_pem=certificate_pem)
    faults = _misfits(wanted, identity, roots, now=now or datetime.now(UTC))
    if faults:
        raise EnrolmentError(faults)
    _write(wanted.folder / CERTIFICATE, certificate_pem, mode=0o644)
    _promote(wanted.folder, identity)
    (wanted.folder / REQUEST).unlink(missing_ok=True)
    return identity


def _misfits(wanted: Wanted, identity: Identity, roots: Roots, *, now: datetime) -> tuple[str, ...]:
    try:
        _ = identity.public_key
    except MalformedMessageError as fault:
        return (str(fault),)
    faults = []
    try:
        signer_of(wanted.folder, identity)
    except MalformedMessageError:
        faults.append(f"the certificate is not for the key in {wanted.folder}")
    if wanted.msp_id not in roots.msp_ids:
        faults.append(f"{wanted.msp_id} has no CA certificate in the trust file")
    elif not roots.issued(identity):
        faults.append(
            f"it is not issued by the CA of {wanted.msp_id} in the trust file, or is a CA certificate itself"
        )
    certificate = identity.certificate
    if certificate.not_valid_before_utc > now:
        faults.append(f"it is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}Z only")
    if certificate.not_valid_after_utc < now:
        faults.append(f"it has ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}Z")
    if not identity.node_roles & _NODE_ROLES:
        units = ", ".join(sorted(identity.node_roles)) or "none"
        faults.append(f"its subject's OU must be client (or admin), and is {units}")
    faults += [
        f"its attribute {name} must be {value}, and is {identity.attributes.get(name, 'missing')}"
        for name, value in wanted.attributes.items()
        if identity.attributes.get(name) != value
    ]
    return tuple(faults)


def _promote(folder: Path, identity: Identity) -> None:
    """Rename the next key to the current one, if the installed certificate belongs to it."""
    for suffix, other in ((".pem", ".uri"), (".uri", ".pem")):
        place = folder / f"{NEXT}{suffix}"
        if not place.exists() or not _fits(place, identity):
            continue
        place.replace(folder / f"{CURRENT}{suffix}")
        (folder / f"{CURRENT}{other}").unlink(missing_ok=True)
        _sync(folder)


def _fits(place: Path, identity: Identity) -> bool:
    return open_key(place).public_key().public_numbers() == identity.public_key.public_numbers()


def _make_in_token(uri: str) -> None:
    if uri.startswith("pkcs11:"):
        from edgegw.ledger.token import make_token_key  # noqa: PLC0415 - an optional dependency

        make_token_key(uri)


def _fresh_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file atomically and durably; it gets the owner of its folder."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        owner = path.parent.stat()
        if os.geteuid() == 0:
            os.chown(partial, owner.st_uid, owner.st_gid)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
