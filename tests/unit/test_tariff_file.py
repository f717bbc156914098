"""The tariff file: what the contract takes of it, on any date, and which floor belongs to which hour."""

import hashlib
from datetime import date
from pathlib import Path

import pytest

from edgegw.common.errors import ConfigError
from edgegw.participants.tariff_file import read_tariff
from tests.support.participants_host import MONDAY_S, OFFSET_S, ZONE, MemoryPeer, StepClock

FILE = Path("configs/tariffs/kr-2026-06-summer.toml")
DAY_S = 86_400


def at(day: date, hour: int) -> int:
    """UTC epoch second of a local hour of a day at the file's offset."""
    return (day - date(1970, 1, 1)).days * DAY_S + hour * 3600 - 32_400


async def test_the_contract_prices_every_month_with_it() -> None:
    """For any date the contract finds a ceiling with the sandbox's tariff, with peak from 15 to 21 local time."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
    oracle = peer.port("ProducerMSP", "oracle")
    await oracle.execute(
        "PostTariff", read_tariff(FILE).arguments(zone=ZONE, utc_offset_s=32_400, effective_from=0)
    )
    for month in range(1, 13):
        day = next(
            date(2026, month, number) for number in range(1, 8) if date(2026, month, number).weekday() == 2
        )
        for hour, ceiling in (
            (3, "98300"),
            (9, "186000"),
            (14, "186000"),
            (15, "273200"),
            (21, "186000"),
            (22, "98300"),
        ):
            price = await oracle.evaluate(
                "DetermineCost", {"zone": ZONE, "product": "CHARGE", "interval": at(day, hour)}
            )
            assert price["ceiling"] == ceiling, (month, hour)


async def test_weekends_have_other_periods_and_floors() -> None:
    """Saturday's peak counts as mid, Sunday is light all day; the evening floor leaves both a window."""
    tariff = read_tariff(FILE)
    peer = MemoryPeer(StepClock(MONDAY_S))
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
    oracle = peer.port("ProducerMSP", "oracle")
    await oracle.execute("PostTariff", tariff.arguments(zone=ZONE, utc_offset_s=32_400, effective_from=0))
    expected = {date(2026, 6, 13): ("mid", 117_000), date(2026, 6, 14): ("light", 90_000)}
    for day, (period, floor_mtok) in expected.items():
        hour = at(day, 18)
        assert tariff.floor_mtok_per_kwh(hour, 32_400) == floor_mtok
        for product in ("CHARGE", "DISCHARGE"):
            await oracle.execute(
                "PostFloor", {"zone": ZONE, "product": product, "hour": hour, "floor": str(floor_mtok)}
            )
            price = await oracle.evaluate(
                "DetermineCost", {"zone": ZONE, "product": product, "interval": hour}
            )
            assert price["period"] == period


def test_the_ledger_learns_the_file_s_digest() -> None:
    """The document hash is the SHA-256 of the very file, so that anyone can hold it against the ledger."""
    arguments = read_tariff(FILE).arguments(zone=ZONE, utc_offset_s=OFFSET_S, effective_from=900)
    assert arguments["documentHash"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert arguments["utcOffsetS"] == OFFSET_S


def test_floors_follow_local_hours_of_the_run() -> None:
    """A UTC hour's floor depends on the run's local time."""
    tariff = read_tariff(FILE)
    assert tariff.floor_mtok_per_kwh(MONDAY_S + 12 * 3600, OFFSET_S) == 47_000
    assert tariff.floor_mtok_per_kwh(MONDAY_S + 12 * 3600, OFFSET_S + 6 * 3600) == 140_000


def test_every_hour_of_a_workday_has_a_window() -> None:
    """On the demo's workday, floor plus twice the gain is within the ceiling at every hour, in both directions."""
    tariff = read_tariff(FILE)
    season = tariff.seasons["summer"]
    for hour, floor_mtok in enumerate(tariff.hourly_floors_mtok_per_kwh["workday"]):
        period = "peak" if 15 <= hour < 21 else "light" if hour < 8 or hour >= 22 else "mid"
        for ceilings in season.ceilings_mtok_per_kwh.values():
            assert floor_mtok + 2_000 <= ceilings[period], hour  # type: ignore[index]  # a literal by construction


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('sandbox_season = "summer"', "", "twelve months"),
        ('sandbox_season = "summer"', 'sandbox_season = "monsoon"', "no season monsoon"),
        ("saturday = [90000, ", "saturday = [", "24 hours"),
        ("utc_offset_s = 32400", "utc_offset_h = 9", "utc_offset_s"),
        ("[calendar]", "[calendar", "kr.toml"),
    ],
)
def test_a_broken_file_is_refused_with_its_fault(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """A fault of the file is named before anything is posted."""
    path = tmp_path / "kr.toml"
    path.write_text(FILE.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=fault):
        read_tariff(path)


def test_a_holiday_counts_as_a_sunday(tmp_path: Path) -> None:
    """A holiday of the calendar takes Sunday's floors, and goes to the ledger as a date."""
    path = tmp_path / "kr.toml"
    path.write_text(FILE.read_text().replace("holidays = []", "holidays = [2026-06-03]"))
    tariff = read_tariff(path)
    assert tariff.floor_mtok_per_kwh(at(date(2026, 6, 3), 18), 32_400) == 90_000
    arguments = tariff.arguments(zone=ZONE, utc_offset_s=0, effective_from=0)
    assert arguments["calendar"]["holidays"] == ["2026-06-03"]
