"""Validation codes of a committed transaction after which its payload may be endorsed again under a new transaction id.

Source: Hyperledger Fabric, `peer.TxValidationCode`.
"""

IDENTITY_EXPIRED = "IDENTITY_EXPIRED"
"""Not a code of Fabric: the certificate that signed the envelope has expired, and every peer refuses it from now on."""

ENDORSE_AGAIN = frozenset(
    {
        "MVCC_READ_CONFLICT",
        "PHANTOM_READ_CONFLICT",
        "ENDORSEMENT_POLICY_FAILURE",
        "EXPIRED_CHAINCODE",
        "CHAINCODE_VERSION_CONFLICT",
        "BAD_CREATOR_SIGNATURE",
        IDENTITY_EXPIRED,
    }
)
"""Definite codes: the old transaction id can never become valid."""
