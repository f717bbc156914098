"""Checks the Basic Authentication passwords of chargers, in constant work for known and unknown ids, with throttling.

Decides admitted, refused, unknown or "too many tries". Keeps hashes only; never logs or returns a password.
Source: OCPP security profiles 1 and 2 (A00.FR.205: password as text; 1.6 TC_085: AuthorizationKey sent as bytes).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum

from edgegw.common.passwords import hash_password, password_fits, unmatched_hash
from edgegw.common.throttle import Throttle, Window

FAILURES_MAX = 5  # of an id from one address
ID_FAILURES_MAX = 60  # of an id from all addresses
ADDRESS_FAILURES_MAX = 30  # chargers behind one router share an address
FAILURE_WINDOW_S = 60.0
_TRACKED_MAX = 1024
_MADE_MAX = 64
_AT_ONCE = 2  # argon2 takes 19 MiB for each
_KEY_BYTES_MAX = 20  # of a 1.6 AuthorizationKey
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{2,40}")


class Verdict(Enum):
    """Outcome of a password check."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    TOO_MANY = "too many"


class Presented(Enum):
    """Why an Authorization header holds no password of this charger."""

    NOTHING = "nothing"
    OTHER_USER = "other user"


def basic_password(headers: Sequence[str], charger_id: str) -> bytes | Presented:
    """Return the password of the only Basic Authorization header, where its user is this charger; else why not."""
    scheme, _, encoded = (headers[0] if len(headers) == 1 else "").partition(" ")
    if scheme.lower() != "basic":
        return Presented.NOTHING
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return Presented.NOTHING
    user = charger_id.encode("utf-8", "replace") + b":"
    if pair.startswith(user):  # an id may hold colons
        return pair.removeprefix(user) or Presented.NOTHING
    return Presented.OTHER_USER if b":" in pair else Presented.NOTHING


class Gatekeeper:
    """Checks passwords in threads, caches the last good one by digest, and counts failures per id and address."""

    def __init__(self, hashes: Mapping[str, str], now_s: Callable[[], float]) -> None:
        self._hashes = hashes
        self._failures = tuple(  # in the order of `_keys`
            Throttle(Window(most=most, window_s=FAILURE_WINDOW_S), now_s, keys_max=_TRACKED_MAX)
            for most in (FAILURES_MAX, ADDRESS_FAILURES_MAX, ID_FAILURES_MAX)
        )
        self._digest_key = secrets.token_bytes(32)
        self._good: dict[str, tuple[bytes, str]] = {}  # digest of the password, and the hash it matched
        self._made: dict[tuple[str, bytes], str] = {}  # hashes of passwords that unknown chargers presented
        self._dummy_hash = unmatched_hash()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def adopt(self, hashes: Mapping[str, str]) -> None:
        """Use these chargers and passwords from now on; a cached success counts for the hash it matched only."""
        self._hashes = hashes

    async def check(self, charger_id: str, password: bytes, *, address: str) -> Verdict:
        """Return the verdict on one attempt; takes as long for an unknown id as for a known one."""
        digest = self._digest(password)
        stored = self._hashes.get(charger_id, self._dummy_hash)
        known_digest, known_hash = self._good.get(charger_id, (b"", ""))
        if hmac.compare_digest(known_digest, digest) and known_hash == stored:
            return Verdict.ADMITTED  # failures of others cannot lock it out
        if self.is_locked(charger_id, address):
            return Verdict.TOO_MANY
        async with self._turns:
            if self.is_locked(charger_id, address):  # by attempts that failed while this one waited
                return Verdict.TOO_MANY
            matches = await asyncio.to_thread(_matches, stored, _spellings(password))
        known = charger_id in self._hashes
        if known and matches and self._hashes[charger_id] == stored:
            self._good[charger_id] = (digest, stored)
            by_pair, _, by_id = self._failures
            by_pair.forget((charger_id, address))
            by_id.forget(charger_id)
            return Verdict.ADMITTED
        self.count_failure(charger_id, address)
        return Verdict.REFUSED if known else Verdict.UNKNOWN

    async def hash_of(self, charger_id: str, password: bytes, *, address: str) -> str | None:
        """Return the hash of an unknown charger's password; None where it presents too many different ones."""
        key = (charger_id, self._digest(password))
        if key in self._made:
            return self._made[key]
        if self.is_locked(charger_id, address):
            return None
        self.count_failure(charger_id, address)  # making a hash costs as much as checking one
        async with self._turns:
            made = await asyncio.to_thread(hash_password, _spellings(password)[0])
        self._made[key] = made
        if len(self._made) > _MADE_MAX:
            del self._made[next(iter(self._made))]
        return made

    def is_locked(self, charger_id: str, address: str) -> bool:
        """Return whether this id at this address, this address, or this id anywhere failed too often in the last minute."""
        keys = _keys(charger_id, address)
        return any(failures.wait_s(key) for failures, key in zip(self._failures, keys, strict=True))

    def count_failure(self, charger_id: str, address: str) -> None:
        """Count one more failure; the number of tracked keys is bounded, so that invented ids cannot fill the memory."""
        for failures, key in zip(self._failures, _keys(charger_id, address), strict=True):
            failures.count(key)

    def _digest(self, password: bytes) -> bytes:
        return hashlib.blake2b(password, key=self._digest_key).digest()


def _keys(charger_id: str, address: str) -> tuple[Hashable, ...]:
    """Return what failures are counted by. An address locks out itself, not the charger of that id at another one."""
    return (charger_id, address), address, charger_id


def _spellings(password: bytes) -> tuple[str, ...]:
    """Return the texts that a password may be configured as, most likely first.

    Printable passwords are text. A 1.6 AuthorizationKey is configured as hex digits and sent as the bytes they encode or,
    by chargers that do not decode it, as the digits themselves in upper or lower case.
    """
    text = password.decode("ascii", "replace")
    digits = password.hex()
    if not (text.isascii() and text.isprintable()):
        return (digits, digits.upper())
    found = [text]
    if _HEX_KEY.fullmatch(text):
        found += [text.lower(), text.upper()]
    elif len(password) <= _KEY_BYTES_MAX:
        found += [digits]
    return tuple(dict.fromkeys(found))


def _matches(stored: str, spellings: Sequence[str]) -> bool:
    return any(password_fits(stored, spelling) for spelling in spellings)
