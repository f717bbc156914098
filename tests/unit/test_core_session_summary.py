"""Each session and each trade makes one canonical log line with all its figures."""

from edgegw.core.effects import LogEvent
from tests.support.core_bench import T0_S, Bench


def lines(bench: Bench, name: str) -> list[dict[str, object]]:
    """The fields of every log line of this name."""
    found = [effect for effect in bench.effects if isinstance(effect, LogEvent) and effect.name == name]
    return [dict(effect.fields) for effect in found]


def test_a_session_is_told_in_one_line_and_each_trade_in_one() -> None:
    """The line has energy by the meter in both directions, duration and reason; the trade's has its amount and block."""
    bench = Bench()
    session = bench.active()
    bench.go(70)
    bench.read("MA1", 1_036)
    bench.end()
    bench.go(75)
    bench.read("MA1", 1_040, 2)
    told = {
        "evse_id": "A1",
        "session_id": session.session_id,
        "import_wh": 40,
        "export_wh": 2,
        "duration_s": 10,
        "soc_bp": None,
        "end_reason": "Local",
        "disputed": False,
    }
    assert lines(bench, "session.finished") == [told]
    bench.settle()
    (trade,) = lines(bench, "trade.recorded")
    assert {key: trade[key] for key in ("evse_id", "session_id", "direction", "energy_wh", "kind")} == {
        "evse_id": "A1",
        "session_id": session.session_id,
        "direction": "import",
        "energy_wh": 40,
        "kind": "RETAIL",
    }
    assert (trade["interval"], trade["block"], trade["amount_mtok"]) == (T0_S, 5, 16_000)


def test_a_session_that_was_never_measured_tells_no_energy() -> None:
    """None is not measured, never zero."""
    bench = Bench()
    bench.start()
    bench.end(reason="EVDisconnected")
    (told,) = lines(bench, "session.finished")
    assert (told["import_wh"], told["export_wh"], told["end_reason"]) == (None, None, "EVDisconnected")


def test_a_refused_trade_names_its_session() -> None:
    """A refused trade's line names its session, so that the driver's question can be answered."""
    bench = Bench()
    session = bench.active()
    bench.go(70)
    bench.read("MA1", 1_036)
    bench.end()
    bench.go(75)
    bench.read("MA1", 1_036)
    bench.settle("HOLD_EXPIRED")
    (told,) = lines(bench, "trade.refused")
    assert (told["session_id"], told["code"], told["energy_wh"]) == (session.session_id, "HOLD_EXPIRED", 36)
