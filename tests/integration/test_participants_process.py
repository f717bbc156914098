"""The participants' own process against the embedded peer, over loopback, at 1200 times real time."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.clock import ClockMapping
from edgegw.common.units import SECOND_NS
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.peer.server import CHAINCODE, CHANNEL
from tests.support.background import in_background
from tests.support.participants_host import MONDAY_S
from tests.support.patience import PATIENCE_S
from tests.unit.test_participants_day import DEPOSITS, settings

SPEED = 1200
STANDSTILL_S = 10  # in which the process has to start, on a busy machine too
BEGIN_S = MONDAY_S + 11 * 3600 + 1800
END_S = BEGIN_S + 2 * 3600


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """Address and crypto folder of a fresh embedded peer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edgegw.peer", "--data", str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    yield json.loads(line)["listening"], tmp_path / "crypto"
    process.terminate()
    await process.wait()


def client(endpoint: str, crypto: Path, name: str) -> LedgerClient:
    return LedgerClient(
        endpoint,
        load_signer(crypto / "EVUserMSP" / name),
        load_trust(crypto / "trust.json"),
        channel=CHANNEL,
        chaincode=CHAINCODE,
    )


async def configure(endpoint: str, crypto: Path) -> ClockMapping:
    """The channel's constants with the run's time mapping, whose clock does not advance during the set-up."""
    mapping = ClockMapping(
        monotonic_origin_ns=time.monotonic_ns() + STANDSTILL_S * SECOND_NS,
        utc_origin_ns=BEGIN_S * SECOND_NS,
        speed=SPEED,
        utc_end_ns=END_S * SECOND_NS,
    )
    at = {
        "realOriginMs": time.time_ns() // 1_000_000 + STANDSTILL_S * 1000,
        "ledgerOriginMs": BEGIN_S * 1000,
        "speed": SPEED,
    }
    async with client(endpoint, crypto, "admin") as admin:
        await admin.execute("Configure", {"channel": "energy", "time": at})
    return mapping


@pytest.mark.parametrize("by_signal", [False, True])
async def test_a_run_opens_trades_and_closes(
    peer: tuple[str, Path], tmp_path: Path, *, by_signal: bool
) -> None:
    """Ready before simulated time moves; no post late; closed on the word or the signal; the books balance."""
    endpoint, crypto = peer
    config = tmp_path / "participants.json"
    config.write_text(
        settings(
            endpoint=endpoint, channel=CHANNEL, chaincode=CHAINCODE, crypto=str(crypto)
        ).model_dump_json()
    )
    mapping = await configure(endpoint, crypto)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.participants", "--config", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"STATION_CLOCK": str(mapping)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)) == {"ready": True}
    run_s = STANDSTILL_S + (END_S - BEGIN_S) / SPEED
    left_s = run_s - (time.monotonic_ns() - mapping.monotonic_origin_ns) / SECOND_NS - STANDSTILL_S
    if by_signal:  # in the middle of the day
        await asyncio.sleep(left_s / 2)
        process.send_signal(signal.SIGUSR1)
    else:
        await asyncio.sleep(left_s + 0.5)
        process.stdin.write(b"close\n")
    closed: dict[str, Any] = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    assert closed["closed"] is True
    assert "late" not in closed["counts"]["producer"]
    async with client(endpoint, crypto, "auditor") as auditor:
        totals = await auditor.evaluate("AuditTotals")
    tokens = {name: int(mtok) for name, mtok in totals["tokens"].items()}
    assert tokens["supply"] == sum(DEPOSITS.values()) - closed["paid_out_mtok"] == closed["supply_mtok"]
    assert tokens["supply"] == tokens["available"] + tokens["held"] + tokens["pending"]
    if not by_signal:
        assert closed["producer_history"]["trade.recorded"] == 1
        assert closed["paid_out_mtok"] > 0


async def test_each_part_is_served_by_a_process_of_its_own(peer: tuple[str, Path], tmp_path: Path) -> None:
    """The five roles, each a process started at once, wait for each other, report ready, and end at SIGINT with 0."""
    endpoint, crypto = peer
    config = tmp_path / "participants.json"
    told = settings(
        endpoint=endpoint, channel=CHANNEL, chaincode=CHAINCODE, crypto=str(crypto), constants={}, changes=[]
    )
    config.write_text(told.model_dump_json())
    parts = [
        await asyncio.create_subprocess_exec(
            *in_background(
                *(sys.executable, "-m", "edgegw.cli", "participant", "run", role, "--config", str(config))
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        for role in ("oracle", "producer", "industry", "desk", "representative")
    ]
    try:
        for part in parts:
            assert part.stdout is not None
            line = await asyncio.wait_for(part.stdout.readline(), PATIENCE_S)
            assert json.loads(line) == {"ready": True}
        async with client(endpoint, crypto, "auditor") as auditor:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    totals = await auditor.evaluate("AuditTotals")
                    if int(totals["tokens"]["supply"]) == sum(DEPOSITS.values()):
                        break
    finally:
        for part in parts:
            part.send_signal(signal.SIGINT)
    assert [await asyncio.wait_for(part.wait(), PATIENCE_S) for part in parts] == [0] * len(parts)
