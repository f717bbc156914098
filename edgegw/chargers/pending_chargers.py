"""Keeps what is known of chargers that are not configured: which wait, and which were rejected. No I/O.

Decides how many may wait at once and what of their messages is kept, bounded and sanitised. Nothing here reaches the core
or the journal.
Source: docs/ocpp.md, Connections (unknown identity); OCPP 2.1 Part 2 B02 (Pending).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgegw.chargers import json_values
from edgegw.chargers.connection import Socket

WAITING_MAX = 16
RECORDS_MAX = 64
EVSES_MAX = 16
_EVSE_NUMBER_MAX = 999
_TEXT_LENGTH_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCharger:
    """One unknown charger. `evses` are the numbers in its StatusNotifications; `security_profile` 1 is plain, 2 TLS.

    `password_hash` is the hash of the password it presented, which an approval configures.
    """

    charger_id: str
    address: str
    version: str
    security_profile: int
    password_hash: str = field(repr=False)
    first_seen_ns: int
    last_seen_ns: int
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    evses: tuple[int, ...] = ()
    connected: bool = True
    rejected: bool = False


class PendingChargers:
    """All unknown chargers by id, and the sockets of those that wait."""

    def __init__(self) -> None:
        self._records: dict[str, PendingCharger] = {}
        self._sockets: dict[str, Socket] = {}

    def all(self) -> tuple[PendingCharger, ...]:
        """Return all records, in the order of arrival."""
        return tuple(self._records.values())

    def is_full_for(self, charger_id: str) -> bool:
        """Return True where this charger may not wait, because too many others do."""
        return len(self._sockets) >= WAITING_MAX and charger_id not in self._sockets

    def is_rejected(self, charger_id: str) -> bool:
        """Return True for an id that an operator rejected."""
        known = self._records.get(charger_id)
        return known is not None and known.rejected

    def socket_of(self, charger_id: str) -> Socket | None:
        """Return the socket of a charger that waits, or None."""
        return self._sockets.get(charger_id)

    def enter(self, pending: PendingCharger, socket: Socket) -> None:
        """Let a charger wait; one that returns with the same password keeps its record."""
        known = self._records.pop(pending.charger_id, None)
        if known is not None and known.password_hash == pending.password_hash:
            pending = replace(
                known,
                address=pending.address,
                version=pending.version,
                security_profile=pending.security_profile,
                last_seen_ns=pending.last_seen_ns,
                connected=True,
            )
        self._records[pending.charger_id] = pending
        self._sockets[pending.charger_id] = socket
        self._forget_oldest()

    def leave(self, charger_id: str, socket: Socket) -> None:
        """Forget a closed socket; the record stays."""
        if self._sockets.get(charger_id) is socket:
            del self._sockets[charger_id]
            known = self._records.get(charger_id)
            if known is not None:
                self._records[charger_id] = replace(known, connected=False)

    def heard(
        self, charger_id: str, now_ns: int, *, boot: Mapping[str, Any] | None, evse: int | None
    ) -> None:
        """Record what a charger sent: its BootNotification, or the number of an EVSE."""
        known = self._records.get(charger_id)
        if known is None:
            return
        known = replace(known, last_seen_ns=now_ns)
        if boot is not None:
            known = _with_nameplate(known, boot)
        if evse is not None and 0 < evse <= _EVSE_NUMBER_MAX and len(known.evses) < EVSES_MAX:
            known = replace(known, evses=tuple(sorted({*known.evses, evse})))
        self._records[charger_id] = known

    def reject(self, charger_id: str) -> bool:
        """Refuse this id from now on; return False for one that was never seen."""
        known = self._records.get(charger_id)
        if known is not None:
            self._records[charger_id] = replace(known, rejected=True)
        return known is not None

    def release(self, charger_ids: Collection[str]) -> list[Socket]:
        """Forget chargers that are configured now; return their sockets, to be closed."""
        for charger_id in charger_ids:
            self._records.pop(charger_id, None)
        return [self._sockets.pop(each) for each in list(self._sockets) if each in charger_ids]

    def _forget_oldest(self) -> None:
        """Drop records beyond the limit: first of disconnected chargers, then of those rejected longest ago."""
        while len(self._records) > RECORDS_MAX:
            away = [each for each in self._records.values() if not each.connected]
            oldest = min(away, key=lambda each: (each.rejected, each.last_seen_ns))
            del self._records[oldest.charger_id]


def _with_nameplate(pending: PendingCharger, boot: Mapping[str, Any]) -> PendingCharger:
    """Return the record with the fields of a BootNotification (1.6 §6.3; 2.x §1.6 with ChargingStationType)."""
    station = boot.get("chargingStation")
    told = station if isinstance(station, dict) else boot

    def text(*names: str) -> str:
        found = (json_values.text(told.get(name)) for name in names)
        return json_values.shown(next((value for value in found if value), ""), _TEXT_LENGTH_MAX)

    return replace(
        pending,
        vendor=text("vendorName", "chargePointVendor"),
        model=text("model", "chargePointModel"),
        serial=text("serialNumber", "chargePointSerialNumber", "chargeBoxSerialNumber"),
        firmware=text("firmwareVersion"),
    )
