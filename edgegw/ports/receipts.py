"""A member's sessions and receipts from the station's journal: registers, lines, and the status of each line (`ReceiptBook`).

Defines values and queries and stores nothing; `ports.representative.LedgerView` reads a trade from the ledger itself.
Times are UTC nanoseconds of the station's clock, registers and energy Wh, amounts milli-token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from edgegw.common.trade_terms import EXPORT, IMPORT, Direction, LineKind


class LineStatus(StrEnum):
    """The settlement status of a line."""

    WAITING = "WAITING"  # on its way to the ledger
    COMMITTED = "COMMITTED"
    REFUSED = "REFUSED"  # by the contract, with `code`; nothing was paid
    UNTRADED = "UNTRADED"  # measured and not submitted, with `code`; nothing was paid


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """A part of a session's energy within one quarter hour.

    `interval`: start of the quarter hour in UTC epoch seconds. `block` is None where the station does not know it.
    """

    status: LineStatus
    direction: Direction
    interval: int
    start_wh: int
    end_wh: int
    kind: LineKind | Literal[""] = ""
    trade_id: str = ""
    price_mtok_per_kwh: int | None = None
    amount_mtok: int | None = None
    reason: str = ""  # why it was sold at retail
    code: str = ""
    tx_id: str = ""
    block: int | None = None

    @property
    def energy_wh(self) -> int:
        """The energy of the line in Wh."""
        return self.end_wh - self.start_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSpan:
    """A meter's registers in Wh at the first and last reading of a session, within one epoch of the meter."""

    meter_id: str
    epoch: int
    import_start_wh: int
    import_end_wh: int
    export_start_wh: int
    export_end_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionShown:
    """A session in a list; `ended_ns` is None while it runs."""

    session_id: str
    evse_id: str
    member_id: str  # empty where an old journal does not have it
    started_ns: int
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsShown:
    """A page of sessions, newest first; `bookmark` requests the next page, empty on the last one."""

    sessions: Sequence[SessionShown]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A session's receipt. `disputed`: the charger's own register fell below its value at the session's start."""

    session: SessionShown
    meters: tuple[MeterSpan, ...]
    lines: tuple[ReceiptLine, ...]
    disputed: bool = False

    @property
    def settled(self) -> bool:
        """Whether the session has ended and no line is waiting."""
        return self.session.ended_ns is not None and self._sum("WAITING") == 0

    @property
    def bought_wh(self) -> int:
        """The charged energy committed to the ledger, in Wh."""
        return self._sum("COMMITTED", IMPORT)

    @property
    def sold_wh(self) -> int:
        """The discharged energy committed to the ledger, in Wh."""
        return self._sum("COMMITTED", EXPORT)

    @property
    def paid_mtok(self) -> int:
        """The amount of committed charging, without network fees."""
        return self._money(IMPORT)

    @property
    def earned_mtok(self) -> int:
        """The amount of committed discharging."""
        return self._money(EXPORT)

    def _sum(self, status: str, direction: Direction | None = None) -> int:
        return sum(
            line.energy_wh
            for line in self.lines
            if line.status == status and direction in {None, line.direction}
        )

    def _money(self, direction: Direction) -> int:
        return sum(
            line.amount_mtok or 0
            for line in self.lines
            if line.status is LineStatus.COMMITTED and line.direction == direction
        )


class ReceiptBook(Protocol):
    """Queries of the station's journal. Every method raises JournalError."""

    async def sessions(self, member_id: str, *, bookmark: str = "", size: int = 20) -> SessionsShown:
        """Return a page of a member's sessions, newest first; an invalid bookmark gives the first page."""

    async def receipt(self, session_id: str) -> Receipt | None:
        """Return a session's receipt, or None where there is no such session; the caller checks `session.member_id`."""

    async def evidence(self, trade_id: str) -> Mapping[str, object] | None:
        """Return the station's signed evidence of a trade (`evidence`, `signature`), or None where it has none."""
