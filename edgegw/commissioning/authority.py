"""Creates the station's certificate authority and issues the server certificates that chargers verify with it.

Decides names, key types and validity. The authority's key never leaves its file (mode 0600) and is needed again only to
issue a new server certificate. It is RSA, which every charger's TLS can verify; the server has an ECDSA and an RSA
certificate, since OCPP's cipher suites need both.
Source: OCPP security whitepaper 1.3 (profile 2), OCPP 2.0.1 Part 2 A00.FR.3xx; RFC 5280.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgegw.common.whole_files import WholeFile, write_whole

AUTHORITY_DAYS = 20 * 365
SERVER_DAYS = 10 * 365
AUTHORITY_RSA_BITS = 3072
SERVER_RSA_BITS = 2048  # the minimum of OCPP, which small controllers verify quickly
_BACKDATED = timedelta(days=1)  # a charger's clock may be slow
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The authority's files in `folder`: `ca.pem` is installed in chargers, `ca.key` remains here."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The certificate that chargers trust."""
        return self.folder / "ca.pem"

    @property
    def key(self) -> Path:
        """The authority's private key."""
        return self.folder / "ca.key"

    @property
    def server_keys(self) -> tuple[Path, Path]:
        """The private keys of the server, which the daemon reads."""
        return self.folder / "ecdsa.key", self.folder / "rsa.key"

    def found(self, station_id: str) -> None:
        """Create the authority unless its certificate exists; the certificate is written last."""
        if self.certificate.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(65537, AUTHORITY_RSA_BITS)
        name = _name(f"edgegw {station_id} authority")
        certificate = (
            _builder(name, key, days=AUTHORITY_DAYS)
            .issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_whole(_key_file(self.key, key), _certificate_file(self.certificate, certificate))

    def issue(self, names: Iterable[str]) -> None:
        """Create new server keys and certificates for host names and addresses; the first name is the subject."""
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        assert isinstance(issuer_key, rsa.RSAPrivateKey)
        hosts = list(dict.fromkeys(names))
        keys: tuple[tuple[str, _Key], ...] = (
            ("ecdsa", ec.generate_private_key(ec.SECP256R1())),
            ("rsa", rsa.generate_private_key(65537, SERVER_RSA_BITS)),
        )
        files: list[WholeFile] = []
        for stem, key in keys:
            certificate = (
                _builder(_name(hosts[0]), key, days=SERVER_DAYS)
                .issuer_name(issuer.subject)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_usage(authority=False, encipher=stem == "rsa"), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(
                    x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
                )
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                    critical=False,
                )
                .sign(issuer_key, hashes.SHA256())
            )
            files += [
                _key_file(self.folder / f"{stem}.key", key),
                _certificate_file(self.folder / f"{stem}.pem", certificate),
            ]
        write_whole(*files)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:64])])


def _builder(subject: x509.Name, key: _Key, *, days: int) -> x509.CertificateBuilder:
    start = datetime.now(UTC).replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, authority: bool, encipher: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_file(path: Path, key: _Key) -> WholeFile:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return WholeFile(path=path, content=pem)


def _certificate_file(path: Path, certificate: x509.Certificate) -> WholeFile:
    return WholeFile(path=path, content=certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
