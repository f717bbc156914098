"""Metrics: base units, closed labels, each one documented and each one of the dashboard's existing."""

import json
import re
from dataclasses import replace
from pathlib import Path

from edgegw.core.market import CHARGE
from edgegw.ops.metrics import Counts, Metrics
from edgegw.ports.station_health import CertificateLife, Signs
from tests.support.core_bench import T0_S, Bench, S

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "configs" / "grafana" / "edgegw.json"


def rendered() -> str:
    """The exposition of a station in which something of everything has happened."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.active()
    bench.go(70)
    bench.read("MA1", 1_036)
    station = bench.station
    tally = replace(
        station.tally["all"],
        retail_reasons={"NO_SLICE": 7},
        untraded={"import:STANDBY": 2},
        refused={"EVSE_BUSY": 1},
        sold_wh=5,
    )
    evses = {
        name: evse if evse.session is None else replace(evse, session=replace(evse.session, soc_bp=5_550))
        for name, evse in station.evses.items()
    }
    signs = Signs(
        now_ns=(T0_S + 70) * S,
        station=replace(station, tally={"all": tally}, evses=evses),
        waiting=("CP-7",),
        storage_free_bp=4_200,
        mqtt_connected=True,
        certificates={"OCPP": CertificateLife(end_ns=(T0_S + 170) * S, warn_ns=0)},
    )
    counts = Counts(
        ocpp={"received.Heartbeat": 3}, polls={"MA1": (10, 1)}, mqtt_published=4, lag_s={"0.5": 0.001}
    )
    return Metrics(lambda: signs, lambda: counts).render().decode()


def names(text: str) -> set[str]:
    return set(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))


def test_values_are_in_base_units() -> None:
    """A Wh is 3,600 J, a state of charge a ratio, a price tokens; two counters an EVSE, never one that is netted."""
    text = rendered()
    for line in (
        'edgegw_evse_energy_imported_joules_total{evse="A1"} 3.7296e+06',
        'edgegw_evse_energy_exported_joules_total{evse="A1"} 0.0',
        'edgegw_evse_power_watts{evse="A1"} 14400.0',
        'edgegw_ev_state_of_charge_ratio{evse="A1"} 0.555',
        'edgegw_evse_phase{evse="A1",phase="active"} 1.0',
        'edgegw_traded_energy_joules_total{kind="sold"} 18000.0',
        'edgegw_untraded_energy_joules_total{code="STANDBY",direction="import"} 7200.0',
        'edgegw_price_tokens_per_kwh{product="CHARGE"} 100.0',
        'edgegw_ocpp_messages_total{kind="received.Heartbeat"} 3.0',
        'edgegw_meter_read_errors_total{meter="MA1"} 1.0',
        "edgegw_ocpp_waiting_chargers 1.0",
        "edgegw_storage_free_ratio 0.42",
        'edgegw_certificate_expiry_seconds{certificate="OCPP"} 100.0',
    ):
        assert line in text.splitlines(), line
    assert "_created" not in text


def test_every_metric_is_documented() -> None:
    """docs/metrics.md lists what is exposed, and nothing else."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(edgegw_[a-z_]+)` \|", text, re.MULTILINE))
    assert documented == {name for name in names(rendered()) if name.startswith("edgegw_")}


def test_every_metric_of_the_dashboard_exists() -> None:
    """Every metric of the dashboard is exposed."""
    board = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    used = set(re.findall(r"\b((?:edgegw|process)_[a-z_]+)", " ".join(expressions)))
    assert used
    assert used <= names(rendered())
    assert board["__inputs"][0]["name"] == "DS_PROMETHEUS"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
