"""The life of one submission to the ledger, exactly once: NEW -> PREPARED -> IN_DOUBT -> done or refused.

A payload never changes after NEW. The signed envelope is journalled (PREPARED) before its first Submit; after any
Submit the outcome is unknown until CommitStatus says otherwise; the same bytes are sent until it does. A new nonce is
made only after a definite invalid code. Submissions that touch one shared key share a lane: one at a time, in order.
Source: docs/reliability.md, A submission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from edgegw.common.validation_codes import ENDORSE_AGAIN
from edgegw.core.effects import Effect, EndorseSubmission, SubmitEnvelope
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed

WAIT_FIRST_MS = 100
WAIT_MOST_MS = 20_000
# Refusals of the contract that time heals, where its clock is a moment behind ours.
HEALED_BY_TIME = frozenset({"CUT_OFF_OPEN", "INTERVAL_OPEN"})
# Refusals of a meter's registration that end when others have done their part: configured the channel, registered us.
HEALED_BY_OTHERS = frozenset({"NOT_CONFIGURED", "GATEWAY_UNKNOWN"})


class State(StrEnum):
    """Where a submission stands; only PREPARED and IN_DOUBT may have left the station."""

    NEW = "new"
    ENDORSING = "endorsing"
    PREPARED = "prepared"
    IN_DOUBT = "in_doubt"
    COMMITTED = "committed"
    REFUSED = "refused"
    EXPIRED = "expired"


ENDED = frozenset({State.COMMITTED, State.REFUSED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A frozen payload on its way to a block. `purpose` and `subject` tell the core what waits for it."""

    submission_id: str
    number: int
    lane: str
    purpose: str
    subject: str
    function: str
    arguments_json: str
    expires_ns: int | None = None  # not worth endorsing after this instant
    state: State = State.NEW
    tx_id: str = ""
    envelope_hex: str = ""
    result: Mapping[str, object] | None = None
    attempt: int = 0
    code: str = ""
    detail: str = ""
    block: int = -1


def heads(submissions: Mapping[str, Submission]) -> list[Submission]:
    """The oldest open submission of each lane: the only ones that may move."""
    oldest: dict[str, Submission] = {}
    for submission in submissions.values():
        known = oldest.get(submission.lane)
        if submission.state not in ENDED and (known is None or submission.number < known.number):
            oldest[submission.lane] = submission
    return sorted(oldest.values(), key=lambda submission: submission.number)


def start(submission: Submission, now_ns: int) -> tuple[Submission, list[Effect]]:
    """Move a lane's head out of NEW; a stale one ends here, because nothing of it ever left the station."""
    assert submission.state is State.NEW
    if submission.expires_ns is not None and now_ns >= submission.expires_ns:
        return replace(submission, state=State.EXPIRED, code="EXPIRED"), []
    return replace(submission, state=State.ENDORSING), [_endorse(submission)]


def resume(submission: Submission) -> tuple[Submission, list[Effect]]:
    """After a restart: what was being endorsed starts anew, what may have been sent is sent again as it was."""
    if submission.state is State.ENDORSING:
        return replace(submission, state=State.NEW), []
    if submission.state in {State.PREPARED, State.IN_DOUBT}:
        return replace(submission, state=State.IN_DOUBT), [_submit(submission)]
    return submission, []


def on_endorsed(submission: Submission, event: Endorsed) -> tuple[Submission, list[Effect]]:
    """Keep {txid, signed envelope}; the gateway commits this before it performs the Submit."""
    if submission.state is not State.ENDORSING:
        return submission, []  # an answer to a question that a restart forgot: nothing was sent
    prepared = replace(
        submission,
        state=State.PREPARED,
        tx_id=event.tx_id,
        envelope_hex=event.envelope_hex,
        result=event.result,
    )
    return prepared, [_submit(prepared)]


def on_endorse_failed(submission: Submission, event: EndorseFailed) -> tuple[Submission, list[Effect]]:
    """The contract's refusal ends it; anything else is asked again later, under the same payload."""
    if submission.state is not State.ENDORSING:
        return submission, []
    healed = HEALED_BY_TIME | HEALED_BY_OTHERS if submission.purpose == "meter" else HEALED_BY_TIME
    if event.kind == "business" and event.code not in healed:
        return replace(submission, state=State.REFUSED, code=event.code, detail=event.detail), []
    return _again(submission, code=event.code or event.kind)


def on_commit_known(submission: Submission, event: CommitKnown) -> tuple[Submission, list[Effect]]:
    """VALID ends it; a definite invalid code makes a new nonce possible."""
    if submission.tx_id != event.tx_id or submission.state not in {State.PREPARED, State.IN_DOUBT}:
        return submission, []
    if event.code == "VALID":
        return replace(submission, state=State.COMMITTED, block=event.block, code="VALID"), []
    if event.code in ENDORSE_AGAIN:
        cleared = replace(submission, tx_id="", envelope_hex="", result=None)
        return _again(cleared, code=event.code)
    return replace(submission, state=State.REFUSED, code=event.code), []


def on_commit_unknown(submission: Submission, event: CommitUnknown) -> tuple[Submission, list[Effect]]:
    """Nobody knows: the same bytes again, never a new nonce."""
    if submission.tx_id != event.tx_id or submission.state not in {State.PREPARED, State.IN_DOUBT}:
        return submission, []
    doubt = replace(submission, state=State.IN_DOUBT, attempt=submission.attempt + 1)
    return doubt, [_submit(doubt, wait_ms=_wait_ms(doubt.attempt))]


def _again(submission: Submission, *, code: str) -> tuple[Submission, list[Effect]]:
    later = replace(submission, state=State.NEW, attempt=submission.attempt + 1, code=code)
    return later, []


def _endorse(submission: Submission) -> Effect:
    return EndorseSubmission(
        submission_id=submission.submission_id,
        function=submission.function,
        arguments_json=submission.arguments_json,
        wait_ms=0 if submission.attempt == 0 else _wait_ms(submission.attempt),
    )


def _submit(submission: Submission, *, wait_ms: int = 0) -> Effect:
    return SubmitEnvelope(
        submission_id=submission.submission_id,
        tx_id=submission.tx_id,
        envelope_hex=submission.envelope_hex,
        wait_ms=wait_ms,
    )


def _wait_ms(attempt: int) -> int:
    return min(WAIT_FIRST_MS << min(attempt - 1, 16), WAIT_MOST_MS)
