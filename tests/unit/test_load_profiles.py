"""Sun and load profiles: integers, exact sums, local hours, dates the file lacks."""

from datetime import date
from pathlib import Path

import pytest

from edgegw.participants.load_profiles import SunProfile, read_load, read_sun, thousandths
from tests.support.participants_host import MONDAY_S, OFFSET_S

DATA = Path("configs/scenarios/data")
SUN_FILE = DATA / "tmy3_723170_june_week_ghi.csv"
LOAD_FILE = DATA / "bdew_g25_july_workday_15min.csv"
DAY_S = 86_400


def sun(peak_w: int = 300_000) -> SunProfile:
    return read_sun(SUN_FILE, peak_w=peak_w, performance_bp=8_500)


def test_quarter_hours_add_up_to_the_hour() -> None:
    """The four quarter hours of each hour bring the hour's energy exactly, whatever the plant's size."""
    plant = sun(peak_w=7_777)
    for hour, ghi_w_m2 in enumerate(plant.ghi_w_m2["06/10"]):
        quarters = [plant.energy_wh(MONDAY_S + hour * 3600 + quarter * 900, OFFSET_S) for quarter in range(4)]
        assert sum(quarters) == 7_777 * ghi_w_m2 * 8_500 // 10_000_000
        assert max(quarters) - min(quarters) <= 1


def test_hours_are_local_hours() -> None:
    """The file's hour ending 13:00 is the hour from 12:00 in the run's own zone, also half-hour zones."""
    plant = sun()
    noon_wh = 300_000 * 1013 * 8_500 // 10_000_000
    assert plant.energy_wh(MONDAY_S + 12 * 3600, OFFSET_S) == noon_wh // 4
    assert plant.energy_wh(MONDAY_S + 12 * 3600 + 1800, OFFSET_S - 1800) == noon_wh // 4
    assert plant.energy_wh(MONDAY_S, OFFSET_S) == 0


@pytest.mark.parametrize("day", [date(2019, 1, 1), date(2024, 2, 29), date(2026, 12, 31), date(2019, 6, 17)])
def test_a_date_the_file_lacks_repeats_a_day_of_the_file(day: date) -> None:
    """Any date has sun: one of the file's days, the same for the same date, the next one a day later."""
    plant = sun()
    days = sorted(plant.ghi_w_m2)
    assert day.strftime("%m/%d") not in days
    midnight_s = (day - date(1970, 1, 1)).days * DAY_S
    of_day = [plant.energy_wh(midnight_s + quarter * 900, 0) for quarter in range(96)]
    expected = plant.ghi_w_m2[days[day.toordinal() % len(days)]]
    assert sum(of_day) == sum(300_000 * ghi * 8_500 // 10_000_000 for ghi in expected)


def test_a_date_of_the_file_is_itself() -> None:
    """The tenth of June takes the file's tenth of June, in any year."""
    plant = sun()
    for year in (2019, 2026):
        midnight_s = (date(year, 6, 10) - date(1970, 1, 1)).days * DAY_S
        of_day = sum(plant.energy_wh(midnight_s + quarter * 900, 0) for quarter in range(96))
        assert of_day == sum(300_000 * ghi * 8_500 // 10_000_000 for ghi in plant.ghi_w_m2["06/10"])


def test_load_is_scaled_exactly() -> None:
    """13.346 kWh at 1000 MWh a year is 6673 Wh at 500 MWh; quarter hours are local and repeat daily."""
    load = read_load(LOAD_FILE, annual_mwh=500)
    assert load.energy_wh(MONDAY_S, OFFSET_S) == 6_673
    assert load.energy_wh(MONDAY_S + DAY_S, OFFSET_S) == 6_673
    assert load.energy_wh(MONDAY_S - 900, OFFSET_S) == 13_765 // 2


@pytest.mark.parametrize(("text", "wh"), [("13.346", 13_346), ("14.05", 14_050), ("7", 7_000), ("0.001", 1)])
def test_thousandths_are_exact(text: str, wh: int) -> None:
    """A decimal of kWh becomes Wh without a float."""
    assert thousandths(text) == wh


def test_thousandths_refuse_what_would_be_rounded() -> None:
    """A fourth decimal is a fault, never rounded away."""
    with pytest.raises(ValueError, match="three decimals"):
        thousandths("1.0005")


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    """A missing hour or quarter hour is a fault of the file, not a silent zero."""
    lines = SUN_FILE.read_text().splitlines()
    broken = tmp_path / "sun.csv"
    broken.write_text("\n".join(lines[:5] + lines[6:]) + "\n")
    with pytest.raises(ValueError, match="not in order"):
        read_sun(broken, peak_w=1, performance_bp=1)
    broken.write_text("\n".join(lines[:10]) + "\n")
    with pytest.raises(ValueError, match="24 hours"):
        read_sun(broken, peak_w=1, performance_bp=1)
    broken.write_text("\n".join(LOAD_FILE.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="96 quarter hours, not 95"):
        read_load(broken, annual_mwh=1)
