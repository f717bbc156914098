"""How people become strings that say nothing: card hashes, member ids, commitments, duplicate tags.

Decides normal forms and keyed hashes. Never stores anything; a key never leaves the caller.
Source: docs/ledger.md, Who takes part; OCPP idTokens are case-insensitive (CiString).
"""

import base64
import hmac
import secrets
import unicodedata

SALT_BYTES = 32
_MEMBER_ID_BYTES = 16


def hash_token(key: bytes, id_token: str) -> str:
    """Keyed hash of an idToken, equal for every spelling of its letters' case; hexadecimal."""
    return _hmac(key, "token", _fold(id_token))


def normal_identity(identity: str) -> str:
    """One spelling for what identifies a person at the representative: compatibility form, no case, single spaces."""
    return _fold(identity)


def duplicate_tag(key: bytes, identity: str) -> str:
    """The same person gives the same tag at one organisation, and another at any other; hexadecimal."""
    return _hmac(key, "identity", normal_identity(identity))


def commitment(salt: bytes, identity: str) -> str:
    """What the ledger holds of an identity; without the salt, which leaving deletes, it names nobody; hexadecimal."""
    return _hmac(salt, "commitment", normal_identity(identity))


def new_salt() -> bytes:
    """A member's own salt."""
    return secrets.token_bytes(SALT_BYTES)


def new_member_id() -> str:
    """128 random bits, as 26 letters and digits."""
    return base64.b32encode(secrets.token_bytes(_MEMBER_ID_BYTES)).decode().rstrip("=").lower()


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _hmac(key: bytes, purpose: str, text: str) -> str:
    """HMAC-SHA256; the purpose keeps tags of one key apart."""
    return hmac.digest(key, f"{purpose}\0{text}".encode(errors="backslashreplace"), "sha256").hex()
