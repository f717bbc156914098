"""Who signs: a port that signs typed documents, and identities from their folders.

Decides nothing (`keys` knows where a key may be). A signer is handed the document (proposal, transaction, query), never a digest, so that
one that sits in a TPM or on another machine can say what it signs. Keys are never logged.
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
    """A station's own evidence of one trade, in canonical text."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentativeRequest:
    """A station's question to its organisation's representative: to whom, what, when, once."""

    msp_id: str
    path: str
    at_ms: int
    nonce: str
    body_sha256: str

    @property
    def message(self) -> bytes:
        """The bytes that are signed; no other document begins like this."""
        parts = ("edgegw office 1", self.msp_id, self.path, str(self.at_ms), self.nonce, self.body_sha256)
        return "\n".join(parts).encode()


Document = Proposal | EndorsedTransaction | StatusQuery | EventsQuery | Evidence | RepresentativeRequest
"""What a client signs."""


class Signer(Protocol):
    """Holds one identity's key."""

    @property
    def identity(self) -> Identity:
        """Organisation and certificate."""
        ...

    def sign(self, document: Document) -> bytes:
        """DER ECDSA signature, low S, over SHA-256 of `document.message`."""
        ...


def load_signer(folder: Path) -> Signer:
    """The identity in `<MSP>/<name>/` (`cert.pem`, and its key: `keys`); the organisation is the folder above.

    Raises ConfigError: a file is missing, others than its owner may read the key, or the two do not belong together.
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
    """The organisations' roots from a trust file: JSON object, organisation to certificate (PEM); raises ConfigError."""
    try:
        return Roots({msp_id: pem.encode() for msp_id, pem in json.loads(path.read_text()).items()})
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except (ValueError, AttributeError) as error:
        raise ConfigError(
            (f"{path}: want a JSON object, organisation to certificate in PEM: {error}",)
        ) from error
