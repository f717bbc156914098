"""Starting from afar: who is let through to the charger, and what the journal keeps of it."""

from dataclasses import replace

import pytest

from edgegw.core.effects import LogEvent, StartRemotely
from edgegw.core.events import (
    CallRef,
    ChargerConnected,
    Event,
    MembersChanged,
    MemberTerms,
    RemoteStartAnswered,
    RemoteStartRequested,
    TransactionStarted,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings
from edgegw.core.station import new_station, step
from edgegw.core.turn import Outcome
from edgegw.ops.logs import EVENTS

NOW_NS = 1_800_000_000_000_000_000
TOKEN = "clear-token-04A1"
REQUEST = RemoteStartRequested(evse_id="E1", id_token=TOKEN, id_token_hash="hash")
CONNECTED = ChargerConnected(charger_id="C1", version="2.1")
MEMBERS = MembersChanged(links={"hash": MemberTerms(member_id="m")})
STARTED = TransactionStarted(
    call=CallRef(charger_id="C1", connection=1, message_id="a"),
    business_key="start",
    frame="[2]",
    evse_id="E1",
    transaction_id="T",
    id_token_hash="hash",
    at_ns=NOW_NS,
)


def after(*events: Event) -> Outcome:
    """The outcome of the last of these events, for a station with two EVSEs on two chargers."""
    evses = {
        f"E{n}": EvseSettings(evse_id=f"E{n}", charger_id=f"C{n}", meter_id=f"M{n}", rated_w=22_000)
        for n in (1, 2)
    }
    settings = Settings(
        station_id="S",
        zone="Z",
        gateway_id="G",
        evses=evses,
        meter_evse={"M1": "E1", "M2": "E2"},
        nonce_key=b"nonce",
    )
    accounts = {
        name: MeterAccount(meter_id=name, meter_ref=name, power_w_max=22_000) for name in ("M1", "M2")
    }
    *before, last = events
    station = new_station(settings, accounts)
    for event in before:
        station = step(station, event, NOW_NS).station
    return step(station, last, NOW_NS)


def requests(outcome: Outcome) -> list[StartRemotely]:
    """What a charger is asked."""
    return [effect for effect in outcome.effects if isinstance(effect, StartRemotely)]


def logged(outcome: Outcome) -> list[LogEvent]:
    """What is logged, all of it under names on the list."""
    lines = [effect for effect in outcome.effects if isinstance(effect, LogEvent)]
    assert {line.name for line in lines} <= EVENTS
    return lines


def test_a_known_member_at_a_free_evse_is_let_through() -> None:
    """The charger is asked once, with the token and a number; nothing of a session exists yet."""
    outcome = after(MEMBERS, CONNECTED, REQUEST)
    (request,) = requests(outcome)
    assert (request.evse_id, request.id_token) == ("E1", TOKEN)
    assert request.remote_start_id == outcome.station.tally["all"].number > 0
    assert outcome.station.evses["E1"].session is None
    assert outcome.station.tally["all"].refused == {}
    (line,) = logged(outcome)
    assert line.fields == {"evse_id": "E1", "remote_start_id": request.remote_start_id}


def test_each_askedhas_its_own_number() -> None:
    """Two requests never share a remoteStartId, and the number is a row, so that a restart goes on from it."""
    first = after(MEMBERS, CONNECTED, REQUEST)
    second = step(first.station, REQUEST, NOW_NS)
    assert requests(first)[0].remote_start_id < requests(second)[0].remote_start_id
    assert second.changes["tally/all"] == second.station.tally["all"]


@pytest.mark.parametrize(
    ("before", "asked", "code"),
    [
        ((MEMBERS, CONNECTED), replace(REQUEST, evse_id="E9"), "UNKNOWN_EVSE"),
        ((MEMBERS,), REQUEST, "CHARGER_OFFLINE"),
        ((MEMBERS, CONNECTED), replace(REQUEST, evse_id="E2"), "CHARGER_OFFLINE"),
        ((MEMBERS, CONNECTED, STARTED), REQUEST, "EVSE_BUSY"),
        ((CONNECTED,), REQUEST, "UNKNOWN_TOKEN"),
        ((MEMBERS, CONNECTED), replace(REQUEST, id_token_hash="other"), "UNKNOWN_TOKEN"),
    ],
)
def test_a_refused_askedreaches_no_charger(
    before: tuple[Event, ...], asked: RemoteStartRequested, code: str
) -> None:
    """A request that cannot be is counted with its code, logged, and asks nothing of anybody."""
    outcome = after(*before, asked)
    assert requests(outcome) == []
    assert outcome.station.tally["all"].refused == {code: 1}
    (fact,) = outcome.facts
    assert (fact.kind, fact.body["code"], fact.body["evse_id"]) == ("refused", code, asked.evse_id)
    (line,) = logged(outcome)
    assert line.fields == {"evse_id": asked.evse_id, "code": code}


@pytest.mark.parametrize(("accepted", "reason"), [(True, ""), (False, "Rejected"), (False, "lost")])
def test_the_answer_is_a_fact_and_nothing_more(*, accepted: bool, reason: str) -> None:
    """The charger's answer is kept and logged; only its own start opens a session."""
    answer = RemoteStartAnswered(evse_id="E1", remote_start_id=4, accepted=accepted, reason=reason)
    outcome = after(MEMBERS, CONNECTED, answer)
    (fact,) = outcome.facts
    expected = {"evse_id": "E1", "remote_start_id": 4, "accepted": accepted, "reason": reason}
    assert (fact.kind, fact.body) == ("remote_start", {"at_ns": NOW_NS, **expected})
    (line,) = logged(outcome)
    assert line.fields == expected
    assert outcome.changes == {}


def test_the_token_in_clear_is_told_to_the_charger_only() -> None:
    """No fact, row, log line or printed form holds the token; the command alone carries it."""
    outcome = after(MEMBERS, CONNECTED, REQUEST)
    assert requests(outcome)[0].id_token == TOKEN
    assert TOKEN not in repr((outcome, REQUEST))
