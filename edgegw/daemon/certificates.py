"""Reads when the certificates of this station expire: those of its servers and of its ledger identities.

Decides when the operator is warned: for a ledger identity before half of its validity has passed, since its renewal needs
the organisation; for a server's certificate a month before it expires.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509

from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config
from edgegw.ports.station_health import CERTIFICATE_WARN_DAYS, CertificateLife

SERVER_WARN_NS = CERTIFICATE_WARN_DAYS * 86_400 * SECOND_NS
IDENTITY_WARN_BP = 4_500  # of its validity: a warning before half of it has passed


def certificate_lives(config: Config) -> Mapping[str, CertificateLife]:
    """Return the validity of each certificate by its purpose; one that cannot be read is absent."""
    return {
        name: life
        for name, path, is_identity in _certificates(config)
        if (life := _life(path, is_identity=is_identity)) is not None
    }


def _certificates(config: Config) -> Iterator[tuple[str, Path, bool]]:
    yield "gateway", config.ledger.identity / "cert.pem", True
    if config.own_representative is not None:
        yield "representative", config.own_representative.identity / "cert.pem", True
    if config.ocpp.tls is not None:
        yield "chargers", config.ocpp.tls.certificate, False
        if config.ocpp.tls.rsa_certificate is not None:
            yield "chargers RSA", config.ocpp.tls.rsa_certificate, False
    for name, pages in (("drivers' pages", config.web), ("operator's pages", config.operator)):
        if pages is not None and pages.certificate is not None:
            yield name, pages.certificate, False


def _life(path: Path, *, is_identity: bool) -> CertificateLife | None:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None
    start_ns = int(found.not_valid_before_utc.timestamp()) * SECOND_NS
    end_ns = int(found.not_valid_after_utc.timestamp()) * SECOND_NS
    warn_ns = start_ns + (end_ns - start_ns) * IDENTITY_WARN_BP // 10_000
    return CertificateLife(end_ns=end_ns, warn_ns=warn_ns if is_identity else end_ns - SERVER_WARN_NS)
