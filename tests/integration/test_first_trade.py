"""From nothing to a committed trade with the commands alone: init --sandbox, run, approve, plug in; in real time."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edgegw.commissioning.addresses import free_port
from edgegw.commissioning.install import SANDBOX_CARD
from edgegw.common.clock import VARIABLE, ClockMapping
from tests.support.patience import PATIENCE_S
from tests.support.station import ROOT, daemon, edgegw

PROFILE = ROOT / "configs" / "meters" / "abb-b23.json"
PASSWORD = "as-set-in-the-charger"
WANTED_WH = 25  # four seconds at 22 kW
STEP_WH = 10  # of this meter's registers


@asynccontextmanager
async def simulator(folder: Path, *, csms: str, password: str, meter_port: int) -> AsyncIterator[None]:
    """One charger and its meter; a car comes in a moment, charges and leaves again."""
    now = datetime.now(UTC)
    scenario = f"""
[world]
seed = 1
csms = "{csms}"
utc_start = {now.isoformat()}
utc_end = {(now + timedelta(minutes=5)).isoformat()}

[[evses]]
evse = "BAY-1"
charger_id = "CP-1"
ocpp = "1.6"
password = "{password}"
rated_w = 22000
meter_profile = "{PROFILE}"
meter_port = {meter_port}

[[visits]]
evse = "BAY-1"
id_token = "{SANDBOX_CARD}"
arrival = {(now + timedelta(seconds=8)).isoformat()}
departure = {(now + timedelta(seconds=22)).isoformat()}
wanted_wh = {WANTED_WH}
capacity_wh = 60000
soc_ppm = 300000
max_charge_w = 22000
"""
    path = folder / "scenario.toml"
    path.write_text(scenario)
    mapping = ClockMapping(monotonic_origin_ns=time.monotonic_ns(), utc_origin_ns=time.time_ns(), speed=1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_sim", "run", str(path)),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, VARIABLE: str(mapping)},
        cwd=ROOT,
    )
    try:
        yield
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


async def test_a_first_trade_needs_nothing_else(tmp_path: Path) -> None:
    """After init --sandbox and run an unknown charger waits and is approved; a card, a cable, and the energy is a trade.

    Started twice: the second start finds members, tariff and meters on the ledger. With the daemon running, a further
    member is signed up, linked, and given tokens; once it is gone, that says so.
    """
    config = tmp_path / "edgegw.toml"
    told = ("--config", str(config))
    made = await edgegw(
        *("init", "--sandbox", "--yes", "--dir", str(tmp_path), "--station-id", "S-1", "--no-qr"),
        *("--ocpp-port", str(free_port()), "--tls-port", str(free_port()), "--health-port", "0"),
        *("--peer", f"127.0.0.1:{free_port()}"),
    )
    assert made["card"] == SANDBOX_CARD
    async with daemon(config) as first:
        await first.says("participants.started")
    meter_port = free_port()
    csms = made["urls"][0].removesuffix("/")
    async with daemon(config) as second:
        await second.says("participants.started")
        async with simulator(tmp_path, csms=csms, password=PASSWORD, meter_port=meter_port):
            await second.says("charger.discovered")
            (waiting,) = (await edgegw("charger", "list", *told))["waiting"]
            assert (waiting["charger_id"], waiting["connected"]) == ("CP-1", True)
            approved = await edgegw(
                *("charger", "approve", "CP-1", *told, "--evse", "1=BAY-1", "--rated-w", "22000"),
                *("--meter-profile", "abb-b23", "--meter-port", str(meter_port), "--meter-unit", "1"),
            )
            assert approved["password"] is None  # it keeps the one it came with
            assert approved["reload"] == {"changed": ["meter M-BAY-1", "charger CP-1"], "needs_restart": []}
            await second.says("session.started")
            await _a_further_member(told, tmp_path)
            (finished,) = await second.says("session.finished")
            await second.says("trade.recorded")
        assert not {"participants.lost", "peer.lost"} & {one["event"] for one in second.log}
        await _verified(told, finished)
    assert "only while the daemon runs" in await edgegw(
        "member", "add", "--identity", "Somebody else", *told, status=69
    )


async def _verified(told: tuple[str, str], finished: Mapping[str, Any]) -> None:
    """What the station lists is on the ledger, paid by the card's member, as many Wh as the meter counted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            trades = await edgegw("trade", "list", *told)
            if all(
                trade["status"] != "OPEN" for trade in trades
            ):  # two, where a quarter hour ended meanwhile
                break
    assert {trade["status"] for trade in trades} == {"RECORDED"}, finished
    assert {trade["direction"] for trade in trades} == {"import"}
    traded_wh = sum(trade["end_wh"] - trade["start_wh"] for trade in trades)
    assert traded_wh == WANTED_WH // STEP_WH * STEP_WH
    assert (await edgegw("trade", "verify", *told))["verified"]
    assert (await edgegw("ledger", "verify", *told))["verified"]
    supply = await edgegw("ledger", "supply", *told)
    assert int(supply["minted"]) == 400_000_000 + 500_000_000 + 7_000


async def _a_further_member(told: tuple[str, str], folder: Path) -> None:
    member = (await edgegw("member", "add", "--identity", "Somebody", *told))["member_id"]
    await edgegw("member", "link", member, "--id-token", "CARD-2", *told)
    listed = await edgegw("member", "list", *told)
    assert {one["cards"] for one in listed if one["member_id"] == member} == {1}
    settings = str(folder / "participants.json")
    await edgegw("participant", "deposit", member, "7000", "--config", settings)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            balance = await edgegw("ledger", "balance", member, *told)
            if balance["tokens"]["available"] == "7000":
                return
