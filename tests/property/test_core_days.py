"""Random days of a station: the books agree whatever chargers, meters, ledger and power cuts do."""

import pytest

from tests.support.days import books, differences, play
from tests.support.universe import Universe

SEEDS = range(4)


def energy_of(universe: Universe) -> list[tuple[object, ...]]:
    """Return the records on the ledger, without the ids that a rebuilt gateway would create again."""
    names = ("tradeId", "kind", "endWh", "interval", "price", "buyer", "seller")
    return sorted(tuple(trade[name] for name in names) for trade in universe.ledger.recorded())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quiet_day_is_traded_whole(seed: int) -> None:
    """Without faults the books agree, every driver's charge is traded, and the seller sells on the market."""
    universe = play(seed)
    assert differences(universe) == []
    tally = universe.station.tally["all"]
    codes = {key for key in tally.untraded if key.startswith("import:")}
    assert codes <= {"import:STANDBY", "import:NO_RETAIL", "import:PRICE_LIMIT", "import:REFUSED_PRICE_LIMIT"}
    assert tally.sold_wh > 3_000
    assert tally.market_wh > tally.retail_wh > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_and_kills_cost_no_wh(seed: int) -> None:
    """Lost answers, forgotten envelopes, glitches, refused setpoints and power cuts: metered = traded + untraded."""
    universe = play(100 + seed, fault_rate=0.1, kill_rate=0.01)
    assert universe.kills > 0
    assert differences(universe) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_each_message_twice_gives_the_same_wh(seed: int) -> None:
    """With every start and end repeated up to twenty minutes later, and every update twice, the trades are equal to the Wh."""
    once, twice = play(seed), play(seed, echo=True)
    assert differences(twice) == []
    assert energy_of(twice) == energy_of(once)
    assert books(twice) == books(once)
    assert twice.station.tally["all"].sessions == once.station.tally["all"].sessions


def test_repeats_and_kills_together() -> None:
    """Repeats that reach the successor of a dead gateway open nothing and end nothing."""
    universe = play(204, fault_rate=0.05, kill_rate=0.01, echo=True)
    assert universe.kills > 0
    assert differences(universe) == []


def test_a_dead_gateway_leaves_nothing_running() -> None:
    """Killed in the middle of a sale and dead for long: the car gives nothing past its profile's end."""
    found = 0
    for seed in range(5, 9):
        universe = play(seed, fault_rate=0.05, kill_rate=0.02)
        assert differences(universe) == []
        found += sum(1 for gave_mwh, _ in universe.dead_discharge if gave_mwh > 100_000)
    assert found, "no kill hit a running sale"


def test_two_hours_without_a_peer_settle_afterwards() -> None:
    """While the peer is down the station charges at retail with the reason, sells nothing, and settles everything later."""
    universe = Universe(3, hour=14)
    universe.add_driver("bob")
    universe.add_driver("ann", sells=True, battery_wh=60_000)
    universe.at_hour(14.2, lambda: universe.plug_in("E0", "bob", wanted_wh=17_000))

    def break_off() -> None:
        universe.ledger.down = True

    def come_back() -> None:
        universe.ledger.down = False

    universe.at_hour(14.6, break_off)
    universe.at_hour(16.6, come_back)
    universe.at_hour(17, lambda: universe.leave("E0"))
    universe.close(17.5)
    assert differences(universe) == []
    tally = universe.station.tally["all"]
    assert tally.retail_wh > 8_000
    assert tally.retail_reasons["PRICE_NOT_FIXED"] > 8_000
    assert tally.sold_wh == 0


@pytest.mark.soak
def test_many_days() -> None:
    """Three hundred random days, each with its own rate of faults, kills and repeats."""
    wrong = {}
    for seed in range(300):
        universe = play(
            10_000 + seed, fault_rate=seed % 7 * 0.05, kill_rate=seed % 5 * 0.008, echo=seed % 2 == 1
        )
        if found := differences(universe):
            wrong[seed] = found
    assert wrong == {}
