"""The publisher against a real mosquitto: what is retained, what survives a restart, and what a broker cannot cause."""

import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.core.market import CHARGE
from edgegw.telemetry import link, publisher
from edgegw.telemetry.publisher import EVENTS_MAX, UNDER_WAY_MAX, Publisher
from edgegw.telemetry.settings import BrokerSettings, PublisherSettings
from tests.support.broker import MISSING, MOSQUITTO, PASSWORDS, Broker, Ear, guarded
from tests.support.core_bench import T0_S, Bench
from tests.support.gateway_fakes import FakeClock
from tests.support.patience import PATIENCE_S, until

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason=MISSING)
ROOT = Path(__file__).parents[2]
STATE = "edgegw/ST/evse/A1/state"
CONFIG = "homeassistant/device/edgegw_ST/config"
PRICE = "grid/KR-SEOUL/price"
GOOD_PRICE = {
    "price": "123.45",
    "unit": "KRW/kWh",
    "valid_from": "2026-07-14T15:00:00Z",
    "valid_to": "2026-07-14T16:00:00Z",
}
TRADE = {"trade_id": "t", "direction": "import", "energy_wh": 500, "amount_mtok": 60_000}


class Rig:
    """A publisher of the bench's station, running; what it logged is in `logged`."""

    def __init__(self, port: int, **changes: Any) -> None:
        broker = BrokerSettings(host="127.0.0.1", port=port, retry_s_max=1, **changes.pop("broker", {}))
        self.bench = Bench()
        self.logged: list[tuple[str, Mapping[str, object]]] = []
        settings = PublisherSettings(broker=broker, station_id="ST", price_topic=PRICE, **changes)
        self.publisher = Publisher(
            settings, clock=FakeClock(), log=lambda name, fields: self.logged.append((name, fields))
        )
        self.task = asyncio.create_task(self.publisher.run(lambda: self.bench.station))

    def names(self) -> list[str]:
        return [name for name, _ in self.logged]

    def trade(self, number: int) -> None:
        self.publisher.note("trade.recorded", {**TRADE, "trade_id": str(number)})


@contextlib.asynccontextmanager
async def rig(port: int, **changes: Any) -> AsyncIterator[Rig]:
    one = Rig(port, **changes)
    try:
        yield one
    finally:
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        made.append(Broker(tmp_path, *lines))
        return made[-1]

    yield make
    for broker in made:
        broker.end()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def ears() -> Iterator[Callable[..., Ear]]:
    made: list[Ear] = []

    def make(broker: Broker, **options: Any) -> Ear:
        made.append(Ear(broker.port, **options))
        return made[-1]

    yield make
    for ear in made:
        ear.close()


async def listening(ear: Ear) -> Ear:
    await until(lambda: ear.ready)
    return ear


def trades(ear: Ear) -> list[int]:
    return [int(json.loads(text)["trade_id"]) for text in ear.of("edgegw/ST/trade")]


async def test_whoever_comes_later_knows_the_station(broker: Broker, ears: Callable[..., Ear]) -> None:
    """Availability, states and discovery are retained, events are not; changes are published, and the end is `offline`."""
    early = await listening(ears(broker))
    async with rig(broker.port) as one:
        await until(lambda: {STATE, CONFIG, "edgegw/ST/availability"} <= {item.topic for item in early.heard})
        one.trade(1)
        one.publisher.note("session.started", {"evse_id": "A1", "session_id": "A1.t1", "id_token": "04A2"})
        await until(lambda: trades(early) == [1] and early.of("edgegw/ST/evse/A1/event"))
        late = await listening(ears(broker))
        await until(lambda: {STATE, CONFIG, "edgegw/ST/availability"} <= {item.topic for item in late.heard})
        assert all(item.retain for item in late.heard)
        assert {item.topic for item in late.heard} == {
            *(f"edgegw/ST/evse/{name}/state" for name in ("A1", "A2", "B1")),
            *(CONFIG, "edgegw/ST/availability"),
        }
        assert late.of("edgegw/ST/availability") == ["online"]
        told = next(item for item in late.heard if item.topic == STATE)
        properties: Any = told.properties
        assert dict(properties.UserProperty) == {"schema": "edgegw.state.v1"}
        assert properties.ContentType == "application/json"
        one.bench.price(CHARGE, T0_S, 120_000)
        one.bench.active()
        await until(lambda: json.loads(late.of(STATE)[-1])["plugged"])
        assert "04A2" not in "".join(item.payload.decode() for item in early.heard)
        await until(lambda: one.publisher.counts.published >= 8)
    await until(lambda: late.of("edgegw/ST/availability") == ["online", "offline"])
    assert trades(late) == []


async def test_a_killed_station_is_said_to_be_offline(broker: Broker, ears: Callable[..., Ear]) -> None:
    """SIGKILL of the publishing process: the broker says `offline` for it, retained."""
    ear = await listening(ears(broker))
    arguments = ("-m", "tests.support.mqtt_station", str(broker.port))
    station = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    try:
        await until(lambda: ear.of(STATE) and ear.of("edgegw/ST/availability") == ["online"])
    finally:
        station.kill()
        await station.wait()
    await until(lambda: ear.of("edgegw/ST/availability") == ["online", "offline"])
    late = await listening(ears(broker))
    await until(lambda: late.of("edgegw/ST/availability") == ["offline"])


async def test_trades_cross_a_restart_of_the_broker(
    make_broker: Callable[..., Broker], tmp_path: Path, ears: Callable[..., Ear]
) -> None:
    """A trade of the time without a broker is published later, at least once and in order; the trouble is one log line."""
    broker = make_broker("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    ear = await listening(ears(broker, name="keeper"))
    async with rig(broker.port) as one:
        one.trade(1)
        await until(lambda: trades(ear) == [1])
        broker.end()
        await until(lambda: not one.publisher.connected)
        for number in range(2, 40):
            one.trade(number)
        await until(lambda: "mqtt.lost" in one.names())
        broker.start()
        await until(lambda: trades(ear)[-1] == 39)
        assert list(dict.fromkeys(trades(ear))) == list(range(1, 40))
        assert one.publisher.counts.reconnects == 1
        assert one.publisher.counts.dropped == 0
        assert one.names() == ["mqtt.connected", "mqtt.lost", "mqtt.connected"]
        lost = one.logged[1][1]
        assert lost["code"] == "EGW-6002"
        assert "edgegw mqtt test" in str(lost["remedy"])
        late = await listening(ears(broker))
        await until(lambda: late.of("edgegw/ST/availability") == ["online"])


async def test_a_broker_that_was_killed_forgets_and_is_told_anew(
    broker: Broker, ears: Callable[..., Ear]
) -> None:
    """After kill -9 the broker has lost the retained messages; the station publishes all of them again."""
    async with rig(broker.port) as one:
        await until(lambda: one.publisher.connected)
        broker.end(signal.SIGKILL)
        await until(lambda: not one.publisher.connected)
        broker.start()
        await until(lambda: one.publisher.connected)
        late = await listening(ears(broker))
        await until(lambda: {STATE, CONFIG, "edgegw/ST/availability"} <= {item.topic for item in late.heard})


async def test_home_assistant_s_birth_is_answered(broker: Broker, ears: Callable[..., Ear]) -> None:
    """`online` at <discovery prefix>/status brings discovery and states again; another word brings nothing."""
    ear = await listening(ears(broker))
    async with rig(broker.port) as one:
        await until(lambda: len(ear.of(CONFIG)) == 1)
        await until(lambda: len(ear.of(STATE)) == 1)
        ear.say("homeassistant/status", "offline")
        ear.say(PRICE, "none")  # judged together with what came before it
        await until(lambda: one.publisher.counts.prices_ignored)
        one.trade(1)  # goes out after all that an answer would be
        await until(lambda: trades(ear) == [1])
        assert len(ear.of(CONFIG)) == 1
        ear.say("homeassistant/status", "online")
        await until(lambda: len(ear.of(CONFIG)) == 2)
        await until(lambda: len(ear.of(STATE)) == 2)


async def test_a_new_evse_is_discovered(broker: Broker, ears: Callable[..., Ear]) -> None:
    """A station whose EVSEs change publishes the discovery again."""
    ear = await listening(ears(broker))
    async with rig(broker.port) as one:
        await until(lambda: len(ear.of(CONFIG)) == 1)
        evses = {"A1": one.bench.station.evses["A1"]}
        one.bench.station = replace(one.bench.station, evses=evses)
        await until(lambda: len(ear.of(CONFIG)) == 2)
        assert len(json.loads(ear.of(CONFIG)[-1])["cmps"]) == 6


async def test_a_grid_price_is_kept_and_rubbish_is_not(broker: Broker, ears: Callable[..., Ear]) -> None:
    """A good price is readable; rubbish leaves it, is counted, and is logged once; a megabyte never reaches us."""
    ear = await listening(ears(broker))
    ear.say(PRICE, json.dumps(GOOD_PRICE), retain=True)
    async with rig(broker.port) as one:
        before = one.bench.station
        await until(one.publisher.grid_price)
        counts = one.publisher.counts
        rubbish = (b"unlock", b"\xff", json.dumps({**GOOD_PRICE, "price": "free"}).encode())
        for number, text in enumerate(rubbish):
            ear.say(PRICE, text, retain=True)
            await until(lambda before=number: counts.prices_ignored > before)  # type: ignore[misc]  # mypy knows no such default
        ear.say(PRICE, b"x" * 1_000_000)
        ear.say("homeassistant/status", "online")  # answered after whatever came before it
        await until(lambda: len(ear.of(CONFIG)) == 2)
        assert counts.prices_ignored == 3
        ear.say(PRICE, json.dumps({**GOOD_PRICE, "price": "99"}))
        await until(lambda: str(getattr(one.publisher.grid_price(), "price", "")) == "99")
        assert one.bench.station is before
        ear.say(PRICE, json.dumps({**GOOD_PRICE, "price": "99"}))  # known: no line
        await until(lambda: counts.prices == 3)
        ear.say(PRICE, b"again")
        await until(lambda: counts.prices_ignored == 4)
        assert [name for name in one.names() if name.startswith("price")] == [
            *("price.received", "price.ignored", "price.received", "price.ignored"),
        ]
        (ignored, *_) = [fields for name, fields in one.logged if name == "price.ignored"]
        assert ignored["code"] == "EGW-6001"


async def test_there_is_nothing_to_command(broker: Broker, ears: Callable[..., Ear]) -> None:
    """The station subscribes only to the price and Home Assistant's status; commands, retained or new, have no effect."""
    ear = await listening(ears(broker))
    orders = [f"edgegw/ST/{place}" for place in ("cmd/unlock", "set", "evse/A1/set", "evse/A1/cmd/stop")]
    for order in orders:
        ear.say(order, '{"command": "unlock"}', retain=True)
    async with rig(broker.port) as one:
        await until(lambda: one.publisher.connected)
        before = one.bench.station
        for order in orders:
            ear.say(order, '{"command": "unlock"}')
        ear.say(PRICE, json.dumps(GOOD_PRICE))  # what came before it would have come by now
        await until(one.publisher.grid_price)
        assert one.bench.station is before
    lines = [line.split(": ", 1)[1] for line in broker.log().splitlines() if ": edgegw-ST " in line]
    assert sorted(lines) == sorted([f"edgegw-ST 1 {PRICE}", "edgegw-ST 1 homeassistant/status"])
    assert not [
        line for line in broker.log().splitlines() if "Sending PUBLISH to edgegw-ST" in line and "set" in line
    ]


async def test_a_broker_that_stands_still_holds_nobody_up(broker: Broker, ears: Callable[..., Ear]) -> None:
    """With the broker stopped, publishing returns at once, the queue is bounded and drops the oldest; later the newest arrive."""
    ear = await listening(ears(broker))
    async with rig(broker.port) as one:
        await until(lambda: one.publisher.connected and ear.of(STATE))
        broker.pause()
        held_up = threading.Timer(PATIENCE_S, broker.resume)  # whoever waits for the broker is freed, late
        held_up.start()
        told = 5 * EVENTS_MAX
        turns = 0
        for number in range(told):
            one.trade(number)
            if number % 10 == 0:
                await asyncio.sleep(0)
                turns += 1
        assert held_up.is_alive()
        held_up.cancel()
        assert turns == told / 10
        counts = one.publisher.counts
        waiting = len(one.publisher._events)
        assert waiting == EVENTS_MAX
        assert len(one.publisher._under_way) <= UNDER_WAY_MAX
        assert told - EVENTS_MAX - UNDER_WAY_MAX <= counts.dropped <= told - EVENTS_MAX
        broker.resume()
        await until(lambda: trades(ear)[-1:] == [told - 1])
        assert len(trades(ear)) == told - counts.dropped
        assert trades(ear)[-EVENTS_MAX:] == list(range(told - EVENTS_MAX, told))


async def test_a_broker_that_stands_still_cannot_hold_the_end_up(
    broker: Broker, ears: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP, then the daemon's end: the publisher leaves after its few seconds, and the broker says offline for it."""
    monkeypatch.setattr(publisher, "LEAVE_S", 0.1)
    monkeypatch.setattr(link, "STOP_S", 0.1)
    ear = await listening(ears(broker))
    one = Rig(broker.port)
    await until(lambda: ear.of(STATE))
    broker.pause()
    held_up = threading.Timer(PATIENCE_S, broker.resume)
    held_up.start()
    one.trade(1)
    one.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await one.task
    assert held_up.is_alive()
    held_up.cancel()
    broker.resume()
    await until(lambda: ear.of("edgegw/ST/availability")[-1] == "offline")


async def test_a_paused_publisher_keeps_its_events(broker: Broker, ears: Callable[..., Ear]) -> None:
    """While paused only the availability is published; afterwards the queue follows."""
    ear = await listening(ears(broker))
    one = Rig(broker.port)
    one.publisher.paused = True
    one.trade(1)
    await until(lambda: ear.of("edgegw/ST/availability") == ["online"])
    marker = ear.say("marker", "x")
    await until(lambda: marker in ear.answers and ear.of("marker"))
    assert not ear.of(STATE)
    assert trades(ear) == []
    one.publisher.paused = False
    one.trade(2)
    await until(lambda: trades(ear) == [1, 2] and ear.of(STATE))
    one.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await one.task


async def test_each_station_has_its_own_topics_only(
    make_broker: Callable[..., Broker], tmp_path: Path, ears: Callable[..., Ear]
) -> None:
    """With edgegw's access list ST publishes all it has, and OTHER neither reads nor writes ST's topics."""
    broker = make_broker(*guarded(tmp_path))
    looker = await listening(ears(broker, user="homeassistant"))
    other = await listening(ears(broker, user="OTHER"))
    grid = await listening(ears(broker, user="grid"))
    async with rig(broker.port, broker={"username": "ST", "password": PASSWORDS["ST"]}) as one:
        one.trade(1)
        await until(lambda: looker.of(STATE) and looker.of(CONFIG) and trades(looker) == [1])
        assert one.publisher.counts.refused == 0
        grid.say(PRICE, json.dumps(GOOD_PRICE))
        await until(one.publisher.grid_price)
        forged = other.say("edgegw/ST/availability", "offline")
        await until(lambda: forged in other.answers)
        assert other.answers[forged] == "Not authorized"
        assert not [item.topic for item in other.heard if item.topic.startswith("edgegw/ST")]
    async with rig(
        broker.port, broker={"username": "OTHER", "password": PASSWORDS["OTHER"]}, discovery_prefix=""
    ) as thief:
        await until(lambda: thief.publisher.counts.refused >= 2)
        refused = [fields for name, fields in thief.logged if name == "mqtt.refused"]
        assert [fields["code"] for fields in refused] == ["EGW-6003"]


async def test_a_wrong_password_is_said_once_and_tried_again(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    """A broker that refuses us is one log line with its remedy, however often it is tried; events stay bounded."""
    broker = make_broker(*guarded(tmp_path))
    async with rig(broker.port, broker={"username": "ST", "password": "wrong"}) as one:
        await until(lambda: broker.log().count("not authorised") >= 2)
        assert one.names() == ["mqtt.lost"]
        assert one.logged[0][1]["code"] == "EGW-6003"
        assert "wrong" not in str(one.logged)
        assert "wrong" not in repr(one.publisher._settings)
        for number in range(EVENTS_MAX + 5):
            one.trade(number)
        assert (len(one.publisher._events), one.publisher.counts.dropped) == (EVENTS_MAX, 5)


async def test_a_broker_that_speaks_nonsense_costs_a_connection() -> None:
    """Bytes that are no MQTT end the connection; it is opened again, and what was under way goes once more."""
    seen: list[bytes] = []

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK: welcome
        heard = b""
        while b"edgegw/ST/trade" not in heard:
            heard += await reader.read(10_000)
        seen.append(heard)
        writer.write(b"\x40\x03\x00\x01\x77")  # PUBACK with a reason that MQTT does not know
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with rig(server.sockets[0].getsockname()[1]) as one:
        one.trade(1)
        await until(lambda: len(seen) == 1)
        await until(lambda: len(seen) == 2)
        assert one.names()[:3] == ["mqtt.connected", "mqtt.lost", "mqtt.connected"]
    server.close()
    await server.wait_closed()
