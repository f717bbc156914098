"""Play random station days in a `Universe`, and check independently that their books agree.

The check takes energy from the plugs' registers, trades from the writes of valid blocks, and untraded energy from the
station's facts. Source: docs/ledger.md, Equations.
"""

import random
from collections import Counter
from typing import Any

from edgegw.common.units import INTERVAL_NS, INTERVAL_S
from edgegw.core.events import ChargingState
from tests.support.plug import SECOND_NS
from tests.support.universe import Universe

OPEN_HOUR, CLOSE_HOUR = 14, 18


def plan(universe: Universe, seed: int) -> None:
    """Plan a seller who parks all evening, and several drivers at the other EVSE, one of them without tokens."""
    rng = random.Random(seed)
    universe.add_driver("ann", sells=True, battery_wh=60_000, soc_bp_min=rng.choice((2_000, 3_500)))
    universe.add_driver("bob", accept_retail=rng.random() < 0.7)
    universe.add_driver(
        "eve", price_mtok_per_kwh_max=rng.choice((150_000, 300_000)), tokens=rng.choice((400_000, 10**7))
    )
    universe.add_driver("poor", tokens=0)
    universe.at_hour(
        14 + rng.random() / 2, lambda: universe.plug_in("E0", "ann", wanted_wh=rng.randrange(1_000, 6_000))
    )
    for quarter in range(16):
        soc_bp = rng.randrange(4_000, 7_000)
        report = _report(universe, soc_bp)
        universe.at_hour(15 + quarter / 5 + rng.random() / 10, report)
    universe.at_hour(17 + rng.random() / 2, lambda: universe.leave("E0"))
    hour = 14.1
    for name in rng.sample(["bob", "eve", "poor", "stranger"], 3):
        _visit(universe, name, hour=hour, wanted_wh=rng.randrange(500, 9_000))
        hour += 0.3 + rng.random()
        universe.at_hour(hour, lambda: universe.leave("E1"))
        hour += rng.random() / 5


def _report(universe: Universe, soc_bp: int) -> Any:
    return lambda: universe.report("E0", soc_bp=soc_bp, state=ChargingState.SUSPENDED_EV)


def _visit(universe: Universe, name: str, *, hour: float, wanted_wh: int) -> None:
    universe.at_hour(hour, lambda: universe.plug_in("E1", name, wanted_wh=wanted_wh))


def play(seed: int, *, fault_rate: float = 0.0, kill_rate: float = 0.0, echo: bool = False) -> Universe:
    """Play one random day until it is closed and settled."""
    universe = Universe(seed, hour=OPEN_HOUR, fault_rate=fault_rate, kill_rate=kill_rate, echo=echo)
    plan(universe, seed)
    universe.close(CLOSE_HOUR)
    return universe


def differences(universe: Universe) -> list[str]:
    """Return everything that is wrong at the end of a day; empty if the books agree."""
    return [
        *_energy(universe),
        *_trades(universe),
        *_left_over(universe),
        *_money(universe),
        *_commands(universe),
    ]


def books(universe: Universe) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return by meter and direction, in Wh: counted by the plug, traded in the blocks, untraded in the facts."""
    traded: Counter[tuple[str, str]] = Counter()
    untraded: Counter[tuple[str, str]] = Counter()
    meter_of = {account.meter_ref: account.meter_id for account in universe.station.meters.values()}
    for trade in universe.ledger.recorded():
        traded[meter_of[trade["meterRef"]], trade["direction"]] += int(trade["endWh"]) - int(trade["startWh"])
    for kind, body in universe.facts:
        if kind == "untraded":
            untraded[body["meter_id"], body["direction"]] += body["energy_wh"]
    found = {}
    for name, plug in universe.plugs.items():
        starts = universe.starts[name]
        for direction, start, end in zip(
            ("import", "export"), starts, (plug.import_mwh, plug.export_mwh), strict=True
        ):
            where = (f"M{name}", direction)
            found[where] = (end // 1000 - start // 1000, traded[where], untraded[where])
    return found


def _energy(universe: Universe) -> list[str]:
    return [
        f"{where}: {metered} metered, {traded} traded, {untraded} untraded"
        for where, (metered, traded, untraded) in books(universe).items()
        if metered != traded + untraded
    ]


def _trades(universe: Universe) -> list[str]:
    """Check that no trade is doubled, no spans of a register overlap, and the station's count is that of the blocks."""
    found = []
    end_wh, register = 0, ("", 0, "")
    for trade in sorted(universe.ledger.recorded(), key=_place):
        if _place(trade)[:3] == register and int(trade["startWh"]) < end_wh:
            found.append(f"{trade['tradeId']} overlaps")
        register, end_wh = _place(trade)[:3], int(trade["endWh"])
    if universe.station.tally["all"].trades != len(universe.ledger.recorded()):
        found.append("the station counts other trades than the blocks hold")
    return found


def _place(trade: dict[str, Any]) -> tuple[str, int, str, int]:
    return trade["meterRef"], trade["epoch"], trade["direction"], int(trade["startWh"])


def _left_over(universe: Universe) -> list[str]:
    left = universe.station
    found = [
        f"{table} left" for table in ("lines", "submissions", "holds", "queries") if getattr(left, table)
    ]
    old = [
        item
        for item in left.slices.values()
        if (item.interval + 2 * INTERVAL_S) * SECOND_NS < universe.now_ns
    ]
    found += [f"{item.slice_id} was not returned" for item in old]
    found += [f"hold {hold_id} was open, and the journal did not know it" for hold_id in universe.strays]
    world = universe.world.state
    found += [
        f"{key} is open"
        for key in world
        if key.startswith("hold~") and universe.world.record(key)["status"] == "OPEN"
    ]
    return found


def _money(universe: Universe) -> list[str]:
    """Check the equations of tokens (minted - burned = available + held + pending) and energy (sources = places)."""
    totals = universe.world.totals()
    tokens, energy = totals["tokens"], totals["energy"]
    found = []
    if (
        not tokens["supply"]
        == tokens["minted"] - tokens["burned"]
        == tokens["available"] + tokens["held"] + tokens["pending"]
    ):
        found.append(f"tokens: {tokens}")
    sources = energy["generation"] + energy["outside"] + energy["grid"]
    if sources != sum(energy.values()) - sources:
        found.append(f"energy: {energy}")
    return found


def _commands(universe: Universe) -> list[str]:
    """Check that each command has an end: a sale's before its interval's guard time, also if the gateway dies."""
    found = []
    guard_ns = universe.station.settings.guard_ns
    for now_ns, command in universe.commands:
        start_ns = now_ns // INTERVAL_NS * INTERVAL_NS
        latest_ns = start_ns + (INTERVAL_NS - guard_ns if command.power_w < 0 else 5 * INTERVAL_NS)
        early = command.power_w < 0 and now_ns < start_ns + guard_ns
        if command.fallback_w != 0 or not now_ns < command.ends_ns <= latest_ns or early:
            found.append(f"{command} at {now_ns // SECOND_NS % INTERVAL_S}")
    found += [f"{gave} mWh given by a dead gateway" for gave, most in universe.dead_discharge if gave > most]
    return found
