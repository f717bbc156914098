"""The view of a block has the five fields of each trade, both clocks, and the price's record."""

from pathlib import Path
from typing import Any

import pytest

from edgegw.ledger import BusinessRefusal
from edgegw.ledger.block_view import draw_block
from edgegw.ledger.client import LedgerClient
from firmware_sim.audit.blocks import split
from tests.support.audit_world import Run, tiny_day
from tests.support.contract_world import GATE, LIGHT, RefusedError

MARKET, RETAIL, DIRECT = "M-GW1:0:import:1000", "M-GW1:0:import:2940", "PV:0:export:500"
MAPPED_MS = 1_560_168_000_123


class Peer(LedgerClient):
    """A run's blocks and state, without a network."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.raw = list(split(run.write(folder)["blocks"].read_bytes()))
        self.asked: list[str] = []

    async def block(self, number: int) -> bytes:
        """The raw block."""
        return self.raw[number]

    async def evaluate(self, function: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the contract, as the gateway."""
        self.asked.append(function)
        try:
            answer: dict[str, Any] = self.run.world.call(GATE, function, **(args or {}))
        except RefusedError as refused:
            raise BusinessRefusal(refused.code, "") from refused
        return answer


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A day with one market, one retail and one direct trade; tests change copies of it."""
    return tiny_day(tmp_path_factory.mktemp("day"))


async def drawn(run: Run, folder: Path, trade_id: str) -> tuple[dict[str, dict[str, Any]], Peer]:
    """The five fields of the trades in a trade's block, by id."""
    peer = Peer(run, folder)
    shown = await draw_block(peer, run.find(f"trade~{trade_id}")[0])
    (transaction,) = shown["transactions"]
    return {trade["KEY"].removeprefix("trade~"): trade for trade in transaction["trades"]}, peer


async def test_a_trade_has_five_fields(day: Run, tmp_path: Path) -> None:
    """KEY, Value, Timestamp, Prev_Hash and Proof; a market price comes with its whole record, asked for once."""
    trades, peer = await drawn(day, tmp_path, MARKET)
    assert set(trades) == {MARKET, RETAIL}
    assert set(trades[MARKET]) == {"KEY", "Value", "Timestamp", "Prev_Hash", "Proof"}
    value, proof = trades[MARKET]["Value"], trades[MARKET]["Proof"]
    assert value["price_mtok_per_kwh"] == value["trade"]["price"] == proof["price_derivation"]["price"]
    assert proof["price_derivation"]["interval"] == LIGHT
    assert {"floor", "ceiling", "supplyWh", "demandWh", "wPpm"} <= proof["price_derivation"].keys()
    assert len(proof["endorsements"]) == 2
    assert (proof["validation"], proof["evidence_hash"]) == ("VALID", value["trade"]["evidenceHash"])
    assert trades[RETAIL]["Proof"]["price_derivation"] == {
        "tariffId": trades[RETAIL]["Value"]["trade"]["tariffId"],
        "period": "light",
        "reason": "NO_SLICE",
    }
    assert peer.asked == ["GetPrice"]
    direct, _ = await drawn(day, tmp_path, DIRECT)
    assert direct[DIRECT]["Proof"]["price_derivation"]["product"] == "DISCHARGE"


async def test_both_clocks_are_shown(day: Run, tmp_path: Path) -> None:
    """Without a time mapping both times are equal; with one, the ledger's time is shown beside the transaction's, and marked."""
    trades, _ = await drawn(day, tmp_path, DIRECT)
    times = trades[DIRECT]["Timestamp"]
    assert times["real"] == times["ledger"]
    assert times["mapped"] is False
    run = day.copy()
    run.forge(f"trade~{DIRECT}", lambda records: records[f"trade~{DIRECT}"].update(ledgerTimeMs=MAPPED_MS))
    trades, _ = await drawn(run, tmp_path, DIRECT)
    assert trades[DIRECT]["Timestamp"] == {
        "real": times["real"], "ledger": "2019-06-10T12:00:00.123000+00:00", "mapped": True,
    }  # fmt: skip
