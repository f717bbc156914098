"""Count the contract functions that a run uses, and decide which of the seven it must use.

All seven are required; `transfer` only if the producer can sell directly at noon.
Source: docs/contract.md, Functions; the paper named in README.md, whose seven functions they are.
"""

from collections import Counter
from typing import Any

from edgegw.common.units import INTERVAL_S
from edgegw.demo.documents import WALL_BOX_WH, Places, solar_peak_w, sun_file
from edgegw.demo.plan import DayPlan
from edgegw.participants.load_profiles import SunProfile, read_sun
from edgegw.participants.producer import NOON_HOUR
from edgegw.participants.settings import PERFORMANCE_BP
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import DAY_S, HOUR_S

TRANSFER = "transfer"
SEVEN = frozenset({"totalSupply", "balanceOf", "SignUp", "Update", TRANSFER, "historyAPI", "DetermineCost"})
_BEFORE_S = 2 * INTERVAL_S  # until a price can be fixed


class CountingLedger:
    """A ledger client that counts the answered calls by function."""

    def __init__(self, ledger: LedgerPort) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = ledger

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a function and count it."""
        answer = await self._ledger.evaluate(function, args)
        self.counts[function] += 1
        return answer

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Execute a function and count it."""
        answer = await self._ledger.execute(function, args)
        self.counts[function] += 1
        return answer


def required(plan: DayPlan, places: Places) -> frozenset[str]:
    """Return the functions that the run must use; a day without a sunny noon hour has no direct sale."""
    sun = read_sun(sun_file(places), peak_w=solar_peak_w(plan), performance_bp=PERFORMANCE_BP)
    return SEVEN if _has_noon(plan, sun) else SEVEN - {TRANSFER}


def _has_noon(plan: DayPlan, sun: SunProfile) -> bool:
    """Return whether the plan has a local noon hour in which the sun yields what the wall box takes in a quarter hour."""
    midnight_s = plan.begin_s - (plan.begin_s + plan.utc_offset_s) % DAY_S
    noons = range(midnight_s + NOON_HOUR * HOUR_S, plan.end_s - HOUR_S, DAY_S)
    return any(
        plan.begin_s + _BEFORE_S <= noon and sun.energy_wh(noon, plan.utc_offset_s) >= WALL_BOX_WH
        for noon in noons
    )
