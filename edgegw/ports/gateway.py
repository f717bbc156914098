"""The Protocols that the gateway needs of its adapters; tests have one fake for each."""

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
    """What the gateway sends to chargers."""

    def answer(self, effect: AnswerCall) -> None:
        """Send an answer; it is dropped silently when its connection has ended."""

    def command(self, effect: ChargerCommand) -> None:
        """Queue a command; its outcome arrives as an event."""


class MeterPort(Protocol):
    """The meters, with any wiring."""

    def request(self, meter_id: str) -> None:
        """Read this meter as soon as possible; several requests become one read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the append-only, hash-chained journal."""

    kind: str
    body: Mapping[str, object]


class Journal(Protocol):
    """The station's durable state: facts are appended, `rows` hold the current state by key; one commit covers both."""

    async def commit(self, facts: Sequence[Fact], rows: Mapping[str, str | None]) -> None:
        """Return when facts and rows are durable; None deletes a row. Raises JournalError when they cannot be stored."""

    def rows(self, prefix: str) -> Mapping[str, str]:
        """Return the committed rows with a key prefix (called once, at start)."""


class LedgerPort(Protocol):
    """The ledger as the gateway uses it; every answer arrives as an event."""

    def endorse(self, effect: EndorseSubmission) -> None:
        """Have a frozen payload endorsed; answers with Endorsed or EndorseFailed."""

    def submit(self, effect: SubmitEnvelope) -> None:
        """Submit an envelope and request its commit status; answers with CommitKnown or CommitUnknown."""

    def query(self, effect: Query) -> None:
        """Evaluate a query; answers with QueryAnswered."""


class LoadReportPort(Protocol):
    """The part of the organisation's representative that receives a station's load forecasts."""

    def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """Report the energy in Wh that this station expects to need (CHARGE) or to offer (DISCHARGE) in an interval.

        `interval`: start of the quarter hour in UTC epoch seconds.
        """
