"""What a station knows of a session for its driver: registers, lines, and where each line stands (`ReceiptBook`).

Decides the values and the questions. Never holds anything; the ledger's own word on a trade is `ports.representative.LedgerView`'s.
Times are UTC nanoseconds of the station's clock, registers and energy Wh, money milli-token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from edgegw.common.trade_terms import EXPORT, IMPORT, Direction, LineKind


class LineStatus(StrEnum):
    """Where the energy of a line stands."""

    WAITING = "WAITING"  # on its way to the ledger
    COMMITTED = "COMMITTED"
    REFUSED = "REFUSED"  # the contract said no; `code` says why, and nothing was paid
    UNTRADED = "UNTRADED"  # measured and never offered to the ledger; `code` says why, and nothing was paid


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """A piece of a session's energy within one quarter hour. `block` is None where the station does not know it."""

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
        """Energy of the line."""
        return self.end_wh - self.start_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSpan:
    """A meter's registers at the first and the last reading of a session, in one epoch of the meter."""

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
    member_id: str  # empty where the journal is older than its knowledge of it
    started_ns: int
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsShown:
    """A page of sessions, newest first; `bookmark` leads on, empty at the end."""

    sessions: Sequence[SessionShown]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A session's receipt. `disputed`: the charger's own register contradicted itself."""

    session: SessionShown
    meters: tuple[MeterSpan, ...]
    lines: tuple[ReceiptLine, ...]
    disputed: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing of it waits any more."""
        return self.session.ended_ns is not None and self._sum("WAITING") == 0

    @property
    def bought_wh(self) -> int:
        """Charged and on the ledger."""
        return self._sum("COMMITTED", IMPORT)

    @property
    def sold_wh(self) -> int:
        """Discharged and on the ledger."""
        return self._sum("COMMITTED", EXPORT)

    @property
    def paid_mtok(self) -> int:
        """Amounts of committed charging, without network fees."""
        return self._money(IMPORT)

    @property
    def earned_mtok(self) -> int:
        """Amounts of committed discharging."""
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
    """What the station's own journal tells. Every method raises JournalError."""

    async def sessions(self, member_id: str, *, bookmark: str = "", size: int = 20) -> SessionsShown:
        """A member's sessions, newest first; a bookmark that is none is the beginning."""

    async def receipt(self, session_id: str) -> Receipt | None:
        """A session's receipt, whoever's it is: the caller compares `session.member_id`. None: no such session."""

    async def evidence(self, trade_id: str) -> Mapping[str, object] | None:
        """The station's signed evidence of a trade (`evidence`, `signature`); None where it has none."""
