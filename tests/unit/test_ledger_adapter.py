"""The gateway's port over the client: which answer becomes which event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgegw.common.validation_codes import ENDORSE_AGAIN, IDENTITY_EXPIRED
from edgegw.core.correlation import IntervalOffers
from edgegw.core.effects import EndorseSubmission, Query, SubmitEnvelope
from edgegw.core.events import (
    CommitKnown,
    CommitUnknown,
    Endorsed,
    EndorseFailed,
    Event,
    LedgerEventSeen,
    QueryAnswered,
)
from edgegw.ledger import (
    BusinessRefusal,
    ClockRefused,
    Committed,
    Duplicate,
    Forged,
    IdentityRefused,
    Invalid,
    LedgerError,
    LedgerEvent,
    Mismatch,
    Unavailable,
    Unknown,
)
from edgegw.ledger import Endorsed as Signed
from edgegw.ledger.adapter import LedgerAdapter
from tests.support.patience import PATIENCE_S

ASKED = IntervalOffers(product="CHARGE", interval=900)
SUBMIT = SubmitEnvelope(submission_id="s", tx_id="t", envelope_hex="ab", wait_ms=0)


class Client:
    """A fake client with the given answers."""

    def __init__(self) -> None:
        self.endorsing: Any = Signed(tx_id="t", envelope=b"\xab", result={"ok": 1})
        self.submitting: LedgerError | None = None
        self.ending: Any = Committed(7)
        self.expired = False
        self.streams: list[list[LedgerEvent | LedgerError]] = []
        self.opened: list[tuple[int | None, str]] = []
        self.drained = asyncio.Event()

    async def endorse(self, _function: str, _args: dict[str, Any]) -> Signed:
        return self._told(self.endorsing)  # type: ignore[no-any-return]  # what the test put there

    async def submit(self, envelope: bytes) -> None:
        assert envelope == b"\xab"
        self._told(self.submitting)

    async def commit_status(self, _tx_id: str, _timeout_s: float) -> Any:
        return self._told(self.ending)

    async def evaluate(self, _function: str, args: dict[str, Any]) -> dict[str, Any]:
        return self._told({"args": args} if self.submitting is None else self.submitting)  # type: ignore[no-any-return]  # same

    def outlived(self, _envelope: bytes) -> bool:
        return self.expired

    async def events(self, block: int | None, *, after_tx_id: str = "") -> AsyncIterator[LedgerEvent]:
        self.opened.append((block, after_tx_id))
        if not self.streams:
            self.drained.set()
            await asyncio.Event().wait()
        for item in self.streams.pop(0):
            yield self._told(item)

    @staticmethod
    def _told(answer: Any) -> Any:
        if isinstance(answer, LedgerError):
            raise answer
        return answer


@contextlib.asynccontextmanager
async def serving(client: Client, **start: Any) -> AsyncIterator[tuple[LedgerAdapter, asyncio.Queue[Event]]]:
    emitted: asyncio.Queue[Event] = asyncio.Queue()
    adapter = LedgerAdapter(client, emitted.put_nowait)  # type: ignore[arg-type]  # stands in for one
    task = asyncio.create_task(adapter.run(**({"from_block": 0} | start)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield adapter, emitted
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("ending", "expired", "event"),
    [
        (Committed(7), False, CommitKnown(submission_id="s", tx_id="t", code="VALID", block=7)),
        (
            Invalid("MVCC_READ_CONFLICT"),
            False,
            CommitKnown(submission_id="s", tx_id="t", code="MVCC_READ_CONFLICT", block=-1),
        ),
        (Unknown("late"), False, CommitUnknown(submission_id="s", tx_id="t")),
        (IdentityRefused("expired"), False, CommitUnknown(submission_id="s", tx_id="t")),
        (
            Unknown("late"),
            True,
            CommitKnown(submission_id="s", tx_id="t", code=IDENTITY_EXPIRED, block=-1),
        ),
        (Committed(7), True, CommitKnown(submission_id="s", tx_id="t", code="VALID", block=7)),
    ],
)
@pytest.mark.parametrize("refusal", [None, Unavailable("no orderers"), IdentityRefused("FORBIDDEN")])
async def test_only_the_commit_status_says_how_a_submit_ended(
    refusal: LedgerError | None, ending: Any, expired: bool, event: Event
) -> None:
    """Whatever Submit answers, only CommitStatus decides; an envelope of an expired, renewed identity may be built again."""
    client = Client()
    client.submitting, client.ending, client.expired = refusal, ending, expired
    async with serving(client) as (adapter, emitted):
        adapter.submit(SUBMIT)
        assert await emitted.get() == event
    assert IDENTITY_EXPIRED in ENDORSE_AGAIN


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (BusinessRefusal("ZERO_TOKENS", "m"), "business", "ZERO_TOKENS"),
        (Forged("x"), "mismatch", "Forged"),
        (Mismatch("x"), "mismatch", ""),
        (Unavailable("x"), "unavailable", ""),
        (Duplicate("t"), "unavailable", ""),
        (ClockRefused("x"), "clock", ""),
        (IdentityRefused("x"), "identity", ""),
    ],
)
async def test_an_endorsement_that_failed_says_why(answer: LedgerError, kind: str, code: str) -> None:
    """The contract's refusal is an answer; all else is asked again."""
    client = Client()
    client.endorsing = answer
    effect = EndorseSubmission(submission_id="s", function="f", arguments_json="{}", wait_ms=0)
    async with serving(client) as (adapter, emitted):
        adapter.endorse(effect)
        event = await emitted.get()
        assert isinstance(event, EndorseFailed)
        assert (event.kind, event.code) == (kind, code)
        client.endorsing = Signed(tx_id="t", envelope=b"\xab", result={"ok": 1})
        adapter.endorse(effect)
        assert await emitted.get() == Endorsed(
            submission_id="s", tx_id="t", envelope_hex="ab", result={"ok": 1}
        )


async def test_a_query_is_answered_or_not() -> None:
    """A query that is not answered returns None; the interface's version is not part of its arguments."""
    client = Client()
    async with serving(client) as (adapter, emitted):
        effect = Query(key=ASKED, function="f", arguments={"v": 1, "a": 2})
        adapter.query(effect)
        assert await emitted.get() == QueryAnswered(key=ASKED, result={"args": {"a": 2}})
        client.submitting = Unavailable("x")
        adapter.query(effect)
        assert await emitted.get() == QueryAnswered(key=ASKED, result=None)


async def test_events_go_on_behind_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events continue from the journal's checkpoint, and after a break behind the last one that was passed on."""
    monkeypatch.setattr("edgegw.ledger.adapter.EVENTS_PAUSE_S", 0)
    client = Client()
    first, second = (LedgerEvent(name="n", payload={}, tx_id=f"t{block}", block=block) for block in (5, 6))
    client.streams = [[first, Unavailable("gone")], [Unavailable("still")], [second, Unavailable("again")]]
    async with serving(client, from_block=4, after_tx_id="t4") as (_, emitted):
        await client.drained.wait()
        seen = [emitted.get_nowait() for _ in range(emitted.qsize())]
    assert seen == [LedgerEventSeen(name="n", payload={}, block=block, tx_id=f"t{block}") for block in (5, 6)]
    assert client.opened == [(4, "t4"), (5, "t5"), (5, "t5"), (6, "t6")]
