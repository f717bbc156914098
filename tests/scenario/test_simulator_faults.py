"""On a day of dropped sockets, rebooting chargers, silent meters and counter resets, the counted energy is on the ledger."""

from pathlib import Path

from edgegw.demo.plan import Fault
from tests.support.disturbance import Aftermath, check_settled, day, local_s, play

CARS = (
    ("13:10", "17:40", "6.000", "A"),
    ("13:20", "17:50", "8.250", "B"),
    ("13:30", "17:00", "11.500", "C"),
    ("13:40", "17:30", "12.125", "D"),
    ("13:50", "17:20", "10.101", "E"),
    ("14:00", "17:30", "9.203", "F"),
)
SELLERS = ["E001", "E003"]  # from 15:00 and, once it has charged, from about 15:30 on


def fault(kind: str, evse_id: str, hours: str, duration_s: int = 0) -> Fault:
    return Fault(kind=kind, evse_id=evse_id, at_s=local_s(hours), duration_s=duration_s)


FAULTS = (
    fault("socket_drop", "E001", "13:40", 900),
    fault("socket_drop", "E001", "15:20", 900),  # in the middle of a sale
    fault("socket_drop", "E003", "14:10", 1_200),
    fault("charger_reboot", "E002", "13:50", 600),
    fault("charger_reboot", "E004", "14:20", 600),
    fault("charger_reboot", "E006", "14:40", 600),
    fault("charger_reboot", "E003", "16:05", 600),  # in the middle of a sale
    fault("silent_meter", "E005", "14:25", 1_500),
    fault("silent_meter", "E001", "16:20", 600),  # in the middle of a sale
    fault("counter_reset", "E001", "16:50"),  # in the middle of a sale
    fault("counter_reset", "E004", "14:05"),
    fault("counter_reset", "E004", "14:50"),
    fault("counter_reset", "E006", "17:50"),  # nobody is there
)
RESETS = {"E001": 1, "E002": 0, "E003": 0, "E004": 2, "E005": 0, "E006": 1}


def sellers(after: Aftermath) -> list[str]:
    """EVSEs at which something was sold."""
    books = after.sealed["evses"].items()
    return [evse for evse, book in books if any(visit["export_mwh"] for visit in book["visits"])]


async def test_a_bad_day(tmp_path: Path) -> None:
    """What the meters counted is settled to the last Wh, epoch by epoch; a session stays one transaction through a reboot.

    What flows between the last reading before a counter's reset and the first after it nobody can measure; the auditor
    bounds it by rated power times that gap.
    """
    after = await play(tmp_path, day(tmp_path, CARS, faults=FAULTS))
    check_settled(after)
    numbers, books = after.numbers, after.sealed["evses"]
    assert sellers(after) == SELLERS
    assert numbers["polls"]["lost"] > 0, "no meter was silent"
    assert numbers["served"] == len(CARS), numbers["refused"]
    assert set(numbers["untraded"]["by_code"]) <= {"STANDBY"}
    assert [visit["transactions"] for book in books.values() for visit in book["visits"]] == [1] * len(CARS)
    finished = [line["session_id"] for line in after.log() if line["event"] == "session.finished"]
    assert len(finished) == len(set(finished)) == len(CARS)
    assert {evse: len(book["resets"]) for evse, book in books.items()} == RESETS
    opened = sum(line["event"] == "epoch.opened" for line in after.log())
    assert opened == len(CARS) + sum(RESETS.values())
    assert {trade.epoch for trade in after.trades} == {1, 2, 3}
    for name in ("import_wh", "export_wh"):
        assert numbers["metered"][name] < numbers["witness"][name], (
            "resets while energy flows hide some of it"
        )
