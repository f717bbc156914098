"""Chargers' registers are evidence only: violations are stored and logged, contradictions dispute a session, none is billed."""

from typing import Any

import pytest

from edgegw.core.effects import AnswerCall, LogEvent
from edgegw.core.events import ChargerSample, Violation
from tests.support.core_bench import Bench


def running(**start: Any) -> Bench:
    """Return a session with its charger's register at 5 000 Wh unless another is given."""
    bench = Bench()
    sample = ChargerSample(at_ns=bench.now_ns, import_wh=5_000)
    bench.start(**{"sample": sample, **start})
    bench.commit("Hold", reserved="1000")
    bench.go(61)
    bench.read("MA1", 1_000)
    return bench


def logged(bench: Bench, name: str) -> list[dict[str, object]]:
    """The fields of the last step's lines of a name."""
    effects = bench.last.effects
    return [dict(effect.fields) for effect in effects if isinstance(effect, LogEvent) and effect.name == name]


def facts(bench: Bench, kind: str) -> list[dict[str, Any]]:
    """The last step's facts of a kind."""
    return [dict(fact.body) for fact in bench.last.facts if fact.kind == kind]


def sample(bench: Bench, import_wh: int | None) -> tuple[ChargerSample, ...]:
    return (ChargerSample(at_ns=bench.now_ns, import_wh=import_wh, soc_bp=5_000),)


def test_flaws_are_stored_with_the_frame_and_logged_once() -> None:
    """A message with violations has its effect; the violations are in the fact and, with their remedy, in the log."""
    bench = running()
    flaw = Violation(code="EGW-1206", detail='"12,5"')
    bench.update(flaws=(flaw,))
    assert facts(bench, "frame")[0]["flaws"] == [{"code": "EGW-1206", "detail": '"12,5"'}]
    (line,) = logged(bench, "frame.quarantined")
    assert (line["code"], line["detail"]) == ("EGW-1206", '"12,5"')
    assert line["remedy"]


def test_an_assumed_unit_is_on_record_only() -> None:
    """That Wh was assumed is in the fact, and not in the log."""
    bench = running()
    bench.update(flaws=(Violation(code="EGW-1207", detail="x"),))
    (fact,) = facts(bench, "frame")
    assert fact["unit_assumed"] is True
    assert "flaws" not in fact
    assert logged(bench, "frame.quarantined") == []
    bench.update()
    assert "unit_assumed" not in facts(bench, "frame")[0]


def test_a_register_that_went_back_disputes_the_session_once() -> None:
    """A register below the start's makes one fact and one line with both values; the session continues and ends normally."""
    bench = running()
    bench.update(samples=sample(bench, 5_001))
    assert facts(bench, "disputed") == []
    bench.update(samples=sample(bench, 4_200))
    (fact,) = facts(bench, "disputed")
    assert (fact["start_wh"], fact["register_wh"], fact["code"]) == (5_000, 4_200, "EGW-1210")
    assert len(logged(bench, "session.disputed")) == 1
    bench.end(samples=sample(bench, 4_100))
    assert facts(bench, "disputed") == []
    assert bench.evse().ending is not None
    assert bench.evse().ending.disputed  # type: ignore[union-attr]  # just asserted


def test_a_stop_below_its_start_disputes_the_session() -> None:
    """A meterStop below meterStart is acknowledged, and the session is marked."""
    bench = running()
    end = bench.end(samples=sample(bench, 4_200))
    assert len(bench.answers_to(end)) == 1
    assert facts(bench, "disputed")[0]["register_wh"] == 4_200


@pytest.mark.parametrize("first", [None, 0])
def test_a_placeholder_is_no_baseline(first: int | None) -> None:
    """After an offline start with 0, or a start without register, the first reported register is the baseline."""
    placeholder = None if first is None else ChargerSample(at_ns=0, import_wh=first)
    bench = running(sample=placeholder, offline=True)
    session = bench.evse().session
    assert session is not None
    assert session.baseline_wh is None
    for import_wh in (910_000, 910_083):
        bench.update(samples=sample(bench, import_wh))
    session = bench.evse().session
    assert session is not None
    assert (session.baseline_wh, session.disputed) == (910_000, False)


def test_a_batch_without_energy_says_nothing_about_energy() -> None:
    """State of charge alone changes no register and disputes nothing."""
    bench = running()
    bench.update(samples=sample(bench, None))
    session = bench.evse().session
    assert session is not None
    assert (session.baseline_wh, session.disputed, session.soc_bp) == (5_000, False, 5_000)


def test_another_chargers_transaction_is_quarantined() -> None:
    """A message that names a transaction of another charger is acknowledged and flagged; the other session continues."""
    bench = running()
    before = bench.evse()
    for kind in ("update", "end"):
        if kind == "update":
            bench.update(call=bench.call("B"), evse_id="B1")
        else:
            bench.end(call=bench.call("B"), charger_id="B", evse_id=None)
        assert len([effect for effect in bench.last.effects if isinstance(effect, AnswerCall)]) == 1
        (line,) = logged(bench, "frame.quarantined")
        assert (line["charger_id"], line["code"]) == ("B", "EGW-1211")
        assert line["detail"] == "transaction t1 runs at A"
    assert bench.evse() == before


def test_an_unknown_transaction_is_flagged_until_its_end_is_known() -> None:
    """The first end of an unknown transaction is flagged; its repeat, and updates after it, are not."""
    bench = Bench()
    bench.end(transaction_id="x9")
    (line,) = logged(bench, "frame.quarantined")
    assert (line["code"], line["detail"]) == ("EGW-1212", "transaction x9")
    bench.end(transaction_id="x9")
    assert logged(bench, "frame.quarantined") == []
    bench.update(transaction_id="x9")
    assert logged(bench, "frame.quarantined") == []
    bench.update(transaction_id="x8")
    assert logged(bench, "frame.quarantined")[0]["code"] == "EGW-1212"


def test_values_without_transaction_belong_to_their_evse() -> None:
    """2.x MeterValues, which name an EVSE and no transaction, belong to the EVSE's running session."""
    bench = running()
    bench.update(transaction_id=None, samples=sample(bench, 5_100))
    session = bench.evse().session
    assert session is not None
    assert session.soc_bp == 5_000
    assert logged(bench, "frame.quarantined") == []
