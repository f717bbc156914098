"""The stored form of an open submission: one flat row for all states, as the journal's first version has it.

Fields of one state are empty in the rows of the others. An ended submission has no row, only its fact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from edgegw.core.submission import (
    Endorsing,
    Envelope,
    InDoubt,
    New,
    Open,
    Prepared,
    Purpose,
    State,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRow:
    """The columns of a submission; `detail` and `block` are always empty, and kept for older versions."""

    submission_id: str
    number: int
    lane: str
    purpose: Purpose
    subject: str
    function: str
    arguments_json: str
    expires_ns: int | None = None
    state: State = State.NEW
    tx_id: str = ""
    envelope_hex: str = ""
    result: Mapping[str, object] | None = None
    attempt: int = 0
    code: str = ""
    detail: str = ""
    block: int = -1


def row_of(submission: Open) -> SubmissionRow:
    """Return the row to store."""
    sent: dict[str, Any] = {}
    match submission:
        case New() | Endorsing():
            pass
        case Prepared(envelope=envelope) | InDoubt(envelope=envelope):
            sent = {"tx_id": envelope.tx_id, "envelope_hex": envelope.envelope_hex, "result": envelope.result}
        case _:
            assert_never(submission)
    return SubmissionRow(**_common(submission), state=submission.state, **sent)


def submission_of(row: SubmissionRow) -> Open:
    """Return the submission of a row.

    Raises:
        ValueError: a row of an ended submission, which no version writes.
    """
    match row.state:
        case State.NEW:
            return New(**_common(row))
        case State.ENDORSING:
            return Endorsing(**_common(row))
        case State.PREPARED:
            return Prepared(**_common(row), envelope=_envelope(row))
        case State.IN_DOUBT:
            return InDoubt(**_common(row), envelope=_envelope(row))
        case State.COMMITTED | State.REFUSED | State.EXPIRED:
            raise ValueError(f"submission {row.submission_id} is {row.state}: an ended one has no row")
        case _:
            assert_never(row.state)


def _envelope(row: SubmissionRow) -> Envelope:
    return Envelope(tx_id=row.tx_id, envelope_hex=row.envelope_hex, result=row.result or {})


_COMMON = (
    "submission_id",
    "number",
    "lane",
    "purpose",
    "subject",
    "function",
    "arguments_json",
    "expires_ns",
    "attempt",
    "code",
)


def _common(source: Open | SubmissionRow) -> dict[str, Any]:
    """Return the columns that every state has."""
    return {name: getattr(source, name) for name in _COMMON}
