"""Create the development network's certificate authorities, peers and clients, and their files.

Decides which certificates are issued and with which role. Keys are written once, mode 0600, and never logged.
One process holds the keys of all three organisations, so this network proves nothing between them.
Source: Fabric MSP with NodeOUs (the subject's OU is the node role).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.common.whole_files import WholeFile, write_whole
from edgegw.fabric.identity import (
    ATTRIBUTES_OID,
    GATEWAY_ATTRIBUTE,
    ROLE_ATTRIBUTE,
    Identity,
    KeySigner,
    attributes_extension,
)
from edgegw.fabric.trust import Roots

ORGANISATIONS = ("EVUserMSP", "IndustryMSP", "ProducerMSP")
PEER_NAMES = ("peer0", "peer1")
TRUST_FILE = "trust.json"

_YEARS = 10
_BACKDATED = timedelta(minutes=5)
_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A certificate to issue; `role` is the contract's role, and the node role is admin for `admin`, else client."""

    msp_id: str
    name: str
    role: str
    gateway: str = ""

    @classmethod
    def parse(cls, text: str) -> "Enrolment":
        """Parse `MSP:NAME:ROLE[:GATEWAY]`; raise ValueError."""
        parts = text.split(":")
        if not 3 <= len(parts) <= 4 or not all(parts):
            raise ValueError(f"{text!r}: expected MSP:NAME:ROLE[:GATEWAY]")
        gateway = parts[3] if len(parts) == 4 else ""
        return cls(msp_id=parts[0], name=parts[1], role=parts[2], gateway=gateway)


FIRST_ENROLMENTS = (
    Enrolment(msp_id="EVUserMSP", name="gateway1", role="gateway", gateway="gateway1"),
    Enrolment(msp_id="EVUserMSP", name="representative", role="representative"),
    Enrolment(msp_id="EVUserMSP", name="exchange", role="exchange"),
    Enrolment(msp_id="EVUserMSP", name="auditor", role="auditor"),
    Enrolment(msp_id="ProducerMSP", name="representative", role="representative"),
    Enrolment(msp_id="ProducerMSP", name="oracle", role="oracle"),
    Enrolment(msp_id="IndustryMSP", name="representative", role="representative"),
    *(Enrolment(msp_id=msp_id, name="admin", role="admin") for msp_id in ORGANISATIONS),
)


def found(crypto: Path) -> None:
    """Create the network's authorities, peers and clients under `crypto` unless they exist.

    The trust file is written last, so that an interrupted start is repeated; existing keys are kept.
    """
    if (crypto / TRUST_FILE).exists():
        return
    for msp_id in ORGANISATIONS:
        if not _complete(crypto / msp_id / "ca"):
            _make_authority(crypto / msp_id / "ca", msp_id)
        for name in PEER_NAMES:
            _issue(crypto, Enrolment(msp_id=msp_id, name=name, role=""), node_role="peer")
    for enrolment in FIRST_ENROLMENTS:
        enrol(crypto, enrolment)
    roots = {msp_id: (crypto / msp_id / "ca" / "cert.pem").read_text() for msp_id in ORGANISATIONS}
    text = json.dumps(roots, indent=1, sort_keys=True) + "\n"
    write_whole(WholeFile(path=crypto / TRUST_FILE, content=text.encode(), mode=0o644))


def enrol(crypto: Path, enrolment: Enrolment) -> Path:
    """Issue key and certificate into `crypto/<MSP>/<name>` unless they exist; return the folder.

    Raises:
        FileNotFoundError: the organisation has no authority in `crypto`.
        ValueError: a name is not valid as a folder name.
    """
    node_role = "admin" if enrolment.role == "admin" else "client"
    return _issue(crypto, enrolment, node_role=node_role)


def sign_request(crypto: Path, msp_id: str, request_pem: bytes, *, lasts: timedelta) -> bytes:
    """Sign a certificate request with a development authority and return the certificate in PEM.

    The certificate has the attributes of the request and ends `lasts` from now.

    Raises:
        FileNotFoundError: the organisation has no authority in `crypto`.
        ValueError: the request is not for a P-256 key of a client or admin, or its signature is invalid.
    """
    asked = x509.load_pem_x509_csr(request_pem)
    key = asked.public_key()
    units = asked.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("the request is not signed by a P-256 key of its own")
    if not isinstance(key.curve, ec.SECP256R1) or {str(unit.value) for unit in units} - {"client", "admin"}:
        raise ValueError("the request must be for a P-256 key of a client or admin")
    ca = crypto / msp_id / "ca"
    issuer = x509.load_pem_x509_certificate((ca / "cert.pem").read_bytes())
    issuer_key = serialization.load_pem_private_key((ca / "key.pem").read_bytes(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    builder = (
        _builder(asked.subject, key, lambda start: start + _BACKDATED + lasts)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
    )
    for extension in asked.extensions:
        if extension.oid == ATTRIBUTES_OID:
            builder = builder.add_extension(extension.value, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def load_roots(crypto: Path) -> Roots:
    """Return the roots in the trust file."""
    entries: Mapping[str, str] = json.loads((crypto / TRUST_FILE).read_text())
    return Roots({msp_id: pem.encode() for msp_id, pem in entries.items()})


def load_peers(crypto: Path) -> dict[str, tuple[KeySigner, ...]]:
    """Return the signers of each organisation's endorsing peers."""
    return {
        msp_id: tuple(_load_signer(crypto / msp_id / name, msp_id) for name in PEER_NAMES)
        for msp_id in ORGANISATIONS
    }


def _load_signer(folder: Path, msp_id: str) -> KeySigner:
    identity = Identity(msp_id=msp_id, certificate_pem=(folder / "cert.pem").read_bytes())
    return KeySigner(identity, (folder / "key.pem").read_bytes())


def _issue(crypto: Path, enrolment: Enrolment, *, node_role: str) -> Path:
    for part in (enrolment.msp_id, enrolment.name):
        if part in {"", ".", "..", "ca"} or "/" in part or "\0" in part:
            raise ValueError(f"{part!r} cannot name a member")
    folder = crypto / enrolment.msp_id / enrolment.name
    if _complete(folder):
        return folder
    ca = crypto / enrolment.msp_id / "ca"
    issuer = x509.load_pem_x509_certificate((ca / "cert.pem").read_bytes())
    issuer_key = serialization.load_pem_private_key((ca / "key.pem").read_bytes(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    attributes = {ROLE_ATTRIBUTE: enrolment.role} if enrolment.role else {}
    if enrolment.gateway:
        attributes[GATEWAY_ATTRIBUTE] = enrolment.gateway
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(enrolment.msp_id, enrolment.name, unit=node_role), key.public_key(), _ten_years)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
    )
    if attributes:
        builder = builder.add_extension(attributes_extension(attributes), critical=False)
    _write(folder, key, builder.sign(issuer_key, hashes.SHA256()))
    return folder


def _make_authority(folder: Path, msp_id: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(msp_id, "ca", unit="ca")
    certificate = (
        _builder(name, key.public_key(), _ten_years)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder, key, certificate)


def _name(msp_id: str, common_name: str, *, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, msp_id),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
        ]
    )


def _ten_years(start: datetime) -> datetime:
    return start.replace(year=start.year + _YEARS, day=min(start.day, 28))


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, end_of: Callable[[datetime], datetime]
) -> x509.CertificateBuilder:
    """Return a builder for a certificate valid from five minutes ago until `end_of(start)`."""
    start = datetime.now(UTC).replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end_of(start))
    )


def _complete(folder: Path) -> bool:
    return (folder / "cert.pem").exists()


def _write(folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write the key first and the certificate last, so that a folder with a certificate is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    issued = certificate.public_bytes(serialization.Encoding.PEM)
    write_whole(
        WholeFile(path=folder / "key.pem", content=pem),
        WholeFile(path=folder / "cert.pem", content=issued, mode=0o644),
    )
