"""On random days each committed order comes to an end, whatever fails or is killed between two steps."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import INTERVAL_S
from edgegw.core.effects import Effect, StartRemotely, StopRemotely
from edgegw.core.events import (
    ChargingState,
    OrderPlaced,
    PricesEstimated,
    RemoteStartAnswered,
)
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.core.orders import OPEN, REFUSALS, Aim, Order, OrderState
from tests.support.contract_world import DAY0
from tests.support.days import differences
from tests.support.plug import SECOND_NS as S
from tests.support.universe import Universe

OVER_WH = 20  # a profile ends at whole seconds of 22 kW; a segment's Wh are floors


class OrderedUniverse(Universe):
    """Chargers that begin and end transactions when they are asked, and drivers who order until their order is stored."""

    def order(self, hour: float, order: Order) -> None:
        """A driver orders at an hour, and again each minute while the page does not see the order."""

        def place() -> None:
            if f"orders/{order.order_id}" in self.rows:
                return
            self.put(OrderPlaced(order=order, id_token=order.id_token_hash))
            self.at(self.now_ns + 60 * S, place)

        self.at_hour(hour, place)

    def _perform(self, effect: Effect) -> None:
        super()._perform(effect)
        if isinstance(effect, StartRemotely):
            plug = self.plugs[effect.evse_id]
            accepted = not plug.car and self.rng.random() >= self.fault_rate
            answer = RemoteStartAnswered(
                evse_id=effect.evse_id, remote_start_id=effect.remote_start_id, accepted=accepted
            )
            self._later(answer)
            if accepted:
                self.at(self.now_ns + S, lambda: self._arrive(effect.evse_id, effect.id_token))
        elif isinstance(effect, StopRemotely):
            visit = self._visits[effect.evse_id]
            if visit.transaction_id == effect.transaction_id and self.plugs[effect.evse_id].car:
                self.at(self.now_ns + 2 * S, lambda: self._leave_again(effect))

    def _arrive(self, evse_id: str, token: str) -> None:
        if not self.plugs[evse_id].car:
            self.plug_in(evse_id, token, wanted_wh=20_000)

    def _leave_again(self, effect: StopRemotely) -> None:
        visit = self._visits[effect.evse_id]
        if visit.transaction_id == effect.transaction_id and self.plugs[effect.evse_id].car:
            self.leave(effect.evse_id)


def play(seed: int, *, fault_rate: float = 0.0, kill_rate: float = 0.0) -> OrderedUniverse:
    """Charges one after another at E1; at E0 a car that works, or sells, until seven in the evening."""
    universe = OrderedUniverse(seed, hour=14, fault_rate=fault_rate, kill_rate=kill_rate)
    rng = random.Random(seed)
    for name in ("ann", "bob"):
        universe.world.sign_up(name, "EV")
        universe.world.mint(name, 90_000_000)
    intervals = range(DAY0 + 14 * 3600, DAY0 + 20 * 3600, INTERVAL_S)
    expected = {key(CHARGE, each): rng.randrange(90_000, 180_000) for each in intervals}
    expected |= {key(DISCHARGE, each): rng.randrange(120_000, 200_000) for each in intervals}
    for hour in (14.01, 15, 16, 17):  # told again, as a station's page would after a restart
        universe.at_hour(hour, lambda: universe.put(PricesEstimated(estimates=expected)))
    seller = MemberTerms(member_id="ann", sells=True, battery_wh=60_000, soc_bp_min=2_000)
    made: dict[str, Any] = {"order_id": "ann", "evse_id": "E0", "id_token_hash": "ann-web", "terms": seller}
    if seed % 2:
        leaves_ns = (DAY0 + 18 * 3600) * S
        work = Order(aim=Aim.WORK, departure_ns=leaves_ns, soc_bp_wanted=6_000, **made)
        universe.order(14.1, work)
    else:
        universe.order(14.1, Order(aim=Aim.SELL, energy_wh=rng.randrange(2_000, 6_000), **made))
    for quarter in range(15):
        soc_bp = rng.randrange(4_500, 6_500)
        universe.at_hour(14.2 + quarter / 4, _report(universe, soc_bp))
    terms = MemberTerms(member_id="bob")
    for number in range(4):
        charge = Order(
            order_id=f"bob-{number}", evse_id="E1", id_token_hash=f"bob-{number}", terms=terms, aim=Aim.CHARGE,
            energy_wh=rng.randrange(500, 3_000),
        )  # fmt: skip
        universe.order(14.2 + number * 0.9, charge)
    universe.at_hour(17.9, lambda: universe.leave("E0"))
    universe.at_hour(17.95, lambda: universe.leave("E1") if universe.plugs["E1"].car else None)
    universe.close(18)
    return universe


def _report(universe: Universe, soc_bp: int) -> Callable[[], None]:
    return lambda: universe.report("E0", soc_bp=soc_bp, state=ChargingState.SUSPENDED_EVSE)


def charged_wh(universe: Universe) -> Counter[str]:
    """By session, whole Wh of its segments, as the journal has them."""
    found: Counter[str] = Counter()
    for kind, body in universe.facts:
        if kind == "segment" and body["session_id"] is not None:
            start, end = body["import_mwh"]
            found[body["session_id"]] += end // 1000 - start // 1000
    return found


def wrong(universe: OrderedUniverse) -> list[str]:
    """Open orders, charges beyond their energy, codes off the list; and all that a day's books hold."""
    charged = charged_wh(universe)
    found = differences(universe)
    for order in universe.station.orders.values():
        if order.state in OPEN:
            found.append(f"{order.order_id} is {order.state}")
        if order.code and order.code not in REFUSALS:
            found.append(f"{order.order_id}: {order.code}")
        later = [one for one in universe.station.orders.values() if one.session_id == order.session_id]
        newest = max(later, key=lambda one: one.from_import_wh)
        if order is newest and order.aim is Aim.CHARGE and order.session_id and order.energy_wh:
            over_wh = charged[order.session_id] - order.from_import_wh - order.energy_wh
            if over_wh > OVER_WH:
                found.append(f"{order.order_id} got {over_wh} Wh too much")
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_quiet_day_fills_every_order(seed: int) -> None:
    """Without faults all orders are done: each charge got its energy, to two seconds of power, and the seller sold."""
    universe = play(seed)
    assert wrong(universe) == []
    orders = universe.station.orders
    assert {order.state for order in orders.values()} == {OrderState.DONE}
    charged = charged_wh(universe)
    for order in orders.values():
        if order.aim is Aim.CHARGE:
            assert order.session_id is not None
            assert order.energy_wh is not None
            assert abs(charged[order.session_id] - order.energy_wh) <= OVER_WH
    assert universe.station.tally["all"].sold_wh > 1_000


@pytest.mark.parametrize("seed", range(4))
def test_faults_and_kills_lose_no_order(seed: int) -> None:
    """Power cuts between any two steps, lost answers, refused setpoints and starts: nothing stays open, the books agree."""
    universe = play(300 + seed, fault_rate=0.08, kill_rate=0.01)
    assert universe.kills > 0
    assert wrong(universe) == []
