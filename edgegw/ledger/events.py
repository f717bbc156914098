"""Follow the events of committed transactions, each exactly once, across broken streams.

Decides where to resume: after the last event yielded. Source: Fabric ChaincodeEvents (start position and
after_transaction_id).
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from edgegw.fabric.proto import gateway_pb2, peer_pb2
from edgegw.ledger.errors import CallFailure, IdentityRefused, Misused, classify

_PAUSE_FIRST_S = 0.1
_PAUSE_MOST_S = 2.0

Stream = Callable[[int, str], AsyncIterator[gateway_pb2.ChaincodeEventsResponse]]
"""Opens a peer's event stream at a block, after a transaction id in it (empty: from the block's start)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """An event that a committed transaction set."""

    name: str
    payload: dict[str, Any]
    tx_id: str
    block: int


async def follow(
    stream: Stream, *, start_block: int, after_tx_id: str = ""
) -> AsyncGenerator[LedgerEvent, None]:
    """Yield events from a block on, without end; reopen a broken stream where it ended.

    Raises:
        IdentityRefused, Misused: reopening would not help.
    """
    block, after = start_block, after_tx_id
    pause_s = _PAUSE_FIRST_S
    while True:
        try:
            async for answer in stream(block, after):
                pause_s = _PAUSE_FIRST_S
                for event in answer.events:
                    yield _event(event, answer.block_number)
                    block, after = answer.block_number, event.tx_id
        except CallFailure as failure:
            fault = classify(failure)
            if isinstance(fault, IdentityRefused | Misused):
                raise fault from failure
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MOST_S)


def _event(event: peer_pb2.ChaincodeEvent, block: int) -> LedgerEvent:
    payload = json.loads(event.payload or b"{}")
    return LedgerEvent(name=event.event_name, payload=payload, tx_id=event.tx_id, block=block)
