"""Encrypts members' personal data, hashes passwords and creates login tokens, with keys that never leave the representative.

Decides ciphers and key derivation. A ciphertext is bound to its member and its field.
Source: NIST SP 800-38D (AES-256-GCM, 96-bit random nonces), RFC 5869 (HKDF).
"""

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edgegw.common.errors import JournalError
from edgegw.common.passwords import hash_password, password_fits, unmatched_hash
from edgegw.ports.representative import RepresentativeError

_NONCE_BYTES = 12
_AT_ONCE = 2  # 19 MiB each
_WAITING_MAX = 32  # about four hashes a second: a later client would have timed out
_UNMATCHED = unmatched_hash()


def derived(key: bytes, purpose: str) -> bytes:
    """Derive a key for one purpose (HKDF-SHA256); it reveals nothing about `key`."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"edgegw {purpose}".encode()).derive(
        key
    )


class FieldEncryption:
    """Encrypts texts of members with a key derived from the store's `key`."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(derived(key, "personal data 1"))

    def seal(self, member_id: str, field: str, text: str) -> bytes:
        """Encrypt a text; return nonce and ciphertext, bound to member and field."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), _bound(member_id, field))

    def open(self, member_id: str, field: str, sealed: bytes) -> str:
        """Decrypt a text; raises JournalError where it belongs to another member or key, or is damaged."""
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, text, _bound(member_id, field)).decode()
        except InvalidTag as fault:
            raise JournalError(
                f"{field} of member {member_id}: sealed under another key, or damaged"
            ) from fault


class Passwords:
    """Hashes and verifies passwords in threads, at most two at once. Methods raise RepresentativeError where too many wait."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        self._queue()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, hash_password, password)
        finally:
            self._waiting -= 1

    async def fits(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches; False for a hash of None, after the same time."""
        self._queue()
        try:
            fits = await asyncio.get_running_loop().run_in_executor(
                self._pool, password_fits, password_hash or _UNMATCHED, password
            )
        finally:
            self._waiting -= 1
        return fits and password_hash is not None

    def _queue(self) -> None:
        if self._waiting >= _WAITING_MAX:
            raise RepresentativeError("the representative is busy with passwords")
        self._waiting += 1


def new_login_token() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return the SHA-256 of a login's token in hex; only this digest is stored."""
    return hashlib.sha256(token.encode(errors="backslashreplace")).hexdigest()


def _bound(member_id: str, field: str) -> bytes:
    return f"{field}\0{member_id}".encode()
