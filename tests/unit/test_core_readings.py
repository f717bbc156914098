"""A meter that cannot be used stops its EVSE, and is reported once, with code and remedy."""

import json
from dataclasses import replace

import pytest

from edgegw.common.error_codes import REMEDIES
from edgegw.core import station
from edgegw.core.effects import ApplySetpoint, LogEvent, ReadMeter
from edgegw.core.events import Event, MeterAdopted, MeterReadFailed, MeterRerated, RegisterRead
from tests.support.core_bench import T0_NS, Bench, S


def said(bench: Bench) -> list[tuple[str, str]]:
    """Name and code of what the last step logged."""
    return [(effect.name, str(effect.fields.get("code", ""))) for effect in bench.of(LogEvent)]


def reading(
    bench: Bench, import_wh: int | None, *, serial: str | None = "7", meter_id: str = "MA1"
) -> RegisterRead:
    return RegisterRead(
        meter_id=meter_id,
        t0_ns=bench.now_ns,
        t1_ns=bench.now_ns,
        import_mwh=None if import_wh is None else import_wh * 1000,
        export_mwh=0,
        power_w=None,
        serial=serial,
    )


def failed(bench: Bench, code: str = "EGW-2005", meter_id: str = "MA1") -> MeterReadFailed:
    return MeterReadFailed(meter_id=meter_id, at_ns=bench.now_ns, reason="no_answer", code=code)


def play(bench: Bench, *events: Event) -> list[list[tuple[str, str]]]:
    """One event every ten seconds; what each of them made the station say."""
    story = []
    for event in events:
        bench.go((bench.now_ns - T0_NS) // S + 10)
        if isinstance(event, RegisterRead):
            bench.send(replace(event, t0_ns=bench.now_ns, t1_ns=bench.now_ns))
        else:
            bench.send(event)
        story.append(said(bench))
    return story


def test_a_silent_meter_is_told_once() -> None:
    """The first failure is a fault and is said; the same again is not; another code is; recovery is said with its time."""
    bench = Bench()
    silent, refused = failed(bench), failed(bench, "EGW-2001")
    story = play(bench, silent, silent, refused, silent, reading(bench, 1_000), reading(bench, 1_000))
    assert story == [
        [("meter.read_failed", "EGW-2005")],
        [],
        [("meter.read_failed", "EGW-2001")],
        [("meter.read_failed", "EGW-2005")],
        [("meter.recovered", "EGW-2005")],
        [],
    ]
    assert bench.station.meters["MA1"].trouble is None


def test_a_line_says_what_to_do() -> None:
    """The log line has meter, code, detail and remedy; the reason is used if there is no detail."""
    bench = Bench()
    bench.send(failed(bench))
    (line,) = bench.of(LogEvent)
    assert line.fields == {
        "meter_id": "MA1",
        "code": "EGW-2005",
        "detail": "no_answer",
        "remedy": REMEDIES["EGW-2005"].remedy,
    }


def test_a_discarded_reading_is_a_fault_only_when_it_stays() -> None:
    """The first is said, the third in a row is the meter's fault; a good one in between forgets, without a word."""
    bench = Bench()
    nan, good = reading(bench, None), reading(bench, 1_000)
    first = [("reading.quarantined", "EGW-2003")]
    assert play(bench, nan, good, nan, nan, nan, nan, good) == [
        first,
        [],
        first,
        [],
        [("meter.read_failed", "EGW-2003")],
        [],
        [("meter.recovered", "EGW-2003")],
    ]
    assert bench.station.meters["MA1"].quarantined == 5


def test_a_reading_that_comes_too_late_is_no_trouble() -> None:
    """A reading that is older than the last is discarded and is no fault."""
    bench = Bench()
    bench.read("MA1", 1_000)
    assert said(bench) == [("reading.quarantined", "")]
    assert bench.station.meters["MA1"].trouble is None


def test_a_suspect_is_asked_again() -> None:
    """After an implausible reading the meter is read again at once."""
    bench = Bench()
    play(bench, reading(bench, 9))
    assert bench.of(ReadMeter) == [ReadMeter(meter_id="MA1")]


def test_a_replaced_meter_stops_its_evse_until_it_is_adopted() -> None:
    """Another serial sets 0 W at once and is logged once; after the adoption a new epoch begins and energy flows."""
    bench = Bench()
    bench.active()
    bench.go(100)
    bench.send(reading(bench, 50_000, serial="8"))
    assert said(bench) == [("meter.read_failed", "EGW-2007")]
    assert [effect.power_w for effect in bench.of(ApplySetpoint)] == [0]
    bench.go(105)
    bench.send(reading(bench, 50_001, serial="8"))
    assert (said(bench), bench.of(ApplySetpoint)) == ([], [])

    bench.send(MeterAdopted(meter_id="MA1", serial="8"))
    assert bench.of(ReadMeter) == [ReadMeter(meter_id="MA1")]
    assert [(fact.kind, fact.body["was"], fact.body["serial"]) for fact in bench.last.facts] == [
        ("meter_adopted", "7", "8")
    ]
    bench.go(110)
    bench.send(reading(bench, 50_002, serial="8"))
    assert said(bench)[0] == ("meter.recovered", "EGW-2007")
    assert [fact.body["import_mwh"] for fact in bench.last.facts if fact.kind == "epoch"] == [50_002_000]
    assert [effect.power_w for effect in bench.of(ApplySetpoint)] == [22_000]


@pytest.mark.parametrize(
    ("meter_id", "serial"), [("M9", "8"), ("MA1", "7")], ids=["no such meter", "the same"]
)
def test_nothing_to_adopt(meter_id: str, serial: str) -> None:
    """Adopting an unknown meter, or one that was not replaced, changes nothing."""
    bench = Bench()
    before = bench.station
    bench.send(MeterAdopted(meter_id=meter_id, serial=serial))
    assert bench.station.meters == before.meters
    assert bench.last.effects == ()


def test_a_meter_without_an_evse_has_its_faults_too() -> None:
    """A meter that bills no EVSE is read, discarded and reported like any other."""
    bench = Bench()
    settings = replace(bench.station.settings, meter_evse={})
    bench.station = replace(bench.station, settings=settings)
    assert play(bench, reading(bench, None), failed(bench), reading(bench, 1_000)) == [
        [("reading.quarantined", "EGW-2003")],
        [("meter.read_failed", "EGW-2005")],
        [("meter.recovered", "EGW-2005")],
    ]


def rerating(power_w_max: int = 44_000, *, meter_id: str = "MA1", step_mwh: int = 1000) -> MeterRerated:
    return MeterRerated(meter_id=meter_id, power_w_max=power_w_max, step_mwh=step_mwh)


def test_another_limit_begins_an_epoch_where_the_last_reading_stands() -> None:
    """With another limit an epoch begins at the last reading: earlier energy is settled, and the ledger gets the new limit."""
    bench = Bench()
    bench.active()
    bench.go(120)
    bench.send(reading(bench, 1_200))
    before = bench.station.meters["MA1"]
    bench.send(rerating())
    account = bench.station.meters["MA1"]
    assert (account.epoch, account.first, account.last) == (before.epoch + 1, before.last, before.last)
    assert not account.registered
    assert [fact.body["import_mwh"] for fact in bench.last.facts if fact.kind == "segment"] == [
        [1_000_000, 1_200_000]
    ]
    (registration,) = bench.waiting("RegisterMeter")
    told = json.loads(registration.arguments_json)
    assert (told["ratedW"], told["importWh"], told["epoch"]) == ("44000", "1200", account.epoch)
    bench.go(180)
    bench.send(reading(bench, 1_900))  # 42 kW
    assert bench.station.meters["MA1"].quarantined == before.quarantined
    assert bench.station.meters["MA1"].last != before.last


@pytest.mark.parametrize(
    "event", [rerating(22_000), rerating(meter_id="M9")], ids=["the same limit", "no such meter"]
)
def test_a_limit_that_is_not_new_changes_nothing(event: MeterRerated) -> None:
    """Limits are reported at each start and reload; only a different one counts."""
    bench = Bench()
    before = bench.station
    bench.send(event)
    assert (bench.station.meters, bench.last.effects, bench.last.facts) == (before.meters, (), ())


def test_a_limit_or_step_without_consequence_on_the_ledger_opens_no_epoch() -> None:
    """A finer register map, or a meter that was never read: the account simply has it from now on."""
    bench = Bench()
    bench.send(rerating(22_000, step_mwh=10))
    assert bench.station.meters["MA1"].step_mwh == 10
    unread = replace(bench.station.meters["MA1"], last=None, cut=None, first=None)
    bench.put(meters={"MA1": unread})
    bench.send(rerating())
    account = bench.station.meters["MA1"]
    assert (account.power_w_max, account.epoch) == (44_000, unread.epoch)
    assert not [fact for fact in bench.last.facts if fact.kind == "epoch"]


def test_a_limit_may_change_right_after_a_cut() -> None:
    """If nothing was read since the last cut, a new limit settles no segment."""
    bench = Bench()
    bench.send(rerating())
    bench.send(rerating(33_000))
    assert [fact.kind for fact in bench.last.facts if fact.kind in {"segment", "epoch"}] == ["epoch"]


def test_every_meter_of_a_configuration_is_told() -> None:
    """All meters of a configuration are reported; the core decides which limits are new."""
    told = station.rerated(Bench().station)
    assert told[0] == rerating(22_000)
    assert [event.meter_id for event in told] == ["MA1", "MA2", "MB1"]
