"""Sign a gateway's HTTP requests to its organisation's representative, and verify them there.

Decides whether a request is from a listed gateway of this organisation, recent, unchanged and not a replay. Does not
interpret the request. Uses real time, not the station's clock.
"""

import base64
import binascii
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edgegw.fabric.identity import GATEWAY_ATTRIBUTE, ROLE_ATTRIBUTE, Identity
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.identity import RepresentativeRequest, Signer

CERTIFICATE, TIME, NONCE, SIGNATURE = (
    f"edgegw-{name}" for name in ("certificate", "time", "nonce", "signature")
)
SKEW_MS = 60_000
NONCES_MAX = 65_536
_NONCE_DIGITS = 32
_CERTIFICATE_LENGTH_MAX = 4096
_GATEWAY = "gateway"


class NotHeard(StrEnum):
    """Why a request is rejected."""

    MALFORMED = "MALFORMED"  # headers absent or malformed
    CLOCK = "CLOCK"  # its time differs from ours by more than a minute
    UNKNOWN_CERTIFICATE = "UNKNOWN_CERTIFICATE"  # not issued by this organisation, or not valid now
    WRONG_ROLE = "WRONG_ROLE"  # the certificate's role is not `gateway`
    NOT_LISTED = "NOT_LISTED"
    BAD_SIGNATURE = "BAD_SIGNATURE"  # another key, another body, another path
    REPLAYED = "REPLAYED"
    BUSY = "BUSY"  # more requests within two minutes than nonces can be stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The gateway that signed a request."""

    gateway_id: str
    certificate_sha256: str


def signed_headers(
    signer: Signer, path: str, body: bytes, *, now_ns: Callable[[], int] = time.time_ns
) -> dict[str, str]:
    """Return the headers of one request; they are valid once, for a minute."""
    identity = signer.identity
    request = RepresentativeRequest(
        msp_id=identity.msp_id,
        path=path,
        at_ms=now_ns() // 1_000_000,
        nonce=secrets.token_hex(_NONCE_DIGITS // 2),
        body_sha256=hashlib.sha256(body).hexdigest(),
    )
    der = identity.certificate.public_bytes(serialization.Encoding.DER)
    return {
        CERTIFICATE: base64.b64encode(der).decode(),
        TIME: str(request.at_ms),
        NONCE: request.nonce,
        SIGNATURE: base64.b64encode(signer.sign(request)).decode(),
    }


class Callers:
    """Verifies requests of one organisation's gateways, listed by gateway id or certificate SHA-256 in hex."""

    def __init__(
        self,
        roots: Roots,
        msp_id: str,
        listed: Collection[str],
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._roots = roots
        self._msp_id = msp_id
        self._listed = frozenset(listed)
        self._now_ns = now_ns
        self._nonces: OrderedDict[tuple[str, str], int] = OrderedDict()  # value: end of retention, ms

    def check(self, headers: Mapping[str, str], path: str, body: bytes) -> Caller | NotHeard:
        """Return the gateway that signed the request, or why the request is rejected."""
        at, nonce = headers.get(TIME, ""), headers.get(NONCE, "")
        signature = _decoded(headers.get(SIGNATURE, ""))
        identity = _identity(self._msp_id, headers.get(CERTIFICATE, ""))
        well_formed = at.isascii() and at.isdecimal() and len(at) < 15 and len(nonce) == _NONCE_DIGITS
        if identity is None or signature is None or not well_formed or not nonce.isalnum():
            return NotHeard.MALFORMED
        now_ms = self._now_ns() // 1_000_000
        if abs(int(at) - now_ms) > SKEW_MS:
            return NotHeard.CLOCK
        caller = self._known(identity)
        if isinstance(caller, NotHeard):
            return caller
        request = RepresentativeRequest(
            msp_id=self._msp_id,
            path=path,
            at_ms=int(at),
            nonce=nonce,
            body_sha256=hashlib.sha256(body).hexdigest(),
        )
        if not identity.verify(request.message, signature):
            return NotHeard.BAD_SIGNATURE
        return self._once(caller, nonce, now_ms) or caller

    def _known(self, identity: Identity) -> Caller | NotHeard:
        if not self._roots.valid_at(identity, self._now_ns()):
            return NotHeard.UNKNOWN_CERTIFICATE
        gateway_id = identity.attributes.get(GATEWAY_ATTRIBUTE, "")
        if identity.attributes.get(ROLE_ATTRIBUTE) != _GATEWAY or not gateway_id:
            return NotHeard.WRONG_ROLE
        if not self._listed & {gateway_id, identity.certificate_sha256}:
            return NotHeard.NOT_LISTED
        return Caller(gateway_id=gateway_id, certificate_sha256=identity.certificate_sha256)

    def _once(self, caller: Caller, nonce: str, now_ms: int) -> NotHeard | None:
        """Store a nonce for as long as its request's time is acceptable; refuse one that is stored already."""
        while self._nonces and next(iter(self._nonces.values())) < now_ms:
            self._nonces.popitem(last=False)
        key = (caller.certificate_sha256, nonce)
        if key in self._nonces:
            return NotHeard.REPLAYED
        if len(self._nonces) >= NONCES_MAX:
            return NotHeard.BUSY
        self._nonces[key] = now_ms + 2 * SKEW_MS
        return None


@lru_cache(maxsize=256)
def _identity(msp_id: str, encoded: str) -> Identity | None:
    der = _decoded(encoded)
    if der is None:
        return None
    try:
        pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        identity = Identity(msp_id=msp_id, certificate_pem=pem)
        _ = identity.public_key
    except (ValueError, MalformedMessageError):
        return None
    return identity


def _decoded(text: str) -> bytes | None:
    if not 0 < len(text) <= _CERTIFICATE_LENGTH_MAX:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
