"""Open a ledger client from the configuration, as the gateway or as another identity."""

from pathlib import Path

from edgegw.common.errors import ConfigError
from edgegw.config.schema import LedgerPlace
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.identity import Signer, load_signer, load_trust


def open_client(
    place: LedgerPlace, *, identity: Path | None = None, signer: Signer | None = None
) -> LedgerClient:
    """Return a client that signs with `signer`, else as `identity`, else as the configured identity.

    Raises:
        ConfigError: as `load_signer` and `load_trust`, or if the CA file of the peers' certificates cannot be read.
    """
    return LedgerClient(
        (place.endpoint, *place.other_endpoints),
        signer or load_signer(identity or place.identity),
        load_trust(place.trust_file),
        channel=place.channel,
        chaincode=place.chaincode,
        tls=None if place.tls_ca_file is None else _read(place.tls_ca_file),
        tls_name=place.tls_name,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ConfigError((f"{path}: {fault.strerror}",)) from fault
