"""Load identities from their folders, and define the signer, which signs typed documents.

A signer receives the document (proposal, transaction, query), never a digest, so that a signer in a TPM or on another
machine can report what it signs. `keys` locates the private key. Keys are never logged.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgegw.common.errors import ConfigError
from edgegw.fabric.identity import GATEWAY_ATTRIBUTE, ROLE_ATTRIBUTE, Identity, attributes_extension
from edgegw.fabric.transaction import EndorsedTransaction, EventsQuery, Proposal, StatusQuery
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.keys import CERTIFICATE, signer_of

__all__ = [
    "GATEWAY_ATTRIBUTE",
    "ROLE_ATTRIBUTE",
    "Evidence",
    "Identity",
    "MalformedMessageError",
    "RepresentativeRequest",
    "Roots",
    "Signer",
    "attributes_extension",
    "load_signer",
    "load_trust",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A station's own evidence of one trade, as canonical JSON."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentativeRequest:
    """A station's request to its organisation's representative: recipient, path, time, nonce and body hash."""

    msp_id: str
    path: str
    at_ms: int
    nonce: str
    body_sha256: str

    @property
    def message(self) -> bytes:
        """The bytes that are signed; their prefix differs from that of every other document."""
        parts = ("edgegw office 1", self.msp_id, self.path, str(self.at_ms), self.nonce, self.body_sha256)
        return "\n".join(parts).encode()


Document = Proposal | EndorsedTransaction | StatusQuery | EventsQuery | Evidence | RepresentativeRequest
"""The documents a client signs."""


class Signer(Protocol):
    """Holds one identity's key."""

    @property
    def identity(self) -> Identity:
        """The organisation and the certificate."""
        ...

    def sign(self, document: Document) -> bytes:
        """Return a low-S ECDSA signature in DER over SHA-256 of `document.message`."""
        ...


def load_signer(folder: Path) -> Signer:
    """Return the signer of the identity in `<MSP>/<name>/`: `cert.pem` and its key (`keys`), MSP from the folder above.

    Raises:
        ConfigError: a file is missing, the key is accessible to others than its owner, or key and certificate differ.
    """
    try:
        identity = Identity(
            msp_id=folder.resolve().parent.name, certificate_pem=(folder / CERTIFICATE).read_bytes()
        )
        return signer_of(folder, identity)
    except OSError as error:
        raise ConfigError((f"{error.filename}: {error.strerror}",)) from error
    except MalformedMessageError as error:
        raise ConfigError((f"{folder}: {error}",)) from error


def load_trust(path: Path) -> Roots:
    """Return the organisations' roots from a trust file, a JSON object of MSP id to PEM; raise ConfigError."""
    try:
        return Roots({msp_id: pem.encode() for msp_id, pem in json.loads(path.read_text()).items()})
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except (ValueError, AttributeError) as error:
        raise ConfigError(
            (f"{path}: expected a JSON object, MSP id to certificate in PEM: {error}",)
        ) from error
