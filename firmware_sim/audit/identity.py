"""Resolve serialized identities and verify their signatures.

Decides only by the organisations' root certificates (trust.json: organisation to PEM).
Source: Fabric MSP (SerializedIdentity, NodeOU, attributes under OID 1.2.3.4.5.6.7.8.1); ECDSA P-256, SHA-256, low S.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from firmware_sim.audit.protobuf import MalformedError, Message

HALF_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2
ATTRIBUTES = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The holder of a certificate that its organisation's root issued; `nodes` are its NodeOUs."""

    msp: str
    nodes: frozenset[str]
    role: str
    gateway: str
    key: ec.EllipticCurvePublicKey

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether the signature is by this identity, in DER with low S."""
        try:
            if decode_dss_signature(signature)[1] > HALF_ORDER:
                return False
            self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


class Roots:
    """The organisations' root certificates; results are cached per identity."""

    def __init__(self, trust: Mapping[str, str]) -> None:
        """`trust` maps organisation to PEM. Raise ValueError if an entry is not a certificate."""
        self._roots = {msp: x509.load_pem_x509_certificate(pem.encode()) for msp, pem in trust.items()}
        self._known: dict[bytes, Identity | None] = {}

    @property
    def msps(self) -> frozenset[str]:
        """The MSP ids of the organisations."""
        return frozenset(self._roots)

    def identity(self, serialized: bytes) -> Identity | None:
        """Return the identity of a SerializedIdentity; None if no root has issued its certificate."""
        if serialized not in self._known:
            try:
                self._known[serialized] = self._read(serialized)
            except (ValueError, TypeError, InvalidSignature):
                self._known[serialized] = None
        return self._known[serialized]

    def _read(self, serialized: bytes) -> Identity:
        message = Message(serialized)
        msp = message.text(1)
        root = self._roots.get(msp)
        if root is None:
            raise MalformedError(f"{msp} is no organisation of the channel")
        certificate = x509.load_pem_x509_certificate(message.blob(2))
        certificate.verify_directly_issued_by(root)
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise MalformedError("the key is not on P-256")
        if _is_authority(certificate):
            raise MalformedError("a CA certificate must not sign transactions")
        units = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        attributes = _attributes(certificate)
        return Identity(
            msp=msp,
            nodes=frozenset(str(unit.value) for unit in units),
            role=attributes.get("edgegw.role", ""),
            gateway=attributes.get("edgegw.gateway", ""),
            key=key,
        )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _attributes(certificate: x509.Certificate) -> dict[str, str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES).value
    except x509.ExtensionNotFound:
        return {}
    assert isinstance(extension, x509.UnrecognizedExtension)
    return {str(name): str(value) for name, value in json.loads(extension.value)["attrs"].items()}
