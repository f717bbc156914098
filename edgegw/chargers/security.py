"""Who may connect: one password per charger, checked in the same way whether or not the charger exists.

Decides admit, refuse or "too many tries". Keeps hashes only; never logs or returns a password.
Source: OCPP security profiles 1 and 2 (A00.FR.205: password as text; 1.6 TC_085: AuthorizationKey sent as bytes).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum

import argon2

FAILURES_MAX = 5
FAILURE_WINDOW_S = 60.0
_TRACKED_IDS_MAX = 1024

# OWASP's second choice: a station connects all its chargers at once on a small machine.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Verdict(Enum):
    """What becomes of a connection attempt."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    TOO_MANY = "too many"


def hash_password(password: str) -> str:
    """Argon2id hash for ChargerSettings; a 1.6 AuthorizationKey is given as its lower-case hex digits."""
    return _HASHER.hash(password)


def basic_password(header: str | None, charger_id: str) -> bytes | None:
    """The password of a Basic Authorization header whose user is this charger, as bytes; else None."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password if colon and user == charger_id.encode("utf-8", "replace") else None


class Gatekeeper:
    """Checks passwords off the loop, remembers the last good one by digest, and counts failures per id."""

    def __init__(self, hashes: Mapping[str, str], now_s: Callable[[], float]) -> None:
        self._hashes = hashes
        self._now_s = now_s
        self._digest_key = secrets.token_bytes(32)
        self._good_digests: dict[str, bytes] = {}
        self._failures: dict[str, deque[float]] = {}
        self._dummy_hash = hash_password(secrets.token_urlsafe(16))

    async def check(self, charger_id: str, password: bytes | None) -> Verdict:
        """Verdict on one attempt; takes as long for an unknown id as for a known one."""
        digest = hashlib.blake2b(password or b"", key=self._digest_key).digest()
        if password is not None and hmac.compare_digest(self._good_digests.get(charger_id, b""), digest):
            return Verdict.ADMITTED  # cannot be locked out by somebody else's failures
        if self._is_locked(charger_id):
            return Verdict.TOO_MANY
        known = charger_id in self._hashes
        stored = self._hashes.get(charger_id, self._dummy_hash)
        matches = await asyncio.to_thread(_matches, stored, _as_text(password or b""))
        if known and matches and password is not None:
            self._good_digests[charger_id] = digest
            self._failures.pop(charger_id, None)
            return Verdict.ADMITTED
        self._count_failure(charger_id)
        return Verdict.REFUSED if known else Verdict.UNKNOWN

    def _is_locked(self, charger_id: str) -> bool:
        failures = self._failures.get(charger_id)
        if failures is None:
            return False
        while failures and failures[0] <= self._now_s() - FAILURE_WINDOW_S:
            failures.popleft()
        return len(failures) >= FAILURES_MAX

    def _count_failure(self, charger_id: str) -> None:
        if charger_id not in self._failures and len(self._failures) >= _TRACKED_IDS_MAX:
            del self._failures[
                next(iter(self._failures))
            ]  # the oldest id; made-up ids must not fill the memory
        self._failures.setdefault(charger_id, deque(maxlen=FAILURES_MAX)).append(self._now_s())


def _as_text(password: bytes) -> str:
    """Printable passwords are text; others are a 1.6 AuthorizationKey sent as bytes, stored as hex digits."""
    text = password.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else password.hex()


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
