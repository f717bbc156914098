"""What a diagnosis says: each check with a meter in order, and with the fault that it is there to find."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgegw.meters.decode import decode_energy, decode_power
from edgegw.meters.diagnose import FAILED, OK, UNKNOWN, Finding, as_rows, diagnose, makes_energies
from edgegw.meters.profile import Profile, named_profile
from edgegw.meters.register_dump import MODEL, Look, Observed, Sample, Shown
from firmware_sim.meter import MeterModel, Physics

METERS = Path(__file__).parents[2] / "configs" / "meters"
S = 1_000_000_000
SDM = named_profile("eastron-sdm630")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a meter shows at one instant; `words` replace those of the energy block."""

    import_mwh: int
    power_w: int | None = 7_200
    export_mwh: int = 2_000_000
    serial: str | None = "1001"
    words: tuple[int, ...] | None = None
    rtt_ms: int = 5
    utc_ahead_ms: int = 0


def look_at(profile: Profile, told: Told, at_s: float) -> Look:
    t0_ns = int(at_s * S)
    t1_ns = t0_ns + told.rtt_ms * 1_000_000
    ahead_ns = told.utc_ahead_ms * 1_000_000
    model = MeterModel(METERS / f"{profile.profile_id}.json")
    physics = Physics(told.import_mwh, told.export_mwh, told.power_w or 0)
    block = profile.energy_block
    words = told.words or tuple(model.words(block.fc, block.start, block.count, now=physics))
    sample = Sample(
        t0_ns=t0_ns, t1_ns=t1_ns, utc0_ns=t0_ns + ahead_ns, utc1_ns=t1_ns + ahead_ns, registers=words,
        energy=decode_energy(profile, words),
    )  # fmt: skip
    return Look(sample=sample, power_w=told.power_w, serial=told.serial, shown=())


def seen(*told: Told, profile: Profile = SDM, seconds: float = 5.0) -> Observed:
    """Looks spread evenly over some seconds."""
    looks = [look_at(profile, one, seconds * at / max(1, len(told) - 1)) for at, one in enumerate(told)]
    return Observed(first=looks[0], between=tuple(one.sample for one in looks[1:-1]), last=looks[-1])


def finding(what: str, observed: Observed, *, profile: Profile = SDM, **known: object) -> Finding:
    findings = {one.what: one for one in diagnose(profile, observed, **known)}  # type: ignore[arg-type]  # by name
    return findings[what]


START = Told(import_mwh=1_000_000_000)
AFTER = Told(import_mwh=1_000_010_000)  # 7.2 kW for 5 s
GOOD = seen(START, Told(import_mwh=1_000_005_000), AFTER)


def test_a_meter_in_order() -> None:
    """Every check passes, and only the direction has an advice, for an installer who knows what the car does."""
    findings = diagnose(SDM, GOOD, known_serial="1001", rated_w=11_000)
    assert {one.verdict for one in findings} == {OK}
    assert [one.what for one in findings if one.remedy] == ["direction"]
    assert as_rows(findings)[0] == {
        "what": "round trip",
        "measured": "3 answers, the slowest after 5 ms (timeout 500 ms)",
        "verdict": OK,
        "remedy": "",
    }


NAN = tuple(0x7FC0 if at == 20 else 0 for at in range(24))
SWAPPED_WORDS = tuple(
    {20: 0x2400, 21: 0x4974, 22: 0x0100, 23: 0x44FA}.get(at, 0) for at in range(24)
)  # 1000 kWh and 2000.03 kWh, low word first
NONSENSE = tuple(0x7F80 if at in {20, 22} else 0xFFFF for at in range(24))


@pytest.mark.parametrize(
    ("what", "observed", "verdict", "says"),
    [
        ("round trip", seen(START, replace(AFTER, rtt_ms=260)), FAILED, "after 260 ms (timeout 500 ms)"),
        ("serial", seen(START, replace(AFTER, serial="1002")), FAILED, "1001 then 1002"),
        ("serial", seen(replace(START, serial=None), replace(AFTER, serial=None)), UNKNOWN, "not available"),
        ("both energy registers", seen(replace(START, words=NAN), AFTER), FAILED, "no number in import"),
        ("word order", seen(replace(START, words=SWAPPED_WORDS), AFTER), FAILED, "only words swapped"),
        ("word order", seen(replace(START, words=NONSENSE), AFTER), FAILED, "no order of these words"),
        ("steady registers", seen(START, Told(import_mwh=999_000_000), AFTER), FAILED, "999000.000 Wh"),
        ("steady registers", seen(START, Told(import_mwh=2 * 10**9), AFTER), FAILED, "2000000.000 Wh"),
        ("clock of the answers", seen(START, replace(AFTER, utc_ahead_ms=-3000)), FAILED, "differs by 3000 ms"),
        ("energy against power", seen(START, replace(AFTER, power_w=None)), UNKNOWN, "no power register"),
        ("energy against power", seen(START, Told(import_mwh=1_010_000_000)), FAILED, "10000.000 Wh counted"),
        ("energy against power", seen(START, Told(import_mwh=1_000_030_000)), FAILED, "30.000 Wh counted"),
        ("energy against power", seen(START, START, seconds=0.5), UNKNOWN, "0.000 Wh counted"),
        ("direction", seen(START, replace(AFTER, power_w=-7_200)), FAILED, "import counts while power is -7200 W"),
        ("direction", seen(START, START), UNKNOWN, "no energy flows"),
        ("direction", seen(START, replace(AFTER, power_w=None)), UNKNOWN, "no power register"),
    ],
)  # fmt: skip
def test_what_is_found(what: str, observed: Observed, verdict: str, says: str) -> None:
    """Each fault has its own line, with what was measured and what to do."""
    found = finding(what, observed)
    assert (found.verdict, bool(found.remedy) or verdict == UNKNOWN) == (verdict, True)
    assert says in found.measured


@pytest.mark.parametrize(
    ("end_mwh", "seconds", "factor"), [(1_010_000_000, 5.0, "x1000"), (1_000_010_000, 5_000.0, "x0.001")]
)
def test_a_scale_that_is_off_by_a_thousand(end_mwh: int, seconds: float, factor: str) -> None:
    """Energy a thousand times too large or too small against power: the scale is named."""
    found = finding("energy against power", seen(START, Told(import_mwh=end_mwh), seconds=seconds))
    assert (found.verdict, factor in found.remedy) == (FAILED, True)


def test_the_serial_that_the_station_knows() -> None:
    """A serial that differs from the station's is reported as a replaced meter."""
    found = finding("serial", GOOD, known_serial="77")
    assert (found.verdict, found.measured) == (FAILED, "1001; the station expects 77")
    assert "edgegw meter adopt" in found.remedy


@pytest.mark.parametrize(("swapped", "advice"), [(False, "swapped = true"), (True, "swapped = false")])
def test_the_advice_for_a_meter_wired_the_other_way(swapped: bool, advice: str) -> None:
    """The advice names the setting for a meter that counts in the opposite direction."""
    found = finding("direction", GOOD, swapped=swapped)
    assert found.verdict == OK
    assert found.remedy.endswith(advice)


@pytest.mark.parametrize(("unit", "verdict"), [("", OK), ("expected 203", FAILED)])
def test_the_model_register(unit: str, verdict: str) -> None:
    """A profile that knows the model's register says whether it is that model."""
    shown = Shown(name=MODEL, fc=3, address=40_070, words=(7,), raw="u16", value="7", unit=unit)
    observed = replace(GOOD, first=replace(GOOD.first, shown=(shown,)))
    found = finding(MODEL, observed)
    assert (found.verdict, found.measured.startswith("0x9c86 holds 7")) == (verdict, True)


def test_a_number_too_small_for_a_register_is_no_energy() -> None:
    """A float whose words are in the wrong order is often nearly nothing: that is no empty register."""
    empty = tuple(0 for _ in range(24))
    assert makes_energies(SDM, empty)
    assert not makes_energies(SDM, tuple(1 if at == 21 else 0 for at in range(24)))
    assert decode_power(SDM, empty) == 0
