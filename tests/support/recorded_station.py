"""Run the real daemon under strace, with a peer, meters and two chargers, and record its writes, syncs and answers.

Only the daemon is traced. The chargers are plain sockets, so that the test knows each message that it sent and each answer
that it got; the trace has the order of answers and writes.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from edgegw.commissioning.files import write_private, write_secrets
from edgegw.commissioning.market import certificate_sha256
from edgegw.commissioning.site import GATEWAY
from edgegw.common.clock import ClockMapping, StationClock
from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config, load
from edgegw.daemon.child_processes import die_with_parent
from edgegw.demo import consortium_setup, documents
from edgegw.demo.consortium_setup import Origin
from edgegw.demo.documents import Places
from edgegw.demo.orchestrator import Orchestrator, free_ports
from edgegw.demo.plan import EvsePlan, Wishes, plan_day, read_sessions
from edgegw.demo.processes import ChildProcesses, nursery
from edgegw.participants.consortium import Consortium, Span
from edgegw.participants.runner import connections
from edgegw.participants.settings import read_settings
from firmware_sim.modbus_server import ServedMeter, serve_meter
from tests.support.cut_disk import strace
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
WATT_HOURS_A_SECOND = 90
RATED_W = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One run of the daemon: its trace, the data folder before it, and the billing messages that it answered."""

    trace: Path
    folder: Path
    before: Mapping[str, bytes]
    billing: Mapping[str, str]  # message id -> action
    transactions: Mapping[str, str]  # message id of a start -> the transaction's id in the answer
    config: Config


def missing() -> str:
    """Return why this machine cannot record, in one line; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is missing: apt-get install strace"
    tried = os.spawnvp(os.P_WAIT, "strace", ["strace", "-qq", "-f", "-o", "/dev/null", "true"])
    return "" if tried == 0 else "strace may not trace here (ptrace is not allowed)"


class Charger:
    """A charger on a plain socket: sends calls one after another, and accepts every call of the station."""

    def __init__(self, evse: EvsePlan, socket: ClientConnection) -> None:
        self.evse = evse
        self._socket = socket
        self._answers: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.billing: dict[str, str] = {}
        self.transactions: dict[str, str] = {}
        self._count = 0

    async def listen(self) -> None:
        """Receive messages until cancelled."""
        async for text in self._socket:
            frame = json.loads(text)
            if frame[0] == 2:
                await self._socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            else:
                await self._answers.put(frame)

    async def call(self, action: str, payload: Mapping[str, object], *, bills: bool = False) -> Any:
        """Send a CALL and return its answer."""
        self._count += 1
        message_id = f"{self.evse.evse_id}-{time.time_ns():x}-{self._count}"
        await self._socket.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(PATIENCE_S):
            kind, answered, answer = (await self._answers.get())[:3]
        assert (kind, answered) == (3, message_id), answer
        if bills:
            self.billing[message_id] = action
        if action == "StartTransaction":
            assert answer["idTagInfo"]["status"] == "Accepted", answer
            self.transactions[message_id] = str(answer["transactionId"])
        return answer


@asynccontextmanager
async def plugged(evse: EvsePlan, port: int) -> AsyncIterator[Charger]:
    """Connect a charger for the duration of the block."""
    protocol = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1"}[evse.version]
    secret = base64.b64encode(f"{evse.charger_id}:{evse.password}".encode()).decode()
    async with connect(
        f"ws://127.0.0.1:{port}/ocpp/{evse.charger_id}",
        additional_headers={"Authorization": f"Basic {secret}"},
        subprotocols=[protocol],  # type: ignore[list-item]  # a plain text
        compression=None,  # so that an answer can be read in the trace
    ) as socket:
        charger = Charger(evse, socket)
        task = asyncio.create_task(charger.listen())
        try:
            yield charger
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def now() -> str:
    """Return the charger's time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def session_16(charger: Charger, card: str) -> None:
    """Play an OCPP 1.6 session: start, two samples, stop."""
    await charger.call("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
    start = {"connectorId": 1, "idTag": card, "meterStart": 1000, "timestamp": now()}
    transaction_id = (await charger.call("StartTransaction", start, bills=True))["transactionId"]
    for power in ("9000", "8000"):
        sample = {"value": power, "measurand": "Power.Active.Import", "unit": "W"}
        value = [{"timestamp": now(), "sampledValue": [sample]}]
        values = {"connectorId": 1, "transactionId": transaction_id, "meterValue": value}
        await charger.call("MeterValues", values, bills=True)
    stop = {"transactionId": transaction_id, "meterStop": 1200, "timestamp": now(), "reason": "Local"}
    await charger.call("StopTransaction", stop, bills=True)


async def session_2(charger: Charger, card: str) -> None:
    """Play an OCPP 2.0.1 session: TransactionEvent Started with the card, Updated, Ended."""
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "v", "model": "m"}}
    await charger.call("BootNotification", boot)
    transaction = f"T{time.time_ns():x}"
    token = {"idToken": card, "type": "ISO14443"}
    steps: tuple[tuple[str, str, str, dict[str, object]], ...] = (
        (
            *("Started", "CablePluggedIn", "EVConnected"),
            {"idToken": token, "evse": {"id": 1, "connectorId": 1}},
        ),
        ("Updated", "ChargingStateChanged", "Charging", {}),
        ("Ended", "EVCommunicationLost", "EVConnected", {}),
    )
    for number, (kind, trigger, state, more) in enumerate(steps):
        about = {"transactionId": transaction, "chargingState": state}
        event = {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": number}
        answer = await charger.call(
            "TransactionEvent", {**event, "transactionInfo": about, **more}, bills=True
        )
        if kind == "Started":
            assert answer["idTokenInfo"]["status"] == "Accepted", answer


@dataclass
class Around:
    """Everything that the daemon needs; it is not traced."""

    stage: Orchestrator
    places: Places
    children: ChildProcesses
    meters: list[ServedMeter] = field(default_factory=list)

    @property
    def plan(self) -> Any:
        """The plan of the two EVSEs and their drivers."""
        return self.stage.plan

    def status(self) -> dict[str, Any]:
        """Return the daemon's status."""
        return self.stage.status()

    async def until(self, **wanted: int) -> None:
        """Wait until the daemon's status has these values."""
        async with asyncio.timeout(PATIENCE_S):
            while any(self.status().get(key) != value for key, value in wanted.items()):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)

    async def record(self, module: str, name: str, *, rounds: int = 1) -> Recording:
        """Record one run of the daemon: sessions at both chargers, then SIGTERM, so that everything is settled."""
        folder = self.places.station
        before = {
            file.name: file.read_bytes() for file in sorted(folder.glob("station.db*")) if file.is_file()
        }
        (folder / "status.json").unlink(missing_ok=True)
        trace = self.places.root / f"{name}.strace"
        with (self.places.root / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *strace(trace, sys.executable, "-m", module, "run", "--config", str(self.places.config)),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.stage.environment},
                preexec_fn=die_with_parent,
            )  # fmt: skip
        pid = 0
        try:
            await self.until(meters_read=2, members=2)
            pid = int(self.status()["pid"])
            chargers = await self._play(rounds)
            await self.until(sessions=0, lines_open=0, holds_open=0, submissions_open=0)
            os.kill(pid, signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0, "the daemon did not drain"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL) if pid else process.kill()
                    await process.wait()
        return Recording(
            trace=trace,
            folder=folder,
            before=before,
            billing={key: action for charger in chargers for key, action in charger.billing.items()},
            transactions={key: found for charger in chargers for key, found in charger.transactions.items()},
            config=load(self.places.config),
        )

    async def _play(self, rounds: int) -> list[Charger]:
        ports = self.stage.ports
        assert ports is not None
        first, second = self.plan.evses
        chargers = []
        for _ in range(rounds):
            async with plugged(first, ports.ocpp) as old, plugged(second, ports.ocpp) as new:
                await asyncio.gather(
                    session_16(old, self.plan.visits[0].id_token),
                    session_2(new, self.plan.visits[1].id_token),
                )
                chargers += [old, new]
                await self.until(sessions=0, lines_open=0, holds_open=0)
        return chargers


@asynccontextmanager
async def around(folder: Path) -> AsyncIterator[Around]:
    """Run peer, members with tokens, a tariff and counting meters, in real time from a quarter hour of 2019 on."""
    sessions = folder / "sessions.csv"
    sessions.write_text(
        "arrival,departure,delivered_energy_kwh,evse\n"
        "2019-06-10 13:10:00-07:00,2019-06-10 17:40:00-07:00,6.000,A\n"
        "2019-06-10 13:10:00-07:00,2019-06-10 17:40:00-07:00,6.000,B\n",
        encoding="utf-8",
    )
    plan = plan_day(read_sessions(sessions), Wishes(speed=1))
    plan = replace(plan, evses=tuple(replace(evse, rated_w=RATED_W) for evse in plan.evses))
    places = Places(root=folder / "run", configs=ROOT / "configs")
    async with nursery(places.root / "logs") as children:
        stage = Orchestrator(
            plan=plan, places=places, children=children, tell=lambda _: None, watch=lambda _: None, setup_s=0.0
        )  # fmt: skip
        places.root.mkdir(parents=True)
        places.root.chmod(0o700)
        await stage.start_peer()
        origin = Origin(monotonic_ns=time.monotonic_ns(), utc_ms=time.time_ns() // 1_000_000)
        stage.clock = ClockMapping(
            monotonic_origin_ns=origin.monotonic_ns, utc_origin_ns=plan.begin_s * SECOND_NS, speed=1
        )
        write_secrets(places.root)
        await _open_market(stage, origin)
        world = Around(stage=stage, places=places, children=children)
        try:
            await _write_station(world)
            yield world
        finally:
            for meter in world.meters:
                await meter.stop()


async def _open_market(stage: Orchestrator, origin: Origin) -> None:
    places, plan = stage.places, stage.plan
    async with consortium_setup.member_store(places) as store:
        parties = consortium_setup.enter(store, plan.visits)
        market = {
            "endpoint": stage.endpoint,
            "certificate_sha256": certificate_sha256(places.identity("EVUserMSP", GATEWAY)),
            "constants": origin.constants(plan),
        }
        text = documents.participants(plan, places, parties, market=market)
        path = places.root / "participants.json"
        told = json.loads(text)
        for member in told["members"]:
            member["deposit_mtok"] *= 10  # for several holds in a row, before the first is swept
        write_private(path, json.dumps(told))
        settings = read_settings(path)
        clock = StationClock.from_environment(stage.environment)
        async with connections(settings) as link:
            await Consortium(settings, connect=link, clock=clock, span=Span.of(clock, settings)).open()
        await consortium_setup.link(store, plan.visits, parties)


async def _write_station(world: Around) -> None:
    plan, places, stage = world.plan, world.places, world.stage
    began_ns = time.monotonic_ns()
    ports = free_ports(plan)
    for evse in plan.evses:

        def registers(evse: EvsePlan = evse) -> tuple[int, int, int]:
            counted = (time.monotonic_ns() - began_ns) * WATT_HOURS_A_SECOND // 1_000_000
            return 5_000_000 + counted, evse.export_mwh // 1000 * 1000, WATT_HOURS_A_SECOND * 3600

        profile = places.configs / "meters" / f"{evse.profile}.json"
        world.meters.append(await serve_meter(profile, registers, unit_id=1, port=ports.meters[evse.evse_id]))
    stage.ports = ports
    text = documents.configuration(
        plan, places, endpoint=stage.endpoint, ports=ports,
        password_hashes=consortium_setup.password_hashes(plan.evses), own_peer=False,
    )  # fmt: skip
    patience = (
        "\n[session]\nstart_answer_s = 60\n"  # however busy the machine is, a start is not refused for it
    )
    write_private(places.config, text + patience)
    places.station.mkdir()
