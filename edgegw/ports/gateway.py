"""What the gateway needs of the world, as small Protocols. Adapters fulfil them; tests bring one fake for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgegw.common.trade_terms import Product
from edgegw.core.effects import (
    AnswerCall,
    ChargerCommand,
    EndorseSubmission,
    Query,
    SubmitEnvelope,
)
from edgegw.core.events import Event

Emit = Callable[[Event], None]


class ChargerPort(Protocol):
    """Everything the gateway says to chargers."""

    def answer(self, effect: AnswerCall) -> None:
        """Send an answer; silently dropped when its connection is gone."""

    def command(self, effect: ChargerCommand) -> None:
        """Queue a command; its outcome comes back as an event."""


class MeterPort(Protocol):
    """Meters, however they are wired."""

    def request(self, meter_id: str) -> None:
        """Read this meter as soon as possible; requests coalesce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the append-only, hash-chained journal."""

    kind: str
    body: Mapping[str, object]


class Journal(Protocol):
    """The station's memory. `rows` are current state by key; None deletes. One commit covers both."""

    async def commit(self, facts: Sequence[Fact], rows: Mapping[str, str | None]) -> None:
        """Return when facts and rows are durable; raises JournalError when they cannot be."""

    def rows(self, prefix: str) -> Mapping[str, str]:
        """State rows by key prefix, as last committed (used once, at start)."""


class LedgerPort(Protocol):
    """The ledger as the gateway uses it; every answer comes back as an event."""

    def endorse(self, effect: EndorseSubmission) -> None:
        """Endorse a frozen payload: Endorsed or EndorseFailed."""

    def submit(self, effect: SubmitEnvelope) -> None:
        """Submit these bytes and ask for the commit: CommitKnown or CommitUnknown."""

    def query(self, effect: Query) -> None:
        """Evaluate: QueryAnswered."""


class LoadReportPort(Protocol):
    """The organisation's representative, as a station sees it."""

    def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """Tell what this station expects to need or to offer in an interval, Wh."""
