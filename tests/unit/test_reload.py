"""A reload's changes: which hold at once and which wait for a restart, by section."""

from pathlib import Path

from edgegw.config.schema import Config, load
from edgegw.core import station as core_station
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings
from edgegw.core.station import new_station
from edgegw.daemon.reload import plan_reload
from tests.support.core_bench import Bench, settings
from tests.unit.test_config_parts import CHARGER, MAIN


def config(tmp_path: Path, *texts: str, old: str = "", new: str = "") -> Config:
    path = tmp_path / "edgegw.toml"
    path.write_text("\n".join((MAIN, *texts)).replace(old, new))
    return load(path)


TWO, THREE = CHARGER.format(number=2), CHARGER.format(number=3)


def test_a_charger_and_its_meter_may_come_in(tmp_path: Path) -> None:
    """A new charger and its meter are effective at once, and part of the effective configuration."""
    old = config(tmp_path, TWO)
    new = config(tmp_path, TWO, THREE)
    plan = plan_reload(old, new)
    assert plan.changed == ("meter M-3", "charger 3")
    assert plan.needs_restart == ()
    assert plan.effective == new


def test_passwords_limits_and_tables_of_rules_hold_at_once(tmp_path: Path) -> None:
    """Nothing of these is tied to what runs."""
    old = config(tmp_path, TWO)
    new = config(
        tmp_path,
        TWO.replace("argon2id$x", "argon2id$y").replace("11000", "7000"),
        '[log]\nlevel = "debug"\n[session]\nhold_wh = 5\n[ocpp]\naccept_unknown = false\n',
    )
    plan = plan_reload(old, new)
    assert set(plan.changed) == {"log", "session", "charger 2", "ocpp.accept_unknown"}
    assert plan.effective == new


def test_what_runs_cannot_be_moved(tmp_path: Path) -> None:
    """Addresses, meters and places of EVSEs stay as they were, and the operator hears it."""
    old = config(tmp_path, TWO)
    new = config(tmp_path, THREE.replace("E-3", "E-2"), "[ocpp]\nport = 1\n[health]\nport = 1\n")
    plan = plan_reload(old, new)
    assert plan.needs_restart == ("health", "meter M-2", "charger 2", "charger 3", "ocpp.port")
    assert plan.effective.ocpp.port == old.ocpp.port
    assert old.chargers[0] in plan.effective.chargers
    moved = config(
        tmp_path,
        TWO,
        '[[meters]]\nid = "M-9"\nprofile = "abb-b23"\n',
        old='meter = "M-2"',
        new='meter = "M-9"',
    )
    assert plan_reload(old, moved).needs_restart == ("charger 2",)
    assert plan_reload(old, moved).effective.chargers == old.chargers


def test_who_wants_a_place_that_is_not_free_yet_waits_with_it(tmp_path: Path) -> None:
    """A charger that is replaced keeps its EVSE and meter until the restart; its successor waits, sessions go on."""
    old = config(tmp_path, TWO)
    replaced = config(tmp_path, TWO, old='id = "2"', new='id = "NEW"')
    plan = plan_reload(old, replaced)
    assert (plan.changed, plan.needs_restart) == ((), ("charger 2", "charger NEW"))
    assert plan.effective == old
    other_evse = config(tmp_path, TWO, old='id = "E-2"', new='id = "E-9"')
    renamed = plan_reload(other_evse, replaced)  # the meter alone is held
    assert (renamed.needs_restart, renamed.effective) == (("charger 2", "charger NEW"), other_evse)


def test_a_running_core_takes_in_new_evses_and_keeps_its_own() -> None:
    """Sessions, registers and everything open stay; only what was not there comes in, under the new settings."""
    bench = Bench()
    bench.active()
    more = settings(station_id="ST")
    added = EvseSettings(evse_id="C1", charger_id="C", meter_id="MC1", rated_w=7_000)
    more = settings(evses={**more.evses, "C1": added}, meter_evse={**more.meter_evse, "MC1": "C1"})
    names = [f"M{name}" for name in more.evses]
    accounts = {name: MeterAccount(meter_id=name, meter_ref=name, power_w_max=1) for name in names}
    before = bench.station
    after = core_station.adopt(before, new_station(more, accounts))
    assert after.settings is more
    assert {name: after.evses[name] for name in before.evses} == before.evses
    assert {name: after.meters[name] for name in before.meters} == before.meters
    assert (after.evses["C1"].session, after.meters["MC1"].last) == (None, None)
    assert after.holds == before.holds
