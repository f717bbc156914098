"""Conditions: the worst first, each with its reason and what to do."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from edgegw.core.meter_condition import MeterCondition
from edgegw.core.state import Station
from edgegw.core.submission import Envelope, InDoubt, Purpose
from edgegw.ports.station_health import (
    CertificateLife,
    Level,
    Part,
    Signs,
    assess,
    refused_lately,
    with_since,
    worst,
)
from tests.support.core_bench import Bench


def station() -> Station:
    return Bench().station


def told(signs: Signs) -> Mapping[str, Part]:
    return {part.part: part for part in assess(signs)}


def test_a_station_in_order_has_nothing_to_look_at() -> None:
    """Every part is ok, and so is the whole."""
    parts = assess(Signs(now_ns=0, station=station()))
    assert worst(parts) is Level.OK
    assert {part.part for part in parts} == {"daemon", "disk", "chargers", "meters", "ledger"}


def offline(*evse_ids: str) -> Station:
    found = station()
    evses = {
        name: replace(evse, online=evse.online and name not in evse_ids) for name, evse in found.evses.items()
    }
    return replace(found, evses=evses)


def stuck() -> Station:
    waiting = InDoubt(
        submission_id="s", number=1, lane="l", purpose=Purpose.TRADES, subject="", function="RecordTrades",
        arguments_json="{}", attempt=3, envelope=Envelope(tx_id="t", envelope_hex="00", result={}),
    )  # fmt: skip
    return replace(station(), submissions={"s": waiting})


def unread() -> Station:
    found = station()
    return replace(found, meters={**found.meters, "MA1": replace(found.meters["MA1"], last=None)})


@pytest.mark.parametrize(
    ("signs", "part", "level", "words"),
    [
        (Signs(now_ns=0, station=station(), starved_by="journal"), "daemon", Level.DOWN, "journal"),
        (Signs(now_ns=0, station=station(), lag_ns=2 * 10**9), "daemon", Level.DEGRADED, "2000 ms"),
        (Signs(now_ns=0, station=replace(station(), draining=True)), "daemon", Level.DEGRADED, "drains"),
        (
            Signs(now_ns=0, station=station(), storage_level="WARN", storage_free_bp=1_900),
            "disk",
            Level.DEGRADED,
            "19 % free",
        ),
        (
            Signs(now_ns=0, station=station(), storage_level="NO_SESSIONS", storage_free_bp=400),
            "disk",
            Level.DOWN,
            "the station refuses new sessions",
        ),
        (Signs(now_ns=0, station=offline("B1")), "chargers", Level.DEGRADED, "1 of 2 not connected: B"),
        (Signs(now_ns=0, station=offline("A1", "A2", "B1")), "chargers", Level.DOWN, "2 of 2"),
        (
            Signs(now_ns=0, station=offline("B1"), refused={"EGW-1103": 4, "EGW-1101": 1}),
            "chargers",
            Level.DEGRADED,
            "EGW-1103 the password is wrong",
        ),
        (
            Signs(now_ns=0, station=station(), waiting=("a", "b", "c", "d")),
            "unknown chargers",
            Level.DEGRADED,
            "4 wait for approval: a, b, c and 1 more",
        ),
        (
            Signs(
                now_ns=0,
                station=station(),
                meter_faults={"MA1": MeterCondition(code="EGW-2005", detail="", since_ns=0)},
            ),
            "meter MA1",
            Level.DOWN,
            "EGW-2005 the meter does not answer check cable, address and port: edgegw meter read MA1",
        ),
        (Signs(now_ns=0, station=unread()), "meters", Level.DEGRADED, "not read yet: MA1"),
        (Signs(now_ns=0, station=stuck()), "ledger", Level.DEGRADED, "no commit status"),
        (
            Signs(now_ns=0, station=station(), mqtt_connected=False),
            "mqtt",
            Level.DEGRADED,
            "edgegw mqtt test",
        ),
        (Signs(now_ns=0, station=station(), mqtt_connected=True), "mqtt", Level.OK, "connected"),
        (Signs(now_ns=0, station=station(), clock_synchronized=False), "clock", Level.DEGRADED, "NTP"),
        (
            Signs(
                now_ns=0,
                station=station(),
                certificates={"OCPP": CertificateLife(end_ns=86_400 * 10**9, warn_ns=0)},
            ),
            "certificate of OCPP",
            Level.DEGRADED,
            "expires in 1 days",
        ),
        (
            Signs(now_ns=5, station=station(), certificates={"OCPP": CertificateLife(end_ns=5, warn_ns=5)}),
            "certificate of OCPP",
            Level.DOWN,
            "has expired",
        ),
    ],
)
def test_each_trouble_is_a_part_with_its_level_and_words(
    signs: Signs, part: str, level: Level, words: str
) -> None:
    """Each trouble is a part with its level, reason and remedy; the worst comes first."""
    found = told(signs)[part]
    assert found.level is level
    assert words in f"{found.reason} {found.hint}"
    assert assess(signs)[0].level is level or level is Level.OK


def test_a_station_without_chargers_says_how_to_get_one() -> None:
    """The first thing an installer sees is what to do next."""
    bare = station()
    bare = replace(bare, evses={}, settings=replace(bare.settings, evses={}))
    assert told(Signs(now_ns=0, station=bare))["chargers"].hint.startswith("run edgegw charger url")


def test_since_is_when_the_level_changed() -> None:
    """A new reason at the same level keeps the time since when; another level restarts it."""
    first = with_since((Part(part="x", level=Level.OK, reason="a"),), {}, 5)
    assert first[0].since_ns == 5
    known = {"x": first[0]}
    assert with_since((Part(part="x", level=Level.OK, reason="b"),), known, 9)[0].since_ns == 5
    assert with_since((Part(part="x", level=Level.DOWN, reason="b"),), known, 9)[0].since_ns == 9


def test_only_what_concerns_them_explains_why_chargers_are_away() -> None:
    """A charger's own refusals come first; what had no name may be its; another's, or a stranger's, never is."""
    strange, nameless, own = ("EGW-1102", "CP-9", 50), ("EGW-1107", "", 2), ("EGW-1103", "CP-1", 1)
    assert refused_lately([strange, nameless, own, own], {"CP-1"}) == {"EGW-1103": 2}
    assert refused_lately([strange, nameless], {"CP-1"}) == {"EGW-1107": 2}
    assert refused_lately([strange], {"CP-1"}) == {}
