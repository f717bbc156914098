"""Plan the interactive station: visitors use its pages while cars wait plugged in without a card.

Decides the time and speed: a weekday's afternoon shortly before peak, slow enough to watch and fast enough to see a car
charged. Pure.
"""

import random
from datetime import UTC, datetime, timedelta, timezone

from edgegw.common.units import INTERVAL_S
from edgegw.demo.plan import PROFILES, VERSIONS, DayPlan, EvsePlan, PagesPlan, Visit, cutoff_for

SPEED = 60
SEOUL_S = 9 * 3600
BEGIN = datetime(
    2026, 6, 10, 13, 45, tzinfo=timezone(timedelta(seconds=SEOUL_S))
)  # a Wednesday; peak begins at 15
DAYS = 7
RATED_W = 11_000
CAPACITY_WH = 77_000
SOC_PPM = 620_000
WANTED_WH = 500_000  # enough for several full charges
GUEST_STAY = timedelta(minutes=75)
GUEST_EVERY = timedelta(hours=2)
WAITING = 3  # EVSEs with a car that waits for a visitor to start it
GUESTS = 24


def plan_open_house(
    *, speed: int = SPEED, seed: int = 1, begin: datetime = BEGIN, pages: PagesPlan | None = None
) -> DayPlan:
    """Plan four EVSEs: at three a car waits, plugged in and without a card; drivers with cards come to the fourth."""
    names = [f"BAY-{number}" for number in range(1, WAITING + 2)]
    end = begin + timedelta(days=DAYS)
    waiting = [_car(name, "", arrival=begin + timedelta(minutes=1), departure=end) for name in names[:-1]]
    chance = random.Random(f"{seed}/open house")  # noqa: S311 - seeded on purpose
    guests = [
        _car(
            names[-1],
            f"{chance.getrandbits(56):014X}",
            arrival=begin + GUEST_EVERY * number + timedelta(minutes=20),
            departure=begin + GUEST_EVERY * number + timedelta(minutes=20) + GUEST_STAY,
        )
        for number in range(GUESTS)
    ]
    return DayPlan(
        evses=tuple(_evse(name, number, chance) for number, name in enumerate(names)),
        visits=(*waiting, *guests),
        begin_s=int(begin.astimezone(UTC).timestamp()) // INTERVAL_S * INTERVAL_S,
        end_s=int(end.timestamp()) // INTERVAL_S * INTERVAL_S,
        utc_offset_s=SEOUL_S,
        cutoff_s=cutoff_for(speed),
        speed=speed,
        seed=seed,
        pages=pages or PagesPlan(),
    )


def _car(evse_id: str, id_token: str, *, arrival: datetime, departure: datetime) -> Visit:
    return Visit(
        evse_id=evse_id,
        id_token=id_token,
        arrival=arrival,
        departure=departure,
        wanted_wh=WANTED_WH if not id_token else 9_000,
        capacity_wh=CAPACITY_WH,
        soc_ppm=SOC_PPM,
        charge_w=RATED_W,
        sells=not id_token,
    )


def _evse(name: str, number: int, chance: random.Random) -> EvsePlan:
    return EvsePlan(
        evse_id=name,
        charger_id=f"CP-{name}",
        meter_id=f"M-{name}",
        version=tuple(reversed(VERSIONS))[number % len(VERSIONS)],
        rated_w=RATED_W,
        profile=PROFILES[number % len(PROFILES)],
        password=f"{chance.getrandbits(80):020x}",
        import_mwh=chance.randrange(5_000_000_000),
        export_mwh=chance.randrange(1_000_000_000),
    )
