"""The demo's plan maps every session of the file to a visit, and chooses charger and car reproducibly."""

import os
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tomllib import loads

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.commissioning.files import write_private, write_secrets
from edgegw.commissioning.toml import toml
from edgegw.common.errors import ConfigError
from edgegw.common.units import INTERVAL_S
from edgegw.demo.documents import Places, Ports, configuration, scenario
from edgegw.demo.functions import SEVEN, required
from edgegw.demo.interactive import plan_open_house
from edgegw.demo.plan import (
    BUSY,
    NO_STAY,
    PEAK_HOUR,
    DayPlan,
    Session,
    Wishes,
    cutoff_for,
    plan_day,
    read_sessions,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WEEK = CONFIGS / "scenarios" / "data" / "acn_jpl_2019-06-10_week.csv"
MORNING = datetime.fromisoformat("2019-06-10T08:00:00-07:00")
PORTS = Ports(ocpp=20_000, meters={f"E{number:03d}": 20_000 + number for number in range(1, 60)})


def session(start_min: int, stay_min: int, *, wanted_wh: int = 5_000, evse: str = "A") -> Session:
    arrival = MORNING + timedelta(minutes=start_min)
    return Session(
        arrival=arrival, departure=arrival + timedelta(minutes=stay_min), wanted_wh=wanted_wh, evse=evse
    )


def real_day(**wishes: object) -> DayPlan:
    return plan_day(read_sessions(WEEK, "2019-06-10"), Wishes(**wishes))  # type: ignore[arg-type]  # a test's own words


def test_the_real_day_is_whole() -> None:
    """All 78 sessions at 51 EVSEs are planned with the file's energy to the Wh, by the file's own hours."""
    plan = real_day()
    assert (len(plan.visits), len(plan.evses), plan.wanted_wh) == (78, 51, 1_230_701)
    assert not [visit for visit in plan.visits if visit.refusal]
    assert plan.utc_offset_s == -7 * 3600


def test_the_day_begins_and_ends_on_quarter_hours() -> None:
    """The day begins a cut-off and two whole intervals before the first arrival, and ends a quarter hour after the last."""
    for speed in (60, 360, 1200):
        plan = real_day(speed=speed)
        assert plan.begin_s % INTERVAL_S == plan.end_s % INTERVAL_S == 0
        first = min(visit.arrival for visit in plan.visits).timestamp()
        last = max(visit.departure for visit in plan.visits).timestamp()
        assert first - plan.begin_s >= plan.cutoff_s + 2 * INTERVAL_S
        assert INTERVAL_S <= plan.end_s - last < 2 * INTERVAL_S


def test_cutoff_leaves_real_time() -> None:
    """The cut-off is whole minutes, never under five, and worth at least 1.5 real seconds."""
    for speed in (1, 100, 360, 720, 2400):
        cutoff_s = cutoff_for(speed)
        assert cutoff_s % 60 == 0
        assert cutoff_s >= max(300, 1.5 * speed)


def test_same_seed_same_plan() -> None:
    """A seed decides everything that is drawn; another seed draws otherwise."""
    assert real_day(seed=7) == real_day(seed=7)
    assert real_day(seed=7).visits != real_day(seed=8).visits


def test_versions() -> None:
    """`mixed` goes round the three versions; one version is for all."""
    assert {evse.version for evse in real_day().evses} == {"1.6", "2.0.1", "2.1"}
    assert {evse.version for evse in real_day(ocpp="2.1").evses} == {"2.1"}


def test_share_of_sellers() -> None:
    """The share counts the file's cars; those that are there at peak are chosen first."""
    for share, count in (("0", 0), ("0.3", 23), ("1", 78)):
        assert sum(visit.sells for visit in real_day(v2g_share=Decimal(share)).visits) == count
    assert all(
        visit.departure.hour >= 15 for visit in real_day(v2g_share=Decimal("0.3")).visits if visit.sells
    )


def test_overlap_is_refused_as_busy() -> None:
    """With two of the file's EVSEs on one charger, a car that arrives while another is there is refused, a later one is not."""
    sessions = [session(0, 60), session(30, 60, evse="B"), session(60, 60, evse="B")]
    plan = plan_day(sessions, Wishes(chargers=1))
    assert [visit.refusal for visit in plan.visits] == [None, BUSY, None]
    assert len(plan.evses) == 1


def test_a_stay_of_nothing_is_refused() -> None:
    """A session that ends before it begins is counted, and the simulator never hears of it."""
    plan = plan_day([session(0, 60), session(5, -5, evse="B")], Wishes())
    assert [visit.refusal for visit in plan.visits] == [None, NO_STAY]
    assert len(plan.played) == 1


@given(
    stays=st.lists(
        st.tuples(
            st.integers(0, 900), st.integers(-10, 600), st.integers(0, 90_000), st.sampled_from("ABCDE")
        ),
        min_size=1,
        max_size=40,
    ),
    chargers=st.integers(0, 7),
)
def test_no_session_disappears(stays: list[tuple[int, int, int, str]], chargers: int) -> None:
    """Each session is planned once, whatever the file has; visits of an EVSE do not overlap; every battery has room."""
    sessions = sorted(
        (session(start, stay, wanted_wh=wh, evse=evse) for start, stay, wh, evse in stays),
        key=lambda one: one.arrival,
    )
    plan = plan_day(sessions, Wishes(chargers=chargers, v2g_share=Decimal("0.5")))
    assert Counter((visit.arrival, visit.wanted_wh) for visit in plan.visits) == Counter(
        (one.arrival, one.wanted_wh) for one in sessions
    )
    free_at: dict[str, datetime] = {}
    for visit in plan.visits:
        assert 0 < visit.soc_ppm < 800_000
        assert visit.soc_ppm * visit.capacity_wh + visit.wanted_wh * 950_000 <= 800_000 * visit.capacity_wh
        if visit.refusal is None:
            assert visit.arrival >= free_at.get(visit.evse_id, visit.arrival)
            free_at[visit.evse_id] = visit.departure


def test_rating_fits_the_stay() -> None:
    """A car gets a charger that can deliver its energy in nine tenths of its stay, less the start."""
    plan = plan_day([session(0, 30, wanted_wh=20_000), session(0, 600, evse="B")], Wishes(speed=60))
    fast, slow = plan.evses
    assert fast.rated_w == plan.visits[0].charge_w == 50_000
    assert slow.rated_w == 7_400


@pytest.mark.parametrize(
    "text",
    [
        "arrival,departure,evse\n2019-06-10 05:00:00-07:00,2019-06-10 06:00:00-07:00,A\n",
        "arrival,departure,delivered_energy_kwh,evse\n2019-06-10 05:00:00,2019-06-10 06:00:00,1,A\n",
        "arrival,departure,delivered_energy_kwh,evse\nsoon,later,1,A\n",
        "arrival,departure,delivered_energy_kwh,evse\n2019-06-10 05:00:00-07:00,2019-06-10 06:00:00-07:00,much,A\n",
        "arrival,departure,delivered_energy_kwh,evse\n",
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, text: str) -> None:
    """A missing column, a time without offset, a word for a number, an empty table: ConfigError that names the file."""
    path = tmp_path / "sessions.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sessions\.csv"):
        read_sessions(path)


def test_a_day_nobody_came() -> None:
    """A day that is not in the file is a fault, not an empty run."""
    with pytest.raises(ConfigError, match="2020-01-01"):
        read_sessions(WEEK, "2020-01-01")


def test_documents_name_the_same_things(tmp_path: Path) -> None:
    """Simulator and daemon get the same chargers, meters, ports and ratings; refused cars are played as well."""
    plan = real_day(chargers=20)
    places = Places(root=tmp_path, configs=CONFIGS)
    world = loads(scenario(plan, places, PORTS))
    text = configuration(
        plan,
        places,
        endpoint="127.0.0.1:7051",
        ports=PORTS,
        password_hashes={evse.charger_id: "$argon2id$x" for evse in plan.evses},
        own_peer=False,
    )
    daemon = loads(text)
    assert len(world["visits"]) == 78
    assert any(visit.refusal == BUSY for visit in plan.visits)
    for simulated, charger, meter in zip(world["evses"], daemon["chargers"], daemon["meters"], strict=True):
        (evse,) = charger["evses"]
        assert simulated["charger_id"] == charger["id"]
        assert simulated["rated_w"] == evse["rated_w"]
        assert (evse["meter"], simulated["meter_port"]) == (meter["id"], meter["port"])


def test_an_open_house_has_cars_for_whoever_comes_by_page(tmp_path: Path) -> None:
    """Cars without a card wait at their plugs before peak, drivers with cards come beside them, and pages are configured."""
    plan, places = plan_open_house(), Places(root=tmp_path, configs=CONFIGS)
    waiting = [visit for visit in plan.visits if not visit.id_token]
    assert [one.evse_id for one in waiting] == ["BAY-1", "BAY-2", "BAY-3"]
    assert all(one.sells and one.departure.timestamp() == plan.end_s for one in waiting)
    assert {visit.evse_id for visit in plan.carded} == {"BAY-4"}
    assert waiting[0].arrival.hour < PEAK_HOUR
    ports = Ports(ocpp=1, meters={evse.evse_id: 2 for evse in plan.evses})
    daemon = loads(
        configuration(
            plan,
            places,
            endpoint="127.0.0.1:7051",
            ports=ports,
            password_hashes={evse.charger_id: "$argon2id$x" for evse in plan.evses},
            own_peer=False,
        )
    )
    assert daemon["web"]["port"] == daemon["operator"]["port"] == 0
    assert daemon["exchange"]["identity"].endswith("EVUserMSP/exchange")
    assert [one["id_token"] for one in loads(scenario(plan, places, ports))["visits"]].count("") == 3


@pytest.mark.parametrize(
    ("begin_min", "stay_min", "expected"),
    [
        (0, 600, True),
        (600, 120, False),
        (255, 300, True),
        (300, 300, False),
        (0, 120, False),
        (-720, 2_880, True),
    ],
)
def test_only_a_day_with_noon_sells_directly(begin_min: int, stay_min: int, expected: bool) -> None:
    """All seven functions are required only if the run has a whole sunny noon hour well after its beginning."""
    plan = plan_day([session(begin_min, stay_min)], Wishes())
    wanted = required(plan, Places(root=CONFIGS, configs=CONFIGS))
    assert wanted == (SEVEN if expected else SEVEN - {"transfer"})


def test_toml_reads_back() -> None:
    """Tables and lists of tables, two deep, are read back as they were."""
    tables = {"a": {"x": 1, "y": 'quo"te', "z": True}, "b": [{"n": 1, "c": [{"m": 2}, {"m": 3}]}, {"n": 4}]}
    assert loads(toml(tables)) == tables


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    """Keys and what bears passwords have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        write_secrets(tmp_path)
        write_private(tmp_path / "scenario.toml", "password")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 3
