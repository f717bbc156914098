"""Stores every quote of the currency exchange and the state of its exchange in a SQLite file of its own.

Decides nothing about money. A row is durable before the step that it records is tried, and again after it.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from edgegw.common.sqlite import Schema, faults_of, open_writer

EXCHANGES = Schema(
    name="book of exchanges",
    application_id=0x45444758,  # "EDGX"
    migrations=(
        """
        CREATE TABLE deals (
          quote_id            TEXT PRIMARY KEY,
          member_id           TEXT NOT NULL,
          buys                INTEGER NOT NULL CHECK (buys IN (0, 1)),
          tokens_mtok         INTEGER NOT NULL CHECK (tokens_mtok > 0),
          won                 INTEGER NOT NULL CHECK (won > 0),
          fee_won             INTEGER NOT NULL CHECK (fee_won >= 0),
          won_per_token_milli INTEGER NOT NULL CHECK (won_per_token_milli > 0),
          expires_ns          INTEGER NOT NULL,
          state               TEXT NOT NULL,
          code                TEXT NOT NULL,  -- why it was refused
          tx_id               TEXT NOT NULL,
          block               INTEGER NOT NULL,
          refund              INTEGER NOT NULL  -- number of the refund that is tried: declined ones are not asked again
        ) STRICT;
        CREATE INDEX deals_by_state ON deals (state);
        CREATE INDEX deals_by_member ON deals (member_id);
        """,
    ),
)
QUOTES_MOST = 8  # unused quotes of one member


class ExchangeState(StrEnum):
    """The state of an exchange, named after the last step that is certain."""

    QUOTED = "QUOTED"
    PAYING = "PAYING"  # buy: the payment may have been requested from the bank
    PAID = "PAID"  # buy: the won are received, tokens are owed
    MINTED = "MINTED"
    REFUNDING = "REFUNDING"  # buy: Mint was refused, won are owed
    BURNING = "BURNING"  # sell: Burn may have been submitted
    BURNED = "BURNED"  # sell: the tokens are burned, won are owed
    PAID_OUT = "PAID_OUT"
    RETURNING = "RETURNING"  # sell: the payout was declined, tokens are owed
    DONE = "DONE"
    REFUSED = "REFUSED"  # nothing was exchanged, or all of it was returned


ENDED = frozenset({ExchangeState.DONE, ExchangeState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRecord:
    """A quote and its exchange."""

    quote_id: str
    member_id: str
    buys: bool
    tokens_mtok: int
    won: int
    fee_won: int
    won_per_token_milli: int
    expires_ns: int
    state: ExchangeState = ExchangeState.QUOTED
    code: str = ""
    tx_id: str = ""
    block: int = -1
    refund: int = 1

    @property
    def reference(self) -> str:
        """The reference of the deposit or payout, on the ledger and at the bank."""
        return f"{'dep' if self.buys else 'pay'}:{self.quote_id}"


_COLUMNS = ", ".join(item.name for item in fields(ExchangeRecord))


class ExchangeStore:
    """The SQLite file of exchanges, for one thread. Every method raises JournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_writer(path, EXCHANGES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, deal: ExchangeRecord) -> None:
        """Store a record durably."""
        with faults_of(self._path), self._db.atomic():
            self._db.table("deals").upsert(asdict(deal), pk="quote_id")

    def add(self, deal: ExchangeRecord, *, now_ns: int) -> None:
        """Store a new quote; delete expired ones, and the member's oldest above `QUOTES_MOST`."""
        with faults_of(self._path), self._db.atomic():
            self._db.execute("DELETE FROM deals WHERE state = 'QUOTED' AND expires_ns <= ?", (now_ns,))
            self._db.execute(
                "DELETE FROM deals WHERE rowid IN (SELECT rowid FROM deals WHERE member_id = ? AND state = 'QUOTED'"
                " ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
                (deal.member_id, QUOTES_MOST - 1),
            )
            self._db.table("deals").insert(asdict(deal))

    def get(self, quote_id: str) -> ExchangeRecord | None:
        """Return the record of a quote, or None."""
        found = self._select("quote_id = ?", quote_id)
        return found[0] if found else None

    def unfinished(self) -> Sequence[ExchangeRecord]:
        """Return every exchange that has begun and not ended, oldest first."""
        return self._select("state NOT IN ('QUOTED', 'DONE', 'REFUSED')")

    def of(self, member_id: str) -> Sequence[ExchangeRecord]:
        """Return a member's exchanges that have begun, oldest first."""
        return self._select("member_id = ? AND state != 'QUOTED'", member_id)

    def _select(self, condition: str, *values: str) -> Sequence[ExchangeRecord]:
        text = f"SELECT {_COLUMNS} FROM deals WHERE {condition} ORDER BY rowid"  # noqa: S608 - our own words
        with faults_of(self._path), closing(self._db.conn.execute(text, values)) as rows:
            return [_deal(row) for row in rows.fetchall()]


def _deal(row: Sequence[object]) -> ExchangeRecord:
    named = dict(zip((item.name for item in fields(ExchangeRecord)), row, strict=True))
    named["buys"], named["state"] = bool(named["buys"]), ExchangeState(str(named["state"]))
    return ExchangeRecord(**named)  # type: ignore[arg-type]  # the schema is STRICT
