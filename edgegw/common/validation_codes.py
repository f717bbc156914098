"""The validation codes after which a payload may be endorsed again under a new transaction id.

Source: Hyperledger Fabric, `peer.TxValidationCode`.
"""

IDENTITY_EXPIRED = "IDENTITY_EXPIRED"
"""Not a code of Fabric: the certificate that signed the envelope has expired, so that every peer refuses the envelope."""

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
"""Final codes: the old transaction id can never become valid."""
