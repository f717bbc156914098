"""The stages of a sale: every pair of stage and event has its transition, and each step ends in a named stage."""

from typing import cast, get_args

import pytest

from edgegw.core import sale
from edgegw.core.internal_events import (
    BalanceKnown,
    DischargeRefused,
    EnergyAttested,
    LinesSettled,
    MarketChanged,
    PreparationFailed,
    SaleHoldOpened,
    SegmentCut,
    SweepCommitted,
)
from edgegw.core.state import SaleStage
from edgegw.core.step_context import StepContext
from tests.support.core_bench import Bench

NONE, CUTTING, SETTLING, SWEEPING, ATTESTING, HOLDING, READY, OVER = SaleStage
# The stages to which an event moves a sale on; a pair that is neither here nor in FAULTS stays where it is.
MOVES: dict[tuple[SaleStage, type], set[SaleStage]] = {
    (NONE, MarketChanged): {CUTTING},
    (CUTTING, SegmentCut): {SETTLING, SWEEPING},
    (SETTLING, LinesSettled): {SWEEPING},
    (SWEEPING, BalanceKnown): {ATTESTING, NONE},
    (ATTESTING, EnergyAttested): {HOLDING, OVER},
    (HOLDING, SaleHoldOpened): {READY},
    (READY, MarketChanged): {NONE},
    **{(stage, PreparationFailed): {NONE, OVER} - {stage} for stage in SaleStage},
    **{(stage, DischargeRefused): {OVER} - {stage} for stage in SaleStage},
}
# No device causes these: a segment is cut, and a hold opens, only where the sale has asked for it.
FAULTS = {(stage, SegmentCut) for stage in SaleStage if stage is not CUTTING} | {
    (stage, SaleHoldOpened) for stage in SaleStage if stage is not HOLDING
}
PAIRS = {(stage, event) for stage in SaleStage for event in get_args(sale.SaleEvent)}


def test_the_table_lists_every_pair() -> None:
    """Each stage x event type is a transition or a fault."""
    assert set(sale.TRANSITIONS) == PAIRS - FAULTS


def test_every_transition_names_the_stages_in_which_it_may_end() -> None:
    """A sale goes forward one stage at a time, and back only to NONE or OVER."""
    found = {(stage, event): set(ends - {stage}) for (stage, event), (_, ends) in sale.TRANSITIONS.items()}
    assert found == {pair: MOVES.get(pair, set()) for pair in PAIRS - FAULTS}


def test_a_pair_that_is_not_in_the_table_is_a_fault() -> None:
    """The program stops rather than sell from a stage that cannot be."""
    bench = Bench()
    bench.active("sel")
    context = StepContext(bench.station, bench.now_ns)
    with pytest.raises(AssertionError, match=r"SaleHoldOpened while none: A1\.t1"):
        sale.move(context, context.evses["A1"], SaleHoldOpened())


def test_a_step_that_ends_at_a_stage_it_does_not_name_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machinery looks at where each step ends, so the table cannot be wrong unseen."""
    table = cast(
        "dict[tuple[SaleStage, type], object]", sale.TRANSITIONS
    )  # a test may change what the core may not
    step, _ = sale.TRANSITIONS[NONE, DischargeRefused]
    monkeypatch.setitem(table, (NONE, DischargeRefused), (step, frozenset({NONE})))
    bench = Bench()
    bench.active("sel")
    context = StepContext(bench.station, bench.now_ns)
    with pytest.raises(AssertionError, match=r"DischargeRefused led from none to over: A1\.t1"):
        sale.move(context, context.evses["A1"], DischargeRefused())


def test_an_answer_after_the_session_changes_nothing() -> None:
    """A balance, or lines that settle, may come when the car has gone."""
    bench = Bench()
    context = StepContext(bench.station, bench.now_ns)
    sale.move(context, context.evses["A1"], BalanceKnown(result=None))
    sale.move(context, context.evses["A1"], LinesSettled())
    assert context.outcome().station == bench.station


def test_a_late_answer_changes_nothing() -> None:
    """An answer for a stage that is over, or not yet reached, has no effect."""
    bench = Bench()
    bench.active("sel")
    context = StepContext(bench.station, bench.now_ns)
    for event in (BalanceKnown(result=None), LinesSettled(), SweepCommitted(), EnergyAttested(attested_wh=9)):
        sale.move(context, context.evses["A1"], event)
    assert context.outcome().station == bench.station
