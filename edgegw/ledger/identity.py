"""Who signs: a port that signs typed documents, and the files of a key held in plain.

Decides nothing. A signer is handed the document (proposal, transaction, query), never a digest, so that
one that sits in a TPM or on another machine can say what it signs. Keys are never logged.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgegw.errors import ConfigError
from edgegw.fabric.identity import Identity, KeySigner
from edgegw.fabric.transaction import EndorsedTransaction, EventsQuery, Proposal, StatusQuery
from edgegw.fabric.trust import Roots


@dataclass(frozen=True, slots=True)
class Evidence:
    """A station's own evidence of one trade, in canonical text."""

    message: bytes


Document = Proposal | EndorsedTransaction | StatusQuery | EventsQuery | Evidence
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
    """The identity in `<MSP>/<name>/` (`cert.pem`, `key.pem`); the organisation is the folder above.

    Raises ConfigError: a file is missing or may not be read, others than its owner may read the key, or the two do not
    belong together.
    """
    certificate, key = folder / "cert.pem", folder / "key.pem"
    with _usable(certificate):
        identity = Identity(msp_id=folder.resolve().parent.name, certificate_pem=certificate.read_bytes())
        _ = identity.public_key  # parsed here, so that a fault names this file
    with _usable(key):
        mode = key.stat().st_mode & 0o777
        if mode & 0o077:
            raise ConfigError((f"{key}: mode {mode:04o}, want 0600: chmod 600 {key}",))
        return KeySigner(identity, key.read_bytes())


def load_trust(path: Path) -> Roots:
    """The organisations' roots from a trust file: JSON object, organisation to certificate (PEM). Raises ConfigError."""
    with _usable(path):
        found = json.loads(path.read_text())
        if not isinstance(found, dict) or not all(isinstance(pem, str) for pem in found.values()):
            raise ValueError("expected a JSON object, organisation to certificate (PEM)")
        return Roots({msp_id: pem.encode() for msp_id, pem in found.items()})


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """A file that is missing or holds something else is a fault of the configuration that names it."""
    try:
        yield
    except OSError as fault:
        raise ConfigError((f"{path}: {fault.strerror}",)) from fault
    except ValueError as fault:
        raise ConfigError((f"{path}: {fault}",)) from fault
