"""Checks path, network, password and security profile of a connection attempt. Knows no WebSocket library.

Decides the HTTP status. The cause goes to the log only: an attacker learns no more than the status.
Source: OCPP-J 1.6 §3; OCPP 2.1 Part 4 §3.1 to §3.4, Part 2 A00; docs/ocpp.md, Connections.
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import assert_never
from urllib.parse import unquote

from edgegw.chargers.basic_authentication import (
    Gatekeeper,
    Presented,
    Verdict,
    basic_password,
)
from edgegw.chargers.pending_chargers import PendingChargers
from edgegw.chargers.rejection_log import RejectionLog
from edgegw.chargers.settings import ListenerSettings, ProfileStore
from edgegw.common.errors import EdgegwError

PATH = "/ocpp/"
ID_LENGTH_MAX = 48
PLAIN, TLS = 1, 2  # OCPP's security profiles

_ID = re.compile(r"[A-Za-z0-9*\-_=:+|@.]+")

STATUS = {
    "EGW-1001": 404, "EGW-1002": 404, "EGW-1003": 404, "EGW-1005": 404, "EGW-1006": 503, "EGW-1008": 426,
    "EGW-1101": 401, "EGW-1102": 401, "EGW-1103": 401, "EGW-1104": 429, "EGW-1105": 403, "EGW-1106": 401,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to open a WebSocket."""

    path: str
    is_upgrade: bool
    authorization: tuple[str, ...] = field(repr=False)
    address: str
    profile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """An admitted charger; `password_hash` is None for a configured charger, and set for an unknown one."""

    charger_id: str
    address: str
    profile: int
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A refused attempt: error code, charger id where it could be read, and detail for the log."""

    code: str
    charger_id: str = ""
    detail: str = ""


class RememberedProfiles:
    """A ProfileStore in memory, which lasts as long as the process."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def highest(self, charger_id: str) -> int:
        """See ProfileStore."""
        return self._highest.get(charger_id, 0)

    def raise_to(self, charger_id: str, profile: int) -> None:
        """See ProfileStore."""
        self._highest[charger_id] = max(profile, self.highest(charger_id))


class AdmissionControl:
    """Judges connection attempts. `known` holds the configured ids; it and `settings` change on a configuration reload."""

    def __init__(
        self,
        *,
        settings: ListenerSettings,
        gatekeeper: Gatekeeper,
        refusals: RejectionLog,
        pending: PendingChargers,
        profiles: ProfileStore,
    ) -> None:
        self.settings = settings
        self.known: frozenset[str] = frozenset()
        self._gatekeeper = gatekeeper
        self._refusals = refusals
        self._pending = pending
        self._profiles = profiles

    async def admit(self, attempt: Attempt) -> Admission | int:
        """Return the admission, or the HTTP status of the refusal, which is logged."""
        judged = await self._judge(attempt)
        if isinstance(judged, Admission):
            return judged
        self._refusals.note(
            judged.code,
            address=attempt.address,
            charger_id=judged.charger_id,
            path=attempt.path.partition("?")[0],  # what follows may be a secret
            detail=judged.detail,
        )
        return STATUS[judged.code]

    async def _judge(self, attempt: Attempt) -> Admission | Denial:
        if not attempt.is_upgrade:
            return Denial(code="EGW-1008", detail="no Upgrade: websocket with Connection: Upgrade")
        charger_id = charger_id_of(attempt.path)
        if isinstance(charger_id, Denial):
            return charger_id
        if attempt.profile == PLAIN and not self._may_be_plain(attempt.address):
            return Denial(code="EGW-1105", charger_id=charger_id)
        password = self._presented(attempt, charger_id)
        if isinstance(password, Denial):
            return password
        is_unknown = self.settings.accept_unknown and charger_id not in self.known
        if is_unknown and not self._pending.is_rejected(charger_id):
            return await self._admit_unknown(attempt, charger_id, password)
        return await self._admit_configured(attempt, charger_id, password)

    def _presented(self, attempt: Attempt, charger_id: str) -> bytes | Denial:
        password = basic_password(attempt.authorization, charger_id)
        if password is Presented.NOTHING:
            return Denial(code="EGW-1101", charger_id=charger_id)
        if password is Presented.OTHER_USER:
            self._gatekeeper.count_failure(charger_id, attempt.address)
            return Denial(code="EGW-1102", charger_id=charger_id)
        assert isinstance(password, bytes)
        return password

    async def _admit_configured(
        self, attempt: Attempt, charger_id: str, password: bytes
    ) -> Admission | Denial:
        match await self._gatekeeper.check(charger_id, password, address=attempt.address):
            case Verdict.TOO_MANY:
                return Denial(code="EGW-1104", charger_id=charger_id)
            case Verdict.REFUSED:
                return Denial(code="EGW-1103", charger_id=charger_id)
            case Verdict.UNKNOWN:
                return Denial(code="EGW-1005", charger_id=charger_id)
            case Verdict.ADMITTED:
                pass
            case unhandled:
                assert_never(unhandled)
        if not await asyncio.to_thread(self._keeps_profile, charger_id, attempt.profile):
            return Denial(code="EGW-1106", charger_id=charger_id)
        return Admission(charger_id=charger_id, address=attempt.address, profile=attempt.profile)

    async def _admit_unknown(self, attempt: Attempt, charger_id: str, password: bytes) -> Admission | Denial:
        if self._pending.is_full_for(charger_id):
            return Denial(code="EGW-1006", charger_id=charger_id)
        made = await self._gatekeeper.hash_of(charger_id, password, address=attempt.address)
        if made is None:
            return Denial(code="EGW-1104", charger_id=charger_id)
        return Admission(
            charger_id=charger_id, address=attempt.address, profile=attempt.profile, password_hash=made
        )

    def _keeps_profile(self, charger_id: str, profile: int) -> bool:
        """Return False for a charger that used a higher profile before, else remember this one. Runs in a thread.

        A store that cannot be read refuses plain connections; one that cannot be written (a full disk) refuses none.
        """
        try:
            highest = self._profiles.highest(charger_id)
        except EdgegwError:
            return profile >= TLS
        if profile > highest:
            with contextlib.suppress(EdgegwError):
                self._profiles.raise_to(charger_id, profile)
        return profile >= highest

    def _may_be_plain(self, address: str) -> bool:
        found = _ip(address)
        return found is not None and any(found in network for network in self.settings.plaintext_networks)


def charger_id_of(path: str) -> str | Denial:
    """Return the identity at the end of the path, percent-decoded (2.1 Part 4 §3.1.1), or why there is none."""
    path = path.partition("?")[0]
    segment = path.removeprefix(PATH)
    charger_id = unquote(segment) if path.startswith(PATH) else ""
    if not charger_id:
        return Denial(code="EGW-1001")
    if len(charger_id) > ID_LENGTH_MAX:
        return Denial(code="EGW-1002", detail=f"{len(charger_id)} characters")
    if not _ID.fullmatch(charger_id):
        return Denial(code="EGW-1003")
    return charger_id


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone; an IPv4-mapped IPv6 address as IPv4; None for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found
