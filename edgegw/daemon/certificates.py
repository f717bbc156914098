"""When the certificates end that this station presents: to chargers, and to the ledger's peer. Decides nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509

from edgegw.config import Config
from edgegw.units import SECOND_NS


def certificate_ends(config: Config) -> Mapping[str, int]:
    """UTC nanoseconds of the end of each, by what it is for; one that cannot be read is absent."""
    return {name: end_ns for name, path in _certificates(config) if (end_ns := _end_ns(path)) is not None}


def _certificates(config: Config) -> Iterator[tuple[str, Path]]:
    yield "gateway", config.ledger.identity / "cert.pem"
    if config.representative is not None:
        yield "representative", config.representative.identity / "cert.pem"
    if config.ocpp.tls is not None:
        yield "chargers", config.ocpp.tls.certificate
        if config.ocpp.tls.rsa_certificate is not None:
            yield "chargers RSA", config.ocpp.tls.rsa_certificate


def _end_ns(path: Path) -> int | None:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None
    return int(found.not_valid_after_utc.timestamp()) * SECOND_NS
