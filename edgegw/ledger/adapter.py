"""Implement the station's ledger port over the client: each request becomes a task, each result an event.

Never decides retries: the core sets when to retry and with which bytes. Back-off waits are real time.
"""

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Mapping
from typing import assert_never

from edgegw.common.validation_codes import IDENTITY_EXPIRED
from edgegw.core.effects import EndorseSubmission, Query, SubmitEnvelope
from edgegw.core.events import (
    CommitKnown,
    CommitUnknown,
    Endorsed,
    EndorseFailed,
    EndorseFailure,
    LedgerEventSeen,
    QueryAnswered,
)
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.commit import Committed, Invalid, Outcome, Unknown
from edgegw.ledger.errors import (
    BusinessRefusal,
    ClockRefused,
    Forged,
    IdentityRefused,
    LedgerError,
    Mismatch,
    Misused,
    Unavailable,
)
from edgegw.ports.gateway import Emit

STATUS_TIMEOUT_S = 5.0
EVENTS_PAUSE_S = 1.0
KINDS: Mapping[type[LedgerError], EndorseFailure] = {
    Mismatch: "mismatch",
    Unavailable: "unavailable",
    ClockRefused: "clock",
    IdentityRefused: "identity",
}


class LedgerAdapter:
    """Runs the core's requests with one client; `run` owns all tasks."""

    def __init__(self, client: LedgerClient, emit: Emit) -> None:
        self._client = client
        self._emit = emit
        self._requests: asyncio.Queue[Coroutine[None, None, None]] = asyncio.Queue()

    async def run(self, *, from_block: int, after_tx_id: str = "") -> None:
        """Serve until cancelled; follow ledger events from `from_block` on, after `after_tx_id` in that block."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(from_block, after_tx_id), name="ledger events")
            while True:
                group.create_task(await self._requests.get(), name="ledger request")

    def endorse(self, effect: EndorseSubmission) -> None:
        """See ports.LedgerPort."""
        self._requests.put_nowait(self._endorse(effect))

    def submit(self, effect: SubmitEnvelope) -> None:
        """See ports.LedgerPort."""
        self._requests.put_nowait(self._submit(effect))

    def query(self, effect: Query) -> None:
        """See ports.LedgerPort."""
        self._requests.put_nowait(self._query(effect))

    async def _endorse(self, effect: EndorseSubmission) -> None:
        await asyncio.sleep(effect.wait_ms / 1000)
        try:
            arguments = json.loads(effect.arguments_json)
            endorsed = await self._client.endorse(effect.function, arguments)
        except BusinessRefusal as refusal:
            self._fail(effect, kind="business", code=refusal.code, detail=refusal.detail)
        except (Forged, Misused) as fault:
            # The result must not be signed or cannot be read: retried slowly, and an operator sees it in the log.
            self._fail(effect, kind="mismatch", code=type(fault).__name__, detail=str(fault))
        except LedgerError as fault:
            self._fail(effect, kind=KINDS.get(type(fault), "unavailable"), detail=str(fault))
        else:
            self._emit(
                Endorsed(
                    submission_id=effect.submission_id,
                    tx_id=endorsed.tx_id,
                    envelope_hex=endorsed.envelope.hex(),
                    result=endorsed.result,
                )
            )

    def _fail(self, effect: EndorseSubmission, *, kind: EndorseFailure, detail: str, code: str = "") -> None:
        self._emit(
            EndorseFailed(submission_id=effect.submission_id, kind=kind, code=code, detail=detail[:300])
        )

    async def _submit(self, effect: SubmitEnvelope) -> None:
        await asyncio.sleep(effect.wait_ms / 1000)
        envelope = bytes.fromhex(effect.envelope_hex)
        # Even after an error the orderer may have accepted it: only the commit status decides.
        outcome: Outcome = Unknown("not asked")
        with contextlib.suppress(LedgerError):
            await self._client.submit(envelope)
        with contextlib.suppress(LedgerError):
            outcome = await self._client.commit_status(effect.tx_id, STATUS_TIMEOUT_S)
        match outcome:
            case Committed(block=block):
                self._know(effect, code="VALID", block=block)
            case Invalid(code=code):
                self._know(effect, code=code)
            case Unknown() if self._client.outlived(envelope):
                # The one exception: every peer refuses an envelope of an expired identity, so this one cannot commit.
                self._know(effect, code=IDENTITY_EXPIRED)
            case Unknown():
                self._emit(CommitUnknown(submission_id=effect.submission_id, tx_id=effect.tx_id))
            case _:
                assert_never(outcome)

    def _know(self, effect: SubmitEnvelope, *, code: str, block: int = -1) -> None:
        self._emit(
            CommitKnown(submission_id=effect.submission_id, tx_id=effect.tx_id, code=code, block=block)
        )

    async def _query(self, effect: Query) -> None:
        arguments = {key: value for key, value in effect.arguments.items() if key != "v"}
        try:
            result = await self._client.evaluate(effect.function, arguments)
        except LedgerError:
            self._emit(QueryAnswered(key=effect.key, result=None))
        else:
            self._emit(QueryAnswered(key=effect.key, result=result))

    async def _follow(self, from_block: int, after_tx_id: str) -> None:
        block, after = from_block, after_tx_id
        while True:
            try:
                async for event in self._client.events(block, after_tx_id=after):
                    block, after = event.block, event.tx_id
                    self._emit(
                        LedgerEventSeen(
                            name=event.name, payload=event.payload, block=event.block, tx_id=event.tx_id
                        )
                    )
            except LedgerError:
                await asyncio.sleep(EVENTS_PAUSE_S)
