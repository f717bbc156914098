"""Decide whether a certificate is issued by its organisation's root and valid at a given time.

Reads no file and no clock. Source: Fabric MSP (one level, no intermediate authorities), RFC 5280 for issuer signature
and validity.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from edgegw.fabric.identity import Identity

_REMEMBERED = 4096


class Roots:
    """The organisations' root certificates, with a cache of the certificates they issued."""

    def __init__(self, certificates_pem: Mapping[str, bytes]) -> None:
        """Load the roots, MSP id to PEM; raise ValueError if an entry is not a certificate."""
        self._roots = {
            msp_id: x509.load_pem_x509_certificate(pem) for msp_id, pem in certificates_pem.items()
        }
        self._issued: dict[tuple[str, bytes], bool] = {}

    @property
    def msp_ids(self) -> frozenset[str]:
        """The organisations whose root is known."""
        return frozenset(self._roots)

    def issued(self, identity: Identity) -> bool:
        """Return whether the organisation's root issued this certificate, regardless of its validity period."""
        place = (identity.msp_id, identity.certificate_pem)
        known = self._issued.get(place)
        if known is None:
            if len(self._issued) >= _REMEMBERED:
                self._issued.clear()
            known = self._issued[place] = self._check_issuer(identity)
        return known

    def valid_at(self, identity: Identity, at_ns: int) -> bool:
        """Return whether the certificate is issued by its root and within its validity period at this UTC time."""
        at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
        certificate = identity.certificate
        return (
            self.issued(identity)
            and certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
        )

    def _check_issuer(self, identity: Identity) -> bool:
        root = self._roots.get(identity.msp_id)
        if root is None:
            return False
        try:
            identity.certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            return False
        try:
            constraints = identity.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except x509.ExtensionNotFound:
            return True
        return not constraints.value.ca
