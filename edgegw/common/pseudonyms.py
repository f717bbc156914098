"""Pseudonyms of people and cards: token hashes, member ids, commitments, duplicate tags.

Decides normal forms and keyed hashes. Never stores a value or a key.
Source: docs/ledger.md, Who takes part; OCPP idTokens are case-insensitive (CiString).
"""

import base64
import hmac
import secrets
import unicodedata

SALT_BYTES = 32
_MEMBER_ID_BYTES = 16


def hash_token(key: bytes, id_token: str) -> str:
    """Return the keyed hash of an idToken in hex; upper and lower case give the same hash."""
    return _hmac(key, "token", _fold(id_token))


def normal_identity(identity: str) -> str:
    """Return the normal form of an e-mail address or telephone number: NFKC, case-folded, single spaces."""
    return _fold(identity)


def duplicate_tag(key: bytes, identity: str) -> str:
    """Return a tag in hex that is equal for one person within one organisation (`key`), and differs between organisations."""
    return _hmac(key, "identity", normal_identity(identity))


def commitment(salt: bytes, identity: str) -> str:
    """Return the commitment to an identity that the ledger stores, in hex; once the salt is deleted, it identifies no one."""
    return _hmac(salt, "commitment", normal_identity(identity))


def new_salt() -> bytes:
    """Return a random salt for one member."""
    return secrets.token_bytes(SALT_BYTES)


def new_member_id() -> str:
    """Return 128 random bits as 26 letters and digits."""
    return base64.b32encode(secrets.token_bytes(_MEMBER_ID_BYTES)).decode().rstrip("=").lower()


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _hmac(key: bytes, purpose: str, text: str) -> str:
    """Return the HMAC-SHA256 in hex; `purpose` separates the uses of one key."""
    return hmac.digest(key, f"{purpose}\0{text}".encode(errors="backslashreplace"), "sha256").hex()
