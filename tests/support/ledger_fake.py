"""Fake a peer that endorses, submits and commits with MVCC over the contract's in-memory world, with seeded faults.

The real contract decides; the fake adds a network's faults: no answer, a lost envelope, a commit that is not reported.
`blocks` records what every committed transaction wrote, so that a check can count trades without relying on the state.
"""

import itertools
import json
import random
from dataclasses import dataclass
from typing import Any

from edgegw.contract import invoke
from tests.support.contract_world import (
    DAY0,
    ECO,
    EVU,
    GATE,
    IND,
    MemoryStub,
    World,
    digest,
)


@dataclass
class Envelope:
    """An endorsed transaction that may be submitted."""

    function: str
    writes: list[tuple[str, bytes | None]]
    reads: dict[str, int]
    event: tuple[str, bytes] | None
    committed: str | None = None
    block: int = -1


class LedgerDouble:
    """A fake peer for one gateway."""

    def __init__(self, world: World, rng: random.Random, *, fault_rate: float) -> None:
        self.world = world
        self.rng = rng
        self.fault_rate = fault_rate
        self.down = False
        self.versions: dict[str, int] = {}
        self.envelopes: dict[str, Envelope] = {}
        self.blocks: list[list[tuple[str, bytes | None]]] = []  # the writes of each block's transaction
        self.events: list[tuple[str, dict[str, Any], int, str]] = []
        self.open_holds: set[str] = set()
        self._nonce = itertools.count(1 << 200)  # distinct from those of `World.call`

    def _unlucky(self) -> bool:
        return self.rng.random() < self.fault_rate

    def endorse(self, function: str, arguments_json: str, at_ms: int) -> tuple[str, dict[str, Any]] | str:
        """Return (txid, result), or "CODE: detail" for a refusal, or "" for no answer."""
        if self.down or self._unlucky():
            return ""
        tx_id = f"{next(self._nonce):064x}"
        stub = MemoryStub(self.world.state, tx_id, at_ms, GATE)
        response = invoke(stub, function, [arguments_json])
        if response.status != 200:
            return response.message
        reads = {key: self.versions.get(key, 0) for key in stub.reads}
        self.envelopes[tx_id] = Envelope(function, stub.writes, reads, stub.event)
        return tx_id, json.loads(response.payload)

    def query(self, function: str, arguments: dict[str, Any], at_ms: int) -> dict[str, Any] | None:
        """Return an evaluation's payload, or None for no answer."""
        if self.down:
            return None
        response = invoke(
            MemoryStub(self.world.state, "0" * 64, at_ms, GATE), function, [json.dumps(arguments)]
        )
        return json.loads(response.payload) if response.status == 200 else None

    def submit(self, tx_id: str) -> str:
        """Return a validation code, or "" if it is unknown (lost, or committed without a report)."""
        if self.down:
            return ""
        envelope = self.envelopes[tx_id]
        forgotten, untold = self._unlucky(), self._unlucky()
        if forgotten:
            return ""
        if envelope.committed is None:
            self._commit(tx_id, envelope)
        return "" if untold else str(envelope.committed)

    def _commit(self, tx_id: str, envelope: Envelope) -> None:
        envelope.block = len(self.blocks)
        if any(self.versions.get(key, 0) != version for key, version in envelope.reads.items()):
            envelope.committed = "MVCC_READ_CONFLICT"
            self.blocks.append([])
            return
        envelope.committed = "VALID"
        self.blocks.append(envelope.writes)
        self._apply(envelope.writes)
        if envelope.event is not None:
            name, payload = envelope.event
            self.events.append((name, json.loads(payload), envelope.block, tx_id))

    def _apply(self, writes: list[tuple[str, bytes | None]]) -> None:
        for key, value in writes:
            self.versions[key] = self.versions.get(key, 0) + 1
            if value is None:
                self.world.state.pop(key, None)
            else:
                self.world.state[key] = value
            if value is not None and key.startswith("hold~"):
                hold = json.loads(value)
                if hold["status"] == "OPEN":
                    self.open_holds.add(hold["holdId"])
                else:
                    self.open_holds.discard(hold["holdId"])

    def recorded(self) -> list[dict[str, Any]]:
        """Return every trade that a valid transaction wrote, in the order of the blocks, with duplicates."""
        return [
            json.loads(value)
            for writes in self.blocks
            for key, value in writes
            if key.startswith("trade~") and value is not None
        ]


ZONE = "KR-CB-1"


def supply_market(world: World, *, hours: int) -> None:
    """Supply `hours` from now on with solar lots on offer, an industrial buyer and loads; floors are the tariff's."""
    now_s = world.now_s
    world.mint("IND1", 900_000_000)
    terms = {"zone": ZONE, "validFrom": DAY0, "validTo": DAY0 + 90_000, "maxWhPerGatewayDay": "1000000"}
    for n in range(8):
        lot_s = DAY0 + n * 900
        world.now_s = lot_s + 900
        registers = {"startWh": str(500 + 9_000 * n), "endWh": str(9_500 + 9_000 * n)}
        of_lot = {"lotId": f"L{n}", "memberId": "PRO1"}
        world.call(
            ECO, "RegisterGeneration", **of_lot, **registers, meterRef="PV", epoch=0, interval=lot_s,
            evidenceHash=digest(f"pv {n}"), expiresAt=DAY0 + 90_000,
        )  # fmt: skip
        world.call(
            ECO, "Offer", offerId=f"O{n}", **of_lot, **terms, product="CHARGE", wh="9000", limitPrice="1"
        )
    world.call(
        IND,
        "Offer",
        offerId="B0",
        memberId="IND1",
        **terms,
        product="DISCHARGE",
        mtok="500000000",
        limitPrice="169000",
    )
    world.now_s = now_s
    sides = (("CHARGE", ECO, 9000), ("CHARGE", EVU, 7000), ("DISCHARGE", EVU, 3000), ("DISCHARGE", IND, 9000))
    for interval in range(now_s // 900 * 900 + 1800, now_s + hours * 3600, 900):
        for product, who, wh in sides:
            world.call(who, "PostLoad", zone=ZONE, product=product, interval=interval, wh=str(wh))
