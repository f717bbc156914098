"""Every transaction message twice, and for long stretches late: the same Wh as on the undisturbed day."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.units import SECOND_NS
from edgegw.demo.plan import DayPlan, Fault
from edgegw.store.journal_reader import JournalReader
from tests.support.disturbance import CARS, Aftermath, check_settled, day, local_s, play

LATE_S = 1_500
EVSES = ("E001", "E002", "E003", "E004", "E005")
STANDBY_WH = 25  # 5 W at five EVSEs, whose contactors are open for an hour more or less
TIMESTAMP = re.compile(r'"timestamp": ?"([^"]+)"')


def disturbed(plan: DayPlan) -> tuple[Fault, ...]:
    """Twice from the first to the last minute; late for 25 minutes of each hour, at each EVSE at other times."""
    length_s = plan.end_s - plan.begin_s
    twice = [
        Fault(kind="duplicate_messages", evse_id=evse, at_s=plan.begin_s, duration_s=length_s)
        for evse in EVSES
    ]
    late = [
        Fault(
            kind="late_messages", evse_id=evse, at_s=local_s(f"{hour}:20") + 420 * number, duration_s=LATE_S
        )
        for number, evse in enumerate(EVSES)
        for hour in (13, 14, 15, 16)
    ]
    return (*twice, *late)


def frames(after: Aftermath) -> list[Mapping[str, Any]]:
    """All transaction messages that the station kept as they came."""
    return [dict(body) for _, body in JournalReader(after.places.station / "station.db").facts("frame")]


def delays_s(after: Aftermath) -> list[float]:
    """How much later than its own timestamp each message came, in simulated seconds."""
    found = []
    for frame in frames(after):
        if match := TIMESTAMP.search(frame["text"]):
            said_s = datetime.fromisoformat(match[1]).astimezone(UTC).timestamp()
            found.append(frame["at_ns"] / SECOND_NS - said_s)
    return found


def delivered_wh(after: Aftermath) -> dict[str, int]:
    """What each car took, by the sealed books."""
    return {
        visit["id_token"]: visit["import_mwh"] // 1000
        for book in after.sealed["evses"].values()
        for visit in book["visits"]
    }


@pytest.mark.nightly
async def test_twice_and_late(tmp_path: Path) -> None:
    """Each car takes the same Wh, the ledger has the same import, and both directions are settled to the last Wh.

    A sale begins when the station hears of the car's state, so how much is sold depends on when messages come, as on
    the machine's speed; of that only the settlement is the same.
    """
    folders = tmp_path / "quiet", tmp_path / "loud"
    for folder in folders:
        folder.mkdir()
    plans = day(folders[0]), day(folders[1])
    plans = plans[0], day(folders[1], faults=disturbed(plans[1]))
    quiet, loud = await asyncio.gather(*map(play, folders, plans))
    for after in (quiet, loud):
        check_settled(after)
        assert after.numbers["served"] == after.numbers["sessions"], after.numbers["refused"]
        assert after.numbers["ledger"]["export_wh"] > 0
    assert len(frames(loud)) > 3 * len(frames(quiet)) // 2, "messages did not come twice"
    assert max(delays_s(loud)) > LATE_S / 2 > max(delays_s(quiet)), "messages were not late"
    assert delivered_wh(loud) == delivered_wh(quiet)
    for book, standby_wh in (("ledger", len(CARS)), ("metered", STANDBY_WH)):
        difference_wh = loud.numbers[book]["import_wh"] - quiet.numbers[book]["import_wh"]
        assert abs(difference_wh) <= standby_wh, book
