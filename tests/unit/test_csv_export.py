"""Exported CSV is complete and readable, and no cell of it runs in a spreadsheet."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.ports.receipts import LineStatus, Receipt, ReceiptLine, SessionShown
from edgegw.ports.representative import Entry
from edgegw.web.csv_export import (
    HISTORY_COLUMNS,
    RECEIPT_COLUMNS,
    csv_of,
    harmless_cell,
    history_csv,
    receipt_csv,
)


def rows_of(data: bytes) -> list[list[str]]:
    """What a spreadsheet reads."""
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1", "\u00a0@x", "\0=1"),
        *('=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0", "-", "+", "-1-", "-1.", "+1e5", "-\u0663"),
    ],
)
def test_what_would_run_is_text(cell: str) -> None:
    """Leading characters that a spreadsheet skips do not hide a formula."""
    (row,) = rows_of(csv_of(("a",), [(cell,)]))[1:]
    assert row[0].startswith("'")
    assert row[0][1:] == cell.replace("\0", "")


@pytest.mark.parametrize(
    "cell", [0, -5, 12, "-1.250", "+7", "", None, "ann", "R1:0:import:5", "가나다", "1-1"]
)
def test_everything_else_stays_as_it_is(cell: str | int | None) -> None:
    """Negative amounts stay numbers that can be added up."""
    assert harmless_cell(cell) == ("" if cell is None else str(cell))


@settings(max_examples=200, deadline=None)
@given(table=st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=4))
def test_any_text_survives(table: list[list[str]]) -> None:
    """Commas, quotes, line ends, any script: read back it is the cell that was made harmless; no cell begins a formula."""
    data = csv_of(("a", "b", "c"), table)
    assert data.startswith(b"\xef\xbb\xbfa,b,c\r\n")
    assert rows_of(data)[1:] == [[harmless_cell(cell) for cell in row] for row in table]
    for row in rows_of(data)[1:]:
        for cell in row:
            assert not cell.startswith(("=", "@", "\t", "\r"))


def test_half_a_character_is_no_fault() -> None:
    """A charger may put anything into its texts."""
    assert rows_of(csv_of(("a",), [("x\ud800y",)]))[1] == ["x?y"]


def test_a_receipt_has_a_row_a_line() -> None:
    """Every field of it; what is not known is empty, and not zero."""
    session = SessionShown(session_id="=E1.7", evse_id="E1", member_id="ann", started_ns=0)
    traded = ReceiptLine(
        status=LineStatus.COMMITTED,
        direction="import",
        interval=1_784_041_200,
        start_wh=1000,
        end_wh=1500,
        kind="RETAIL",
        trade_id="R1:0:import:1000",
        price_mtok_per_kwh=98_300,
        amount_mtok=49_150,
        reason="NO_SLICE",
        tx_id="ab",
        block=0,
    )
    refused = ReceiptLine(
        status=LineStatus.REFUSED, direction="export", interval=900, start_wh=0, end_wh=7, code="HOLD_EXPIRED"
    )
    header, *rows = rows_of(receipt_csv(Receipt(session=session, meters=(), lines=(traded, refused))))
    assert tuple(header) == RECEIPT_COLUMNS
    assert rows == [
        [
            *("'=E1.7", "E1", "2026-07-14T15:00:00Z", "import", "1000", "1500", "500", "COMMITTED", "RETAIL"),
            *("NO_SLICE", "98.300", "49.150", "", "R1:0:import:1000", "0", "ab"),
        ],
        [
            *("'=E1.7", "E1", "1970-01-01T00:15:00Z", "export", "0", "7", "7", "REFUSED", ""),
            *("", "", "", "HOLD_EXPIRED", "", "", ""),
        ],
    ]


def test_a_history_has_a_row_an_entry() -> None:
    """Deltas keep their sign."""
    entry = Entry(
        type="token.burn",
        id="pay:1",
        tokens_mtok=-1_050,
        energy_wh=-3,
        at_ns=1_784_041_200_999_999_999,
        tx_id="cd",
    )
    header, row = rows_of(history_csv([entry]))
    assert tuple(header) == HISTORY_COLUMNS
    assert row == ["2026-07-14T15:00:00Z", "token.burn", "pay:1", "-1.050", "-3", "cd"]
