"""The states of a submission, which commits a payload to the ledger exactly once: each state is a type.

```
New -> Endorsing -> Prepared -> InDoubt -> Committed | Refused
```
The payload never changes. The signed envelope is journalled (Prepared) before its first Submit. After any Submit the
outcome is unknown until CommitStatus returns it, and the same bytes are sent until then. A new nonce is made only after a
definite invalid code. Submissions that touch one shared key share a lane: one at a time, in order.
Source: docs/reliability.md, A submission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar, assert_never

from edgegw.common.validation_codes import ENDORSE_AGAIN
from edgegw.core.effects import Effect, EndorseSubmission, SubmitEnvelope
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed

WAIT_FIRST_MS = 100
WAIT_MOST_MS = 20_000
# Refusals of the contract that are retried: the peer's clock may be a moment behind ours.
HEALED_BY_TIME = frozenset({"CUT_OFF_OPEN", "INTERVAL_OPEN"})
# Refusals of a meter's registration that are retried until others configure the channel and register the gateway.
HEALED_BY_OTHERS = frozenset({"NOT_CONFIGURED", "GATEWAY_UNKNOWN"})


class State(StrEnum):
    """Name of each state in rows, facts and pages; of the open ones, PREPARED and IN_DOUBT may have left the station."""

    NEW = "new"
    ENDORSING = "endorsing"
    PREPARED = "prepared"
    IN_DOUBT = "in_doubt"
    COMMITTED = "committed"
    REFUSED = "refused"
    EXPIRED = "expired"


class Purpose(StrEnum):
    """What a submission is for: `ledger_replies` has one handler for each."""

    HOLD = "hold"
    RELEASE = "release"
    SLICE = "slice"
    RETURN = "return"
    PRICE = "price"
    SWEEP = "sweep"
    ATTEST = "attest"
    METER = "meter"
    TRADES = "trades"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What is submitted, equal in every state. `subject` is the id of the row that waits for it."""

    submission_id: str
    number: int
    lane: str
    purpose: Purpose
    subject: str
    function: str
    arguments_json: str
    expires_ns: int | None = None  # not worth endorsing after this instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One endorsement: the signed bytes, their transaction id and the contract's result."""

    tx_id: str
    envelope_hex: str
    result: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open(Payload):
    """Base of the open states: how many attempts failed, and the code of the last one."""

    attempt: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class New(_Open):
    """Waiting in its lane."""

    state: ClassVar[State] = State.NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsing(_Open):
    """Proposed to the peers; no envelope exists."""

    state: ClassVar[State] = State.ENDORSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(_Open):
    """Endorsed and signed; the envelope is journalled before it is sent."""

    state: ClassVar[State] = State.PREPARED
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt(_Open):
    """Sent, outcome unknown: the same envelope is sent until its commit status is known."""

    state: ClassVar[State] = State.IN_DOUBT
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Payload):
    """Valid in a block."""

    state: ClassVar[State] = State.COMMITTED
    code: ClassVar[str] = "VALID"
    envelope: Envelope
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Payload):
    """Refused by the contract (without an envelope), or marked invalid in a block (with one)."""

    state: ClassVar[State] = State.REFUSED
    code: str
    detail: str = ""
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(Payload):
    """Expired before endorsement; nothing of it left the station."""

    state: ClassVar[State] = State.EXPIRED
    code: ClassVar[str] = "EXPIRED"


Open = New | Endorsing | Prepared | InDoubt
Ended = Committed | Refused | Expired
Submission = Open | Ended


def heads(submissions: Mapping[str, Open]) -> list[Open]:
    """Return the oldest submission of each lane, the only ones that may move."""
    oldest: dict[str, Open] = {}
    for submission in submissions.values():
        known = oldest.get(submission.lane)
        if known is None or submission.number < known.number:
            oldest[submission.lane] = submission
    return sorted(oldest.values(), key=lambda submission: submission.number)


def start(submission: New, now_ns: int) -> tuple[Endorsing | Expired, list[Effect]]:
    """Endorse the head of a lane; an expired one ends here, since nothing of it left the station."""
    if submission.expires_ns is not None and now_ns >= submission.expires_ns:
        return Expired(**_payload(submission)), []
    endorsing = Endorsing(**_payload(submission), attempt=submission.attempt, code=submission.code)
    return endorsing, [_endorse(submission)]


def resume(submission: Open) -> tuple[Open, list[Effect]]:
    """Resume after a restart: endorse again what was being endorsed, send again what may have been sent."""
    match submission:
        case New():
            return submission, []
        case Endorsing():
            return New(**_payload(submission), attempt=submission.attempt, code=submission.code), []
        case Prepared() | InDoubt():
            return _doubt(submission, attempt=submission.attempt), [_submit(submission)]
        case _:
            assert_never(submission)


def on_endorsed(submission: Open, event: Endorsed) -> tuple[Open, list[Effect]]:
    """Store transaction id and signed envelope; the gateway journals them before it performs the Submit."""
    match submission:
        case Endorsing():
            envelope = Envelope(tx_id=event.tx_id, envelope_hex=event.envelope_hex, result=event.result)
            prepared = Prepared(
                **_payload(submission), attempt=submission.attempt, code=submission.code, envelope=envelope
            )
            return prepared, [_submit(prepared)]
        case New() | Prepared() | InDoubt():
            return submission, []  # answers a request from before a restart; nothing was sent
        case _:
            assert_never(submission)


def on_endorse_failed(submission: Open, event: EndorseFailed) -> tuple[Open | Refused, list[Effect]]:
    """End at the contract's refusal; after any other failure, endorse the same payload again later."""
    match submission:
        case Endorsing():
            meter = submission.purpose is Purpose.METER
            healed = HEALED_BY_TIME | HEALED_BY_OTHERS if meter else HEALED_BY_TIME
            if event.kind == "business" and event.code not in healed:
                return Refused(**_payload(submission), code=event.code, detail=event.detail), []
            return _again(submission, code=event.code or event.kind), []
        case New() | Prepared() | InDoubt():
            return submission, []
        case _:
            assert_never(submission)


def on_commit_known(submission: Open, event: CommitKnown) -> tuple[Submission, list[Effect]]:
    """End at VALID or a final invalid code; endorse again, with a new nonce, after a retryable one."""
    match submission:
        case Prepared() | InDoubt():
            envelope = submission.envelope
            if envelope.tx_id != event.tx_id:
                return submission, []
            if event.code == "VALID":
                return Committed(**_payload(submission), envelope=envelope, block=event.block), []
            if event.code in ENDORSE_AGAIN:
                return _again(submission, code=event.code), []
            return Refused(**_payload(submission), code=event.code, envelope=envelope), []
        case New() | Endorsing():
            return submission, []
        case _:
            assert_never(submission)


def on_commit_unknown(submission: Open, event: CommitUnknown) -> tuple[Open, list[Effect]]:
    """Send the same bytes again, never a new nonce: the outcome is not known yet."""
    match submission:
        case Prepared() | InDoubt():
            if submission.envelope.tx_id != event.tx_id:
                return submission, []
            doubt = _doubt(submission, attempt=submission.attempt + 1)
            return doubt, [_submit(doubt, wait_ms=_wait_ms(doubt.attempt))]
        case New() | Endorsing():
            return submission, []
        case _:
            assert_never(submission)


_PAYLOAD = tuple(item.name for item in fields(Payload))


def _payload(submission: Payload) -> dict[str, Any]:
    """Return the fields that no transition changes."""
    return {name: getattr(submission, name) for name in _PAYLOAD}


def _again(submission: Endorsing | Prepared | InDoubt, *, code: str) -> New:
    """Return the submission to its lane without an envelope: its transaction id can never become valid."""
    return New(**_payload(submission), attempt=submission.attempt + 1, code=code)


def _doubt(submission: Prepared | InDoubt, *, attempt: int) -> InDoubt:
    return InDoubt(
        **_payload(submission), attempt=attempt, code=submission.code, envelope=submission.envelope
    )


def _endorse(submission: New) -> Effect:
    return EndorseSubmission(
        submission_id=submission.submission_id,
        function=submission.function,
        arguments_json=submission.arguments_json,
        wait_ms=0 if submission.attempt == 0 else _wait_ms(submission.attempt),
    )


def _submit(submission: Prepared | InDoubt, *, wait_ms: int = 0) -> Effect:
    return SubmitEnvelope(
        submission_id=submission.submission_id,
        tx_id=submission.envelope.tx_id,
        envelope_hex=submission.envelope.envelope_hex,
        wait_ms=wait_ms,
    )


def _wait_ms(attempt: int) -> int:
    return min(WAIT_FIRST_MS << min(attempt - 1, 16), WAIT_MOST_MS)
