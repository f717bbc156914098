"""What is published of a station: topics, states, events, and Home Assistant's discovery."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.core.effects import LogEvent
from edgegw.core.events import ChargerDisconnected
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings
from edgegw.core.station import new_station
from edgegw.ops.logs import EVENTS
from edgegw.telemetry.discovery import birth_topic, discovery_message, object_part
from edgegw.telemetry.topics import (
    SESSION_EVENTS,
    TRADE_EVENTS,
    Message,
    availability,
    event_message,
    kwh_text,
    level,
    state_messages,
    topic_root,
)
from tests.support.core_bench import T0_NS, T0_S, Bench, settings

ROOT = "edgegw/ST"
NAMES = st.text("AZaz09*-_=:+|@.", min_size=1, max_size=4)


def states(bench: Bench) -> dict[str, Any]:
    """The payload of each EVSE's state, by topic."""
    messages = state_messages(bench.station, ROOT, bench.now_ns)
    assert all((message.retain, message.qos, message.expiry_s) == (True, 1, None) for message in messages)
    return {message.topic: json.loads(message.payload) for message in messages}


def told(bench: Bench) -> list[Message]:
    """Return the published messages of everything that the bench's station logged."""
    logged = [effect for effect in bench.effects if isinstance(effect, LogEvent)]
    messages = [event_message(ROOT, item.name, item.fields, now_ns=bench.now_ns) for item in logged]
    return [message for message in messages if message is not None]


def test_a_charging_evse_tells_two_counters_and_a_signed_power() -> None:
    """Import and export are separate, exact in Wh and kWh; power is positive while the car charges."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 120_000)
    bench.price(DISCHARGE, T0_S, 150_000, seen_s=5)  # too late to be used
    bench.active()
    bench.update(soc_bp=5_050)
    bench.go(80)
    bench.read("MA1", 1_036, 7)
    state = states(bench)["edgegw/ST/evse/A1/state"]
    assert state == {
        "state": "charging",
        "plugged": True,
        "session_id": "A1.t1",
        "power_w": state["power_w"],
        "import_wh": 1_036,
        "export_wh": 7,
        "energy_import_kwh": "1.036000",
        "energy_export_kwh": "0.007000",
        "soc_pct": 50.5,
        "charge_price_mtok_per_kwh": 120_000,
        "discharge_price_mtok_per_kwh": None,
        "measured_at": "2026-07-14T15:01Z",
    }
    assert state["power_w"] > 0
    bench.go(90)
    bench.read("MA1", 1_036, 17)
    state = states(bench)["edgegw/ST/evse/A1/state"]
    assert state["state"] == "discharging"
    assert state["power_w"] == -3_600


def test_a_state_says_in_a_word_how_the_evse_stands() -> None:
    """free, starting, waiting, satisfied, stopping, finishing, offline: each from what the core knows."""
    bench = Bench()

    def word(evse_id: str = "A1") -> tuple[str, bool]:
        state = states(bench)[f"edgegw/ST/evse/{evse_id}/state"]
        return state["state"], state["plugged"]

    assert word() == ("free", False)
    bench.start()
    assert word() == ("starting", True)
    bench.commit("Hold", reserved="40000000")
    bench.go(61)
    bench.read("MA1", 1_000)
    assert word() == ("waiting", True)

    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), satisfied=True))})
    assert word() == ("satisfied", True)
    bench.end()
    assert word() == ("finishing", False)
    bench.go(62)
    bench.read("MA1", 1_000)
    assert word() == ("free", False)
    bench.start("stranger", transaction_id="t2", business_key="start2")
    assert word() == ("stopping", True)
    bench.send(ChargerDisconnected(charger_id="B"))
    assert word("B1") == ("offline", False)


def test_what_was_never_measured_is_null() -> None:
    """A meter that has not answered yet has no register and no power: null, never zero."""
    meters = {
        f"M{name}": MeterAccount(meter_id=f"M{name}", meter_ref="R", power_w_max=1)
        for name in ("A1", "A2", "B1")
    }
    (first, *_) = state_messages(new_station(settings(), meters), ROOT, T0_NS)
    state = json.loads(first.payload)
    for key in (
        "power_w",
        "import_wh",
        "export_wh",
        "energy_import_kwh",
        "energy_export_kwh",
        "soc_pct",
        "measured_at",
    ):
        assert state[key] is None, key


def test_a_trade_is_told_with_its_price_and_amount() -> None:
    """A recorded and a refused trade are published with all fields of the core's event; sessions under their EVSE."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 120_000)
    bench.slice(CHARGE, T0_S, 50_000)
    bench.active()
    bench.go(300)
    bench.read("MA1", 1_500)
    bench.end()
    bench.go(301)
    bench.read("MA1", 1_500)
    bench.settle()
    messages = told(bench)
    by_event = {json.loads(message.payload)["event"]: message for message in messages}
    assert list(by_event) == ["session.started", "session.finished", "trade.recorded"]
    started = by_event["session.started"]
    assert (started.topic, started.retain) == ("edgegw/ST/evse/A1/event", False)
    assert by_event["session.finished"].topic == started.topic
    trade = by_event["trade.recorded"]
    assert (trade.topic, trade.qos, trade.retain) == ("edgegw/ST/trade", 1, False)
    body = json.loads(trade.payload)
    assert body == {
        "event": "trade.recorded",
        "at": "2026-07-14T15:05:01Z",
        "trade_id": "RA1:1:import:1000",
        "evse_id": "A1",
        "direction": "import",
        "kind": "MARKET",
        "interval": T0_S,
        "energy_wh": 500,
        "price_mtok_per_kwh": 120_000,
        "amount_mtok": 60_000,
    }


def test_a_refused_trade_is_told_with_its_code() -> None:
    """A refused line is published with its code and without a price."""
    bench = Bench()
    bench.active()
    bench.go(300)
    bench.read("MA1", 1_500)
    bench.end()
    bench.go(301)
    bench.read("MA1", 1_500)
    bench.settle("METER_OVERLAP")
    body = json.loads(told(bench)[-1].payload)
    assert (body["event"], body["code"], body["kind"]) == ("trade.refused", "METER_OVERLAP", "RETAIL")
    assert "price_mtok_per_kwh" not in body


def test_nothing_but_the_listed_fields_leaves() -> None:
    """Only listed events are published, and only their listed fields; texts are bounded."""
    secrets = {
        "id_token": "04A2",
        "member_id": "m",
        "password": "p",
        "id_token_hash": "h",
        "evidence_hash": "e",
    }
    for name in EVENTS:
        message = event_message(ROOT, name, {"evse_id": "A1", "trade_id": "x" * 999, **secrets}, now_ns=T0_NS)
        assert (message is not None) == (name in {*SESSION_EVENTS, *TRADE_EVENTS}), name
        if message is not None:
            assert not set(json.loads(message.payload)) & set(secrets)
            assert len(message.payload) < 500
    odd = event_message(ROOT, "trade.recorded", {"energy_wh": {"id_token": "04A2"}}, now_ns=T0_NS)
    assert odd is not None
    assert "04A2" not in odd.payload
    assert event_message(ROOT, "session.finished", {"session_id": "s"}, now_ns=T0_NS) is None


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_names_stay_different_and_harmless_in_topics_and_ids(names: list[str]) -> None:
    """Two names never share a topic or an object id, whatever characters of OCPP's alphabet they use."""
    one, two = names
    assert level(one) != level(two)
    assert not set(level(one)) & set("+#/")
    assert object_part(one) != object_part(two)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", object_part(one))
    assert "__" not in object_part(one)


def test_the_prefix_is_one_path() -> None:
    """Slashes around a prefix add no empty level."""
    assert topic_root("/site/edgegw/", "A+1") == "site/edgegw/A%2B1"
    assert availability("r", "online") == Message(topic="r/availability", payload="online", retain=True)
    assert birth_topic("homeassistant/") == "homeassistant/status"


@pytest.mark.parametrize(
    ("energy_mwh", "text"), [(0, "0.000000"), (999, "0.000999"), (12_345_678_901, "12345.678901")]
)
def test_kwh_are_exact(energy_mwh: int, text: str) -> None:
    """A value in kWh has every mWh of the register."""
    assert kwh_text(energy_mwh) == text


def test_home_assistant_finds_each_evse() -> None:
    """One retained message: a device, and for each EVSE two growing energy counters, power, battery, plug and state."""
    bench = Bench()
    message = discovery_message(bench.station, ROOT, "homeassistant")
    assert (message.topic, message.retain, message.qos) == ("homeassistant/device/edgegw_ST/config", True, 1)
    body = json.loads(message.payload)
    assert body["dev"]["ids"] == ["edgegw_ST"]
    assert {"name", "sw"} <= set(body["o"])
    assert body["availability_topic"] == "edgegw/ST/availability"
    assert len(body["cmps"]) == 3 * 6
    assert len({entity["unique_id"] for entity in body["cmps"].values()}) == 3 * 6
    state = states(bench)["edgegw/ST/evse/A1/state"]
    for what in ("import", "export"):
        entity = body["cmps"][f"ST__A1__{what}"]
        assert (
            entity["p"],
            entity["device_class"],
            entity["state_class"],
            entity["unit_of_measurement"],
        ) == (*("sensor", "energy", "total_increasing", "kWh"),)
    for entity in body["cmps"].values():
        assert entity["state_topic"] in {f"edgegw/ST/evse/{name}/state" for name in ("A1", "A2", "B1")}
        (key,) = re.findall(r"value_json\.(\w+)", entity["value_template"])
        assert key in state
    assert body["cmps"]["ST__A1__plug"]["p"] == "binary_sensor"
    assert body["cmps"]["ST__A1__soc"]["device_class"] == "battery"
    assert body["cmps"]["ST__A1__power"]["state_class"] == "measurement"


def test_the_document_says_what_is_told() -> None:
    """docs/mqtt.md names every key of a state, every event and every field of one."""
    text = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text()
    state = next(iter(states(Bench()).values()))
    fields = {
        field for listed in (SESSION_EVENTS, TRADE_EVENTS) for names in listed.values() for field in names
    }
    for word in {*state, *fields, *SESSION_EVENTS, *TRADE_EVENTS}:
        assert f"`{word}`" in text, word


def test_a_large_station_still_fits_into_a_message() -> None:
    """Discovery of 50 EVSEs stays far below what a broker takes (256 MiB), and has each of them."""
    evses = {
        f"E{n}": EvseSettings(evse_id=f"E{n}", charger_id="C", meter_id=f"M{n}", rated_w=1) for n in range(50)
    }
    meters = {f"M{n}": MeterAccount(meter_id=f"M{n}", meter_ref="R", power_w_max=1) for n in range(50)}
    made = new_station(settings(evses=evses, meter_evse={f"M{n}": f"E{n}" for n in range(50)}), meters)
    message = discovery_message(made, ROOT, "ha")
    assert len(json.loads(message.payload)["cmps"]) == 300
    assert len(message.payload) < 100_000
