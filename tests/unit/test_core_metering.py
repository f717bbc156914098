"""Readings become segments: the acceptance test, epochs, disputes and the quarter hour's cut, case by case."""

from dataclasses import replace

import pytest

from edgegw.common.units import INTERVAL_NS
from edgegw.core import meter_condition
from edgegw.core.events import RegisterRead
from edgegw.core.metering import (
    MeterAccount,
    Registers,
    cut_at_last,
    faults,
    interpolate,
    measure,
    running_wh,
)

S = 1_000_000_000
QUARTER_NS = 1_784_041_200 * S
FRESH = MeterAccount(meter_id="M", meter_ref="R", power_w_max=10_000)


def read(
    at_s: int, import_wh: int | None, export_wh: int | None = 0, *, serial: str | None = "7"
) -> RegisterRead:
    at_ns = QUARTER_NS + at_s * S
    return RegisterRead(
        meter_id="M",
        t0_ns=at_ns,
        t1_ns=at_ns,
        import_mwh=None if import_wh is None else import_wh * 1000,
        export_mwh=None if export_wh is None else export_wh * 1000,
        power_w=None,
        serial=serial,
    )


def after(*readings: RegisterRead) -> MeterAccount:
    account = FRESH
    for reading in readings:
        account = measure(account, reading).account
    return account


def test_the_first_reading_opens_an_epoch() -> None:
    """The first acceptable reading is where the epoch and its first segment start."""
    measured = measure(FRESH, read(0, 100))
    assert measured.epoch_opened
    assert measured.account.epoch == 1
    assert measured.account.first == measured.account.last
    assert measured.segments == ()


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (read(10, None), "not measured"),
        (read(10, 100, None), "not measured"),
        (read(0, 100), "older than the last reading"),
        (read(-5, 99), "older than the last reading"),
        (read(10, 99), "implausible"),
        (read(10, 100, 500), "implausible"),
        (read(36, 100 + 113), "implausible"),
    ],
)
def test_what_is_quarantined(reading: RegisterRead, reason: str) -> None:
    """Missing, older, falling or too fast: the account keeps its registers, and no segment comes of it."""
    before = after(read(0, 100))
    measured = measure(before, reading)
    assert measured.quarantined == reason
    assert measured.segments == ()
    assert measured.account.last == before.last


def test_the_plausible_most() -> None:
    """Up to Pmax * 1.1 over the time plus two steps is accepted: 10 kW over 36 s is 110 Wh and 2 Wh."""
    assert measure(after(read(0, 100)), read(36, 212)).quarantined is None


def test_a_quarter_hour_is_interpolated_once() -> None:
    """The register at the boundary is interpolated between the readings around it, and rounded down."""
    measured = measure(after(read(890, 100)), read(911, 121))
    (segment,) = measured.segments
    assert segment.end.at_ns == QUARTER_NS + INTERVAL_NS
    assert segment.end.import_mwh == 110_000
    assert segment.end.before.import_mwh == 100_000
    assert segment.end.after.import_mwh == 121_000
    assert (segment.import_wh, segment.export_wh) == (10, 0)
    assert measured.account.cut == segment.end


def test_a_long_gap_makes_one_segment_per_quarter_hour() -> None:
    """A reading after three quarter hours closes each of them."""
    measured = measure(after(read(0, 0)), read(2700, 3_000))
    assert [segment.interval for segment in measured.segments] == [1_784_041_200 + n * 900 for n in range(3)]
    assert [segment.import_wh for segment in measured.segments] == [1_000, 1_000, 1_000]


def test_a_cut_at_the_last_reading() -> None:
    """A session's cut ends the open segment where it was last read; a second one there makes nothing."""
    account, segment = cut_at_last(after(read(0, 0), read(10, 5)))
    assert segment is not None
    assert segment.import_wh == 5
    assert cut_at_last(account) == (account, None)
    assert cut_at_last(FRESH) == (FRESH, None)


def test_a_glitch_is_forgotten() -> None:
    """A plausible reading after an implausible one counts as if the implausible one had not come."""
    account = after(read(0, 100), read(10, 0), read(20, 110))
    assert account.epoch == 1
    assert account.suspects == ()
    assert account.quarantined == 1
    assert account.last == Registers(
        t0_ns=QUARTER_NS + 20 * S, t1_ns=QUARTER_NS + 20 * S, import_mwh=110_000, export_mwh=0
    )


def test_three_lower_readings_over_ten_seconds_are_a_reset() -> None:
    """The old epoch ends at its last registers, the new one begins at the first reading of its own."""
    before = after(read(0, 100), read(10, 105))
    account = measure(measure(before, read(20, 0)).account, read(25, 1)).account
    measured = measure(account, read(30, 2))
    assert measured.epoch_opened
    assert measured.account.epoch == 2
    assert measured.account.first is not None
    assert measured.account.first.import_mwh == 0
    assert measured.account.last is not None
    assert measured.account.last.import_mwh == 2_000
    assert [(item.epoch, item.import_wh) for item in measured.segments] == [(1, 5)]
    assert not measured.account.registered


def test_a_reset_across_a_boundary() -> None:
    """Readings of the new epoch on both sides of a quarter hour are cut there, too."""
    account = after(read(880, 100), read(889, 0), read(895, 1))
    measured = measure(account, read(905, 11))
    assert [(item.epoch, item.import_wh) for item in measured.segments] == [(2, 6)]


def test_three_readings_within_ten_seconds_decide_nothing() -> None:
    """A reset needs time as well as count; suspects stay three at most."""
    account = after(read(0, 100), *(read(10 + n, 0) for n in range(9)))
    assert account.epoch == 1
    assert len(account.suspects) == 3
    assert after(read(0, 100), *(read(10 + n, 0) for n in range(11))).epoch == 2


def test_suspects_that_contradict_each_other_start_over() -> None:
    """Noise is no reset: each implausible pair of suspects begins a new row."""
    account = after(read(0, 100_000), read(10, 0), read(20, 50_000), read(30, 0), read(40, 50_000))
    assert account.epoch == 1
    assert len(account.suspects) == 1


def test_a_jump_upwards_that_stays_is_disputed() -> None:
    """A lasting jump upwards is recorded to the Wh as disputed segments; what came before stays ordinary."""
    account = after(read(880, 100), read(885, 105), read(890, 9_000), read(895, 9_001))
    measured = measure(account, read(905, 9_002))
    assert not measured.epoch_opened
    assert [(item.disputed, item.import_wh) for item in measured.segments] == [
        (False, 5),
        (True, 6_672),
        (True, 2_225),
    ]
    assert sum(item.import_wh for item in measured.segments) == 9_002 - 100
    assert measure(measured.account, read(915, 9_003)).quarantined is None


def test_a_dispute_that_ends_on_the_boundary() -> None:
    """A jump settled exactly at a quarter hour leaves no empty segment behind."""
    account = after(read(880, 100), read(885, 9_000), read(890, 9_001))
    measured = measure(account, read(900, 9_002))
    assert [(item.disputed, item.import_wh) for item in measured.segments] == [(True, 8_902)]


def test_another_serial_counts_for_nothing() -> None:
    """A meter with another serial is quarantined until it is adopted, however plausible its registers are."""
    account = after(read(0, 100), read(10, 101))
    measured = measure(account, read(20, 102, serial="8"))
    assert (measured.quarantined, measured.code) == ("serial_changed", "EGW-2007")
    assert measured.detail == "meter replaced? was 7, is 8. Run: edgegw meter adopt M"
    strange = measured.account
    assert (strange.serial, strange.stranger, strange.last) == ("7", "8", account.last)
    silent = measure(strange, read(30, 103, serial=None))
    assert (silent.quarantined, silent.account.stranger) == ("serial_changed", "8")


def test_the_old_meter_may_come_back() -> None:
    """When the known serial answers plausibly again, all is as before, and an adoption that was waiting is void."""
    account = replace(after(read(0, 100), read(20, 7, serial="8")), adopted="8")
    back = measure(account, read(30, 101)).account
    assert (back.epoch, back.stranger, back.adopted) == (1, None, None)
    assert measure(back, read(40, 8, serial="8")).quarantined == "serial_changed"


def test_an_adopted_serial_opens_an_epoch() -> None:
    """The old epoch ends at its last registers, the new one begins at the new meter's own; it is bound to its serial."""
    account = replace(after(read(0, 100), read(10, 101), read(20, 7, serial="8")), adopted="8")
    measured = measure(account, read(30, 8, serial="8"))
    assert (measured.epoch_opened, measured.account.serial, measured.account.epoch) == (True, "8", 2)
    assert [(item.epoch, item.import_wh) for item in measured.segments] == [(1, 1)]
    assert measured.account.first is not None
    assert measured.account.first.import_mwh == 8_000
    assert (measured.account.stranger, measured.account.adopted) == (None, None)
    assert measure(measured.account, read(40, 9, serial="9")).quarantined == "serial_changed"


def test_a_serial_binds_from_its_first_reading_on() -> None:
    """A reading without a serial changes nothing, the first serial binds the account, and neither begins an epoch."""
    assert after(read(0, 100), read(20, 102, serial=None)).serial == "7"
    late = after(read(0, 100, serial=None), read(10, 101))
    assert (late.epoch, late.serial) == (1, "7")


@pytest.mark.parametrize(
    ("reading", "code", "detail"),
    [
        (read(10, None), "EGW-2003", "no number in import"),
        (read(10, 100, None), "EGW-2003", "no number in export"),
        (read(10, None, None), "EGW-2003", "no number in import and export"),
        (read(36, 213), "EGW-2004", "jump of 113 Wh in 36.000 s exceeds 10.000 kW x 36.000 s"),
        (read(10, 100, 500), "EGW-2004", "jump of 500 Wh in 10.000 s exceeds 10.000 kW x 10.000 s"),
        (
            read(1, 34 * 10**37),
            "EGW-2004",
            f"jump of {34 * 10**37 - 100} Wh in 1.000 s exceeds 10.000 kW x 1.000 s",
        ),
        (read(10, 99), "EGW-2006", "import went back from 100 Wh to 99 Wh"),
        (read(10, 101, -1), "EGW-2006", "export went back from 0 Wh to -1 Wh"),
        (read(0, 100), None, ""),
    ],
)
def test_what_is_said_of_a_discarded_reading(reading: RegisterRead, code: str | None, detail: str) -> None:
    """Each has the code of its refusal, with the values that led to it."""
    measured = measure(after(read(0, 100)), reading)
    assert measured.quarantined is not None
    assert (measured.code, measured.detail) == (code, detail)


def test_what_no_meter_counts_is_never_settled() -> None:
    """A register beyond the ledger's bound is never a first reading, a suspect or a dispute, however often it comes."""
    absurd = 10**16
    first = measure(FRESH, read(0, absurd))
    assert (first.account.epoch, first.code) == (0, "EGW-2004")
    assert first.detail == f"a register holds {absurd} Wh, more than any meter counts"
    account = after(read(0, 100), *(read(10 + 10 * n, absurd) for n in range(5)))
    assert (account.suspects, account.epoch, account.last) == ((), 1, after(read(0, 100)).last)


def test_a_quick_meter_is_not_asked_as_quickly_as_it_answers() -> None:
    """A meter is read again twice at once, then only when a second has passed since the last suspect."""
    account = after(read(0, 100))
    asked = []
    for at_s in (10, 10.1, 10.2, 10.3, 12, 13):
        measured = measure(
            account, replace(read(0, 0), t0_ns=QUARTER_NS + int(at_s * S), t1_ns=QUARTER_NS + int(at_s * S))
        )
        account = measured.account
        asked.append(measured.ask_again)
    assert asked == [True, True, False, False, True, True]


def test_which_troubles_are_faults() -> None:
    """Implausible readings are a fault from the third in a row, silence and a foreign serial at once; a new code counts again."""
    noise = meter_condition.after(None, code="EGW-2003", detail="a", now_ns=1)
    row = [noise]
    for now_ns in range(2, 6):
        row.append(meter_condition.after(row[-1], code="EGW-2003", detail="b", now_ns=now_ns))
    assert [one.is_fault for one in row] == [False, False, True, True, True]
    assert (
        row[-1]
        == row[-2]
        == meter_condition.MeterCondition(code="EGW-2003", detail="b", since_ns=1, in_a_row=3)
    )
    silent = meter_condition.after(noise, code="EGW-2005", detail="", now_ns=9)
    assert (silent.is_fault, silent.since_ns, silent.in_a_row) == (True, 9, 1)
    accounts = {"A": replace(FRESH, trouble=noise), "B": replace(FRESH, trouble=silent), "C": FRESH}
    assert faults(accounts) == {"B": silent}


def test_what_runs_since_the_last_cut() -> None:
    """The open energy is the whole Wh in both directions that are on no line yet; a meter without readings has none."""
    assert running_wh(FRESH) == (0, 0)
    assert running_wh(after(read(0, 10, 5), read(100, 30, 12))) == (20, 7)


def test_power_is_the_net_mean_between_readings() -> None:
    """36 s with 20 Wh in and 5 Wh out are 1500 W; for control only."""
    assert after(read(0, 0), read(36, 20, 5)).power_w == 1_500


def test_interpolation_of_a_single_instant() -> None:
    """Two readings of one instant do not divide by zero."""
    one = Registers(t0_ns=5, t1_ns=5, import_mwh=3, export_mwh=4)
    cut = interpolate(one, replace(one), 5)
    assert (cut.import_mwh, cut.export_mwh) == (3, 4)
