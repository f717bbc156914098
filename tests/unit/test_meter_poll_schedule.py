"""When meters are read: cuts, polls, lateness, requests."""

from itertools import pairwise

from edgegw.common.units import INTERVAL_NS, SECOND_NS
from edgegw.meters.poll_schedule import Cause, Schedule, Times

TIMES = Times(poll_ns=60 * SECOND_NS, before_ns=2 * SECOND_NS, after_ns=SECOND_NS)
CUT_NS = 1_700_000_100 // 900 * INTERVAL_NS


def _drain(schedule: Schedule, until_ns: int) -> list[tuple[Cause, int]]:
    """All reads up to an instant, each taken exactly when it is due."""
    taken = []
    while schedule.next_due_ns() <= until_ns:
        due = schedule.take(schedule.next_due_ns())
        assert due is not None
        taken.append((due.cause, due.at_ns))
    return taken


def test_each_cut_has_a_read_before_and_after() -> None:
    """Over four quarter hours every cut has one read `before_ns` before and one `after_ns` after it; none is late."""
    schedule = Schedule(["a"], TIMES, CUT_NS - 10 * SECOND_NS)
    taken = _drain(schedule, CUT_NS + 3 * INTERVAL_NS + 10 * SECOND_NS)
    cuts = [CUT_NS + number * INTERVAL_NS for number in range(4)]
    assert [at for cause, at in taken if cause is Cause.BEFORE_CUT] == [cut - 2 * SECOND_NS for cut in cuts]
    assert [at for cause, at in taken if cause is Cause.AFTER_CUT] == [cut + SECOND_NS for cut in cuts]
    assert schedule.late == [0]


def test_polls_recur_exactly_and_are_spread() -> None:
    """Polls of one meter are exactly a period apart; two meters have different phases."""
    schedule = Schedule(["a", "b"], TIMES, CUT_NS)
    taken = {0: [], 1: []}  # type: dict[int, list[int]]
    while schedule.next_due_ns() < CUT_NS + 600 * SECOND_NS:
        due = schedule.take(schedule.next_due_ns())
        assert due is not None
        if due.cause is Cause.POLL:
            taken[due.unit].append(due.at_ns)
    for times in taken.values():
        assert len(times) == 10
        assert {later - earlier for earlier, later in pairwise(times)} == {60 * SECOND_NS}
    assert taken[0][0] != taken[1][0]


def test_a_unit_that_comes_later_has_its_own_rhythm() -> None:
    """A unit that is added later is polled in its own period, with its own reads around the cut; the others are unchanged."""
    schedule = Schedule(["a"], TIMES, CUT_NS)
    schedule.add("b", CUT_NS + 300 * SECOND_NS, poll_ns=20 * SECOND_NS)
    taken: list[tuple[Cause, int]] = []
    while schedule.next_due_ns() < CUT_NS + 600 * SECOND_NS:
        due = schedule.take(schedule.next_due_ns())
        assert due is not None
        taken.append((due.cause, due.unit))
    assert taken.count((Cause.POLL, 0)) == 10
    assert taken.count((Cause.POLL, 1)) == 15
    _drain(schedule, CUT_NS + INTERVAL_NS + 10 * SECOND_NS)
    assert schedule.late == [0, 0]


def test_a_poll_whose_successor_is_due_is_late() -> None:
    """Coming 150 s late to a 60 s poll loses two polls; the latest one is still read."""
    schedule = Schedule(["a"], Times(poll_ns=60 * SECOND_NS, before_ns=1, after_ns=1), CUT_NS)
    polls = [at for cause, at in _drain(schedule, CUT_NS + 61 * SECOND_NS) if cause is Cause.POLL]
    due = schedule.take(polls[-1] + 60 * SECOND_NS + 150 * SECOND_NS)
    assert due is not None
    assert due.cause is Cause.POLL
    assert schedule.late == [2]
    assert schedule.next_due_ns() == polls[-1] + 60 * 4 * SECOND_NS


def test_a_read_before_the_cut_is_worthless_after_it() -> None:
    """A read before the cut that is still missing at the cut is counted as lost, and not repeated."""
    schedule = Schedule(
        ["a"], Times(poll_ns=INTERVAL_NS * 9, before_ns=2 * SECOND_NS, after_ns=SECOND_NS), CUT_NS - 5
    )
    due = schedule.take(CUT_NS + INTERVAL_NS)
    seen = [] if due is None else [due.cause]
    while (due := schedule.take(CUT_NS + INTERVAL_NS)) is not None:
        seen.append(due.cause)
    assert Cause.BEFORE_CUT not in seen
    assert schedule.late[0] >= 1


def test_requests_coalesce_until_taken() -> None:
    """Two requests before the read are one read; a request after it is another."""
    schedule = Schedule(["a"], TIMES, CUT_NS + 100 * SECOND_NS)
    now_ns = CUT_NS + 100 * SECOND_NS
    schedule.ask(0, now_ns)
    schedule.ask(0, now_ns)
    first = schedule.take(now_ns)
    assert first is not None
    assert first.cause is Cause.ASKED
    assert schedule.take(now_ns) is None
    schedule.ask(0, now_ns)
    assert schedule.take(now_ns) is not None


def test_a_clock_that_jumps_a_day_costs_a_bounded_number_of_steps() -> None:
    """After a jump of a day there is at most one read per cause, and every skipped poll is counted."""
    schedule = Schedule(["a"], TIMES, CUT_NS)
    now_ns = CUT_NS + 86_400 * SECOND_NS
    reads = 0
    while schedule.take(now_ns) is not None:
        reads += 1
    assert reads <= 3
    assert schedule.late[0] >= 86_400 // 60 - 2
