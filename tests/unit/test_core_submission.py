"""The life of one submission: every state against every answer, retries, back-off and restarts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from edgegw.common.validation_codes import ENDORSE_AGAIN
from edgegw.core.effects import EndorseSubmission, SubmitEnvelope
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed
from edgegw.core.submission import (
    HEALED_BY_TIME,
    Committed,
    Ended,
    Endorsing,
    Envelope,
    Expired,
    InDoubt,
    New,
    Open,
    Prepared,
    Purpose,
    Refused,
    State,
    Submission,
    heads,
    on_commit_known,
    on_commit_unknown,
    on_endorse_failed,
    on_endorsed,
    resume,
    start,
)

PAYLOAD: dict[str, Any] = {
    "submission_id": "1", "number": 1, "lane": "a", "purpose": Purpose.HOLD, "subject": "h", "function": "Hold",
    "arguments_json": "{}",
}  # fmt: skip
ENVELOPE = Envelope(tx_id="t", envelope_hex="00", result={"a": "1"})
NEW = New(**PAYLOAD)
ENDORSING = Endorsing(**PAYLOAD)
PREPARED = Prepared(**PAYLOAD, envelope=ENVELOPE)
IN_DOUBT = InDoubt(**PAYLOAD, envelope=ENVELOPE)
OPEN: dict[State, Open] = {item.state: item for item in (NEW, ENDORSING, PREPARED, IN_DOUBT)}


ENDORSED = Endorsed(submission_id="1", tx_id="t", envelope_hex="00", result={"a": "1"})
REFUSED = EndorseFailed(submission_id="1", kind="business", code="ZERO_TOKENS", detail="none")
HEALING = EndorseFailed(submission_id="1", kind="business", code=min(HEALED_BY_TIME))
AWAY = EndorseFailed(submission_id="1", kind="unavailable", code="")
VALID = CommitKnown(submission_id="1", tx_id="t", code="VALID", block=9)
CONFLICT = CommitKnown(submission_id="1", tx_id="t", code="MVCC_READ_CONFLICT", block=9)
INVALID = CommitKnown(submission_id="1", tx_id="t", code="BAD_PAYLOAD", block=9)
UNKNOWN = CommitUnknown(submission_id="1", tx_id="t")
OTHER_KNOWN = CommitKnown(submission_id="1", tx_id="u", code="VALID", block=9)
OTHER_UNKNOWN = CommitUnknown(submission_id="1", tx_id="u")

# (state, answer) -> (state, attempts added, whether bytes are sent); every other pair leaves all as it was.
TABLE = {
    (State.ENDORSING, "endorsed"): (State.PREPARED, 0, True),
    (State.ENDORSING, "refused"): (State.REFUSED, 0, False),
    (State.ENDORSING, "healing"): (State.NEW, 1, False),
    (State.ENDORSING, "away"): (State.NEW, 1, False),
    (State.PREPARED, "valid"): (State.COMMITTED, 0, False),
    (State.IN_DOUBT, "valid"): (State.COMMITTED, 0, False),
    (State.PREPARED, "conflict"): (State.NEW, 1, False),
    (State.IN_DOUBT, "conflict"): (State.NEW, 1, False),
    (State.PREPARED, "invalid"): (State.REFUSED, 0, False),
    (State.IN_DOUBT, "invalid"): (State.REFUSED, 0, False),
    (State.PREPARED, "unknown"): (State.IN_DOUBT, 1, True),
    (State.IN_DOUBT, "unknown"): (State.IN_DOUBT, 1, True),
}
ANSWERS: dict[str, tuple[Callable[[Open, Any], Any], object]] = {
    "endorsed": (on_endorsed, ENDORSED),
    "refused": (on_endorse_failed, REFUSED),
    "healing": (on_endorse_failed, HEALING),
    "away": (on_endorse_failed, AWAY),
    "valid": (on_commit_known, VALID),
    "conflict": (on_commit_known, CONFLICT),
    "invalid": (on_commit_known, INVALID),
    "unknown": (on_commit_unknown, UNKNOWN),
    "other known": (on_commit_known, OTHER_KNOWN),
    "other unknown": (on_commit_unknown, OTHER_UNKNOWN),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("state", OPEN)
def test_every_state_against_every_answer(state: State, answer: str) -> None:
    """The table above is the whole machine; an answer out of place moves and sends nothing."""
    function, event = ANSWERS[answer]
    before = OPEN[state]
    after, effects = function(before, event)
    if (state, answer) not in TABLE:
        assert (after, effects) == (before, [])
        return
    expected, attempts, sends = TABLE[state, answer]
    assert after.state is expected
    if not isinstance(after, Ended):
        assert after.attempt == before.attempt + attempts
    assert [type(effect) for effect in effects] == ([SubmitEnvelope] if sends else [])


def test_the_envelope_is_kept_before_it_is_sent() -> None:
    """PREPARED holds txid and bytes, and the very same bytes go out, then and after every doubt."""
    prepared, (first,) = on_endorsed(ENDORSING, ENDORSED)
    assert prepared == PREPARED
    doubt, (second,) = on_commit_unknown(prepared, UNKNOWN)
    _, (third,) = resume(doubt)
    assert isinstance(first, SubmitEnvelope)
    assert {
        (item.tx_id, item.envelope_hex) for item in (first, second, third) if isinstance(item, SubmitEnvelope)
    } == {("t", "00")}
    assert first.wait_ms == 0


@pytest.mark.parametrize("code", sorted(ENDORSE_AGAIN))
def test_a_definite_invalid_code_forgets_the_envelope(code: str) -> None:
    """A new transaction is built only after a code that makes the old tx id invalid for ever."""
    again, _ = on_commit_known(IN_DOUBT, replace(CONFLICT, code=code))
    assert again == New(**PAYLOAD, attempt=1, code=code)


def test_a_refusal_keeps_its_code_and_detail() -> None:
    """The contract's refusal ends the submission, and its code is kept for those who wait."""
    ended, _ = on_endorse_failed(ENDORSING, REFUSED)
    assert ended == Refused(**PAYLOAD, code="ZERO_TOKENS", detail="none")
    invalid, _ = on_commit_known(PREPARED, INVALID)
    assert invalid == Refused(**PAYLOAD, code="BAD_PAYLOAD", envelope=ENVELOPE)
    assert on_endorse_failed(ENDORSING, AWAY)[0].code == "unavailable"


def test_a_commit_keeps_its_block_and_answer() -> None:
    """The contract's answer at endorsement counts once the block is valid."""
    ended, _ = on_commit_known(IN_DOUBT, VALID)
    assert ended == Committed(**PAYLOAD, envelope=ENVELOPE, block=9)
    assert ended.code == "VALID"


def test_each_state_is_one_type_and_each_type_one_state() -> None:
    """The union is closed over the words of rows, facts and pages."""
    types = get_args(Submission)
    assert sorted(item.state for item in types) == sorted(State)
    assert {*get_args(Open), *get_args(Ended)} == set(types)


def test_back_off_doubles_up_to_twenty_seconds() -> None:
    """0, then 100 ms, doubled, never above 20 s, however long the peer is away."""
    waits = []
    for attempt in range(40):
        _, (effect,) = start(replace(NEW, attempt=attempt), 0)
        assert isinstance(effect, EndorseSubmission)
        waits.append(effect.wait_ms)
    assert waits[:5] == [0, 100, 200, 400, 800]
    assert max(waits) == waits[-1] == 20_000


def test_a_stale_head_ends_unsent() -> None:
    """A submission that is no longer useful ends before it is submitted."""
    late = {**PAYLOAD, "expires_ns": 5}
    assert start(New(**late), 5) == (Expired(**late), [])
    assert start(New(**late), 4)[0] == Endorsing(**late)


@pytest.mark.parametrize(
    ("state", "expected", "sends"),
    [
        (State.NEW, State.NEW, False),
        (State.ENDORSING, State.NEW, False),
        (State.PREPARED, State.IN_DOUBT, True),
        (State.IN_DOUBT, State.IN_DOUBT, True),
    ],
)
def test_after_a_restart(state: State, expected: State, sends: bool) -> None:
    """After a restart, what was being endorsed is endorsed again; what may have been submitted is submitted unchanged."""
    after, effects = resume(OPEN[state])
    assert after.state is expected
    assert len(effects) == sends


def test_one_head_a_lane_in_the_order_of_numbers() -> None:
    """Only the oldest submission of each lane may proceed, whatever its state; ended ones are in no table."""
    rows: dict[str, Open] = {
        "a": replace(NEW, submission_id="a", number=3),
        "b": replace(NEW, submission_id="b", number=2),
        "c": replace(NEW, submission_id="c", number=4, lane="b"),
        "d": replace(IN_DOUBT, submission_id="d", number=1, lane="d"),
    }
    assert [item.submission_id for item in heads(rows)] == ["d", "b", "c"]
