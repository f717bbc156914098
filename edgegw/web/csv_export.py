"""Receipts and histories as CSV, safe to open in a spreadsheet.

Decides columns, formats of values, and escaping: a cell that a spreadsheet would read as a formula gets an apostrophe in
front; numbers do not. UTF-8 with a byte order mark (Excel assumes another code page without it), lines end in CRLF.
Source: RFC 4180; OWASP "CSV Injection" (= + - @, tab, carriage return).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from edgegw.common.units import SECOND_NS
from edgegw.ports.receipts import Receipt, ReceiptLine
from edgegw.ports.representative import Entry

Cell = str | int | None
BOM = "\ufeff"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RECEIPT_COLUMNS = (
    *("session_id", "evse_id", "interval_utc", "direction", "start_wh", "end_wh", "energy_wh", "status"),
    *("kind", "reason", "price_tokens_per_kwh", "amount_tokens", "code", "trade_id", "block", "tx_id"),
)
HISTORY_COLUMNS = ("at_utc", "type", "id", "tokens", "energy_wh", "tx_id")


def receipt_csv(receipt: Receipt) -> bytes:
    """Return a receipt as CSV, one row for each line."""
    return csv_of(RECEIPT_COLUMNS, (_line(receipt, line) for line in receipt.lines))


def history_csv(entries: Iterable[Entry]) -> bytes:
    """Return a member's history as CSV, one row for each entry."""
    return csv_of(
        HISTORY_COLUMNS,
        (
            (
                _utc(one.at_ns // SECOND_NS),
                one.type,
                one.id,
                _tokens(one.tokens_mtok),
                one.energy_wh,
                one.tx_id,
            )
            for one in entries
        ),
    )


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return a table with its header as CSV. None is an empty cell; lone surrogates become question marks."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[harmless_cell(cell) for cell in row] for row in rows])
    return text.getvalue().encode("utf-8", "replace")


def harmless_cell(cell: Cell) -> str:
    """Return the text of a cell; a formula gets an apostrophe in front, a signed number stays a number."""
    text = "" if cell is None else str(cell)
    # Some readers end a cell at NUL and begin another with what follows.
    text = text.replace("\0", "")
    if text.lstrip(" \u00a0\u3000").startswith(_DANGEROUS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _line(receipt: Receipt, line: ReceiptLine) -> Sequence[Cell]:
    price, amount = line.price_mtok_per_kwh, line.amount_mtok
    return (
        receipt.session.session_id,
        receipt.session.evse_id,
        _utc(line.interval),
        line.direction,
        line.start_wh,
        line.end_wh,
        line.energy_wh,
        line.status.value,
        line.kind,
        line.reason,
        None if price is None else _tokens(price),
        None if amount is None else _tokens(amount),
        line.code,
        line.trade_id,
        line.block,
        line.tx_id,
    )


def _tokens(amount_mtok: int) -> str:
    """Format tokens with three decimals, and a sign if negative."""
    whole, milli = divmod(abs(amount_mtok), 1000)
    return f"{'-' if amount_mtok < 0 else ''}{whole}.{milli:03d}"


def _utc(at_s: int) -> str:
    return f"{_EPOCH + timedelta(seconds=at_s):%Y-%m-%dT%H:%M:%SZ}"
