"""Represent identities (organisation and certificate), and make and verify ECDSA signatures over P-256 with SHA-256.

Decides whether a signature is valid (DER, low S, this certificate's key) and which roles and attributes a certificate
has. Never decides whether the certificate is trusted; `trust` does.
Source: Fabric MSP (SerializedIdentity, NodeOU, attributes under OID 1.2.3.4.5.6.7.8.1), SEC 1.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edgegw.fabric.proto import msp_pb2
from edgegw.fabric.wire import MalformedMessageError, decode, encode

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
ROLE_ATTRIBUTE = "edgegw.role"
GATEWAY_ATTRIBUTE = "edgegw.gateway"

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SHA256 = ec.ECDSA(hashes.SHA256())


class Signable(Protocol):
    """A document that provides the bytes its signature covers."""

    @property
    def message(self) -> bytes:
        """The bytes to sign (hashed with SHA-256 by the signer)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A member of an organisation: MSP id and certificate."""

    msp_id: str
    certificate_pem: bytes

    @cached_property
    def serialized(self) -> bytes:
        """The SerializedIdentity bytes, for the protocol's `creator` and `endorser` fields."""
        return encode(msp_pb2.SerializedIdentity(mspid=self.msp_id, id_bytes=self.certificate_pem))

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The parsed certificate; raises MalformedMessageError."""
        try:
            return x509.load_pem_x509_certificate(self.certificate_pem)
        except ValueError as fault:
            raise MalformedMessageError("certificate is no PEM certificate") from fault

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The certificate's P-256 key; raises MalformedMessageError for any other kind."""
        key = self.certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise MalformedMessageError("certificate's key is not on P-256")
        return key

    @cached_property
    def certificate_sha256(self) -> str:
        """The SHA-256 of the DER certificate, in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @cached_property
    def node_roles(self) -> frozenset[str]:
        """Fabric's node roles (`client`, `admin`, `peer`, `orderer`), from the subject's organisational units."""
        units = self.certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        return frozenset(str(unit.value) for unit in units)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """The certificate's attributes; empty if it has none or they cannot be parsed."""
        try:
            extension = self.certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID)
        except x509.ExtensionNotFound:
            return {}
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        try:
            attributes = json.loads(extension.value.value)["attrs"]
            return {str(name): str(value) for name, value in attributes.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def expired(self, at_ns: int) -> bool:
        """Return whether the certificate has expired at this UTC time."""
        return at_ns > int(self.certificate.not_valid_after_utc.timestamp()) * 1_000_000_000

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this identity's signature of `message`, in DER with low S."""
        try:
            _, s = decode_dss_signature(signature)
            if s > _ORDER // 2:
                return False
            self.public_key.verify(signature, message, _SHA256)
        except (InvalidSignature, ValueError):
            return False
        return True


@lru_cache(maxsize=4096)
def parse_identity(serialized: bytes) -> Identity:
    """Parse a SerializedIdentity and its certificate; raises MalformedMessageError."""
    message = decode(msp_pb2.SerializedIdentity, serialized)
    identity = Identity(msp_id=message.mspid, certificate_pem=message.id_bytes)
    _ = identity.public_key
    return identity


def attributes_extension(attributes: dict[str, str]) -> x509.UnrecognizedExtension:
    """Return the certificate extension that holds `attributes`, as Fabric CA writes it."""
    text = json.dumps({"attrs": attributes}, sort_keys=True, separators=(",", ":"))
    return x509.UnrecognizedExtension(ATTRIBUTES_OID, text.encode())


def low_s(signature: bytes) -> bytes:
    """Return the ECDSA signature with the smaller of s and n - s, because Fabric refuses the larger."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _ORDER - s))


class KeySigner:
    """Signs with a private key in memory, or in hardware behind the same interface."""

    def __init__(self, identity: Identity, key: bytes | ec.EllipticCurvePrivateKey) -> None:
        """Set the key, as plain PEM or as an object; raise MalformedMessageError if it is not the certificate's."""
        held = load_key(key) if isinstance(key, bytes) else key
        if held.public_key().public_numbers() != identity.public_key.public_numbers():
            raise MalformedMessageError("private key and certificate do not belong together")
        self.identity = identity
        self._key = held

    def sign(self, document: Signable) -> bytes:
        """Return a signature of the document's message, in DER with low S."""
        return low_s(self._key.sign(document.message, _SHA256))


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Load a P-256 private key from plain PEM; raise MalformedMessageError."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as fault:
        raise MalformedMessageError("key is no plain PEM private key") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedMessageError("private key and certificate do not belong together: it is not on P-256")
    return key


def sha256(*parts: bytes) -> bytes:
    """Return the SHA-256 of the concatenated parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
