"""The check of the books detects two ways of breaking "exactly once"."""

from dataclasses import fields, replace
from typing import Any, cast

import pytest

from edgegw.contract import trades
from edgegw.contract.call_state import CallState
from edgegw.contract.metering import traded_key
from edgegw.contract.records import Meter, Register
from edgegw.contract.trade_checks import Reading
from edgegw.core import ledger_replies
from edgegw.core import submission as life
from edgegw.core.effects import Effect
from edgegw.core.events import CommitUnknown
from edgegw.core.submission import (
    Committed,
    Expired,
    InDoubt,
    New,
    Open,
    Payload,
    Prepared,
    Submission,
)
from tests.support.days import differences, play

SEEDS = range(3)
MOVES = cast("dict[type, object]", ledger_replies.MOVES)  # a test may change what the core may not
FAULT_RATE = 0.25


def wrong_days() -> dict[int, list[str]]:
    return {seed: found for seed in SEEDS if (found := differences(play(seed, fault_rate=FAULT_RATE)))}


def test_the_real_outbox_passes() -> None:
    """Without a mutation the same seeds and faults show no difference."""
    assert wrong_days() == {}


def _asks(submission: Open, event: CommitUnknown) -> bool:
    """Whether the event is about the envelope that this submission sent."""
    return isinstance(submission, Prepared | InDoubt) and submission.envelope.tx_id == event.tx_id


def _payload(submission: Open) -> dict[str, Any]:
    return {field.name: getattr(submission, field.name) for field in fields(Payload)}


def _new_nonce(submission: Open, event: CommitUnknown) -> tuple[Submission, list[Effect]]:
    """Mutant: the outcome is unknown, so a new transaction is built."""
    if not _asks(submission, event):
        return submission, []
    return New(**_payload(submission), attempt=submission.attempt + 1), []


def _any_register(ledger: CallState, meter: Meter, reading: Reading) -> Register:
    """Mutant: the contract does not look at the last register."""
    key = traded_key(meter, reading.direction)
    register = ledger.read(Register, key)
    assert register is not None
    return replace(register, wh=reading.end_wh, interval=reading.interval)


def test_a_new_txid_on_each_retry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new nonce while the old txid is undecided, and a contract that does not know its trades: doubled trades."""
    monkeypatch.setitem(MOVES, CommitUnknown, _new_nonce)
    monkeypatch.setattr(trades, "stored_trade", lambda _ledger, _line: None)
    monkeypatch.setattr(trades, "next_register", _any_register)
    found = [text for texts in wrong_days().values() for text in texts]
    assert any("overlaps" in text for text in found)
    assert any("metered" in text for text in found)


def test_the_trade_id_check_alone_saves_a_new_txid(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real contract a new tx id doubles nothing: repeated lines are KNOWN by their trade id."""
    monkeypatch.setitem(MOVES, CommitUnknown, _new_nonce)
    assert not [
        text for texts in wrong_days().values() for text in texts if "metered" in text or "overlaps" in text
    ]


def test_done_when_submit_returns_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting an acknowledged but lost envelope as done is detected: its trades are in no block."""

    def done(submission: Open, event: CommitUnknown) -> tuple[Submission, list[Effect]]:
        if isinstance(submission, Prepared | InDoubt) and _asks(submission, event):
            return Committed(**_payload(submission), envelope=submission.envelope, block=-1), []
        return submission, []

    monkeypatch.setitem(MOVES, CommitUnknown, done)
    found = [text for texts in wrong_days().values() for text in texts]
    assert any("metered" in text for text in found)


def test_a_hold_given_up_in_doubt_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting a hold of unknown outcome as expired is detected, because a block may have it."""

    def give_up(submission: Open, event: CommitUnknown) -> tuple[Submission, list[Effect]]:
        if submission.function == "Hold" and _asks(submission, event):
            return Expired(**_payload(submission)), []
        return life.on_commit_unknown(submission, event)

    monkeypatch.setitem(MOVES, CommitUnknown, give_up)
    found = [text for texts in wrong_days().values() for text in texts]
    assert any("the journal did not know it" in text for text in found)
